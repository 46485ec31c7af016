//! Everything outside our own code: time, network, disk, chance and the init system of a host.
//!
//! A component is handed a [`Host`] first and finds there all that a program asks of its machine.
//! Two gears stand behind the same handles:
//!
//! ```text
//!            Host ── Clock   wall(), monotonic(), sleep(), timeout()
//!             │  ├── Net     listen(), dial()
//!             │  ├── Disk    the files under this host's root
//!             │  ├── Entropy chance
//!             │  ├── Services the init system: start, stop, restart
//!             │  └── Trace   what happened, for replay and comparison
//!             │
//!   sim::Sim ─┴─ real::Real
//! ```
//!
//! * [`sim::Sim`]: one current-thread runtime with paused time; in-memory streams; seeded chance.
//!   Idle time is skipped. The only place that can move time.
//! * [`real::Real`]: TCP on 127.0.0.0/8, the system's clock plus the host's offset, real files.
//!
//! Wall time labels, monotonic time waits. A task belongs to a [`Process`] of a host, so that it
//! freezes with the host and dies with the process.

mod clock;
mod commons;
mod disk;
mod entropy;
mod host;
mod looks;
pub mod mutants;
mod net;
mod periods;
mod process;
pub mod real;
mod services;
pub mod sim;
mod trace;

pub use clock::{Clock, Elapsed, Interval, Mono, Wall, rfc3339, signed};
pub use commons::Commons;
pub use disk::{Disk, DiskError, DiskErrorKind, Durability, FileKind, Fsync, MemoryDisk, Stat};
pub use entropy::Entropy;
pub use host::{Gear, Host};
pub use looks::Looks;
pub use mutants::mutant;
pub use net::{DialError, DialErrorKind, ListenError, Listener, Net, Stream};
pub use periods::Periods;
pub use process::{Process, Task};
pub use services::{Exit, Services, Unit};
pub use trace::{Event, Trace};
