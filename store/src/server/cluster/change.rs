//! Who is a member: added, promoted, removed, by etcd's rules with `--strict-reconfig-check`
//! (`server/etcdserver/server.go`, `api/membership/cluster.go`).

use tonic::{Code, Status};

use super::{Cluster, Entry, Member, State};
use crate::StoreError;

/// Why the members stay as they are, in etcd's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::server) enum ChangeError {
    #[error("etcdserver: given member URLs are invalid")]
    BadUrls,
    #[error("etcdserver: Peer URLs already exists")]
    UrlExists,
    #[error("etcdserver: too many learner members in cluster")]
    TooManyLearners,
    #[error("etcdserver: member not found")]
    NotFound,
    #[error("etcdserver: can only promote a learner member")]
    NotLearner,
    #[error("etcdserver: can only promote a learner member which is in sync with leader")]
    LearnerNotReady,
    #[error("etcdserver: re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    #[error("etcdserver: unhealthy cluster")]
    Unhealthy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ChangeError> for Status {
    fn from(e: ChangeError) -> Self {
        let code = match &e {
            ChangeError::Store(e) => return e.clone().into(),
            ChangeError::BadUrls => Code::InvalidArgument,
            ChangeError::NotFound => Code::NotFound,
            ChangeError::Unhealthy => Code::Unavailable,
            ChangeError::UrlExists
            | ChangeError::TooManyLearners
            | ChangeError::NotLearner
            | ChangeError::LearnerNotReady
            | ChangeError::NotEnoughStarted => Code::FailedPrecondition,
        };
        Self::new(code, e.to_string())
    }
}

/// Learners that a cluster takes at a time (`--max-learners`).
const MAX_LEARNERS: usize = 1;

impl Member {
    /// Adds a member that has not started yet, and gives it.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub(in crate::server) async fn add(
        &self,
        peer_urls: Vec<String>,
        learner: bool,
    ) -> Result<Entry, ChangeError> {
        let (leader, _) = self.leads().await?;
        if peer_urls.is_empty() || peer_urls.iter().any(|url| super::address(url).is_none()) {
            return Err(ChangeError::BadUrls);
        }
        let mut state = self.cluster().state.lock();
        state.may_add(leader, &peer_urls, learner)?;
        let id = loop {
            let id = self.host().entropy().u64();
            if id != 0 && !state.members.contains_key(&id) && !state.removed.contains(&id) {
                break id;
            }
        };
        let name = String::new();
        let entry = Entry { id, name, peer_urls, client_urls: Vec::new(), learner, bootstrapped: false };
        state.members.insert(id, entry.clone());
        drop(state);
        self.record("added", id);
        Ok(entry)
    }

    /// Lets a learner vote.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub(in crate::server) async fn promote(&self, id: u64) -> Result<(), ChangeError> {
        let (leader, _) = self.leads().await?;
        let mut state = self.cluster().state.lock();
        // A learner that serves is in sync: the history is one.
        let ready = state.connected(leader, id);
        let member = state.members.get_mut(&id).ok_or(ChangeError::NotFound)?;
        match member.learner {
            false => return Err(ChangeError::NotLearner),
            true if !ready => return Err(ChangeError::LearnerNotReady),
            true => member.learner = false,
        }
        drop(state);
        self.record("promoted", id);
        Ok(())
    }

    /// Takes a member out for good; its process ends if it runs.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub(in crate::server) async fn remove(&self, id: u64) -> Result<(), ChangeError> {
        let (leader, _) = self.leads().await?;
        let mut state = self.cluster().state.lock();
        state.may_remove(leader, id)?;
        state.members.remove(&id);
        state.removed.insert(id);
        self.cluster().medium.remove_copy(id);
        if let Some(serving) = state.serving.remove(&id) {
            serving.removed.notify_one();
        }
        drop(state);
        self.record("removed", id);
        Ok(())
    }

    async fn leads(&self) -> Result<(u64, &Cluster), ChangeError> {
        self.led().await?;
        let leader = self.led_by().map_or(self.id(), |(id, _)| id);
        Ok((leader, self.cluster()))
    }

    fn record(&self, what: &'static str, id: u64) {
        self.host().record("etcd", vec![(what, format!("{id:x}"))]);
    }
}

impl State {
    fn may_add(&self, leader: u64, peer_urls: &[String], learner: bool) -> Result<(), ChangeError> {
        if self.members.values().any(|m| m.peer_urls.iter().any(|url| peer_urls.contains(url))) {
            return Err(ChangeError::UrlExists);
        }
        if learner {
            let learners = self.members.values().filter(|member| member.learner).count();
            return if learners >= MAX_LEARNERS { Err(ChangeError::TooManyLearners) } else { Ok(()) };
        }
        let (all, started) = (self.voters().count() + 1, self.started(None));
        // A lone member may always be joined: it is how a restored cluster grows.
        if !(started == 1 && all == 2) && started < all / 2 + 1 {
            return Err(ChangeError::NotEnoughStarted);
        }
        if self.voters().any(|voter| !self.connected(leader, voter.id)) {
            return Err(ChangeError::Unhealthy);
        }
        Ok(())
    }

    fn may_remove(&self, leader: u64, id: u64) -> Result<(), ChangeError> {
        let member = self.members.get(&id).ok_or(ChangeError::NotFound)?;
        if member.learner {
            return Ok(());
        }
        let left = self.voters().filter(|voter| voter.id != id).count();
        if self.started(Some(id)) < left / 2 + 1 {
            return Err(ChangeError::NotEnoughStarted);
        }
        // One that is down anyway takes nothing with it.
        if !self.connected(leader, id) {
            return Ok(());
        }
        let active = self.voters().filter(|voter| self.connected(leader, voter.id)).count();
        if active.saturating_sub(1) < 1 + left / 2 {
            return Err(ChangeError::Unhealthy);
        }
        Ok(())
    }

    /// Voters that have started at some time, but for one.
    fn started(&self, but: Option<u64>) -> usize {
        self.voters().filter(|voter| Some(voter.id) != but && !voter.name.is_empty()).count()
    }
}
