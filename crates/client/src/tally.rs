//! How often a client asked and what it was told: client-go's `rest_client_requests_total`.

use http::{Method, StatusCode};
use parking_lot::Mutex;

/// Counts of one client's requests, retries included.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Vec<(Method, Option<StatusCode>, u64)>>);

impl Tally {
    /// An answer came; `None`: none came.
    pub(crate) fn add(&self, method: &Method, code: Option<StatusCode>) {
        let mut rows = self.0.lock();
        match rows.iter_mut().find(|(m, c, _)| m == method && *c == code) {
            Some((_, _, count)) => *count += 1,
            None => rows.push((method.clone(), code, 1)),
        }
    }

    /// Method, code (`<error>` for no answer) and count, in order.
    pub fn counts(&self) -> Vec<(String, String, u64)> {
        let rows = self.0.lock();
        let code =
            |code: &Option<StatusCode>| code.map_or_else(|| "<error>".to_owned(), |c| c.as_u16().to_string());
        let mut out: Vec<_> = rows.iter().map(|(m, c, count)| (m.to_string(), code(c), *count)).collect();
        out.sort();
        out
    }
}
