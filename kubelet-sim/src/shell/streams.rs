//! Where a command reads from and writes to.

use std::sync::Arc;

use parking_lot::Mutex;

use super::files::Files;
use crate::logs::{Log, Stream};

/// What a substitution, a pipe or a probe keeps of a command's output.
pub(crate) const LONGEST_CAPTURE: usize = 256 << 10;

#[derive(Clone)]
pub(crate) enum Output {
    Log(Arc<Log>, Stream),
    Capture(Arc<Mutex<String>>),
    /// Made or emptied when it was opened; from then on everything is added.
    File(String),
    Nowhere,
}

/// The three streams of a command.
#[derive(Clone)]
pub(crate) struct Streams {
    /// What is left to be read.
    pub input: Arc<Mutex<String>>,
    pub out: Output,
    pub err: Output,
}

impl Output {
    /// # Errors
    /// The file takes no more, or the capture is full; the writer sees what SIGPIPE or a full disk
    /// would be.
    pub(crate) fn write(&self, files: &Files, text: &str) -> Result<(), String> {
        match self {
            Self::Log(log, stream) => log.write(*stream, text),
            Self::Capture(buffer) => {
                let mut buffer = buffer.lock();
                if buffer.len() + text.len() > LONGEST_CAPTURE {
                    return Err("write error: Broken pipe".into());
                }
                buffer.push_str(text);
            }
            Self::File(path) => files.write(path, text, true).map_err(|e| format!("write error: {e}"))?,
            Self::Nowhere => {}
        }
        Ok(())
    }
}

impl Streams {
    /// The same with output into a buffer.
    pub(crate) fn captured(&self) -> (Self, Arc<Mutex<String>>) {
        let buffer = Arc::<Mutex<String>>::default();
        (Self { out: Output::Capture(buffer.clone()), ..self.clone() }, buffer)
    }

    /// The same with something to read.
    pub(crate) fn fed(&self, text: String) -> Self {
        Self { input: Arc::new(Mutex::new(text)), ..self.clone() }
    }

    /// The next line without its end; `None` at the end of the input.
    pub(crate) fn read_line(&self) -> Option<String> {
        let mut input = self.input.lock();
        if input.is_empty() {
            return None;
        }
        let end = input.find('\n').map_or(input.len(), |i| i + 1);
        let line: String = input.drain(..end).collect();
        Some(line.trim_end_matches('\n').to_owned())
    }
}
