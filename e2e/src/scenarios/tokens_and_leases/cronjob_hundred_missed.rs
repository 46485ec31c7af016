//! cronjob-hundred-missed: a clock that jumps ahead makes a CronJob miss more than a hundred starts.
//!
//! At each look the controller counts the times of the schedule since the last start. The first controller (to 1.20)
//! refused to go on when there were more than a hundred of them: it did not even start the latest, and as the count
//! only grows, never started that CronJob again. A laptop that slept for two hours, a wrong clock that was set right
//! or a controller that was down for a while was enough for a schedule of every minute
//! (kubernetes/kubernetes#42649, #81557). The second controller (CronJobControllerV2, default in 1.21) only warns: it
//! starts the latest one and leaves out the rest.
//!
//! The edge: a look a second before the time that would be the hundred and first missed, and one a second after it.

use std::time::Duration;

use api::object::ObjectExt;
use chronoplane::Who;
use client::{ListParams, Patch, Resource};
use jiff::SignedDuration;
use serde_json::json;
use world::Wall;

use super::{NS, events, shown};
use crate::{
    catalogue::{Entry, InReal},
    scenarios::{Stage, briefly, config},
    story::{Settings, StoryError, Teller},
};

pub(crate) const ENTRY: Entry = Entry {
    id: "cronjob-hundred-missed",
    sentence: "After a jump of the clock a CronJob has missed more than a hundred starts, and never starts again.",
    reference: "kubernetes/kubernetes#81557, #42649",
    symptoms: &[
        "Cannot determine if job needs to be started: too many missed start time (> 100). Set or decrease .spec.startingDeadlineSeconds or check clock skew",
    ],
    range: (8, 20),
    tell,
    real: InReal::Not("needs to elapse: a controller that is to start nothing is watched for minutes"),
};

const CRON_JOBS: Resource = Resource::new("batch", "v1", "cronjobs");
const JOBS: Resource = Resource::new("batch", "v1", "jobs");
const NAME: &str = "every-minute";
/// How long after a full minute the controller has looked; it waits for the next one by its running clock, whatever the
/// wall clock does meanwhile, and comes a tenth of a second late.
const LOOKED: SignedDuration = SignedDuration::from_millis(400);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// A jump by which the controller's next look falls on the hundred and first time that was missed.
const EDGE: SignedDuration = SignedDuration::from_mins(100);

fn tell(settings: &Settings, teller: &Teller) -> Result<(), StoryError> {
    teller.say("A CronJob is to start a job every minute (\"* * * * *\", no startingDeadlineSeconds).");
    play(settings, teller, true)?;
    briefly(teller, "Control run, the same minutes without a jump", || play(settings, teller, false))?;
    teller.say(
        "\nIn a real cluster: set .spec.startingDeadlineSeconds (200, say): then only the times of so many",
    );
    teller.say("seconds are counted. From 1.21 on nothing is to be done, the latest start is made up for.");
    Ok(())
}

fn play(settings: &Settings, teller: &Teller, jumps: bool) -> Result<(), StoryError> {
    Stage::play(settings, teller, config(settings), <_>::default(), async |stage| {
        let job = json!({"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}],
        }}}});
        let cron = json!({"metadata": {"name": NAME}, "spec": {"schedule": "* * * * *", "jobTemplate": job}});
        stage.cluster.admin().create(&CRON_JOBS, NS, &cron).await.map_err(StoryError::new)?;
        let minutes = Duration::from_secs(120);
        stage.cluster.elapse_until("the first job is started", minutes, async || last(stage).await).await?;
        hundred(stage, jumps).await?;
        more(stage, jumps).await
    })
}

/// The look comes a second before the hundred and first: a hundred are missed, and the last one is made up for.
async fn hundred(stage: &Stage, jumps: bool) -> Result<(), StoryError> {
    let before = jump(stage, jumps, EDGE - SECOND).await?;
    let missed = minutes_since(stage, before).await;
    let words = told(stage).await;
    let seen = format!("started for {}", last(stage).await.map(shown).unwrap_or_default());
    stage.check("a hundred missed: the last is made up", missed == if jumps { 100 } else { 1 }, seen);
    stage.check("and nobody is warned", words.is_empty(), words);
    Ok(())
}

