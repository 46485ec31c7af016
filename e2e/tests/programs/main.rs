//! The program as people run it: processes, sockets, the system's time. Such tests mostly wait, so they wait together.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

#[path = "../common/requirement.rs"]
mod requirement;
#[path = "../../../store/tests/common/tls.rs"]
#[allow(dead_code, reason = "not every client of these files is here")]
mod tls;

mod anew;
mod beside;
mod clock;
mod comeback;
mod components;
mod envtest;
mod lives;
mod stories;
mod up;
mod waiting;

fn main() -> std::process::ExitCode {
    let tests =
        [anew::TESTS, clock::TESTS, comeback::TESTS, components::TESTS, envtest::TESTS, up::TESTS].concat();
    waiting::run(&tests, stories::trials())
}
