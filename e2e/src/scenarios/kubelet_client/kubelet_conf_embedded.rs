//! kubelet-conf-embedded: a control plane's kubelet runs well for years, and does not survive a restart.
//!
//! kubernetes/kubeadm#1753 and kubernetes/kubernetes#99645: `kubeadm init` wrote the first certificate of the control
//! plane's kubelet into kubelet.conf itself. The kubelet rotates, but into files of its own; what is in kubelet.conf
//! ends after its year. Nobody notices until the kubelet starts again: it looks at kubelet.conf alone, wants to
//! bootstrap, and a control plane never had a bootstrap kubeconfig.
//!
//! From 1.17 on `kubeadm init` points kubelet.conf at the rotated file (phase kubelet-finalize). 1.8 did not look at
//! the dates. kubelet.conf is given thirty days here instead of kubeadm's year, so that nothing else ends with it.

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use pki::{
    Authority, CertSpec, CertifiedKey, KeyAlgorithm, PrivateKey,
    kubeconfig::{Kubeconfig, User},
};

use super::{
    CONF, MINUTE, NO_BOOTSTRAP, clock, end, exits, follow_rotation, known, mark, ready, restart, said,
    upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "kubelet-conf-embedded",
    sentence: "A control plane's kubelet.conf holds its first certificate: once that is over, a restart of the kubelet is fatal.",
    reference: "kubernetes/kubeadm#1753, kubernetes/kubernetes#99645",
    symptoms: &[
        "part of the existing bootstrap client certificate … is expired:",
        "failed to run Kubelet: unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory",
    ],
    range: (9, 16),
    tell,
    real: InReal::Not(
        "needs containers that outlive the kubelet of their host; as processes they end with it, and the control plane with them",
    ),
};

const FIXED: u16 = 17;
/// How long what kubelet.conf holds lives here.
const EMBEDDED: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller)?;
    if settings.profile.minor() < FIXED {
        let profile = api::profile::Profile::of_minor(FIXED).unwrap_or_default();
        let fixed = Settings { profile, ..settings.clone() };
        briefly(teller, "A control plane of 1.17", || play(&fixed, teller))?;
    }
    end(
        settings,
        teller,
        &[
            "In a real cluster: let client-certificate and client-key of kubelet.conf name",
            "/var/lib/kubelet/pki/kubelet-client-current.pem in place of the data, before the next restart.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let (host, since) = (stage.host(CONTROL_PLANE), mark(stage));
        if !embed(stage)? {
            stage.check("kubelet.conf", true, "names kubelet-client-current.pem: nothing in it can end");
            stage.cluster.elapse(EMBEDDED).await;
            restart(stage, CONTROL_PLANE).await;
            upstream(stage, MINUTE).await;
            let well = ready(stage, CONTROL_PLANE).await;
            stage.check(
                "after a restart",
                well == "True" && exits(stage, CONTROL_PLANE, since).0 == 0,
                well.clone(),
            );
            return Ok(());
        }
        let ends = stage.cluster.certificate(CONTROL_PLANE, CONF)?.not_after();
        stage.say(format!("{}: kubelet.conf holds a certificate until {}.", clock(stage.now()), clock(ends)));
        // The control run is a second earlier: the same restart.
        let look = async || {
            restart(stage, CONTROL_PLANE).await;
            exits(stage, CONTROL_PLANE, since)
        };
        let (before, after) = stage.edge(CONTROL_PLANE, ends, look).await?;
        let rotated = known(stage, CONTROL_PLANE).await;
        stage.check("restarted a second before its end", before.0 == 0, "it runs");
        stage.check(
            "the rotated certificate",
            rotated.0 == 200,
            format!("{} GET node {}", rotated.0, host.name()),
        );
        if stage.settings.profile.minor() < 9 {
            stage.check("a second after", after.0 == 0, "it runs: this release does not look at the dates");
            return Ok(());
        }
        let expired = "part of the existing bootstrap client certificate";
        stage.check_words(
            "a second after",
            said(stage, CONTROL_PLANE, "bootstrap", expired),
            &[expired, "is expired:"],
        );
        stage.check_words("", after.1, &[NO_BOOTSTRAP]);
        upstream(stage, MINUTE).await;
        let (count, _) = exits(stage, CONTROL_PLANE, since);
        stage.check("systemd starts it every ten seconds", count > 5, format!("{count} times in vain"));
        let lost = ready(stage, CONTROL_PLANE).await;
        stage.check("the node", lost.starts_with("Unknown"), lost.clone());
        follow_rotation(stage, CONTROL_PLANE)?;
        restart(stage, CONTROL_PLANE).await;
        stage.cluster.elapse(MINUTE).await;
        let healed = ready(stage, CONTROL_PLANE).await;
        stage.check("kubelet.conf names the rotated file", healed == "True", healed.clone());
        Ok(())
    })
}

/// Puts another first certificate into a kubelet.conf that holds one, as kubeadm would have made it on a day so long
/// before its end. Whether it holds one.
fn embed(stage: &Stage) -> Result<bool, StoryError> {
    let host = stage.host(CONTROL_PLANE);
    let config = Kubeconfig::load(host.disk(), CONF).map_err(StoryError::new)?;
    if config.user().ok().flatten().is_none_or(|(_, user)| user.client_certificate_data.is_none()) {
        return Ok(false);
    }
    let read = |file: &str| host.disk().read(format!("/etc/kubernetes/pki/{file}")).map_err(StoryError::new);
    let ca = Authority::from_pem(&read("ca.crt")?, &read("ca.key")?).map_err(StoryError::new)?;
    let now = host.clock().wall();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).map_err(StoryError::new)?;
    let spec = CertSpec {
        common_name: format!("system:node:{CONTROL_PLANE}"),
        organizations: vec!["system:nodes".to_owned()],
        dns_names: Vec::new(),
        ips: Vec::new(),
        client_auth: true,
        server_auth: false,
        not_before: now,
        not_after: now + EMBEDDED,
    };
    let leaf = ca.issue(host.entropy(), &spec, &key.public()).map_err(StoryError::new)?;
    let pair = CertifiedKey::new(vec![leaf], key).map_err(StoryError::new)?;
    let user = User::with_certificate(&pair);
    let name = format!("system:node:{CONTROL_PLANE}");
    Kubeconfig::new("kubernetes", super::server(stage), &name, user)
        .save(host.disk(), CONF)
        .map_err(StoryError::new)?;
    Ok(true)
}
