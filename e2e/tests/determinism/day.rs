//! Another day: the same seeds in a process whose system clock is ten years ahead, in another time zone and another
//! language.

use std::{path::Path, process::Command};

use chronoplane_cli::story;
use libtest_mimic::Failed;

use crate::{
    Digests, digests, same,
    small::{Chance::AsSeeded, Life, trace},
};

/// How many seeds.
const SEEDS: u64 = 3;
/// What the other process thinks the date is, at least; the library moves it by ten years.
const LATER: i64 = 9 * 365 * 86_400;

/// The other process gets a library that moves its real-time clock. That it does is seen from `date`, which is given
/// the same one.
pub(crate) fn elsewhen() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let library = dir.path().join("other_day.so");
    compile(&library)?;
    let elsewhen = |command: &mut Command| {
        command.env("LD_PRELOAD", &library).env("TZ", "Pacific/Kiritimati").env("LC_ALL", "C");
    };
    let date = |change: &dyn Fn(&mut Command)| -> Result<i64, Failed> {
        let mut command = Command::new("date");
        command.arg("+%s");
        change(&mut command);
        Ok(String::from_utf8(command.output()?.stdout)?.trim().parse()?)
    };
    let moved = date(&elsewhen)? - date(&|_| {})?;
    if moved < LATER {
        return Err(format!("the date moved by {moved} s only: the test would show nothing").into());
    }
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let there = digests(&seeds, Life::Whole, elsewhen)?;
    let here: Digests =
        seeds.into_iter().map(|seed| (seed, story::digest(&trace(seed, Life::Whole, AsSeeded)))).collect();
    same(Life::Whole, &here, &there)
}

/// With the C compiler without which the cryptography would not have been built either.
fn compile(library: &Path) -> Result<(), Failed> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/determinism/other_day.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output =
        Command::new(&compiler).args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).output();
    let output = output.map_err(|e| format!("cannot run the C compiler {compiler:?}: {e}; set CC to one"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}
