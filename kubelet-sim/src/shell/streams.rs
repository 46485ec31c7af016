//! Where a command reads from and writes to.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{files::Files, pipe::Pipe};
use crate::logs::{Log, Stream};

/// What a substitution, a pipe or a probe keeps of a command's output.
pub(crate) const LONGEST_CAPTURE: usize = 256 << 10;

#[derive(Clone)]
pub(crate) enum Output {
    Log(Arc<Log>, Stream),
    Capture(Arc<Mutex<String>>),
    /// Somebody reads along.
    Pipe(Arc<Pipe>),
    /// Made or emptied when it was opened; from then on everything is added.
    File(String),
    Nowhere,
}

/// The three streams of a command.
#[derive(Clone)]
pub(crate) struct Streams {
    /// What is left to be read.
    pub input: Arc<Pipe>,
    pub out: Output,
    pub err: Output,
    /// Somebody sits at a terminal.
    pub tty: bool,
}

impl Output {
    /// # Errors
    /// The file takes no more, or the capture is full; the writer sees what SIGPIPE or a full disk
    /// would be.
    pub(crate) fn write(&self, files: &Files, text: &str) -> Result<(), String> {
        match self {
            Self::Log(log, stream) => log.write(*stream, text),
            Self::Pipe(pipe) => {
                if !pipe.put(text.as_bytes()) {
                    return Err("write error: Broken pipe".into());
                }
            }
            Self::Capture(buffer) => {
                let mut buffer = buffer.lock();
                if buffer.len() + text.len() > LONGEST_CAPTURE {
                    return Err("write error: Broken pipe".into());
                }
                buffer.push_str(text);
            }
            Self::File(path) => {
                files.write(path, text.as_bytes(), true).map_err(|e| format!("write error: {e}"))?
            }
            Self::Nowhere => {}
        }
        Ok(())
    }

    /// [`Output::write`] for what may be no text.
    pub(crate) fn write_bytes(&self, files: &Files, bytes: &[u8]) -> Result<(), String> {
        match self {
            Self::Pipe(pipe) if pipe.put(bytes) => Ok(()),
            Self::Pipe(_) => Err("write error: Broken pipe".into()),
            Self::File(path) => files.write(path, bytes, true).map_err(|e| format!("write error: {e}")),
            other => other.write(files, &String::from_utf8_lossy(bytes)),
        }
    }

    /// Waits until whoever reads along has caught up.
    pub(crate) async fn room(&self) {
        if let Self::Pipe(pipe) = self {
            pipe.room().await;
        }
    }

    /// Whether a failed write means that nobody reads any more.
    pub(crate) fn is_pipe(&self) -> bool {
        matches!(self, Self::Capture(_) | Self::Pipe(_))
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
        Self { input: Pipe::holding(text), tty: false, ..self.clone() }
    }
}
