//! The wall clock of a host in the real gear: the system's, set ahead or behind, fast or slow, or standing still.
//!
//! How it is set is a small record, a [`Setting`]. Where other processes shall see and set a host's clock
//! ([`super::Real::share_clocks`]) the record is a file below the host's root, and each reading of the clock looks there:
//! whoever has written the file has set the clock, of every process of the host and at once. A clock that was set stays
//! so over a restart, as a machine's does.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    time::{Instant, SystemTime},
};

use jiff::SignedDuration;
use parking_lot::Mutex;

use crate::{
    Mono, Wall,
    clock::{BoxFuture, TimeSource},
};

/// Below the root of a host.
const FILE: &str = "run/chronoplane/clock";
/// Records are of one length, so that a new one is written over the last in one piece.
const RECORD: usize = 128;
/// A reader that meets a writer looks again; that many times in a row no writer is met.
const LOOKS: usize = 1_000;
const MILLION: i128 = 1_000_000;

/// How a host's wall clock goes, seen from the system's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// When it was last set, by the system's clock; nanoseconds since 1970.
    system: i128,
    /// What it showed then.
    wall: i128,
    /// Parts per million that it is too fast since then.
    ppm: i32,
    /// Whether it stands still since then.
    frozen: bool,
}

impl Setting {
    /// What the clock shows when the system's shows `system`.
    pub fn wall(&self, system: Wall) -> Wall {
        Wall::from_nanosecond(self.nanos(system.as_nanosecond())).unwrap_or(system)
    }

    fn nanos(&self, system: i128) -> i128 {
        if self.frozen {
            return self.wall;
        }
        let gone = system - self.system;
        self.wall + gone + gone * i128::from(self.ppm) / MILLION
    }

    /// How far it is ahead of the system's clock; negative: behind.
    pub fn ahead(&self, system: Wall) -> SignedDuration {
        self.wall(system).duration_since(system)
    }

    /// Parts per million that it is too fast; negative: slow.
    pub fn drift_ppm(&self) -> i32 {
        self.ppm
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    fn anchored(self, system: Wall) -> Self {
        let system = system.as_nanosecond();
        Self { system, wall: self.nanos(system), ..self }
    }

    /// Set by `by`, as NTP or `date -s` would.
    pub fn step(self, by: SignedDuration, system: Wall) -> Self {
        let now = if self.ppm == 0 && !self.frozen { self } else { self.anchored(system) };
        Self { wall: now.wall + by.as_nanos(), ..now }
    }

    /// Too fast by `ppm` parts per million from now on.
    pub fn drift(self, ppm: i32, system: Wall) -> Self {
        Self { ppm, ..self.anchored(system) }
    }

    /// Standing still from now on.
    pub fn freeze(self, system: Wall) -> Self {
        Self { frozen: true, ..self.anchored(system) }
    }

    /// Going on from where it stood.
    pub fn thaw(self, system: Wall) -> Self {
        Self { frozen: false, ..self.anchored(system) }
    }

    /// What somebody did to the clock that was set as `before`, in the words of the trace; `now` by the system's clock.
    fn done_to(self, before: Self, now: Wall) -> Vec<(&'static str, String)> {
        let mut done = Vec::new();
        match (before.frozen, self.frozen) {
            (false, true) => done.push(("freeze", String::new())),
            (true, false) => done.push(("thaw", String::new())),
            _ => {}
        }
        if self.ppm != before.ppm {
            done.push(("drift_ppm", self.ppm.to_string()));
        }
        // Compared at the moment at which it was set, where the record says that.
        let said = (self.system > before.system).then(|| Wall::from_nanosecond(self.system).ok()).flatten();
        let at = said.unwrap_or(now);
        let by = self.wall(at).duration_since(before.wall(at));
        // What is set right again after it ran wrong was wrong by an odd number.
        let exact = said.is_some() || before.ppm == 0 && !before.frozen;
        let by = if exact { by } else { by.round(jiff::Unit::Millisecond).unwrap_or(by) };
        if !by.is_zero() {
            done.push(("step", crate::signed(by)));
        }
        done
    }

    fn write(&self) -> String {
        let Self { system, wall, ppm, frozen } = self;
        let text = format!("{system} {wall} {ppm} {}", u8::from(*frozen));
        let line = format!("{text} {}", sum(&text));
        format!("{line:<width$}\n", width = RECORD - 1)
    }

    /// `None` for half a record.
    fn read(record: &str) -> Option<Self> {
        let (text, said) = record.trim_end().rsplit_once(' ')?;
        if said.parse() != Ok(sum(text)) {
            return None;
        }
        let mut words = text.split(' ');
        let (system, wall) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (ppm, frozen) = (words.next()?.parse().ok()?, words.next()? == "1");
        Some(Self { system, wall, ppm, frozen })
    }
}

/// FNV-1a: tells two halves of different records from one whole.
fn sum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The file that holds the setting of one host's clock.
#[derive(Debug)]
pub struct ClockFile(File);

impl ClockFile {
    /// The file below the root of a host, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn of_host(root: &Path) -> io::Result<Self> {
        let path = root.join(FILE);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Self(file))
    }

    /// The setting that it holds; a new file has none, and the clock is right.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(&self) -> io::Result<Setting> {
        for _ in 0..LOOKS {
            let mut record = [0; RECORD];
            let length = self.0.read_at(&mut record, 0)?;
            if length == 0 {
                return Ok(Setting::default());
            }
            if let Some(setting) = std::str::from_utf8(&record).ok().and_then(Setting::read) {
                return Ok(setting);
            }
            std::hint::spin_loop();
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{FILE} holds no setting of a clock; remove it, and the clock is right again after a restart"
            ),
        ))
    }

    /// Sets the clock to what `change` makes of its setting and of the system's time.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn set(&self, change: impl FnOnce(Setting, Wall) -> Setting) -> io::Result<Setting> {
        // Whoever else sets it waits: each change is made of the last.
        self.0.lock()?;
        let outcome = self.read().and_then(|setting| {
            let changed = change(setting, system());
            self.0.write_all_at(changed.write().as_bytes(), 0).map(|()| changed)
        });
        self.0.unlock()?;
        outcome
    }
}

