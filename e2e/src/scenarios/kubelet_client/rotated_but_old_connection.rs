//! rotated-but-old-connection: the certificate was renewed in time, and the client that uses it gets 401.
//!
//! kubernetes/kubernetes#49899 for the kubelet of 1.7, #120621 for other clients: a client loads its certificate for
//! a handshake and keeps the connection. The file is renewed, the connection is not, and the apiserver verifies the
//! certificate of the connection at every request. Once the old certificate is over, every request of that connection
//! is refused while any new connection is welcome. Long-lived connections hide that for weeks.
//!
//! From 1.8 on the kubelet closes its connections when it has rotated. The client here is an agent on the node that
//! uses the kubelet's file, reads it again for each handshake, and does not close.

use chronoplane::ClusterOptions;
use client::Rest;
use world::Periods;

use super::{CURRENT, DAY, MINUTE, NODE, NODES, agent, clock, current, end, known, ready, rotate, said};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, briefly, config, verdict},
    story::{Settings, StoryError, Teller},
};

/// Its place in the catalogue.
pub(super) const ENTRY: Entry = Entry {
    id: "rotated-but-old-connection",
    sentence: "A client's certificate was rotated, but it keeps a connection from before: 401 once the old certificate is over.",
    reference: "kubernetes/kubernetes#49899, #120621",
    symptoms: &["Unauthorized"],
    range: (8, 36),
    tell,
    real: InReal::Told(tell),
};

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, Agent::Keeps)?;
    briefly(teller, "Control run, an agent that connects after the rotation", || {
        play(settings, teller, Agent::ComesLater)
    })?;
    briefly(teller, "Fixed, an agent that closes its connections", || play(settings, teller, Agent::Closes))?;
    end(
        settings,
        teller,
        &[
            "In a real cluster: restart the client. In its code: close idle connections when the certificate file changes",
            "(client-go does so for certificates that are files), or do not keep connections for longer than a life.",
        ],
    );
    Ok(())
}

/// What becomes of the agent's connection of before the rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agent {
    Keeps,
    Closes,
    /// It has none.
    ComesLater,
}

fn play(settings: &Settings, teller: &Teller, how: Agent) -> Result<(), StoryError> {
    let options = ClusterOptions { nodes: 1, signing_duration: Some(DAY), ..ClusterOptions::default() };
    Ground::play(settings, teller, config(settings), options, async |stage| {
        if !stage.host(NODE)?.disk().exists(CURRENT) {
            rotate(stage, NODE, DAY).await?;
        }
        let old = current(stage, NODE)?;
        let agent = agent(stage, NODE)?;
        let asks = async |rest: &Rest| verdict(&rest.get(&NODES, None, NODE).await);
        let connects = async || {
            let until = current(stage, NODE).map(|certificate| clock(certificate.not_after()))?;
            let (code, _) = asks(&agent).await;
            stage.check("an agent connects", code == 200, format!("with a certificate until {until}"));
            Ok::<_, StoryError>(())
        };
        if how != Agent::ComesLater {
            connects().await?;
        }
        rotate(stage, NODE, DAY).await?;
        stage.say(format!(
            "{}: the kubelet has rotated, until {}.",
            clock(stage.now()),
            clock(current(stage, NODE)?.not_after())
        ));
        match how {
            Agent::Keeps => {}
            Agent::Closes => agent.http().close_connections(),
            Agent::ComesLater => connects().await?,
        }
        let look = async || (asks(&agent).await, known(stage, NODE).await.0);
        let (before, after) = stage.edge("cp1", old.not_after(), look).await?;
        let shown = |seen: &((u16, String), u16)| {
            format!("old connection {} {}; a new one {}", seen.0.0, seen.0.1, seen.1)
        };
        stage.check(
            "a second before the old one's end",
            before.0.0 == 200 && before.1 == 200,
            shown(&before),
        );
        let expected = if how == Agent::Keeps { 401 } else { 200 };
        stage.check("a second after", after.0.0 == expected && after.1 == 200, shown(&after));
        if how == Agent::Keeps {
            stage.check_words("in the server's words", after.0.1, &["Unauthorized"]);
        }
        stage.pace(Periods::upstream());
        let tells = async || Some(said(stage, NODE, "client", "closed")).filter(|line| !line.is_empty());
        stage.give(2 * MINUTE, tells).await;
        let closed = said(stage, NODE, "client", "closed");
        let state = ready(stage, NODE).await;
        stage.check(
            "the kubelet closed its own",
            !closed.is_empty() && state == "True",
            format!("Ready is {state}"),
        );
        Ok(())
    })
}
