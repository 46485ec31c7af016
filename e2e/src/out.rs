//! Standard output: without colours where they are not wanted, and with a reader who may have gone:
//! `chronoplane run … | head` ends as other programs do.

use std::{fmt, io::Write as _, path::Path, process};

use crate::{cli::Refusal, progress};

/// What a shell reports of a program that SIGPIPE ended.
const SIGPIPE: i32 = 128 + 13;

/// Writes `text`; its colours only to a terminal, and not when NO_COLOR is set. Ends the process when nobody reads any
/// more, or the text cannot be kept.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    end_on(progress::beside(|| anstream::stdout().write_fmt(text)));
}

/// Writes the `what` that was asked for to a file.
///
/// # Errors
/// It cannot be written there.
pub(crate) fn to_file(what: &str, path: &Path, text: &str) -> Result<(), Refusal> {
    std::fs::write(path, text).map_err(|e| {
        Refusal(format!(
            "cannot write the {what} to {}: {e}; name a file in a directory that exists",
            path.display()
        ))
    })
}

/// Writes a page to a file; `-`: to standard output, on which nothing else may stand then. Whether it was a file.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn page(path: &Path, html: &str) -> Result<bool, Refusal> {
    if path.as_os_str() == "-" {
        write(format_args!("{html}"));
        return Ok(false);
    }
    to_file("page", path, html).map(|()| true)
}

/// `--out` where there is no page.
pub(crate) fn without_page() -> Refusal {
    Refusal("--out is where --output html writes its page; add that, or leave --out away".into())
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
