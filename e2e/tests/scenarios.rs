//! Every story of the catalogue, told at both ends of its range of releases, and in between where words of its symptoms
//! are those of some releases only. One test each; a name given on the command line picks those that contain it:
//! `cargo test --test scenarios -- kubelet-`. Each symptom must be shown, word for word, in at least one telling: the last
//! telling of a story says which was not, unless some of its tellings were not asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use api::profile::Profile;
use chronoplane_cli::{
    catalogue::Entry,
    explain, scenarios,
    story::{self, Settings, Telling},
};
use libtest_mimic::{Arguments, Failed, Trial};

/// Releases within the range of a story which alone show one of its symptoms.
const BETWEEN: &[(&str, &str)] = &[("kubelet-jump-year", "1.17"), ("join-token-expired", "1.22")];
/// A text of fewer words shows no symptom: dates, names, numbers of events.
const FEWEST: usize = 3;

/// What is left to tell of one story, and which of its symptoms nobody has seen yet.
struct Left {
    tellings: usize,
    unseen: BTreeSet<&'static str>,
}

fn tell(entry: &Entry, profile: Profile, left: &Mutex<Left>) -> Result<(), Failed> {
    let settings =
        Settings { profile, seed: 1, gear: chronoplane::Gear::Simulated, check_certificate_dates: true };
    let telling = story::tell(entry, &settings, false).map_err(|refusal| Failed::from(refusal.0))?;
    if !telling.held() {
        return Err(Failed::from(telling.lines.join("\n")));
    }
    let texts = texts(&telling);
    let mut left = left.lock().unwrap();
    left.unseen.retain(|symptom| !texts.iter().any(|text| explain::shows(symptom, text)));
    left.tellings -= 1;
    match left.tellings == 0 && !left.unseen.is_empty() {
        true => Err(Failed::from(format!("no telling showed {:#?}", left.unseen))),
        false => Ok(()),
    }
}

/// What somebody sees who follows the story: what it says, and the words of its record.
fn texts(telling: &Telling) -> BTreeSet<&str> {
    let fields = telling.events.iter().flat_map(|event| event.fields.iter().map(|(_, text)| text.as_str()));
    let seen = telling.checks.iter().map(|check| check.seen.as_str());
    let lines = telling.lines.iter().map(String::as_str);
    lines.chain(seen).chain(fields).filter(|text| text.split(' ').nth(FEWEST - 1).is_some()).collect()
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for entry in scenarios::all() {
        let between = BETWEEN.iter().filter(|(id, _)| *id == entry.id).map(|(_, release)| *release);
        let between = between.map(|release| Profile::parse(release).expect("a release"));
        let mut releases: Vec<Profile> = std::iter::once(entry.oldest()).chain(between).collect();
        releases.push(entry.newest());
        releases.dedup();
        let unseen = entry.symptoms.iter().copied().collect();
        let left = Arc::new(Mutex::new(Left { tellings: releases.len(), unseen }));
        for profile in releases {
            let (name, left) = (format!("{}::1.{}", entry.id, profile.minor()), left.clone());
            trials.push(Trial::test(name, move || tell(entry, profile, &left)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
