#![allow(missing_docs, dead_code, unused, clippy::all)]
#[macro_use]
#[path = "/work/main/e2e/src/out.rs"]
mod out;
mod cli {
    #[derive(Debug)]
    pub struct Refusal(pub String);
}
#[path = "/work/main/e2e/src/catalogue.rs"]
pub mod catalogue;
#[path = "/work/main/e2e/src/story.rs"]
pub mod story;
pub mod scenarios {
    #[path = "/work/main/e2e/src/scenarios/joining/mod.rs"]
    pub mod joining;
    #[path = "/work/main/e2e/src/scenarios/serving/mod.rs"]
    pub mod serving;
    #[path = "/work/main/e2e/src/scenarios/stage.rs"]
    mod stage;
    pub use stage::{Stage, briefly, config, raw, verdict};
    pub(crate) const FAMILIES: &[crate::catalogue::Family] = &[serving::FAMILY, joining::FAMILY];
    pub fn all() -> impl Iterator<Item = &'static crate::catalogue::Entry> {
        FAMILIES.iter().flat_map(|family| family.entries)
    }
}
use scenarios::{joining, serving};

#[test]
fn all() {
    let wanted = std::env::var("STORY").unwrap_or_default();
    let minor: Option<u16> = std::env::var("MINOR").ok().and_then(|m| m.parse().ok());
    let mut held = true;
    for entry in serving::FAMILY.entries.iter().chain(joining::FAMILY.entries) {
        if !entry.id.contains(&wanted) {
            continue;
        }
        let profiles = match minor {
            Some(m) => vec![api::profile::Profile::of_minor(m).expect("known")],
            None => {
                let mut both = vec![entry.oldest(), entry.newest()];
                both.dedup();
                both
            }
        };
        for profile in profiles {
            println!("\n================ {} at {}", entry.id, profile.git_version());
            let began = std::time::Instant::now();
            let settings = story::Settings { profile, seed: 1, check_certificate_dates: true };
            let live = std::env::var("QUIET").is_err();
            match story::tell(entry, &settings, live) {
                Ok(telling) => {
                    let n = telling.checks.iter().filter(|c| c.held).count();
                    println!(
                        "---- {n} of {} held, {} lines, {:?}",
                        telling.checks.len(),
                        telling.lines.len(),
                        began.elapsed()
                    );
                    held &= telling.held();
                    if let Ok(kinds) = std::env::var("DUMP") {
                        for e in telling
                            .events
                            .iter()
                            .filter(|e| kinds.split(',').any(|k| e.kind == k || k == "all"))
                        {
                            println!("{e}");
                        }
                    }
                }
                Err(e) => {
                    println!("---- BROKE {}", e.0);
                    held = false;
                }
            }
        }
    }
    assert!(held);
}