/// What the system's clock shows.
#[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
pub fn system() -> Wall {
    Wall::try_from(SystemTime::now()).unwrap_or(Wall::UNIX_EPOCH)
}

pub(super) struct RealClock {
    boot: Instant,
    held: Held,
    /// How it was set when somebody last looked for what was done to it.
    seen: Mutex<Setting>,
}

enum Held {
    Here(Mutex<Setting>),
    Shared(ClockFile),
}

impl RealClock {
    pub(super) fn ahead(by: SignedDuration) -> Self {
        Self::holding(Held::Here(Mutex::new(Setting::default().step(by, Wall::UNIX_EPOCH))))
    }

    pub(super) fn shared(file: ClockFile) -> Self {
        Self::holding(Held::Shared(file))
    }

    #[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
    fn holding(held: Held) -> Self {
        let this = Self { boot: Instant::now(), held, seen: Mutex::default() };
        *this.seen.lock() = this.setting();
        this
    }

    /// Hands over what was done to the clock since the last look, by this process or by another, once.
    pub(super) fn look(&self, mut each: impl FnMut(&'static str, String)) {
        let mut seen = self.seen.lock();
        let setting = self.setting();
        if setting == *seen {
            return;
        }
        let before = std::mem::replace(&mut *seen, setting);
        for (what, value) in setting.done_to(before, system()) {
            each(what, value);
        }
    }

    /// Sets the clock to what `change` makes of its setting.
    pub(super) fn set(&self, change: impl FnOnce(Setting, Wall) -> Setting) {
        match &self.held {
            Held::Here(setting) => {
                let mut setting = setting.lock();
                *setting = change(*setting, system());
            }
            Held::Shared(file) => {
                if let Err(error) = file.set(change) {
                    tracing::error!("a clock could not be set: {error}");
                }
            }
        }
    }

    fn setting(&self) -> Setting {
        match &self.held {
            Held::Here(setting) => *setting.lock(),
            Held::Shared(file) => file.read().unwrap_or_else(|error| {
                tracing::error!("how a clock is set cannot be read, the system's time is taken: {error}");
                Setting::default()
            }),
        }
    }
}

impl TimeSource for RealClock {
    fn wall(&self) -> Wall {
        self.walls().0
    }

    fn walls(&self) -> (Wall, Wall) {
        let system = system();
        (self.setting().wall(system), system)
    }

    fn monotonic(&self) -> Mono {
        Mono(self.boot.elapsed().as_nanos())
    }

