//! short-cert-backdated: certificates of five minutes are over when they are issued.
//!
//! kubernetes/kubernetes#99412, fixed in 1.22. The signer lets certificates begin five minutes ago, for clocks
//! that are behind, and counted their time from there: `--cluster-signing-duration=5m` gave certificates that
//! ended at the second of their making, and one of ten minutes half its time. Since 1.22 what lives less than
//! eight hours ends so long after now, and only its beginning is moved.

use std::time::Duration;

use api::profile::Profile;
use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use pki::Certificate;
use world::rfc3339;

use super::{MINUTE, advice, as_user, certify, recognized, refusal, signed};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "short-cert-backdated",
    sentence: "A certificate that shall live five minutes is backdated by five minutes: over at issue.",
    reference: "kubernetes/kubernetes#99412",
    symptoms: &["x509: certificate has expired or is not yet valid"],
    range: (8, 21),
    tell,
    real: InReal::Told(tell),
};

const USER: &str = "jane";

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    play(settings, teller, minutes(5), "")?;
    play(settings, teller, minutes(60), "\nControl run: an hour.")?;
    if !settings.profile.signer_spares_short_certificates() {
        let fixed = Profile::of_minor(22).map_err(StoryError::new)?;
        let settings = Settings { profile: fixed, ..settings.clone() };
        play(
            &settings,
            teller,
            minutes(5),
            &format!("\nFixed run: five minutes with {}.", fixed.git_version()),
        )?;
    }
    advice(
        teller,
        &[
            "Before 1.22 give certificates five minutes more than they shall live, and never five or less.",
            "  kubectl get csr <name> -o jsonpath={.status.certificate} | base64 -d | openssl x509 -noout -dates",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, life: Duration, title: &str) -> Result<(), StoryError> {
    let options = ClusterOptions { signing_duration: Some(life), ..ClusterOptions::default() };
    Ground::play(settings, teller, config(settings), options, async |stage| {
        // Until somebody leads who signs.
        stage.give(MINUTE, async || (stage.leaders() > 0).then_some(())).await;
        let (asked, key, csr) = {
            let _still = stage.still();
            let asked = stage.now();
            let (key, csr) = certify(stage, USER).await?;
            (asked, key, csr)
        };
        let certificate = signed(stage, &csr)?;
        let (from, to) = (certificate.not_before(), certificate.not_after());
        match title {
            "" => stage.say(format!(
                "{} --cluster-signing-duration={}m; {USER} gets a client certificate.",
                rfc3339(asked),
                life.as_secs() / 60
            )),
            title => stage.say(title),
        }
        let dates = format!("{} to {}", rfc3339(from), rfc3339(to));
        let rest = as_user(stage, key, &certificate)?;
        if !settings.profile.signer_spares_short_certificates() && life.as_secs() <= 300 {
            stage.check("it is over when it is issued", to <= asked, dates);
            let (code, said) = recognized(&rest).await;
            stage.check("kubectl get nodes", code == 401, format!("{code} {said}"));
            stage.check_words("the apiserver's log", refusal(stage), &words(settings.profile));
            return Ok(());
        }
        let whole = settings.profile.signer_spares_short_certificates();
        let expected = if whole { life } else { life - Duration::from_secs(300) };
        let left = to.duration_since(asked).as_secs();
        stage.check("it lives", left.unsigned_abs().abs_diff(expected.as_secs()) <= 1, dates);
        lives_until(stage, &rest, &certificate).await
    })
}

/// Recognized to its last second.
async fn lives_until(
    stage: &Ground,
    rest: &client::Rest,
    certificate: &Certificate,
) -> Result<(), StoryError> {
    let end = certificate.not_after();
    let (before, after) = stage.edge(CONTROL_PLANE, end, async || recognized(rest).await).await?;
    let known = before.0 == 403 && before.1.contains(USER);
    stage.check("one second before its end", known, format!("{} {}", before.0, before.1));
    stage.check("one second after", after.0 == 401, format!("{} {}", after.0, after.1));
    Ok(())
}

fn words(profile: Profile) -> Vec<&'static str> {
    let mut words = vec!["x509: certificate has expired or is not yet valid"];
    if profile.go() >= (1, 15) {
        words.push(" is after ");
    }
    words
}
