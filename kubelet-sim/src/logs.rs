//! What a container has said: a bounded buffer of lines, each at the host's wall clock.

use std::{collections::VecDeque, fmt::Write as _};

use parking_lot::Mutex;
use tokio::sync::Notify;
use world::{Host, Wall};

/// What one container instance may keep; its oldest lines go first, as with a rotated file.
const KEPT_BYTES: usize = 1 << 20;
/// A line without an end is cut here (containerd's buffer).
const LONGEST_LINE: usize = 16 << 10;

/// Which stream of the container said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The host's wall clock when the line was complete.
    pub at: Wall,
    /// Where it came from.
    pub stream: Stream,
    /// Without its end.
    pub text: String,
}

/// The output of one container instance.
pub struct Log {
    host: Host,
    state: Mutex<State>,
    told: Notify,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Line>,
    /// How many lines were dropped: numbers of lines stay what they were.
    dropped: u64,
    bytes: usize,
    /// Begun and not ended, by stream.
    begun: [String; 2],
    closed: bool,
}

/// Which lines somebody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only so many of the last.
    pub tail: Option<usize>,
    /// None before this time.
    pub since: Option<Wall>,
    /// Each with its time before it.
    pub timestamps: bool,
}

impl Log {
    /// An empty log, labelled by `host`'s wall clock.
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone(), state: Mutex::default(), told: Notify::new() }
    }

    /// Takes what the container writes. A line is there when its end is.
    pub fn write(&self, stream: Stream, text: &str) {
        let at = self.host.clock().wall();
        let mut state = self.state.lock();
        for piece in text.split_inclusive('\n') {
            let mut line = std::mem::take(&mut state.begun[stream as usize]);
            line.push_str(piece);
            if line.ends_with('\n') {
                line.pop();
                state.push(Line { at, stream, text: line });
            } else if line.len() >= LONGEST_LINE {
                state.push(Line { at, stream, text: line });
            } else {
                state.begun[stream as usize] = line;
            }
        }
        drop(state);
        self.told.notify_waiters();
    }

    /// The container has ended: what it had begun is all there will be.
    pub fn close(&self) {
        let at = self.host.clock().wall();
        let mut state = self.state.lock();
        for stream in [Stream::Out, Stream::Err] {
            let text = std::mem::take(&mut state.begun[stream as usize]);
            if !text.is_empty() {
                state.push(Line { at, stream, text });
            }
        }
        state.closed = true;
        drop(state);
        self.told.notify_waiters();
    }

    /// The lines that are there now, as text, and the number of the next line.
    pub fn read(&self, wanted: Wanted) -> (String, u64) {
        let state = self.state.lock();
        let skip = wanted.tail.map_or(0, |n| state.lines.len().saturating_sub(n));
        let text = render(state.lines.iter().skip(skip), wanted);
        (text, state.dropped + state.lines.len() as u64)
    }

    /// The lines from number `from` on, as soon as there are some; `None` after the last one.
    pub async fn next(&self, from: u64, wanted: Wanted) -> Option<(String, u64)> {
        let (lines, next) = self.lines(from).await?;
        Some((render(lines.iter(), wanted), next))
    }

    /// The number of the line after the last one.
    pub fn end(&self) -> u64 {
        let state = self.state.lock();
        state.dropped + state.lines.len() as u64
    }

    /// The lines from number `from` on with where they came from, as soon as there are some, and the
    /// number of the next one; `None` after the last one.
    pub async fn lines(&self, from: u64) -> Option<(Vec<Line>, u64)> {
        loop {
            let told = self.told.notified();
            {
                let state = self.state.lock();
                let end = state.dropped + state.lines.len() as u64;
                if from < end {
                    let skip = usize::try_from(from.saturating_sub(state.dropped)).unwrap_or(usize::MAX);
                    return Some((state.lines.iter().skip(skip).cloned().collect(), end));
                }
                if state.closed {
                    return None;
                }
            }
            told.await;
        }
    }

    /// The last of what was said, for a termination message (FallbackToLogsOnError).
    pub fn last_words(&self, lines: usize, bytes: usize) -> String {
        let (text, _) = self.read(Wanted { tail: Some(lines), ..Wanted::default() });
        let from = (text.len().saturating_sub(bytes)..=text.len()).find(|i| text.is_char_boundary(*i));
        text.get(from.unwrap_or(0)..).unwrap_or_default().to_owned()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({} lines)", self.state.lock().lines.len())
    }
}

impl State {
    fn push(&mut self, line: Line) {
        self.bytes += line.text.len() + 1;
        self.lines.push_back(line);
        while self.bytes > KEPT_BYTES
            && let Some(old) = self.lines.pop_front()
        {
            self.bytes -= old.text.len() + 1;
            self.dropped += 1;
        }
    }
}

fn render<'a>(lines: impl Iterator<Item = &'a Line>, wanted: Wanted) -> String {
    let mut text = String::new();
    for line in lines.filter(|l| wanted.since.is_none_or(|since| l.at >= since)) {
        if wanted.timestamps {
            // Writing to a String cannot fail.
            let _ = write!(text, "{} ", line.at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ"));
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use world::sim;

    use super::*;

    #[test]
    fn a_log_is_read_by_tail_by_time_and_from_where_one_was() {
        sim::run(sim::Config::default(), async |sim| {
            let host = sim.host("n1");
            let log = Log::new(&host);
            let begin = host.clock().wall();
            log.write(Stream::Out, "one\ntw");
            assert_eq!(log.read(Wanted::default()), ("one\n".into(), 1), "a line is there when it ends");
            sim.elapse(std::time::Duration::from_secs(5)).await;
            log.write(Stream::Err, "oops\n");
            log.write(Stream::Out, "o\n");
            let check = |wanted: Wanted, text: &str| assert_eq!(log.read(wanted).0, text, "{wanted:?}");
            check(Wanted::default(), "one\noops\ntwo\n");
            check(Wanted { tail: Some(1), ..Wanted::default() }, "two\n");
            let later = begin + std::time::Duration::from_secs(5);
            check(Wanted { since: Some(later), ..Wanted::default() }, "oops\ntwo\n");
            let stamp = later.strftime("%Y-%m-%dT%H:%M:%S.%9fZ");
            check(Wanted { tail: Some(1), timestamps: true, since: None }, &format!("{stamp} two\n"));
            assert_eq!(log.next(1, Wanted::default()).await, Some(("oops\ntwo\n".into(), 3)));
            log.write(Stream::Out, "end");
            log.close();
            assert_eq!(log.next(3, Wanted::default()).await, Some(("end\n".into(), 4)));
            assert_eq!(log.next(4, Wanted::default()).await, None);
            for _ in 0..3000 {
                log.write(Stream::Out, &format!("{}\n", "x".repeat(999)));
            }
            let (text, next) = log.read(Wanted::default());
            assert!(text.len() <= KEPT_BYTES && next == 3004, "{} bytes, {next}", text.len());
        })
        .expect("a runtime");
    }
}
