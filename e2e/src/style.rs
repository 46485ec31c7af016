//! The few colours that the program has, for [`crate::out`] to leave away where they are not wanted.

use anstyle::{AnsiColor, Style};

pub(crate) const HEADING: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const CODE: Style = AnsiColor::Yellow.on_default();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
