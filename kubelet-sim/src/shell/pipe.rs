//! Bytes on their way from one who writes to one who reads, at the reader's pace.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// So much may wait to be read before a writer waits.
const FULL: usize = 64 << 10;

/// See the module.
#[derive(Default)]
pub struct Pipe {
    state: Mutex<State>,
    told: Notify,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Nobody writes any more.
    ended: bool,
    /// Nobody reads any more.
    abandoned: bool,
}

impl Pipe {
    /// An empty one that somebody will write to.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One that holds `bytes` and gets no more.
    pub fn holding(bytes: impl Into<Vec<u8>>) -> Arc<Self> {
        let state = State { bytes: bytes.into(), ended: true, abandoned: false };
        Arc::new(Self { state: Mutex::new(state), told: Notify::new() })
    }

    /// Writes as soon as there is room; `false` if nobody reads any more.
    pub async fn feed(&self, bytes: &[u8]) -> bool {
        self.room().await;
        self.put(bytes)
    }

    /// Writes at once, however full it is; `false` if nobody reads any more.
    pub fn put(&self, bytes: &[u8]) -> bool {
        let mut state = self.state.lock();
        if state.ended || state.abandoned {
            return false;
        }
        state.bytes.extend_from_slice(bytes);
        drop(state);
        self.told.notify_waiters();
        true
    }

    /// Waits until there is room for more, or nobody wants any.
    pub async fn room(&self) {
        self.until(|s| (s.bytes.len() < FULL || s.ended || s.abandoned).then_some(())).await;
    }

    /// Nobody writes any more; what is there can still be read.
    pub fn end(&self) {
        self.state.lock().ended = true;
        self.told.notify_waiters();
    }

    /// Nobody reads any more; whoever writes sees what SIGPIPE would be.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        state.bytes = Vec::new();
        drop(state);
        self.told.notify_waiters();
    }

    /// What is there, as soon as something is; `None` at the end.
    pub async fn read(&self) -> Option<Vec<u8>> {
        let found = self
            .until(|s| match s.bytes.is_empty() {
                false => Some(Some(std::mem::take(&mut s.bytes))),
                true if s.ended || s.abandoned => Some(None),
                true => None,
            })
            .await;
        self.told.notify_waiters();
        found
    }

    /// The next line without its end; `None` at the end of the input.
    pub(crate) async fn line(&self) -> Option<String> {
        let found = self
            .until(|s| {
                let end = match s.bytes.iter().position(|b| *b == b'\n') {
                    Some(at) => at + 1,
                    None if s.ended || s.abandoned || s.bytes.len() >= FULL => s.bytes.len(),
                    None => return None,
                };
                let line: Vec<u8> = s.bytes.drain(..end).collect();
                Some((!line.is_empty()).then_some(line))
            })
            .await;
        self.told.notify_waiters();
        let line = String::from_utf8_lossy(&found?).into_owned();
        Some(line.strip_suffix('\n').map_or(line.clone(), str::to_owned))
    }

    /// Everything to the end, cut at `most` bytes.
    pub(crate) async fn rest(&self, most: usize) -> String {
        let mut all = Vec::new();
        while let Some(bytes) = self.read().await {
            let room = most.saturating_sub(all.len()).min(bytes.len());
            all.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    async fn until<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let told = self.told.notified();
            if let Some(found) = find(&mut self.state.lock()) {
                return found;
            }
            told.await;
        }
    }
}

impl std::fmt::Debug for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pipe({} bytes)", self.state.lock().bytes.len())
    }
}
