//! From the record of one world to what the page shows of it.

use std::net::IpAddr;

use world::{Event, Wall};

use super::{
    arrows::Arrows,
    bars::Bars,
    faults::Faults,
    lanes::Lanes,
    schema::{Events, World},
    texts::Texts,
};

/// The instant from which a world's times are counted.
pub(super) fn start(events: &[Event]) -> Wall {
    events.first().map_or(Wall::UNIX_EPOCH, |e| e.true_at)
}

/// Whole microseconds from `start` to `at`.
pub(super) fn micros(start: Wall, at: Wall) -> i64 {
    i64::try_from(at.duration_since(start).as_micros()).unwrap_or(i64::MAX)
}

/// A field's value; empty without it.
pub(super) fn field<'a>(event: &'a Event, key: &str) -> &'a str {
    event.fields.iter().find(|(k, _)| *k == key).map_or("", |(_, v)| v.as_str())
}

/// What the page shows of `events`, which happened on hosts of which those of `known` have addresses.
pub(super) fn world(texts: &mut Texts, title: String, known: &[(String, IpAddr)], events: &[Event]) -> World {
    let start = start(events);
    let mut lanes = Lanes::new(known);
    let (mut arrows, mut bars, mut faults) = (Arrows::default(), Bars::new(start), Faults::default());
    let mut columns = Events::default();
    let mut before = 0;
    for (at, event) in events.iter().enumerate() {
        let t = micros(start, event.true_at);
        let host = lanes.host(&event.host);
        let lane = lanes.lane(host, &event.actor);
        let skew = micros(event.true_at, event.at);
        clock(&mut lanes.host_mut(host).clock, t, skew, event.kind == "clock");
        columns.dt.push(t - before);
        columns.skew.push(skew);
        columns.lane.push(lane);
        columns.kind.push(texts.number(event.kind));
        columns.tone.push(tone(event));
        columns
            .fields
            .push(event.fields.iter().flat_map(|(k, v)| [texts.number(k), texts.number(v)]).collect());
        before = t;
        arrows.see(&mut lanes, at, t, lane, event);
        bars.see(&lanes, at, t, lane, event);
        faults.see(&mut lanes, at, t, host, event);
    }
    let (mut arrows, mut bars) = (arrows.done(&lanes), bars.done());
    let (hosts, lanes, new) = lanes.sorted();
    columns.lane.iter_mut().for_each(|lane| *lane = new[*lane]);
    for (_, from, to, _) in &mut arrows {
        (*from, *to) = (new[*from], new[*to]);
    }
    bars.iter_mut().for_each(|bar| bar.lane = new[bar.lane]);
    let start = format!("{start:.6}");
    World {
        title,
        start,
        gone: 0,
        span: before,
        hosts,
        lanes,
        events: columns,
        arrows,
        bars,
        faults: faults.done(),
    }
}

/// How wrong the middle corner of three may be for it to be left out, in microseconds: what rounding does.
const STRAIGHT: i64 = 2;

/// Adds a corner to a host's curve, unless it lies on the way. `set` tells that the clock was touched at this moment.
fn clock(curve: &mut Vec<(i64, i64)>, t: i64, skew: i64, set: bool) {
    match curve.as_slice() {
        [] => {}
        [.., (_, last)] if set && *last != skew => {
            let last = *last;
            curve.push((t, last));
        }
        [.., (t1, s1), (t2, s2)] if t > *t2 && t2 > t1 => {
            let (run, rise) = (i128::from(t - t1), i128::from(skew - s1));
            let there = i128::from(*s1) + rise * i128::from(t2 - t1) / run;
            if (there - i128::from(*s2)).abs() <= i128::from(STRAIGHT) {
                curve.pop();
            }
        }
        _ => {}
    }
    if curve.last() != Some(&(t, skew)) {
        curve.push((t, skew));
    }
}

/// See [`Events::tone`].
fn tone(event: &Event) -> u8 {
    let has = |key: &str| event.fields.iter().any(|(k, _)| *k == key);
    let failed = ["error", "err", "failed", "unhealthy"].into_iter().any(has);
    match event.kind {
        "request" => match field(event, "code").parse::<u16>().unwrap_or_default() {
            401 | 403 | 500.. => 2,
            400.. => 1,
            _ => 0,
        },
        "handshake" => 2 * u8::from(field(event, "result") != "ok"),
        "service" => match field(event, "exit") {
            "" | "ok" | "0" | "success" | "killed" => 0,
            _ => 2,
        },
        "node" | "csr" | "token"
            if matches!(field(event, "state"), "unknown" | "failed" | "denied" | "expired") =>
        {
            2
        }
        "retry" => 1,
        _ => 2 * u8::from(failed),
    }
}
