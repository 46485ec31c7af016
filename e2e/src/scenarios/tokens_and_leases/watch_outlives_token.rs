//! watch-outlives-token: a program with a short-lived token opens a watch, and the token ends.
//!
//! The apiserver asks who somebody is when a request begins, and a watch is one request: it goes on bringing events
//! long after its token has ended. The next request of the same program, above all the watch that has to replace this
//! one when the server or the network ends it, is answered with 401. People notice an expired token therefore at a
//! time that has nothing to do with its end, up to an hour later (kubernetes/client-go#1381).
//!
//! Two more delays belong to it. Dates in tokens are compared with a minute to spare; and a token that was good is
//! believed for ten seconds without being looked at again.

use std::time::Duration;

use api::object::ObjectExt;
use chronoplane::cluster::{CONTROL_PLANE, WORKSTATION};
use client::{ListParams, Resource, Rest, WatchParams, WatchStream};
use jiff::SignedDuration;
use serde_json::json;

use super::{ACCOUNTS, NS, bearer, claim, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Ground, briefly, config, verdict},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "watch-outlives-token",
    sentence: "A watch goes on after its token has ended; the next request with that token is refused.",
    reference: "kubernetes/client-go#1381",
    symptoms: &["Unauthorized"],
    range: (12, 36),
    tell,
    real: InReal::Told(tell),
};

const MAPS: Resource = Resource::core("configmaps");
const BINDINGS: Resource = Resource::new("rbac.authorization.k8s.io", "v1", "rolebindings");
/// What go-jose spares at both ends of a token.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long a good token is believed unseen.
const BELIEVED: Duration = Duration::from_secs(10);
/// What the program reads.
const READ: &str = "settings";
const SHORT: u64 = 600;
const LONG: u64 = 3600;

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    play(settings, teller, SHORT)?;
    briefly(teller, "Control run, the same looks with a token of an hour", || play(settings, teller, LONG))?;
    teller.say(
        "\nIn a real cluster: read the token anew before each request (client-go's and most libraries' file",
    );
    teller.say("tokens do, once a minute), and take a 401 at the opening of a watch for an expired token.");
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, lifetime: u64) -> Result<(), StoryError> {
    Ground::play(settings, teller, config(settings), <_>::default(), async |stage| {
        allow(stage).await?;
        // The instants of the short token also when the other one is used.
        let short = token(stage, SHORT).await?;
        let used = if lifetime == SHORT { short.clone() } else { token(stage, lifetime).await? };
        let robot = bearer(stage, WORKSTATION, &used)?;
        let mut watch = open(&robot).await.map_err(StoryError)?;
        let (from, end) = (claim(&short, "iat")?, claim(&short, "exp")?);
        stage.say(format!("{} UTC: a program opens a watch with a token of ten minutes.", shown(from)));
        looks(stage, &robot, &mut watch, end + LEEWAY, lifetime != SHORT).await
    })
}

async fn looks(
    stage: &Ground,
    robot: &Rest,
    watch: &mut WatchStream,
    end: world::Wall,
    lives: bool,
) -> Result<(), StoryError> {
    let list = async || verdict(&robot.get(&MAPS, NS, READ).await);
    stage.say(format!("{} UTC: a minute after its end, which is how much is spared.", shown(end)));
    let (before, after) = stage.edge(CONTROL_PLANE, end, list).await?;
    stage.check("a get one second before", before.0 == 200, before.0.to_string());
    let words = "it was good a moment ago: believed for ten seconds";
    stage.check("one second after", after.0 == 200, format!("{} ({words})", after.0));
    stage.stand(BELIEVED).await;
    let (code, words) = list().await;
    stage.check(
        "eleven seconds after",
        if lives { code == 200 } else { code == 401 && words == "Unauthorized" },
        format!("{code} {words}"),
    );
    let made = json!({"metadata": {"name": "news"}, "data": {"k": "v"}});
    stage.admin().create(&MAPS, NS, &made).await.map_err(StoryError::new)?;
    let brought = brought(stage, watch).await;
    stage.check(
        "the open watch brings what is new",
        brought.contains(&"news".to_owned()),
        brought.join(", "),
    );
    let again = open(robot).await.err().unwrap_or_default();
    stage.check("a watch that is opened now", again == if lives { "" } else { "Unauthorized" }, again);
    let fresh = bearer(stage, WORKSTATION, &token(stage, SHORT).await?)?;
    let healed = open(&fresh).await.err().unwrap_or_default();
    stage.check("the same with a fresh token", healed.is_empty(), healed);
    Ok(())
}

/// The names that the watch brings until it is silent for five seconds.
async fn brought(stage: &Ground, watch: &mut WatchStream) -> Vec<String> {
    let clock = stage.workstation().clock().clone();
    let mut names = Vec::new();
    while let Ok(Some(Ok(event))) = clock.timeout(Duration::from_secs(5), watch.next()).await {
        names.push(event.object.name().to_owned());
    }
    names
}

/// A watch of config maps from now on, or why there is none.
async fn open(robot: &Rest) -> Result<WatchStream, String> {
    let listed = robot.list(&MAPS, NS, &ListParams::default()).await.map_err(|e| e.to_string())?;
    let from = WatchParams { resource_version: Some(listed.resource_version), ..WatchParams::default() };
    robot.watch(&MAPS, NS, &from).await.map_err(|e| e.to_string())
}

async fn token(stage: &Ground, seconds: u64) -> Result<String, StoryError> {
    let asked = json!({"spec": {"expirationSeconds": seconds}});
    let answer = stage.admin().create_sub(&ACCOUNTS, NS, "robot", "token", &asked).await;
    Ok(answer.map_err(StoryError::new)?.str_at("/status/token").to_owned())
}

/// An account that may read config maps.
async fn allow(stage: &Ground) -> Result<(), StoryError> {
    let admin = stage.admin();
    admin.create(&ACCOUNTS, NS, &json!({"metadata": {"name": "robot"}})).await.map_err(StoryError::new)?;
    let binding = json!({
        "metadata": {"name": "robot-reads"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    admin.create(&BINDINGS, NS, &binding).await.map_err(StoryError::new)?;
    admin.create(&MAPS, NS, &json!({"metadata": {"name": READ}})).await.map_err(StoryError::new)?;
    // The server's own informers hear of both.
    let reads = async || {
        let robot = bearer(stage, WORKSTATION, &token(stage, LONG).await.ok()?).ok()?;
        robot.get(&MAPS, NS, READ).await.ok()
    };
    stage.give(Duration::from_secs(2), reads).await;
    Ok(())
}
