//! How a story is told: lines as it goes, checks that hold or not, and the trace at the end.

use std::{
    fmt,
    net::IpAddr,
    ops::Range,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use api::profile::Profile;
use chronoplane::HarnessError;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use world::{Event, Gear, Wall, sim::Sim};

use crate::{
    catalogue::Entry,
    cli::Refusal,
    style::{BAD, GOOD},
};

/// What a story is told with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The release.
    pub profile: Profile,
    /// Decides all chance.
    pub seed: u64,
    /// Where it happens.
    pub gear: Gear,
    /// Off only in the proof that the story depends on it.
    pub check_certificate_dates: bool,
}

/// The world broke before the story was over.
#[derive(Debug, Clone)]
pub struct StoryError(pub String);

impl StoryError {
    /// Wraps any error's words.
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for StoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<HarnessError> for StoryError {
    fn from(e: HarnessError) -> Self {
        Self(e.to_string())
    }
}

impl From<std::io::Error> for StoryError {
    fn from(e: std::io::Error) -> Self {
        Self(e.to_string())
    }
}

/// One statement that was checked.
#[derive(Clone, Debug)]
pub struct Check {
    /// What should be.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// Whether it is so.
    pub held: bool,
}

/// When something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// In which of the story's worlds, counted from 0.
    pub world: usize,
    /// By the clock of that world, which no fault touches.
    pub at: Wall,
    /// How many events there were in it by then.
    pub event: usize,
}

/// What is known of a line besides its text.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// When; `None` between two worlds.
    pub moment: Option<Moment>,
    /// Which check it reports.
    pub check: Option<usize>,
}

/// A world of a story that is over.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its hosts and their addresses.
    pub hosts: Vec<(String, IpAddr)>,
    /// Which of the telling's events happened in it.
    pub events: Range<usize>,
}

#[derive(Default)]
struct Told {
    checks: Vec<Check>,
    lines: Vec<String>,
    said: Vec<Said>,
    events: Vec<Event>,
    worlds: Vec<Played>,
    /// The world that the story is in.
    sim: Option<Sim>,
}

impl Told {
    fn say(&mut self, line: String, check: Option<usize>) {
        let moment = self.sim.as_ref().map(|sim| Moment {
            world: self.worlds.len(),
            at: sim.now(),
            event: sim.trace().count(),
        });
        self.said.push(Said { moment, check });
        self.lines.push(line);
    }
}

/// The teller's voice. Clones speak into one telling.
#[derive(Clone)]
pub struct Teller {
    told: Arc<Mutex<Told>>,
    live: bool,
    quiet: Arc<AtomicBool>,
}

impl Teller {
    /// Prints while it goes if `live`.
    pub(crate) fn new(live: bool) -> Self {
        Self { told: Arc::default(), live, quiet: Arc::default() }
    }

    /// One who is not heard: for who plays on a stage and tells in another way.
    pub(crate) fn mute() -> Self {
        Self::new(false)
    }

    /// One line of the story.
    pub fn say(&self, line: impl Into<String>) {
        let line = line.into();
        if self.live && !self.quiet.load(Ordering::Relaxed) {
            outln!("{line}");
        }
        self.told.lock().say(line, None);
    }

