//! lb-blackout: the load balancer goes dark while a joining kubelet asks for its certificate, and kubeadm gives
//! up before the light comes back.
//!
//! kubernetes/kubeadm#2091 (1.17), met when HAProxy read its configuration anew. After discovery a join starts
//! the kubelet and waits for /etc/kubernetes/kubelet.conf: two minutes up to 1.18, five since 1.19
//! (kubernetes/kubernetes#89735, also in later patches of 1.17 and 1.18). What the report does not say: the
//! kubelet runs on, and when the light is back it joins all the same (since 1.14, when it came to bootstrap in
//! the background). But kubeadm has deleted bootstrap-kubelet.conf, so a kubelet that is restarted in the dark
//! never gets in. The balancer itself is not staged, only the darkness on the node's way to the API: no byte
//! passes, connections hang. Up to 1.10 kubeadm did not wait at all.
//!
//! The edge is kubeadm's patience, and cannot be met to the second: a kubelet that has tried in the dark tries again at a
//! moment of its own. Told are a darkness that leaves it time to be heard, and one of a minute more than the patience.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::profile::Profile;
use chronoplane::{ClusterOptions, Machinery, TaskLauncher, cluster::CONTROL_PLANE, machinery::kubelet_args};
use world::{Exit, Host, Unit, sim::Sim};

use super::{Attempt, Command, MINUTE, advice, becomes_node, join, kubelet_words, run};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "lb-blackout",
    sentence: "The load balancer is dark for longer than kubeadm join waits for the kubelet's certificate.",
    reference: "kubernetes/kubeadm#2091",
    symptoms: &[
        "error execution phase kubelet-start: timed out waiting for the condition",
        "unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory",
    ],
    range: (13, 18),
    tell,
    real: InReal::Not(
        "needs to elapse: kubeadm waits for two minutes in the dark, and nothing here makes a network dark",
    ),
};

const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// For the kubelet to be heard after the darkness.
const HEARD: Duration = Duration::from_secs(40);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    if settings.profile.kubelet_unit_flags_only() {
        return without_a_wait(settings, teller);
    }
    fault(settings, teller)?;
    control(settings, teller)?;
    if settings.profile.minor() < 19 {
        let fixed = Profile::of_minor(19).map_err(StoryError::new)?;
        teller.say(format!("\nFixed run: three minutes of darkness with {}.", fixed.git_version()));
        let settings = Settings { profile: fixed, ..settings.clone() };
        Stage::play(&settings, teller, config(&settings), ClusterOptions::default(), async |stage| {
            let attempt = in_the_dark(stage, "node", 3 * MINUTE).await?;
            let joined = attempt.joined && becomes_node(stage, "node").await;
            stage.check("it waits five minutes", joined, format!("and joins after {:?}", attempt.took));
            Ok(())
        })?;
    }
    advice(
        teller,
        &[
            "Wait: the kubelet goes on by itself. Do not restart it; if it was, kubeadm reset and join again.",
            "From 1.31 on a JoinConfiguration can wait longer: timeouts.tlsBootstrap.",
        ],
    );
    Ok(())
}

/// A machine whose way to the API goes dark at the moment when its kubelet first starts.
fn unlucky(stage: &Stage, name: &str) -> Host {
    let (host, sim) = (stage.host(name), stage.sim().clone());
    let lit = Arc::new(AtomicBool::new(true));
    let machinery = Machinery::units(move |profile| {
        let (sim, lit) = (sim.clone(), lit.clone());
        Unit::new(move |host: Host| kubelet(sim.clone(), lit.clone(), host, profile))
    });
    machinery.install(&host, stage.settings.profile);
    host
}

async fn kubelet(sim: Sim, lit: Arc<AtomicBool>, host: Host, profile: Profile) -> Exit {
    if lit.swap(false, Ordering::Relaxed) {
        sim.cut(host.name(), CONTROL_PLANE);
    }
    match kubelet_args(&host, profile) {
        Ok(args) => kubelet_sim::run(host, args, Arc::new(TaskLauncher::default())).await,
        Err(why) => Exit::Failure(why),
    }
}

