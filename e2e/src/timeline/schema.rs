//! What the page reads: one JSON document. `docs/timeline.md` describes it for programs that read it too.
//!
//! Times are whole microseconds since the world's `start`, on the clock of the world, which no fault touches. A host's
//! own clock is that plus its `clock` at that time. Whatever is repeated is a number into a table: texts into
//! `strings`, places into `hosts` and `lanes`.

use serde::Serialize;

/// The name and version of this schema. A field that a reader does not know may come with any version; one that
/// changes its meaning comes with another number.
pub const FORMAT: &str = "chronoplane.timeline/1";

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// [`FORMAT`].
    pub format: &'static str,
    /// What was run: a story's id.
    pub title: String,
    /// One sentence about it.
    pub sentence: String,
    /// Where people met it.
    pub reference: String,
    /// The release that was simulated.
    pub kubernetes_version: String,
    /// What decided all chance; absent where chance was the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Whether every check held.
    pub held: bool,
    /// The text, line by line.
    pub lines: Vec<Line>,
    /// Every text that events and bars name by its number.
    pub strings: Vec<String>,
    /// The worlds of the run, in the order in which they lived.
    pub worlds: Vec<World>,
}

/// One line of the telling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// As it was printed.
    pub text: String,
    /// In which world it was said; absent between worlds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub world: Option<usize>,
    /// When it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub t: Option<i64>,
    /// How many events there were then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<usize>,
    /// Whether the check that this line reports held; absent for a line that reports none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
}

/// One world: its hosts, and what happened there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct World {
    /// What to call it.
    pub title: String,
    /// The instant from which its times are counted, RFC 3339.
    pub start: String,
    /// How many earlier events the record does not keep any more.
    pub gone: usize,
    /// When the last thing happened.
    pub span: i64,
    /// Its machines, in the order of their addresses.
    pub hosts: Vec<Host>,
    /// Its programs, those of a host side by side.
    pub lanes: Vec<Lane>,
    /// What happened, oldest first.
    pub events: Events,
    /// Who spoke to whom.
    pub arrows: Vec<Arrow>,
    /// What is valid from one time to another.
    pub bars: Vec<Bar>,
    /// What was done to the world.
    pub faults: Vec<Fault>,
}

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its address; empty when nobody told.
    pub address: String,
    /// By how much its wall clock is ahead (negative: behind), as corners of a curve: time and microseconds. Between
    /// two corners the curve is straight.
    pub clock: Vec<(i64, i64)>,
}

/// One program on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Number of the host.
    pub host: usize,
    /// The program.
    pub actor: String,
}

/// Events as columns, all of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Events {
    /// Time since the event before.
    pub dt: Vec<i64>,
    /// By how much the host's wall clock was ahead then.
    pub skew: Vec<i64>,
    /// Number of the lane.
    pub lane: Vec<usize>,
    /// Number of the text that says what kind of event it is.
    pub kind: Vec<usize>,
    /// 0: as it should be; 1: refused as part of everyday life (404, 409, …); 2: failed.
    pub tone: Vec<u8>,
    /// The evidence: numbers of the texts of key, value, key, value, ….
    pub fields: Vec<Vec<usize>>,
}

/// One event that has another end: number of the event, lane it leaves, lane it reaches, and the number of the event at
/// the other end where that was recorded too, else -1.
pub type Arrow = (usize, usize, usize, i64);

/// A certificate or a token: something with an end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// `certificate` or `token`.
    pub kind: &'static str,
    /// The lane of who holds it.
    pub lane: usize,
    /// What to call it. Those of one holder with one label follow each other.
    pub label: String,
    /// A certificate's serial number.
    pub serial: String,
    /// First instant of validity by the clock of the world.
    pub from: i64,
    /// Last instant of validity; absent: none.
    pub to: Option<i64>,
    /// Number of the event that tells of it.
    pub event: usize,
    /// Numbers of the handshakes in which it was accepted although it was expired by the clock of the world.
    pub late: Vec<usize>,
}

/// Something done to clocks, network, disks or power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// `clock`, `network`, `disk`, `power`.
    pub kind: String,
    /// When it began.
    pub t: i64,
    /// When it ended; absent: it lasts, or it was over at once (`lasts` tells which).
    pub until: Option<i64>,
    /// Whether it is a state rather than an instant.
    pub lasts: bool,
    /// Numbers of the hosts that it touched.
    pub hosts: Vec<usize>,
    /// In words.
    pub text: String,
    /// Number of the event that tells of it.
    pub event: usize,
}
