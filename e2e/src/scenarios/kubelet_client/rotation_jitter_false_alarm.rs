//! rotation-jitter-false-alarm: a week before its end a certificate of 45 days has not been renewed, and that is
//! right.
//!
//! kubernetes/kubernetes#138763: certificates of 45 days, an alert at seven days left, no request for a new one. Not
//! a bug: the kubelet draws its deadline anew at each start and after each rotation, evenly between seven and nine
//! tenths of the life. Of 45 days that is between the day 31.5 and the day 40.5, so 13.5 to 4.5 days are left, and
//! three of ten kubelets are later than a week before the end. The kubelet is restarted here until it draws such a
//! deadline.

use chronoplane::ClusterOptions;
use jiff::SignedDuration;

use super::{CURRENT, DAY, NODE, asked, clock, current, deadline, end, known, mark, restart, share};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "rotation-jitter-false-alarm",
    sentence: "A certificate of 45 days has seven days left and nobody asks for a new one: the deadline may be as late as nine tenths.",
    reference: "kubernetes/kubernetes#138763",
    symptoms: &["kubelet_certificate_manager_client_ttl_seconds"],
    range: (8, 36),
    tell,
    real: InReal::Not("needs to elapse: for weeks nothing happens"),
};

const LIFE: u32 = 45;
const ALERT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Three of ten draws are late: a hundred misses in a row do not happen.
const DRAWS: usize = 100;

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, an early deadline", || play(settings, teller, false))?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: alert when less than a tenth of the life is left, not at a number of days",
            "(kubelet_certificate_manager_client_ttl_seconds).",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, late: bool) -> Result<(), StoryError> {
    let options =
        ClusterOptions { nodes: 1, signing_duration: Some(LIFE * DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        let certificate = current(stage, NODE)?;
        let alert = certificate.not_after() - ALERT;
        let mut drawn = Vec::new();
        let due = loop {
            restart(stage, NODE).await;
            let due = deadline(stage, NODE).ok_or_else(|| StoryError("the kubelet set no timer".into()))?;
            drawn.push(share(&certificate, due));
            if (due > alert) == late {
                break due;
            }
            if drawn.len() > DRAWS {
                return Err(StoryError(format!("{DRAWS} deadlines, and none as wanted: {drawn:?}")));
            }
        };
        stage.say(format!(
            "{}: certificate until {}, deadline {} after {} starts.",
            clock(stage.now()),
            clock(certificate.not_after()),
            clock(due),
            drawn.len()
        ));
        let shares: Vec<String> = drawn.iter().map(|one| format!("{one:.2}")).collect();
        let within = drawn.iter().all(|one| (0.699..0.901).contains(one));
        stage.check("deadlines, as parts of its life", within, shares.join(" "));
        let since = mark(stage);
        let look = async || (asked(stage, NODE, since), known(stage, NODE).await.0);
        if !late {
            let (before, after) = stage.edge(NODE, due, look).await?;
            stage.check("early", before.0 == 0 && after.0 == 1, "");
            stage.cluster.at(alert).await?;
            stage.check(
                "long since renewed",
                current(stage, NODE)?.not_after() > certificate.not_after(),
                "",
            );
            return Ok(());
        }
        stage.cluster.at(alert).await?;
        let (_, metrics) = stage.get(&format!("/api/v1/nodes/{NODE}/proxy/metrics")).await;
        let line =
            metrics.lines().find(|line| line.starts_with("kubelet_certificate_manager_client_ttl_seconds "));
        let left = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        let alarms = left.is_some_and(|left| left <= ALERT.as_secs_f64());
        if stage.host(NODE).disk().exists(CURRENT) {
            stage.check("what the alert looks at", alarms, line.unwrap_or_default());
        }
        let (asks, code) = look().await;
        stage.check(
            "seven days before its end",
            asks == 0 && code == 200,
            format!("no request; {code} GET node {NODE}"),
        );
        let (before, after) = stage.edge(NODE, due, look).await?;
        stage.check("a second before the deadline", before.0 == 0, "no request");
        stage.check("a second after", after.0 == 1, "one request");
        let left = certificate.not_after().duration_since(due).as_secs_f64() / DAY.as_secs_f64();
        let renewed = current(stage, NODE)?.not_after();
        stage.check(
            "renewed in time",
            left > 4.4 && renewed > certificate.not_after(),
            format!("{left:.1} days before the end"),
        );
        Ok(())
    })
}
