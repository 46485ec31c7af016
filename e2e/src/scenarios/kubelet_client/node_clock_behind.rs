//! node-clock-behind: on the node its own certificate is not valid yet, and nobody minds.
//!
//! kubernetes/kubernetes#97680: a node's clock is behind the time at which its certificate begins. The kubelet judges
//! its certificate by the end alone, shows it, and the apiserver verifies it by its own clock, which is right:
//! nothing is refused. What the wrong clock does do is shift the rotation: the deadline comes late by as much, and
//! beyond a tenth of the life the certificate is over for the apiserver before the kubelet renews it.
//!
//! The other way round it is refused: a server whose clock is behind calls the certificate not yet valid. A node so
//! far behind that the server's certificate has not begun refuses the server itself; that is another story
//! (joiner-behind).

use chronoplane::{ClusterOptions, cluster::CONTROL_PLANE};
use jiff::SignedDuration;
use world::{Gear, Periods};

use super::{
    DAY, MINUTE, NODE, clock, current, deadline, end, exits, join, known, mark, ready, rotate, share,
    start_anew,
};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, config},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "node-clock-behind",
    sentence: "A node's clock is before the beginning of its certificate: it is used and accepted all the same.",
    reference: "kubernetes/kubernetes#97680",
    symptoms: &["Unauthorized"],
    range: (8, 36),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, NODE)?;
    teller.say("\nThe control: the apiserver's clock is behind instead.");
    play(settings, teller, CONTROL_PLANE)?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: nothing breaks at once, and nothing tells you either: watch the clocks of nodes",
            "(node_timex_offset_seconds), and set a node's clock right before its rotation is due.",
        ],
    );
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, behind: &str) -> Result<(), StoryError> {
    let real = settings.gear == Gear::Real;
    let signed = Some(10 * DAY);
    let options =
        ClusterOptions { nodes: usize::from(!real), signing_duration: signed, ..ClusterOptions::default() };
    Ground::play(settings, teller, config(settings), options, async |stage| {
        // The server's certificate is older than the node's: a clock can be between the two.
        if real {
            stage.later(3 * DAY).await;
            join(stage, NODE).await?;
        } else {
            rotate(stage, NODE, 10 * DAY).await?;
        }
        let certificate = current(stage, NODE)?;
        let begins = certificate.not_before();
        let left = stage.host(behind)?.clock().wall().duration_since(begins) + SignedDuration::from_hours(24);
        stage.step(behind, -left);
        let now = stage.host(behind)?.clock().wall();
        stage.say(format!(
            "The certificate of {NODE} begins at {}; on {behind} it is {}.",
            clock(begins),
            clock(now)
        ));
        let since = mark(stage);
        if behind == NODE {
            start_anew(stage, NODE).await?;
        }
        let look = async || known(stage, NODE).await;
        let (before, after) = stage.edge(behind, begins, look).await?;
        let expected = if behind == NODE { 200 } else { 401 };
        let shown = |seen: &(u16, String)| format!("{} {}", seen.0, seen.1);
        stage.check("a second before it begins", before.0 == expected, shown(&before));
        stage.check("a second after", after.0 == 200, shown(&after));
        if behind == NODE {
            stage.pace(Periods::upstream());
            stage.later(MINUTE).await;
            let state = ready(stage, NODE).await;
            stage.check(
                "the kubelet, started in its past",
                exits(stage, NODE, since).0 == 0 && state == "True",
                format!("Ready is {state}"),
            );
            // Wall clocks differ by `left` for good: that much later it renews, by everybody else's time.
            let renews = deadline(stage, NODE).map(|at| at + left);
            let late = renews.map_or(0.0, |at| share(&certificate, at));
            stage.check(
                "it renews late, by the right time",
                late > 0.8,
                renews.map(clock).unwrap_or_default(),
            );
        }
        Ok(())
    })
}
