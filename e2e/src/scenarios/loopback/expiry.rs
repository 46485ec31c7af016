//! loopback-expiry: an apiserver outlives the certificate by which it talks to itself.
//!
//! Three worlds of one seed: the fault (time passes the certificate's end and the one internal
//! connection is reset), the control (the same reset, two minutes before the end), and from 1.36 on a
//! third, where the wall clock is stepped instead. `docs/loopback.md` tells what each row means.

use std::time::Duration;

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE, expirations::LOOPBACK as NAME};
use jiff::SignedDuration;
use world::{Gear, Periods, rfc3339};

use super::{
    matrix::{self, Expect},
    scene::{NOTICE, Scene, day, just_before, options, outcome},
    words,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, Stage, config},
    story::{Settings, StoryError, Teller},
};

const SECOND: Duration = Duration::from_secs(1);
/// Eight probes ten seconds apart, the server's farewell, and its new start.
const KUBELET_ACTS: Duration = Duration::from_secs(180);

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "loopback-expiry",
    sentence: "An apiserver outlives its loopback certificate: writes are rejected with an x509 error, and health stays green.",
    reference: "kubernetes/kubernetes#86552, #121580",
    symptoms: &[
        "Internal error occurred: Get \"https://…/api/v1/namespaces/…\": … x509: certificate has expired or is not yet valid",
        "is forbidden: Get \"https://…/limitranges\": … x509: certificate has expired or is not yet valid",
        "Failed to list *v1.Role … x509: certificate has expired or is not yet valid",
        "x509: certificate has expired or is not yet valid: current time … is after …",
    ],
    range: (8, 32),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let minor = settings.profile.minor();
    fault(settings, teller)?;
    control(settings, teller)?;
    if minor >= 36 && settings.gear == Gear::Simulated {
        wall_step(settings, teller)?;
    }
    let (made, held) = teller.tally();
    teller.say(format!(
        "\n{held} of {made} checks held (seed {}, {}).",
        settings.seed,
        settings.profile.git_version()
    ));
    teller.say("\nIn a real cluster: restart kube-apiserver; nothing else renews this certificate. See when it ends with");
    teller.say(format!("  openssl s_client -connect HOST:6443 -servername {NAME} </dev/null 2>/dev/null | openssl x509 -noout -enddate"));
    teller.say(match minor {
        ..=32 => "Restart at least once a year, or upgrade: from 1.33 on it lives for three years, from 1.36 on livez tells.",
        33..=35 => "Restart at least every three years; from 1.36 on livez tells, an hour late.",
        _ => "Restart when livez turns red (the kubelet does); do not rely on it after a step of the clock.",
    });
    Ok(())
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), workers(settings), async |stage| {
        let version = settings.profile.git_version();
        let (nodes, pace) = if stage.is_real() {
            ("none joins", "")
        } else {
            ("three nodes join", ", recurring work stretched")
        };
        teller.say(format!(
            "A cluster is born: kubeadm init on {CONTROL_PLANE}, {nodes} (Kubernetes {version}{pace})."
        ));
        let scene = Scene::of(stage).await?;
        introduce(&scene, teller);
        at_the_edge(&scene, teller).await;
        unnoticed(&scene, teller).await;
        let at = day(scene.server.clock().wall());
        let n = scene.reset().await?;
        let later =
            if stage.is_real() { "then:".to_owned() } else { format!("{} s later:", NOTICE.as_secs()) };
        teller.say(format!(
            "\n{at} UTC: all connections on {CONTROL_PLANE} to port 6443 are reset, the server's own among them ({n}); \
             {later}"
        ));
        told_by_informers(&scene, teller);
        matrix::walk(scene.stage, &scene.words(), Expect::Dead, teller).await;
        // That hour is one of running time.
        if settings.profile.minor() >= 36 && !stage.is_real() {
            blind_hour(&scene, teller).await?;
        } else {
            heal(&scene, teller).await?;
        }
        Ok(())
    })
}

/// Workers have no part in it; in the real gear each is one more process.
fn workers(settings: &Settings) -> ClusterOptions {
    options(if settings.gear == Gear::Real { 0 } else { 3 })
}

