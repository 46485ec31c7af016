//! The corners of the matrix (`chronoplane matrix`, all of it by `scripts/matrix`): each way to stop, each kind of
//! cluster, below the certificates' year and beyond it, the shortest and the longest.

use std::process::ExitCode;

use api::profile::Profile;
use chronoplane_cli::{
    matrix::{self, Cell},
    story::Settings,
};
use libtest_mimic::{Arguments, Failed, Trial};

/// The longest first.
const CORNERS: &[&str] =
    &["ha/suspend/2y/90d", "ha/shutdown/180d/90d", "single/shutdown/2y/90d", "single/suspend/30d/30d"];

fn play(cell: Cell) -> Result<(), Failed> {
    let settings = Settings {
        profile: Profile::default(),
        seed: 1,
        gear: chronoplane::Gear::Simulated,
        check_certificate_dates: true,
    };
    let played = matrix::play(cell, &settings).map_err(|e| Failed::from(e.to_string()))?;
    if !played.telling.held() {
        return Err(Failed::from(played.telling.lines.join("\n")));
    }
    // The control cells are those that need nobody.
    match played.row.remedies.is_empty() == cell.outlives_leaves() {
        true => Err(Failed::from(format!("healed by {:?}", played.row.remedies))),
        false => Ok(()),
    }
}

fn main() -> ExitCode {
    let trials = CORNERS
        .iter()
        .map(|name| Trial::test(*name, move || play(name.parse().map_err(|e: String| Failed::from(e))?)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
