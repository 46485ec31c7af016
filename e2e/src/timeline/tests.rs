//! What the page's data says of a run that is written down here, event by event, and that no name leaves its place in
//! the document.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

use api::profile::Profile;
use serde_json::Value;
use world::{Event, Wall};

use super::{html, of_story, schema::Page};
use crate::{
    catalogue,
    story::{Check, Moment, Played, Said, Settings, Telling},
};

fn at(seconds: i64) -> Wall {
    Wall::from_second(1_767_225_600 + seconds).unwrap()
}

/// One event: true time and by how much the host's clock is ahead, in seconds, place, kind, fields.
fn event(
    time: (i64, i64),
    host: &str,
    actor: &str,
    kind: &'static str,
    fields: &[(&'static str, &str)],
) -> Event {
    Event {
        at: at(time.0 + time.1),
        true_at: at(time.0),
        host: host.into(),
        actor: actor.into(),
        kind,
        fields: fields.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
    }
}

fn certificate(time: i64, host: &str, actor: &str, by: (&'static str, &str), serial: &str) -> Event {
    let fields = [
        by,
        ("cn", "system:node:node1"),
        ("serial", serial),
        ("not_before", "2026-01-01T00:00:00Z"),
        ("not_after", "2026-01-01T01:00:00Z"),
    ];
    event((time, 0), host, actor, "certificate", &fields)
}

/// A node asks for a certificate, its clock is set two hours ahead, the certificate outlives its end, the node is cut off.
fn events() -> Vec<Event> {
    let (server, kubelet) = (("cp1", "kube-apiserver"), ("node1", "kubelet"));
    let shown = [
        ("side", "server"),
        ("peer", "10.0.0.3"),
        ("port", "6443"),
        ("sni", ""),
        ("serial", "a1"),
        ("result", "ok"),
    ];
    let reached = [("side", "client"), ("peer", "10.0.0.2:6443"), ("serial", "51"), ("result", "ok")];
    let refused = [
        ("side", "client"),
        ("peer", "cp1:6443"),
        ("result", "x509: certificate has expired or is not yet valid"),
    ];
    let asked = |code| {
        [
            ("user", "system:node:node1"),
            ("verb", "get"),
            ("path", "/api/v1/nodes/node1"),
            ("code", code),
            ("from", "10.0.0.3"),
            ("agent", "kubelet"),
        ]
    };
    vec![
        event((0, 0), "cp1", "kubelet", "service", &[("unit", "kubelet"), ("action", "start")]),
        certificate(1, "cp1", "kube-controller-manager", ("csr", "csr-x"), "a1"),
        certificate(1, kubelet.0, kubelet.1, ("signer", "kubernetes.io/kube-apiserver-client-kubelet"), "a1"),
        event((2, 0), server.0, server.1, "handshake", &shown),
        event((2, 0), kubelet.0, kubelet.1, "handshake", &reached),
        event((3, 0), server.0, server.1, "request", &asked("200")),
        event((10, 7200), "node1", "init", "clock", &[("step", "2h")]),
        event((11, 7200), kubelet.0, kubelet.1, "handshake", &refused),
        event((12, 0), server.0, server.1, "request", &asked("403")),
        event((20, 0), "cp1", "init", "network", &[("cut", "cp1|node1")]),
        event((30, 7200), "node1", "init", "power", &[("off", "")]),
        event((40, 0), "node1", "init", "power", &[("on", "")]),
        event((50, 0), "cp1", "init", "network", &[("heal", "cp1|node1")]),
        event(
            (60, 0),
            "cp1",
            "kubeadm",
            "token",
            &[("secret", "bootstrap-token-abcdef"), ("until", "2026-01-02T00:00:00Z")],
        ),
        event((7200, 0), server.0, server.1, "handshake", &shown),
    ]
}

fn page_of(events: Vec<Event>, hosts: &[(&str, &str)]) -> Page {
    let said = |world: Option<usize>, seconds, event, check| Said {
        moment: world.map(|world| Moment { world, at: at(seconds), event }),
        check,
    };
    let check = |held| Check { what: "it is let in".into(), seen: "200".into(), held };
    let hosts = hosts.iter().map(|(name, address)| ((*name).to_owned(), address.parse().unwrap())).collect();
    let telling = Telling {
        checks: vec![check(true), check(false)],
        lines: [
            "A node joins (Kubernetes v1.36.0).",
            "  ✓ it is let in  200",
            "  ✗ it is let in  200",
            "The end.",
        ]
        .map(str::to_owned)
        .to_vec(),
        said: vec![
            said(Some(0), 0, 0, None),
            said(Some(0), 5, 6, Some(0)),
            said(Some(0), 7200, 15, Some(1)),
            said(None, 0, 0, None),
        ],
        worlds: vec![Played { hosts, events: 0..events.len() }],
        events,
    };
    let settings = Settings {
        profile: Profile::default(),
        seed: 1,
        gear: world::Gear::Simulated,
        check_certificate_dates: true,
    };
    of_story(catalogue::find("loopback-expiry").unwrap(), &settings, &telling)
}

const HOSTS: &[(&str, &str)] = &[("node1", "10.0.0.3"), ("cp1", "10.0.0.2")];

#[test]
fn a_small_run_as_data() {
    let page = page_of(events(), HOSTS);
    insta::assert_snapshot!(serde_json::to_string_pretty(&compact(&page)).unwrap());
}

/// The page's data, with each event as one line: columns of numbers tell nothing to who reads a snapshot.
fn compact(page: &Page) -> Value {
    let mut value = serde_json::to_value(page).unwrap();
    value["sentence"] = "…".into();
    value["reference"] = "…".into();
    value.as_object_mut().unwrap().remove("strings");
    for (world, out) in page.worlds.iter().zip(value["worlds"].as_array_mut().unwrap()) {
        let e = &world.events;
        let lines = (0..e.dt.len()).map(|i| {
            let text = |n: &usize| page.strings[*n].as_str();
            let fields: Vec<&str> = e.fields[i].iter().map(text).collect();
            let lane = &world.lanes[e.lane[i]];
            let place = format!("{}/{}", world.hosts[lane.host].name, lane.actor);
            format!(
                "+{} skew {} {place} {} tone {} {}",
                e.dt[i],
                e.skew[i],
                text(&e.kind[i]),
                e.tone[i],
                fields.join(" ")
            )
        });
        out["events"] = lines.collect::<Vec<_>>().into();
    }
    value
}

#[test]
fn columns_have_one_length_and_every_number_points_somewhere() {
    let page = page_of(events(), HOSTS);
    let world = &page.worlds[0];
    let (e, n) = (&world.events, events().len());
    assert_eq!([e.dt.len(), e.skew.len(), e.lane.len(), e.kind.len(), e.tone.len(), e.fields.len()], [n; 6]);
    assert!(e.fields.iter().flatten().chain(&e.kind).all(|text| *text < page.strings.len()));
    assert!(world.arrows.iter().all(|(event, from, to, other)| {
        *event < n && *from < world.lanes.len() && *to < world.lanes.len() && *other < n as i64
    }));
    assert!(world.bars.iter().all(|bar| bar.lane < world.lanes.len() && bar.event < n));
}

#[test]
fn hosts_that_nobody_named_are_found_in_the_events() {
    let page = page_of(events(), &[]);
    let names: Vec<_> = page.worlds[0].hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["cp1", "node1"]);
}

/// A name is text wherever it stands: what a browser reads as data is what was put in, and nothing else begins.
#[test]
fn no_name_leaves_its_place() {
    let hostile = "</script><script>alert(1)</script><!--\u{2028}{{style}}\"&";
    let mut events = events();
    events[0].host = hostile.into();
    events[5].fields[2].1 = hostile.into();
    let mut page = page_of(events, HOSTS);
    page.title = hostile.into();
    let plain = html(&page_of(super::tests::events(), HOSTS)).unwrap();
    let html = html(&page).unwrap();
    for opener in ["<script", "</script", "<!--", "<style"] {
        assert_eq!(html.matches(opener).count(), plain.matches(opener).count(), "{opener} comes from a name");
    }
    let data = html.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let read: Value = serde_json::from_str(data).unwrap();
    assert_eq!(read, serde_json::to_value(&page).unwrap());
    assert!(html.contains("<title>&lt;/script&gt;&lt;script&gt;alert(1)"), "the title is escaped");
}

#[test]
fn the_page_asks_nobody_for_anything() {
    let html = html(&page_of(events(), HOSTS)).unwrap();
    assert!(html.contains("default-src 'none'"));
    for call in ["fetch(", "XMLHttpRequest", "WebSocket(", "import(", "src=\"http", "href=\"http", "url(http"]
    {
        assert!(!html.contains(call), "{call}");
    }
    assert!(!html.contains("{{"), "a place of the template was not filled");
}

/// A drifting clock is a line with two corners, however often it was read.
#[test]
fn a_clock_that_drifts_has_few_corners() {
    let drift = |n: i64| {
        let mut event = event((n, 0), "node1", "kubelet", "probe", &[]);
        event.at = event.true_at + jiff::SignedDuration::from_micros(n * 100);
        event
    };
    let page = page_of((0..1000).map(drift).collect(), HOSTS);
    let node = page.worlds[0].hosts.iter().find(|host| host.name == "node1").unwrap();
    assert_eq!(node.clock, [(0, 0), (999_000_000, 99_900)]);
}
