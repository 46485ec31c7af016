//! leaf-outlives-ca: a signer that ends in three days signs for a year, and goes on signing when it has ended.
//!
//! kubernetes/kubernetes#73706, fixed in 1.14. OpenShift met it, whose controller manager signs with an authority
//! of its own that is changed every few weeks. A kubelet renews by the end that is written in its certificate, so
//! one that outlives its signer renews far too late: it is refused from the signer's end on, with months left.
//! Since 1.14 a certificate ends with its signer, and one that has ended signs nothing.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use pki::{Authority, KeyAlgorithm};
use world::{Wall, rfc3339};

use super::{MINUTE, advice, as_user, certify, condition, issued, recognized, refusal, signed};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "leaf-outlives-ca",
    sentence: "A signer that is about to end, or has ended, signs certificates for a year all the same.",
    reference: "kubernetes/kubernetes#73706",
    symptoms: &[
        "x509: certificate has expired or is not yet valid",
        "x509: certificate signed by unknown authority",
    ],
    range: (8, 13),
    tell,
    real: InReal::Told(tell),
};

const PKI: &str = "/etc/kubernetes/pki";
const MANIFESTS: &str = "/etc/kubernetes/manifests";
const DAY: Duration = Duration::from_secs(86_400);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller)?;
    control(settings, teller)?;
    if !settings.profile.signer_heeds_its_end() {
        let fixed = Profile::of_minor(14).map_err(StoryError::new)?;
        teller.say(format!("\nFixed run with {}:", fixed.git_version()));
        play(&Settings { profile: fixed, ..settings.clone() }, teller)?;
    }
    advice(
        teller,
        &[
            "Change a signer long before its end: earlier than its newest certificates end.",
            "  openssl x509 -noout -enddate -in <the file of --cluster-signing-cert-file>",
        ],
    );
    Ok(())
}

/// The controller manager signs with an authority of its own that lives so long, and the apiserver trusts it too.
async fn set_up(stage: &Ground, life: Duration) -> Result<Wall, StoryError> {
    let cp = stage.control_plane();
    let disk = cp.disk();
    let (from, to) = (stage.now(), stage.now() + life);
    let signer = Authority::new_root(cp.entropy(), KeyAlgorithm::EcdsaP256, "csr-signer", &[], from, to);
    let signer = signer.map_err(StoryError::new)?;
    let ca = disk.read_to_string(format!("{PKI}/ca.crt")).map_err(StoryError::new)?;
    let files = [
        ("signer.crt", signer.certificate.to_pem()),
        ("signer.key", signer.key().to_pem()),
        ("client-ca.crt", ca + &signer.certificate.to_pem()),
    ];
    for (file, text) in files {
        disk.write(format!("{PKI}/{file}"), text, 0o600).map_err(StoryError::new)?;
    }
    let edits = [
        (
            "kube-controller-manager",
            "cluster-signing-cert-file=/etc/kubernetes/pki/ca.crt",
            "cluster-signing-cert-file=/etc/kubernetes/pki/signer.crt",
        ),
        (
            "kube-controller-manager",
            "cluster-signing-key-file=/etc/kubernetes/pki/ca.key",
            "cluster-signing-key-file=/etc/kubernetes/pki/signer.key",
        ),
        (
            "kube-apiserver",
            "--client-ca-file=/etc/kubernetes/pki/ca.crt",
            "--client-ca-file=/etc/kubernetes/pki/client-ca.crt",
        ),
    ];
    let before = (stage.leaders(), stage.starts());
    for (component, old, new) in edits {
        let path = format!("{MANIFESTS}/{component}.yaml");
        let text = disk.read_to_string(&path).map_err(StoryError::new)?;
        if !text.contains(old) {
            return Err(StoryError(format!("{path} has no {old}")));
        }
        disk.write(&path, text.replacen(old, new, 1), 0o600).map_err(StoryError::new)?;
    }
    // The one that leads now is the new one, which comes to lead when the lease of the old one is over.
    let again = async || {
        let both = stage.leaders() > before.0 && stage.starts() > before.1;
        (both && stage.get(stage.settings.profile.ready_path()).await.0 == 200).then_some(())
    };
    stage.give(2 * MINUTE, again).await;
    Ok(signer.certificate.not_after())
}

fn play(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let heeds = settings.profile.signer_heeds_its_end();
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let end = set_up(stage, 3 * DAY).await?;
        stage.say(format!("The signer ends {}; --cluster-signing-duration is a year.", rfc3339(end)));
        let (key, csr) = certify(stage, "jane").await?;
        let certificate = signed(stage, &csr)?;
        let to = certificate.not_after();
        let held = if heeds { to == end } else { to > end + 300 * DAY };
        stage.check("jane's certificate", held, format!("until {}", rfc3339(to)));
        let rest = as_user(stage, key, &certificate)?;
        let (before, after) = stage.edge(CONTROL_PLANE, end, async || recognized(&rest).await).await?;
        let known = before.0 == 403 && before.1.contains("jane");
        stage.check("one second before the signer's end", known, format!("{} {}", before.0, before.1));
        stage.check("one second after", after.0 == 401, format!("{} {}", after.0, after.1));
        stage.check_words("the apiserver's log", refusal(stage), &["x509: certificate "]);

        let (key, csr) = certify(stage, "joe").await?;
        match issued(&csr) {
            Some(late) if !heeds => {
                let told = format!("{} until {}", condition(&csr), rfc3339(late.not_after()));
                stage.check("the ended signer still signs", late.not_after() > end, told);
                let (code, said) = recognized(&as_user(stage, key, &late)?).await;
                stage.check("joe is refused from the beginning", code == 401, format!("{code} {said}"));
            }
            found => {
                let state = condition(&csr);
                stage.check(
                    "the ended signer signs nothing",
                    found.is_none() && state == "Approved" && heeds,
                    state,
                );
                let log = stage.log(CONTROL_PLANE, "kube-controller-manager", "retry");
                let line = log.iter().find(|line| line.contains("NotAfter=")).cloned().unwrap_or_default();
                stage.check_words(
                    "the controller manager's log",
                    line,
                    &["refusing to sign a certificate that expired in the past: NotAfter="],
                );
            }
        }
        Ok(())
    })
}

/// A signer that has years left.
fn control(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), ClusterOptions::default(), async |stage| {
        let end = set_up(stage, 3650 * DAY).await?;
        let (key, csr) = certify(stage, "jane").await?;
        let certificate = signed(stage, &csr)?;
        stage.say("\nControl run: the signer has ten years left.");
        let to = certificate.not_after();
        stage.check("jane's certificate", to < end, format!("until {}", rfc3339(to)));
        let rest = as_user(stage, key, &certificate)?;
        stage.later(3 * DAY).await;
        let (code, said) = recognized(&rest).await;
        stage.check("after three days", code == 403 && said.contains("jane"), format!("{code} {said}"));
        Ok(())
    })
}
