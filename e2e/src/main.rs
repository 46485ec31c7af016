//! The `chronoplane` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    chronoplane_cli::cli::main()
}
