//! Deliberately wrong variants of product code, by which stories and chaos prove that they would notice.
//!
//! Without the cargo feature `mutants` there are none: [`mutant`] is a constant. With it, the environment variable
//! `CHRONOPLANE_MUTANT` chooses one for the whole process; `scripts/mutants` tries each.

/// A wrong variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What `CHRONOPLANE_MUTANT` takes.
    pub name: &'static str,
    /// What is wrong with it.
    pub breaks: &'static str,
}

const fn of(name: &'static str, breaks: &'static str) -> Mutant {
    Mutant { name, breaks }
}

/// All there are. Each is asked for at one place of product code.
pub const MUTANTS: &[Mutant] = &[
    of("skip-request-dates", "a client certificate that ends while its connection is open is accepted on it"),
    of("accept-not-after-plus-hour", "certificates are valid for an hour after their end"),
    of("ignore-not-before", "certificates are valid before their beginning"),
    of("ignore-anchor-dates", "an authority that has ended still vouches"),
    of("acknowledge-before-sync", "a write is acknowledged while a power failure would lose it"),
    of("reuse-a-revision", "a write that deletes gets the revision of the write before"),
    of("skip-compare", "a transaction writes whatever its comparison says"),
    of("lose-an-event-at-resume", "a watch that resumes misses the first event after its revision"),
    of("drop-bookmarks", "a watch that asked for bookmarks gets none"),
    of("serve-stale-lists", "a list that asked for the newest state is answered from the cache as it is"),
    of("update-whatever-version", "an update is accepted whatever resourceVersion it brings"),
    of("accept-token-of-deleted-secret", "a service account token is accepted although its secret is gone"),
    of("bootstrap-token-never-expires", "a bootstrap token is accepted after its expiration"),
    of("cache-tokens-for-an-hour", "a token that was accepted once is good for an hour"),
    of("node-reaches-others", "a kubelet reaches secrets and pods that belong to other nodes"),
    of("approve-anyone", "the approver approves a node client certificate whoever asks for it"),
    of("sign-past-authority", "the signer signs with an authority that has ended, or past its end"),
    of("rotate-too-late", "the kubelet asks for its next certificate after the end of the one it has"),
    of("keep-old-connections", "the kubelet keeps connections made with the certificate before"),
    of(
        "monitor-by-wall-clock",
        "the node monitor measures the grace period of a heartbeat by the wall clock",
    ),
    of("skip-loopback-check", "livez does not look at the loopback certificate"),
    of("never-ping", "a client does not ask whether a silent HTTP/2 connection is alive"),
];

/// What [`chosen`] found wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MutantError {
    /// No such mutant.
    #[error("CHRONOPLANE_MUTANT={0}: there is no such mutant; crates/world/src/mutants.rs lists them")]
    Unknown(String),
    /// The program was built without them.
    #[error(
        "CHRONOPLANE_MUTANT={0}: this program was built without mutants; build it with --features mutants"
    )]
    NotBuilt(String),
}

/// The mutant that the environment asks for. Programs ask before they begin, so that a typing error is not taken for
/// a mutant that nobody noticed.
///
/// # Errors
/// It asks for one that is not there.
pub fn chosen() -> Result<Option<Mutant>, MutantError> {
    let Some(name) = asked() else { return Ok(None) };
    let found = MUTANTS.iter().find(|mutant| mutant.name == name).copied();
    match found {
        None => Err(MutantError::Unknown(name)),
        Some(_) if !cfg!(feature = "mutants") => Err(MutantError::NotBuilt(name)),
        found => Ok(found),
    }
}

fn asked() -> Option<String> {
    std::env::var("CHRONOPLANE_MUTANT").ok().filter(|name| !name.is_empty())
}

/// Whether the mutant of that name was chosen.
#[cfg(feature = "mutants")]
pub fn mutant(name: &str) -> bool {
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<String>> = OnceLock::new();
    CHOSEN.get_or_init(asked).as_deref() == Some(name)
}

/// Whether the mutant of that name was chosen: there are none in this program.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn mutant(_name: &str) -> bool {
    false
}