/// Joins a machine that is in the dark for so long from its kubelet's start on.
async fn in_the_dark(stage: &Stage, name: &str, dark: Duration) -> Result<Attempt, StoryError> {
    let command = Command::print(stage, &[]).await?;
    let host = unlucky(stage, name);
    let light = async {
        let starts = async || host.services().is_active("kubelet").then_some(());
        let started = stage.cluster.elapse_until("the kubelet starts", 2 * MINUTE, starts).await;
        stage.cluster.elapse(dark).await;
        stage.sim().heal(name, CONTROL_PLANE);
        started
    };
    let (attempt, started) = futures::join!(run(stage, &host, &command), light);
    started?;
    Ok(attempt)
}

fn fault(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let patience = settings.profile.tls_bootstrap_patience();
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        stage.say(format!("Machines join while their way to the API is dark, from their kubelet's start on. kubeadm waits {patience:?}."));
        let attempt = in_the_dark(stage, "node1", patience - HEARD).await?;
        let joined = attempt.joined && becomes_node(stage, "node1").await;
        stage.check("dark for a little less", joined, format!("it joins after {:?}", attempt.took));
        let attempt = in_the_dark(stage, "node2", patience + MINUTE).await?;
        let words = settings.profile.wait_in_vain();
        stage.check(
            "dark for a minute more",
            !attempt.joined,
            format!("it gives up after {:?}", attempt.took),
        );
        stage.check_words("  in these words", attempt.error(), &[words]);
        // Up to 1.12 kubeadm left the kubelet its bootstrap kubeconfig.
        let forgets = settings.profile.join_reads_configuration();
        let gone = !stage.host("node2").disk().exists(BOOTSTRAP);
        stage.check("bootstrap-kubelet.conf", gone == forgets, if gone { "is deleted" } else { "stays" });
        // A kubelet that bootstraps before it starts is started again and again, and then finds no kubeconfig.
        let survives = !settings.profile.synchronous_bootstrap() || !forgets;
        let seen = |joins| if joins { "joins when the light is back" } else { "never joins" };
        let joins = becomes_node(stage, "node2").await;
        stage.check("the kubelet, left alone", joins == survives, seen(joins));

        let host = stage.host("node3");
        let restart = async {
            stage.cluster.elapse(patience + MINUTE / 2).await;
            host.services().restart(&host, "kubelet").await;
        };
        let (attempt, ()) = futures::join!(in_the_dark(stage, "node3", patience + MINUTE), restart);
        let joins = !attempt?.joined && becomes_node(stage, "node3").await;
        stage.check("one that is restarted in the dark", joins != forgets, seen(joins));
        if forgets {
            let words = "unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory";
            stage.check_words("  for", kubelet_words(&host), &[words]);
        }
        Ok(())
    })
}

fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let command = Command::print(stage, &[]).await?;
        let attempt = join(stage, "node1", &command).await?;
        let joined = attempt.joined && becomes_node(stage, "node1").await;
        stage.say("\nControl run: the light stays on.");
        stage.check("it joins", joined, format!("after {:?}", attempt.took));
        Ok(())
    })
}

/// Up to 1.10.
fn without_a_wait(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let attempt = in_the_dark(stage, "node1", 2 * MINUTE).await?;
        stage.say("In this release kubeadm is done when it has left bootstrap-kubelet.conf; the kubelet tries for ever.");
        stage.say(
            "It is dark for two minutes from the kubelet's first start on, which comes before discovery.",
        );
        stage.check("kubeadm", attempt.joined, format!("is done after {:?}", attempt.took));
        stage.check("the node", becomes_node(stage, "node1").await, "comes after the light");
        Ok(())
    })
}
