//! Standard output whose reader may have gone: `chronoplane run … | head` ends as other programs do.

use std::{fmt, io::Write as _, process};

/// What a shell reports of a program that SIGPIPE ended.
const SIGPIPE: i32 = 128 + 13;

/// Writes `text`; ends the process when nobody reads any more, or the text cannot be kept.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    match std::io::stdout().write_fmt(text) {
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
