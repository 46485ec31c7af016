//! joiner-behind: a machine's clock is behind, and for it the cluster's certificates are not valid yet.
//!
//! kubernetes/kubernetes#42791, of 1.5; the words are those of every release. Discovery first looks at
//! cluster-info without checking the server, and then once more with the authority that it found: that handshake
//! fails at the joiner's clock. kubeadm tries again every five seconds and goes on as soon as the clock is right.
//! Since 1.28 (#118922) authorities begin five minutes before they are made, so that a small skew does no harm.

use api::profile::Profile;
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use jiff::SignedDuration;
use world::rfc3339;

use super::{Command, MINUTE, advice, becomes_node, ca, join, machine, run, run_in_vain, stranger};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config, raw},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "joiner-behind",
    sentence: "A joining machine's clock is behind: for it the cluster's certificates are not valid yet.",
    reference: "kubernetes/kubernetes#42791, #118922",
    symptoms: &[
        "cluster-info…: … x509: certificate has expired or is not yet valid",
        "x509: certificate has expired or is not yet valid: current time … is before …",
    ],
    range: (8, 36),
    tell,
    real: InReal::Told(tell),
};

const JOINER: &str = "node";
const BEHIND: SignedDuration = SignedDuration::from_mins(-60);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    fault(settings, teller)?;
    control(settings, teller)?;
    if settings.profile.authority_backdate().is_zero() {
        let fixed = Profile::of_minor(28).map_err(StoryError::new)?;
        teller.say(format!("\nFixed run with {}:", fixed.git_version()));
        let settings = Settings { profile: fixed, ..settings.clone() };
        Ground::play(&settings, teller, config(&settings), ClusterOptions::default(), four_minutes)?;
    }
    advice(
        teller,
        &[
            "Set the joiner's clock: `timedatectl`, `chronyc makestep`. A join that still waits then goes on by itself.",
            "  openssl s_client -connect HOST:6443 </dev/null 2>/dev/null | openssl x509 -noout -startdate",
        ],
    );
    Ok(())
}

/// The words of a certificate that is not valid yet.
fn words(profile: Profile) -> Vec<&'static str> {
    let mut words = vec!["x509: certificate has expired or is not yet valid"];
    if profile.go() >= (1, 15) {
        words.extend([": current time ", " is before "]);
    }
    words
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &[]).await?.with(&["--v=1"]);
        let host = machine(stage, JOINER)?;
        stage.step(JOINER, BEHIND);
        let time = rfc3339(host.clock().wall());
        stage
            .say(format!("Right after kubeadm init a machine joins whose clock is an hour behind ({time})."));
        let (attempt, patience) = run_in_vain(stage, &host, &command).await?;
        stage.check(
            "it gives up",
            !attempt.joined && attempt.took >= patience,
            format!("after {:?}", attempt.took),
        );
        let line = attempt.said.lines().rev().find(|line| line.contains("x509:")).unwrap_or_default();
        stage.check_words("in these words", line, &words(settings.profile));

        let served = stage.certificate(CONTROL_PLANE, "/etc/kubernetes/pki/apiserver.crt")?;
        let begin = ca(stage)?.not_before().max(served.not_before());
        let look = async || match stranger(stage, &host) {
            Ok(rest) => raw(&rest, "/version").await,
            Err(e) => (0, e.to_string()),
        };
        let (before, after) = stage.edge(JOINER, begin, look).await?;
        stage.check("one second before NotBefore", before.0 == 0 && before.1.contains("x509:"), before.1);
        stage.check("one second after", after.0 == 200, format!("GET /version {}", after.0));

        // While another one waits, NTP corrects its clock.
        let late = machine(stage, "node2")?;
        stage.step("node2", BEHIND - SignedDuration::from_hours(1));
        let correct = async {
            stage.give(MINUTE + MINUTE / 60, async || has_refused(stage, "node2").then_some(())).await;
            stage.step("node2", SignedDuration::from_hours(1) - BEHIND);
        };
        let (attempt, ()) = futures::join!(run(stage, &late, &command), correct);
        let joined = attempt.joined && becomes_node(stage, "node2").await;
        stage.check("its clock is set while it waits", joined, format!("it joins after {:?}", attempt.took));
        four_minutes(stage).await
    })
}

/// Whether kubeadm on that host has met a certificate that it does not believe.
fn has_refused(stage: &Ground, host: &str) -> bool {
    let events = stage.events();
    let mut refused =
        events.iter().filter(|e| e.host == host && e.actor == "kubeadm" && e.kind == "handshake");
    refused.any(|e| e.fields.iter().any(|(key, value)| *key == "result" && value != "ok"))
}

/// A clock that is behind by less than authorities are backdated.
async fn four_minutes(stage: &Ground) -> Result<(), StoryError> {
    let backdate = stage.settings.profile.authority_backdate();
    let made = ca(stage)?.not_before() + SignedDuration::try_from(backdate).map_err(StoryError::new)?;
    let host = machine(stage, "node4")?;
    let now = made - SignedDuration::from_mins(4);
    stage.step("node4", now.duration_since(host.clock().wall()));
    let (code, said) = raw(&stranger(stage, &host)?, "/version").await;
    let accepted = code == 200;
    let seen = if accepted { format!("GET /version {code}") } else { said };
    stage.check("four minutes before kubeadm init", accepted != backdate.is_zero(), seen);
    Ok(())
}

fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &[]).await?.with(&["--v=1"]);
        let attempt = join(stage, JOINER, &command).await?;
        let (code, _) = raw(&stranger(stage, &stage.host(JOINER)?)?, "/version").await;
        let joined = attempt.joined && !attempt.said.contains("x509:") && becomes_node(stage, JOINER).await;
        stage.say("\nControl run: its clock is right.");
        stage.check("it joins", joined && code == 200, format!("GET /version {code}"));
        Ok(())
    })
}
