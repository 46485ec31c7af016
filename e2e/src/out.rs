//! Standard output: without colours where they are not wanted, and with a reader who may have gone:
//! `chronoplane run … | head` ends as other programs do.

use std::{fmt, io::Write as _, process};

use crate::progress;

/// What a shell reports of a program that SIGPIPE ended.
const SIGPIPE: i32 = 128 + 13;

/// Writes `text`; its colours only to a terminal, and not when NO_COLOR is set. Ends the process when nobody reads any
/// more, or the text cannot be kept.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    end_on(progress::beside(|| anstream::stdout().write_fmt(text)));
}

/// What was written is there to be read, also when a line is not at its end.
pub(crate) fn flush() {
    end_on(std::io::stdout().flush());
}

fn end_on(outcome: std::io::Result<()>) {
    match outcome {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => process::exit(SIGPIPE),
        Err(e) => {
            eprintln!("chronoplane: cannot write to standard output: {e}");
            process::exit(1)
        }
    }
}

/// `println!` by way of [`write`].
macro_rules! outln {
    ($($text:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($text)*)))
    };
}
