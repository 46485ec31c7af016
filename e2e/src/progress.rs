//! How far something is that takes more than a moment: on standard error, on a terminal only, and gone when it is done.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// What is shown at present. Text is written beside it by way of [`beside`].
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

const TICK: Duration = Duration::from_millis(120);

/// Something that goes on until this is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Something of unknown length.
    pub(crate) fn of(what: impl Into<String>) -> Self {
        let bar = ProgressBar::with_draw_target(None, target());
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        Self::shown(
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
                .with_message(what.into()),
        )
    }

    /// Something of `len` steps, named in the plural.
    pub(crate) fn through(len: usize, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len as u64), target());
        let template = format!("{{bar:40}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left {{msg}}");
        let style = ProgressStyle::with_template(&template);
        Self::shown(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    fn shown(bar: ProgressBar) -> Self {
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
            *SHOWN.lock() = Some(bar.clone());
        }
        Self(bar)
    }

    /// One step is done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// A few words at its end.
    pub(crate) fn note(&self, words: String) {
        self.0.set_message(words);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.0.is_hidden() {
            SHOWN.lock().take();
        }
        self.0.finish_and_clear();
    }
}

/// Elsewhere than on a terminal it would be a log of itself.
fn target() -> ProgressDrawTarget {
    match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// Does `work`, which writes to the terminal, where no progress stands.
pub(crate) fn beside<T>(work: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().clone();
    match shown {
        Some(bar) => bar.suspend(work),
        None => work(),
    }
}