    #[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<()> {
        let left = deadline.since(self.monotonic());
        Box::pin(tokio::time::sleep(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Wall {
        Wall::from_second(seconds).expect("in range")
    }

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    #[test]
    fn a_clock_that_nobody_has_set_is_right() {
        assert_eq!(Setting::default().wall(at(1_767_225_600)), at(1_767_225_600));
        assert_eq!(Setting::read(&Setting::default().write()), Some(Setting::default()));
    }

    #[test]
    fn steps_drift_and_standing_still_add_up() {
        let stepped = Setting::default().step(-HOUR, at(1_000));
        assert_eq!(stepped.ahead(at(2_000)), -HOUR);
        // From 2,000 on a thousandth too fast: a second in a thousand, on top of the hour.
        let fast = stepped.drift(1_000, at(2_000));
        assert_eq!(fast.ahead(at(2_000)), -HOUR);
        assert_eq!(fast.ahead(at(12_000)), SignedDuration::from_secs(10) - HOUR);
        let frozen = fast.freeze(at(12_000));
        assert_eq!(frozen.wall(at(99_000)), fast.wall(at(12_000)));
        let stepped_while_frozen = frozen.step(HOUR, at(99_000));
        assert_eq!(stepped_while_frozen.wall(at(99_500)), fast.wall(at(12_000)) + HOUR);
        // It goes on from where it stood, and as fast as before.
        let thawed = frozen.thaw(at(100_000));
        assert_eq!(thawed.wall(at(101_000)), frozen.wall(at(0)) + SignedDuration::from_secs(1_001));
    }

    #[track_caller]
    fn check_done(change: impl FnOnce(Setting) -> Setting, before: Setting, expected: &[(&str, &str)]) {
        let done = change(before).done_to(before, at(20_000));
        let done: Vec<_> = done.iter().map(|(what, value)| (*what, value.as_str())).collect();
        assert_eq!(done, expected);
    }

    #[test]
    fn what_was_done_to_a_clock_is_told_by_how_it_is_set() {
        let right = Setting::default();
        check_done(|s| s, right, &[]);
        check_done(|s| s.step(-HOUR, at(10_000)), right, &[("step", "-1h")]);
        check_done(|s| s.drift(500, at(10_000)), right, &[("drift_ppm", "500")]);
        // Seen 10,000 seconds later; it was not set by these.
        check_done(|s| s.freeze(at(10_000)), right, &[("freeze", "")]);
        let frozen = right.step(HOUR, at(9_000)).freeze(at(10_000));
        check_done(|s| s.thaw(at(15_000)), frozen, &[("thaw", "")]);
        check_done(|s| s.step(HOUR, at(15_000)), frozen, &[("step", "1h")]);
        // An hour ahead, and 10,000 seconds long it stood still.
        check_done(|_| Setting::default(), frozen, &[("thaw", ""), ("step", "1h 46m 40s")]);
        let fast = right.drift(1_000, at(10_000));
        check_done(|_| Setting::default(), fast, &[("drift_ppm", "0"), ("step", "-10s")]);
        check_done(|s| s.step(HOUR, at(15_000)), fast, &[("step", "1h")]);
    }

    #[test]
    fn half_a_record_is_none() {
        let (old, new) = (Setting::default().write(), Setting::default().step(HOUR, at(1)).write());
        for cut in 1..40 {
            let torn = format!("{}{}", &new[..cut], &old[cut..]);
            assert!(
                torn == old || torn == new || Setting::read(&torn).is_none(),
                "{torn:?} is taken for a record"
            );
        }
    }

    #[test]
    fn every_holder_of_a_file_sees_the_same_clock_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || ClockFile::of_host(dir.path()).expect("a file");
        let (one, other) = (open(), open());
        assert_eq!(other.read().expect("a setting"), Setting::default());
        one.set(|setting, now| setting.step(HOUR, now)).expect("set");
        assert_eq!(other.read().expect("a setting").ahead(system()), HOUR);
        // Both set it many times; no change is lost.
        std::thread::scope(|scope| {
            for file in [&one, &other] {
                scope.spawn(|| {
                    for _ in 0..200 {
                        open().set(|s, now| s.step(SignedDuration::from_secs(1), now)).expect("set");
                        file.read().expect("never half a record");
                    }
                });
            }
        });
        let ahead = one.read().expect("a setting").ahead(system());
        assert_eq!(ahead, HOUR + SignedDuration::from_secs(400));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = ClockFile::of_host(dir.path()).expect("a file");
        std::fs::write(dir.path().join(FILE), "not a clock").expect("written");
        let why = file.read().expect_err("refused").to_string();
        assert!(why.contains("holds no setting of a clock; remove it"), "{why}");
    }
}
