//! rotation-sleeps-through-step: the wall clock passes the rotation's deadline by a step, and nobody rotates.
//!
//! kubernetes/kubernetes#115648: a test steps the clock to where 30 % of the certificate's life is left, and no
//! request appears, not even when the deadline by the new clock comes. The kubelet computed how long to wait when it
//! got the certificate, and waits that long on the monotonic clock. A step moves the certificate's end, and not the
//! sleeper: it wakes long after that end. Only a restart makes it look at the wall clock again. No release changes
//! this.

use chronoplane::ClusterOptions;

use super::{
    DAY, HOUR, MINUTE, NODE, asked, at_share, clock, current, deadline, end, jump, known, mark, ready,
    restart, upstream,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "rotation-sleeps-through-step",
    sentence: "The clocks are stepped to 30 % of a certificate's life: the rotation's timer sleeps on, past the certificate's end.",
    reference: "kubernetes/kubernetes#115648",
    symptoms: &["Unauthorized"],
    range: (8, 36),
    tell,
    real: InReal::Not("needs to elapse: a timer that sleeps for most of a year is seen to wake"),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, true)?;
    teller.say("");
    briefly(teller, "Control run, where that time passes instead", || play(settings, teller, false))?;
    teller.say("\nThe same with 5 % left, and a restart of the kubelet:");
    restarted(settings, teller)?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: restart the kubelets after a step of the clocks; a start looks at the wall clock.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, stepped: bool) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, signing_duration: Some(30 * DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        restart(stage, NODE).await;
        let certificate = current(stage, NODE)?;
        let due = deadline(stage, NODE).ok_or_else(|| StoryError("the kubelet set no timer".into()))?;
        stage.say(format!(
            "{}: certificate until {}, to be renewed at {}.",
            clock(stage.now()),
            clock(certificate.not_after()),
            clock(due)
        ));
        let share = at_share(&certificate, 0.7);
        if stepped {
            jump(stage, share);
            stage.say(format!(
                "The clocks of all members are stepped to {}: 30 % of its life is left.",
                clock(share)
            ));
        } else {
            stage.cluster.at(share).await?;
        }
        let since = mark(stage);
        let look = async || asked(stage, NODE, since);
        let (before, after) = stage.edge(NODE, due, look).await?;
        stage.check("a second before it is due", before == 0, format!("{before} requests"));
        if !stepped {
            stage.check("a second after", after == 1, format!("{after} requests"));
            stage.cluster.at(certificate.not_after() + jiff::SignedDuration::from_secs(1)).await?;
            upstream(stage, 2 * MINUTE).await;
            stage.check("past the end", known(stage, NODE).await.0 == 200, "");
            stage.check("ready", ready(stage, NODE).await == "True", "");
            return Ok(());
        }
        stage.check("a second after", after == 0, format!("{after} requests"));
        let look = async || known(stage, NODE).await;
        let (before, after) = stage.edge("cp1", certificate.not_after(), look).await?;
        stage.check(
            "a second before the certificate ends",
            before.0 == 200,
            format!("{} GET node {NODE}", before.0),
        );
        stage.check_words("a second after", format!("{} {}", after.0, after.1), &["401 Unauthorized"]);
        stage.check("still no request", asked(stage, NODE, since) == 0, "");
        Ok(())
    })
}

/// The same step to where no deadline can lie ahead, and a restart of the kubelet behind it.
fn restarted(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, signing_duration: Some(30 * DAY), ..ClusterOptions::default() };
    Stage::play(settings, teller, config(settings), options, async |stage| {
        // Its timer is set a second after the certificate came.
        stage.cluster.elapse(MINUTE).await;
        let (certificate, since) = (current(stage, NODE)?, mark(stage));
        jump(stage, at_share(&certificate, 0.95));
        stage.cluster.elapse(HOUR).await;
        let slept = asked(stage, NODE, since);
        stage.check("an hour past any deadline", slept == 0, format!("{slept} requests"));
        restart(stage, NODE).await;
        stage.cluster.elapse(MINUTE).await;
        let asked = asked(stage, NODE, since);
        let until = current(stage, NODE)?.not_after();
        stage.check(
            "restarted",
            asked == 1 && until > certificate.not_after(),
            format!("{asked} request, until {}", clock(until)),
        );
        Ok(())
    })
}