fn introduce(scene: &Scene<'_>, teller: &Teller) {
    let events = scene.stage.events();
    let field = |e: &world::Event, key: &str| {
        e.fields.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    let made = |file: &str| {
        events
            .iter()
            .find(|e| e.kind == "certificate" && field(e, "file") == file)
            .map(|e| (field(e, "not_before"), field(e, "not_after")))
    };
    teller.say("  certificate                           from                  to");
    let (from, to) = (scene.leaf().not_before(), scene.leaf().not_after());
    teller.say(format!("  {:<36}  {}  {}", "loopback, served by SNI", rfc3339(from), rfc3339(to)));
    for (what, file) in [("apiserver.crt", "apiserver"), ("admin.conf", "admin.conf"), ("ca.crt", "ca")] {
        if let Some((from, to)) = made(file) {
            teller.say(format!("  {what:<36}  {from}  {to}"));
        }
    }
    let kubelet = events.iter().rfind(|e| e.kind == "certificate" && e.host == "node1");
    if let Some(e) = kubelet {
        teller.say(format!(
            "  {:<36}  {}  {} (rotates by itself)",
            "node1's kubelet",
            field(e, "not_before"),
            field(e, "not_after")
        ));
    }
}

/// One second before and one second after its end, as a client that checks it sees it.
async fn at_the_edge(scene: &Scene<'_>, teller: &Teller) {
    let end = scene.leaf().not_after();
    teller.say(format!("\nTime passes, to {}.", day(end)));
    let _still = scene.stage.still();
    scene.until(just_before(end)).await;
    let before = scene.handshake().await;
    teller.check("one second before its end", before.is_ok(), outcome(&before));
    scene.stage.later(SECOND * 2).await;
    let after = scene.handshake().await;
    let refused = after
        .as_ref()
        .is_err_and(|why| why.contains(&scene.words().x509_at(end + SignedDuration::from_secs(1))));
    teller.check("one second after", refused, outcome(&after));
}

/// Nothing happens while the one internal connection stays open.
async fn unnoticed(scene: &Scene<'_>, teller: &Teller) {
    scene.stage.later(Duration::from_secs(15)).await;
    teller.say(format!(
        "\n{} UTC: dead for 16 s, and nothing happens: the server still uses the connection that it has.",
        day(scene.server.clock().wall())
    ));
    matrix::walk(scene.stage, &scene.words(), Expect::Alive("before"), teller).await;
}

fn told_by_informers(scene: &Scene<'_>, teller: &Teller) {
    let wanted = scene.words().list_failure("rbac.authorization.k8s.io/v1/roles", "*v1.Role");
    let since = scene.leaf().not_after();
    let lines: Vec<String> = scene
        .stage
        .events()
        .iter()
        .filter(|e| e.kind == "informer" && e.at > since && e.actor == "kube-apiserver")
        .filter_map(|e| e.fields.iter().find(|(k, _)| *k == "error").map(|(_, v)| v.clone()))
        .collect();
    let role = lines.iter().find(|l| wanted.iter().all(|w| l.contains(w)));
    teller.check(
        "its log, once for every informer",
        role.is_some() && lines.len() >= 10,
        format!("{} lines such as", lines.len()),
    );
    if let Some(line) = role {
        teller.say(format!("      {line}"));
    }
}

async fn heal(scene: &Scene<'_>, teller: &Teller) -> Result<(), StoryError> {
    scene.stage.restart_apiserver().await?;
    teller.say(format!("\n{} UTC: the kube-apiserver is restarted.", day(scene.server.clock().wall())));
    let (renewed, until) = scene.renewed().await?;
    teller.check("a new loopback certificate", renewed, until);
    matrix::walk(scene.stage, &scene.words(), Expect::Alive("healed"), teller).await;
    Ok(())
}

/// From 1.36 on: livez counts running time from the start, so it is an hour late; then the kubelet acts.
async fn blind_hour(scene: &Scene<'_>, teller: &Teller) -> Result<(), StoryError> {
    let facts = scene.stage.settings.profile.loopback();
    let red = scene.leaf().not_after() + SignedDuration::try_from(facts.backdate).unwrap_or_default();
    teller.say(format!("\nThe blind hour: the certificate is dead, livez is green until {}.", day(red)));
    scene.until(just_before(red)).await;
    let (code, body) = scene.livez().await;
    teller.check("one second before the hour is over", code == 200, format!("livez {code} {}", body.trim()));
    scene.stage.later(SECOND * 2).await;
    let (code, body) = scene.livez().await;
    let words = "internal server error: loopback serving certificate is expired";
    teller.check(
        "one second after",
        code == 500 && body.trim() == words,
        format!("livez {code} {}", body.trim()),
    );
    let (ready, _) = matrix::raw(scene.stage, "/readyz").await;
    teller.check("readyz does not include the check", ready == 200, format!("readyz {ready}"));
    // From here on the kubelet probes as upstream's does: eight failures, ten seconds apart.
    scene.stage.pace(Periods::upstream());
    scene.stage.later(KUBELET_ACTS).await;
    let (renewed, until) = scene.renewed().await?;
    teller.check("the kubelet restarts the static pod", renewed, until);
    matrix::walk(scene.stage, &scene.words(), Expect::Alive("healed"), teller).await;
    Ok(())
}

/// The same story without the fault: the connection is reset while the certificate lives.
fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), workers(settings), async |stage| {
        let scene = Scene::of(stage).await?;
        scene.until(scene.leaf().not_after() - SignedDuration::from_secs(120)).await;
        let n = scene.reset().await?;
        teller.say(format!("\nControl run: the same reset ({n} connections), two minutes before the end."));
        matrix::walk(scene.stage, &scene.words(), Expect::Alive("control"), teller).await;
        Ok(())
    })
}

/// From 1.36 on: the check counts running time, so a stepped wall clock leaves it green for years.
fn wall_step(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), options(0), async |stage| {
        let scene = Scene::of(stage).await?;
        let ahead = scene.leaf().not_after().duration_since(scene.server.clock().wall())
            + SignedDuration::from_hours(2);
        stage.cluster.step(CONTROL_PLANE, ahead);
        scene.reset().await?;
        teller.say(format!("\nThe same end reached by a step of {CONTROL_PLANE}'s wall clock: dead, and livez does not see it."));
        let (code, body) = scene.livez().await;
        teller.check("two hours past its end", code == 200, format!("livez {code} {}", body.trim()));
        let failure = matrix::pod_refusal(scene.stage).await;
        let held = failure.as_ref().is_some_and(|(code, message)| {
            *code == 403 && message.contains("x509: certificate has expired or is not yet valid")
        });
        teller.check(
            "create pod",
            held,
            failure
                .map(|(code, message)| format!("{code} {}", words::tail(&message)))
                .unwrap_or_else(|| "works".into()),
        );
        Ok(())
    })
}
