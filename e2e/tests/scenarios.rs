//! Every story of the catalogue, told at both ends of its range of releases. One test each; a name given on the
//! command line picks those that contain it: `cargo test --test scenarios -- kubelet-`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::process::ExitCode;

use chronoplane_cli::{
    catalogue::Entry,
    scenarios,
    story::{self, Settings},
};
use libtest_mimic::{Arguments, Failed, Trial};

fn tell(entry: &Entry, profile: api::profile::Profile) -> Result<(), Failed> {
    let settings =
        Settings { profile, seed: 1, gear: chronoplane::Gear::Simulated, check_certificate_dates: true };
    let telling = story::tell(entry, &settings, false).map_err(|refusal| Failed::from(refusal.0))?;
    match telling.held() {
        true => Ok(()),
        false => Err(Failed::from(telling.lines.join("\n"))),
    }
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for entry in scenarios::all() {
        let mut releases = vec![entry.oldest(), entry.newest()];
        releases.dedup();
        for profile in releases {
            let name = format!("{}::1.{}", entry.id, profile.minor());
            trials.push(Trial::test(name, move || tell(entry, profile)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