    /// Checks are counted, but only failures are printed, until [`Teller::aloud`].
    pub fn quietly(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// Ends [`Teller::quietly`].
    pub fn aloud(&self) {
        self.quiet.store(false, Ordering::Relaxed);
    }

    /// A statement and whether it holds, with the evidence.
    pub fn check(&self, what: impl Into<String>, held: bool, seen: impl Into<String>) {
        let check = Check { what: what.into(), seen: seen.into(), held };
        let mark = if held { "✓" } else { "✗" };
        let line = if check.seen.is_empty() {
            format!("  {mark} {}", check.what)
        } else {
            format!("  {mark} {:<38} {}", check.what, check.seen)
        };
        if self.live && (!held || !self.quiet.load(Ordering::Relaxed)) {
            let style = if held { GOOD } else { BAD };
            outln!("{}", line.replacen(mark, &format!("{style}{mark}{style:#}"), 1));
        }
        let mut told = self.told.lock();
        let number = told.checks.len();
        told.say(line, Some(number));
        told.checks.push(check);
    }

    /// From now on what is said is said in this world, until [`Teller::record`].
    pub fn enter(&self, sim: &Sim) {
        self.told.lock().sim = Some(sim.clone());
    }

    /// Adds the record of a world that is over to the telling's trace.
    pub fn record(&self, events: Vec<Event>) {
        let mut told = self.told.lock();
        let hosts = told.sim.take().map(|sim| sim.hosts()).unwrap_or_default();
        let hosts = hosts.iter().map(|host| (host.name().to_owned(), host.net().address())).collect();
        let from = told.events.len();
        told.events.extend(events);
        let events = from..told.events.len();
        told.worlds.push(Played { hosts, events });
    }

    /// All that was told; the teller begins anew.
    pub(crate) fn telling(&self) -> Telling {
        let Told { checks, lines, said, events, worlds, .. } = std::mem::take(&mut *self.told.lock());
        Telling { checks, lines, said, events, worlds }
    }

    /// How many checks were made so far, and how many held.
    pub fn tally(&self) -> (usize, usize) {
        let told = self.told.lock();
        (told.checks.len(), told.checks.iter().filter(|c| c.held).count())
    }
}

/// A story that was told.
pub struct Telling {
    /// All checks in order.
    pub checks: Vec<Check>,
    /// The text.
    pub lines: Vec<String>,
    /// What is known of each line.
    pub said: Vec<Said>,
    /// Everything that happened, world after world.
    pub events: Vec<Event>,
    /// The worlds.
    pub worlds: Vec<Played>,
}

impl Telling {
    /// Whether everything that was checked is so, and something was checked.
    pub fn held(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|c| c.held)
    }

    /// For programs.
    pub fn to_json(&self, entry: &Entry, settings: &Settings) -> Value {
        let checks: Vec<Value> =
            self.checks.iter().map(|c| json!({"what": c.what, "seen": c.seen, "held": c.held})).collect();
        json!({
            "story": entry.id,
            "kubernetesVersion": settings.profile.git_version(),
            "gear": if settings.gear == Gear::Real { "real" } else { "simulated" },
            "seed": settings.seed,
            "held": self.held(),
            "checks": checks,
            "events": self.events.len(),
            "traceDigest": (settings.gear == Gear::Simulated).then(|| digest(&self.events)),
            "text": self.lines,
        })
    }
}

/// SHA-256 of what happened, one event a line as `--trace` writes it: one seed has one, in whatever process, on whatever
/// day.
pub fn digest(events: &[Event]) -> String {
    let mut hash = Sha256::new();
    events.iter().for_each(|event| hash.update(format!("{event}\n")));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells `entry`; prints while it goes if `live`.
///
/// # Errors
/// It is not told in the settings' gear; or the world broke before the end: not an assertion, a fault of ours.
pub fn tell(entry: &Entry, settings: &Settings, live: bool) -> Result<Telling, Refusal> {
    let tell = entry.tell_in(settings.gear).map_err(|why| {
        Refusal(format!("{} is not told in the real gear: {why}; leave --gear real away", entry.id))
    })?;
    let teller = Teller::new(live);
    if settings.profile.minor() < entry.range.0 || settings.profile.minor() > entry.range.1 {
        teller.say(format!(
            "(told for {}; {} happens in {}: what differs is said on the way)\n",
            settings.profile.git_version(),
            entry.id,
            entry.releases()
        ));
    }
    tell(settings, &teller).map_err(|e| Refusal(format!("the story {} broke off: {e}", entry.id)))?;
    Ok(teller.telling())
}
