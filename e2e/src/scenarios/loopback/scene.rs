//! A cluster and what its stories know of the apiserver's loopback certificate.

use std::time::Duration;

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE, expirations::LOOPBACK as NAME, peek};
use jiff::SignedDuration;
use pki::Certificate;
use world::{Host, Periods, Wall, sim::Config};

use super::{matrix, words::Words};
use crate::{
    scenarios::Ground,
    story::{Settings, StoryError},
};

const PORT: u16 = 6443;
/// Of all certificates but the loopback one, so that only that one dies. kubeadm can set it from
/// 1.31 on; before, operators renewed every year.
const OTHERS: Duration = Duration::from_secs(4 * 366 * 86_400);
/// Informers notice a reset within their first backoff; what admission asked for last is kept for 30 s.
pub(super) const NOTICE: Duration = Duration::from_secs(40);
const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default";
const PATIENCE: Duration = Duration::from_secs(300);
/// The path of the check that 1.36 brought.
const CHECK: &str = "/livez/loopback-serving-certificate";

/// A cluster of `nodes` workers in which nothing but the loopback certificate ends.
pub(super) fn options(nodes: usize) -> ClusterOptions {
    ClusterOptions { nodes, leaf_validity: Some(OTHERS), ..ClusterOptions::default() }
}

/// A world in which years pass without anything of interest: what recurs, recurs ten times more rarely than
/// [`Periods::sparse`] has it.
pub(super) fn config(settings: &Settings) -> Config {
    Config { seed: settings.seed, periods: Periods::times(604_800), ..Config::default() }
}

/// As people write an instant.
pub(super) fn day(at: Wall) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// See the module. The certificate is the one that was served when it was made.
pub(super) struct Scene<'a> {
    pub stage: &'a Ground,
    pub server: Host,
    workstation: Host,
    chain: Vec<Certificate>,
}

impl<'a> Scene<'a> {
    /// Looks which certificate is served now.
    pub(super) async fn of(stage: &'a Ground) -> Result<Self, StoryError> {
        let (workstation, server) = (stage.workstation(), stage.control_plane());
        // No pod is admitted without it, and who was refused when making it tries again only after long.
        let account = async || (stage.get(ACCOUNT).await.0 == 200).then_some(());
        stage.wait("the default service account is there", PATIENCE, account).await?;
        let chain = served(stage).await?;
        if chain.is_empty() {
            return Err(StoryError("the server shows no loopback certificate".into()));
        }
        Ok(Self { stage, server, workstation, chain })
    }

    pub(super) fn leaf(&self) -> &Certificate {
        // There is one: `of` has looked.
        &self.chain[0]
    }

    pub(super) fn words(&self) -> Words {
        Words::new(self.stage.settings.profile, self.leaf().not_after())
    }

    /// Moves every clock to `at`, by time passing.
    pub(super) async fn until(&self, at: Wall) {
        let left = at.duration_since(self.server.clock().wall());
        self.stage.later(left.try_into().unwrap_or_default()).await;
    }

    /// Whether a client that checks everything accepts a new connection by the loopback's name.
    pub(super) async fn handshake(&self) -> Result<(), String> {
        let address = self.server.net().address().to_string();
        peek::strict_handshake(
            &self.workstation,
            self.stage.settings.profile,
            &address,
            PORT,
            NAME,
            &self.chain,
        )
        .await
    }

    /// As [`Scene::handshake`], by the clock of the server's host, which is the one that counts.
    pub(super) async fn own_handshake(&self) -> Result<(), String> {
        let address = self.server.net().address().to_string();
        peek::strict_handshake(&self.server, self.stage.settings.profile, &address, PORT, NAME, &self.chain)
            .await
    }

    /// Kills the connections on the control plane to its apiserver, its own among them, as a TCP reset would, and gives it
    /// time to notice.
    ///
    /// # Errors
    /// In the real gear the machine does not let us.
    pub(super) async fn reset(&self) -> Result<usize, StoryError> {
        let n = self.stage.reset_connections(CONTROL_PLANE, CONTROL_PLANE, PORT)?;
        let (now, leaf) = (self.server.clock().wall(), self.leaf());
        let over = now > leaf.not_after() || now < leaf.not_before();
        // With a certificate that serves there is nothing to notice.
        let noticed = async || if over { matrix::pod_refusal(self.stage).await.map(drop) } else { Some(()) };
        self.stage.give(NOTICE, noticed).await;
        Ok(n)
    }

