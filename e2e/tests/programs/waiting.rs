//! Tests that mostly wait for real time: many at once, however few cores there are.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// How many wait together.
const TOGETHER: usize = 8;

/// Runs tests as cargo's own harness would, but for their number at a time.
pub fn run(tests: &[(&'static str, fn())], more: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TOGETHER);
    let trial = |(name, test): &(&'static str, fn())| {
        let test = *test;
        Trial::test(*name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, tests.iter().map(trial).chain(more).collect()).exit_code()
}
