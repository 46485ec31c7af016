//! The certificate by which an apiserver talks to itself: nobody sees it, nobody renews it, it ends by itself.
//!
//! * `expiry`: what works and what does not once it is dead, row by row as observed on a real server.
//! * `silent`: health checks do not notice; `livez`, `blind_hour`, `asleep`: they do from 1.36 on, mostly.
//! * `three_years`: how long it lives; `born_ahead`, `boot_1970`: clocks that were wrong when it was made.
//!
//! In a debug build `expiry` takes two seconds of processor time, for it is three worlds, two of them with three workers,
//! and asks for everything in each; `livez` a little more than one.

mod asleep;
mod blind_hour;
mod boot_1970;
mod born_ahead;
mod expiry;
mod livez;
mod matrix;
mod scene;
mod silent;
mod three_years;
mod words;

use crate::catalogue::Family;

/// See the module.
pub(crate) const FAMILY: Family = Family {
    title: "Loopback certificate",
    entries: &[
        expiry::ENTRY,
        silent::ENTRY,
        three_years::ENTRY,
        livez::ENTRY,
        blind_hour::ENTRY,
        asleep::ENTRY,
        born_ahead::ENTRY,
        boot_1970::ENTRY,
    ],
};