/// A second after it, one more is missed: the first controller gives up for good, the second warns.
async fn more(stage: &Stage, jumps: bool) -> Result<(), StoryError> {
    let gives_up = stage.settings.profile.cron_job_gives_up();
    let jobs = count(stage).await;
    let before = jump(stage, jumps, EDGE + SECOND).await?;
    let words = told(stage).await;
    if !jumps {
        stage.check("one more: nothing is missed", minutes_since(stage, before).await == 1, String::new());
        stage.check("and nobody is warned", words.is_empty(), words);
        return Ok(());
    }
    if gives_up.is_empty() {
        let seen = format!("started for {}", last(stage).await.map(shown).unwrap_or_default());
        stage.check("a hundred and one: made up for too", minutes_since(stage, before).await == 101, seen);
        let warned = ["TooManyMissedTimes too many missed start times", "check clock skew"];
        stage.check_words("with a warning", words, &warned);
        return Ok(());
    }
    let full = format!("FailedNeedsStart Cannot determine if job needs to be started: {gives_up}");
    stage.check("a hundred and one: an event", words == full, "");
    stage.say(format!("      {words}"));
    stage.cluster.elapse(Duration::from_secs(600)).await;
    let later = count(stage).await;
    stage.check("ten minutes later", later == jobs, format!("{} jobs more", later - jobs));
    let deadline = json!({"spec": {"startingDeadlineSeconds": 200}});
    let patched = stage.cluster.admin().patch(&CRON_JOBS, NS, NAME, Patch::Merge(&deadline), None).await;
    patched.map_err(StoryError::new)?;
    next_look(stage, stage.now()).await;
    let healed = count(stage).await - later;
    stage.check(
        "with startingDeadlineSeconds: 200",
        healed > 0,
        format!("it starts again: {healed} jobs more"),
    );
    Ok(())
}

/// Everybody's clock jumps ahead by so much, and the controller looks; when the last start before the jump was.
async fn jump(stage: &Stage, jumps: bool, by: SignedDuration) -> Result<Wall, StoryError> {
    let before = last(stage).await.ok_or_else(|| StoryError("no job was started".into()))?;
    let now = stage.now();
    if jumps {
        stage.cluster.step(Who::Members, by);
        let (at, to) = (shown(now), shown(stage.now()));
        stage.say(format!("{at} UTC: the clocks jump {} s ahead, to {to}.", by.as_secs()));
    }
    next_look(stage, now).await;
    Ok(before)
}

/// Time passes until the controller has looked that reckons with `now`.
async fn next_look(stage: &Stage, now: Wall) {
    let past_minute = SignedDuration::from_nanos((now.as_nanosecond() % MINUTE.as_nanos()) as i64);
    stage.cluster.elapse((MINUTE - past_minute + LOOKED).unsigned_abs()).await;
}

async fn minutes_since(stage: &Stage, before: Wall) -> i64 {
    last(stage).await.map_or(0, |at| at.duration_since(before).as_mins())
}

/// For which time a job was started last.
async fn last(stage: &Stage) -> Option<Wall> {
    let cron = stage.cluster.admin().get(&CRON_JOBS, NS, NAME).await.ok()?;
    cron.str_at("/status/lastScheduleTime").parse().ok()
}

async fn count(stage: &Stage) -> usize {
    let jobs = stage.cluster.admin().list(&JOBS, NS, &ListParams::default()).await;
    jobs.map_or(0, |jobs| jobs.items.len())
}

/// The warning about missed times, if there is one.
async fn told(stage: &Stage) -> String {
    let all = events(stage, NAME).await;
    let warned =
        all.into_iter().find(|(reason, _)| reason == "FailedNeedsStart" || reason == "TooManyMissedTimes");
    warned.map(|(reason, message)| format!("{reason} {message}")).unwrap_or_default()
}
