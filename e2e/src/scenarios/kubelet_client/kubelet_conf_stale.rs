//! kubelet-conf-stale: kubelet.conf names the certificate of the first day; the rotated one beside it is ignored.
//!
//! kubernetes/kubernetes#71825 and kubernetes/kubeadm#1317: nodes that joined up to 1.10 have a kubelet.conf that
//! names kubelet-client.crt. Rotation writes behind kubelet-client-current.pem, the kubelet uses that, and all is
//! well until a restart after the first certificate's end, often the upgrade to 1.12.
//!
//! The upgrade is not the cause: from 1.9 on (#53037) every start judges the file that kubelet.conf names. The
//! bootstrap kubeconfig that such a join left behind is still there, but its token ended with its first day. 1.8 took
//! kubelet.conf as it is, and starts. From 1.14 on the kubelet, finding the bootstrap kubeconfig, writes kubelet.conf
//! anew with the link's name and goes on with the certificate behind it, which it never had to ask for. Nodes that
//! joined with 1.11 or later name the link. Here a node joins with 1.10 (or the older release asked for) and its
//! kubelet is upgraded to the release asked for.

use api::profile::Profile;
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use pki::kubeconfig::Kubeconfig;
use world::Periods;

use super::{
    CONF, CURRENT, DAY, MINUTE, NODE, PKI, clock, end, exits, follow_rotation, known, mark, ready, rotate,
    rotate_at_start, said, start_anew,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "kubelet-conf-stale",
    sentence: "A node from before 1.11 rotates, but its kubelet.conf names the first certificate: a restart after that one's end is fatal.",
    reference: "kubernetes/kubernetes#71825, kubernetes/kubeadm#1317",
    symptoms: &[
        "part of the existing bootstrap client certificate … is expired:",
        "cannot create certificate signing request: Unauthorized",
    ],
    range: (9, 13),
    tell,
    real: InReal::Told(tell),
};

/// The last release whose joins name the first file.
const JOINED: u16 = 10;

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let joined = Profile::of_minor(settings.profile.minor().min(JOINED)).unwrap_or_default();
    play(settings, teller, joined)?;
    let fixed = Profile::of_minor(JOINED + 1).unwrap_or_default();
    briefly(teller, "A node that joined with 1.11", || {
        play(&Settings { profile: fixed, ..settings.clone() }, teller, fixed)
    })?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: let client-certificate and client-key of kubelet.conf name",
            "/var/lib/kubelet/pki/kubelet-client-current.pem, before the first certificate ends or before you upgrade.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, joined: Profile) -> Result<(), StoryError> {
    let world = Settings { profile: joined, ..settings.clone() };
    let options = ClusterOptions { nodes: 1, signing_duration: Some(30 * DAY), ..ClusterOptions::default() };
    Ground::play(&world, teller, config(settings), options, async |stage| {
        let plain = format!("{PKI}/kubelet-client.crt");
        let first = match stage.certificate(NODE, &plain) {
            Ok(first) => first,
            Err(_) => super::current(stage, NODE)?,
        };
        rotate(stage, NODE, 30 * DAY).await?;
        if stage.is_real() {
            // Its certificate is as old, and with it the control plane would end.
            rotate_at_start(stage, CONTROL_PLANE).await?;
            stage.apiserver_ready().await?;
        }
        stage.say(format!(
            "{}: {NODE}, joined with {}, has rotated. Its first certificate ends at {}.",
            clock(stage.now()),
            joined.git_version(),
            clock(first.not_after())
        ));
        if settings.profile != joined {
            upgrade(stage, settings.profile)?;
        }
        let since = mark(stage);
        let look = async || {
            start_anew(stage, NODE).await?;
            Ok::<_, StoryError>(said(stage, NODE, "bootstrap", "is expired:"))
        };
        let (before, after) = stage.edge(NODE, first.not_after(), look).await?;
        let (before, after) = (before?, after?);
        stage.check("restarted a second before its end", before.is_empty(), "it starts");
        let (code, _) = known(stage, NODE).await;
        stage.check("the rotated certificate", code == 200, format!("{code} GET node {NODE}"));
        let minor = settings.profile.minor();
        if minor < 9 || joined.minor() > JOINED {
            stage.pace(Periods::upstream());
            stage.later(2 * MINUTE).await;
            let well = ready(stage, NODE).await;
            stage.check("a second after", after.is_empty() && well == "True", well.clone());
            return Ok(());
        }
        stage.check_words(
            format!("a second after, kubelet {}", settings.profile.git_version()),
            after,
            &["part of the existing bootstrap client certificate", "is expired:"],
        );
        stage.pace(Periods::upstream());
        let told = async || {
            let lost = minor >= 14 || ready(stage, NODE).await.starts_with("Unknown");
            (lost && (minor >= 14 || exits(stage, NODE, since).0 > 0)).then_some(())
        };
        stage.give(2 * MINUTE, told).await;
        if minor >= 14 {
            let state = ready(stage, NODE).await;
            let names = Kubeconfig::load(stage.host(NODE)?.disk(), CONF).ok();
            let names = names.and_then(|conf| {
                conf.user().ok().flatten().and_then(|(_, user)| user.client_certificate.clone())
            });
            stage.check(
                "and then",
                state == "True",
                format!("kubelet.conf is written anew, Ready is {state}"),
            );
            stage.check("naming", names.as_deref() == Some(CURRENT), names.unwrap_or_default());
            return Ok(());
        }
        let words = ["failed to run Kubelet: ", "cannot create certificate signing request: Unauthorized"];
        stage.check_words("and then", exits(stage, NODE, since).1, &words);
        let lost = ready(stage, NODE).await;
        stage.check("the node", lost.starts_with("Unknown"), lost.clone());
        follow_rotation(stage, NODE)?;
        start_anew(stage, NODE).await?;
        let well = async || Some(ready(stage, NODE).await).filter(|state| state == "True");
        stage.give(MINUTE, well).await;
        let healed = ready(stage, NODE).await;
        stage.check("kubelet.conf names the rotated file", healed == "True", healed.clone());
        Ok(())
    })
}

/// The node gets the package of another release, and the files that its kubeadm would have written.
fn upgrade(stage: &Ground, profile: Profile) -> Result<(), StoryError> {
    let host = stage.host(NODE)?;
    if !profile.kubelet_unit_flags_only() {
        let configuration = serde_json::json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}},
            "kind": "KubeletConfiguration",
            "rotateCertificates": true,
            "staticPodPath": "/etc/kubernetes/manifests",
        });
        let files = [
            ("/var/lib/kubelet/config.yaml", configuration.to_string()),
            ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"\"\n".to_owned()),
        ];
        for (path, text) in files {
            host.disk().write(path, text, 0o644).map_err(StoryError::new)?;
        }
    }
    stage.install(&host, profile);
    Ok(())
}