    /// Whether another certificate is served now, and until when.
    pub(super) async fn renewed(&self) -> Result<(bool, String), StoryError> {
        let now = served(self.stage).await?;
        let end = now.first().map(Certificate::not_after);
        let other = now.first().is_some_and(|c| c.der() != self.leaf().der());
        Ok((other, end.map(|t| format!("valid until {}", world::rfc3339(t))).unwrap_or_default()))
    }

    /// The check of its own that livez has from 1.36 on: code and words.
    pub(super) async fn livez(&self) -> (u16, String) {
        let (code, body) = self.stage.get(CHECK).await;
        (code, body.trim().to_owned())
    }

    /// That the check of its own is `code`; and before 1.36, that there is none.
    pub(super) async fn check_livez(&self, when: &str, code: u16) {
        let (seen, words) = self.livez().await;
        let code = if self.stage.settings.profile.loopback().livez_check { code } else { 404 };
        self.stage.check(when, seen == code, format!("livez {seen} {words}"));
    }

    /// That every health endpoint says that all is well.
    pub(super) async fn check_green(&self, when: &str) {
        let mut seen = Vec::new();
        for path in self.stage.settings.profile.health_paths() {
            let (code, body) = self.stage.get(path).await;
            seen.push(format!("{path} {code} {body}"));
        }
        self.stage.check(when, seen.iter().all(|s| s.ends_with("200 ok")), seen.join(", "));
    }

    /// That no pod can be created, because of the certificate, which is `after` its end or `before` its beginning.
    pub(super) async fn check_refused(&self, what: &str, side: Side) {
        let answer = matrix::pod_refusal(self.stage).await;
        let held = answer.as_ref().is_some_and(|(code, words)| {
            // Go says since 1.15 which side of its validity it is on.
            let which = self.stage.settings.profile.go() < (1, 15) || words.contains(side.words());
            *code == 403 && words.contains("x509: certificate has expired or is not yet valid") && which
        });
        let seen = answer.map_or_else(|| "works".to_owned(), |(code, words)| format!("{code} {words}"));
        self.stage.check(what, held, seen);
    }

    /// That a pod can be created.
    pub(super) async fn check_works(&self, what: &str) {
        let answer = matrix::pod_refusal(self.stage).await;
        let seen =
            answer.as_ref().map_or_else(|| "works".to_owned(), |(code, words)| format!("{code} {words}"));
        self.stage.check(what, answer.is_none(), seen);
    }

    /// A second before and a second after an instant by the server's clock: that the certificate is then accepted so.
    pub(super) async fn check_edge(&self, instant: Wall, accepted: (bool, bool)) -> Result<(), StoryError> {
        let (before, after) =
            self.stage.edge(CONTROL_PLANE, instant, async || self.own_handshake().await).await?;
        self.stage.check(
            format!("one second before {}", day(instant)),
            before.is_ok() == accepted.0,
            outcome(&before),
        );
        self.stage.check("one second after", after.is_ok() == accepted.1, outcome(&after));
        Ok(())
    }
}

/// On which side of its validity a certificate is.
#[derive(Clone, Copy)]
pub(super) enum Side {
    After,
    Before,
}

impl Side {
    fn words(self) -> &'static str {
        match self {
            Self::After => " is after ",
            Self::Before => " is before ",
        }
    }
}

/// What a client said of a handshake.
pub(super) fn outcome(result: &Result<(), String>) -> String {
    match result {
        Ok(()) => "a fresh handshake is accepted".to_owned(),
        Err(why) => super::words::tail(why).to_owned(),
    }
}

/// From its end back: a second.
pub(super) fn just_before(at: Wall) -> Wall {
    at - SignedDuration::from_secs(1)
}

async fn served(stage: &Ground) -> Result<Vec<Certificate>, StoryError> {
    let address = stage.control_plane().net().address().to_string();
    peek::served_chain(&stage.workstation(), stage.settings.profile, &address, PORT, NAME)
        .await
        .map_err(StoryError)
}
