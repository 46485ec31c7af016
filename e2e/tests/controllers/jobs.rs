//! Jobs end, and schedules start them.

use chronoplane::{Cluster, cluster::wait_for};
use client::{DeleteParams, ListParams, Patch, Resource};
use serde_json::{Value, json};

use crate::common::*;

const CRON_JOBS: Resource = Resource::new("batch", "v1", "cronjobs");

/// A job whose pods nobody runs: the cluster has no worker, and the test says how each pod ends.
fn job(name: &str, spec: Value) -> Value {
    let mut job = json!({"metadata": {"name": name}, "spec": spec});
    job["spec"]["template"] =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
    job
}

async fn pods_of_job(cluster: &Cluster, job: &str) -> Vec<Value> {
    let params = ListParams { label_selector: Some(format!("job-name={job}")), ..ListParams::default() };
    let pods = cluster.admin().list(&PODS, NS, &params).await.expect("listed");
    pods.items.iter().map(|p| (**p).clone()).collect()
}

async fn pod_ends(cluster: &Cluster, pod: &Value, phase: &str) {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let status = json!({"status": {"phase": phase}});
    cluster.admin().patch(&PODS, NS, name, Patch::Strategic(&status), Some("status")).await.expect("told");
}

async fn one_pod_waits(cluster: &Cluster, job: &str) -> Value {
    let waiting = |pods: &[Value]| pods.iter().filter(|p| p["status"]["phase"] == "Pending").count() == 1;
    let labels = format!("job-name={job}");
    let pods = until_all(cluster, "a pod of the job waits", &PODS, "default", &labels, waiting).await;
    pods.into_iter().find(|p| p["status"]["phase"] == "Pending").expect("one waits")
}

#[chronoplane::test]
async fn a_job_counts_its_pods_once_and_goes_when_its_time_is_over(cluster: Cluster) {
    create(&cluster, &JOBS, job("sum", json!({"completions": 2, "ttlSecondsAfterFinished": 100}))).await;
    for _ in 0..2 {
        let pod = one_pod_waits(&cluster, "sum").await;
        assert_eq!(pod["metadata"]["finalizers"], json!(["batch.kubernetes.io/job-tracking"]));
        pod_ends(&cluster, &pod, "Succeeded").await;
    }
    let done =
        until(&cluster, "the job is complete", &JOBS, NS, "sum", |j| has_condition(j, "Complete")).await;
    assert_eq!(reason(&done, "Complete"), "CompletionsReached");
    assert!(has_condition(&done, "SuccessCriteriaMet"), "the condition that comes first stays: {done}");
    assert_eq!(done["status"]["succeeded"], 2);
    assert_eq!(done["status"].get("active"), None, "{done}");
    let pods = pods_of_job(&cluster, "sum").await;
    assert_eq!(pods.len(), 2, "nothing was run twice");
    assert!(pods.iter().all(|p| p["metadata"].get("finalizers").is_none()), "both are counted");
    cluster.sim().elapse(seconds(98)).await;
    cluster.admin().get(&JOBS, NS, "sum").await.expect("one second before");
    cluster.sim().elapse(seconds(3)).await;
    wait_for(&cluster.sim().host("workstation"), "job and pods are gone", async || {
        let gone = cluster.admin().get_opt(&JOBS, NS, "sum").await.ok()?.is_none();
        (gone && pods_of_job(&cluster, "sum").await.is_empty()).then_some(())
    })
    .await
    .expect("removed");
}

#[chronoplane::test]
async fn a_failing_job_waits_ten_seconds_and_then_gives_up(cluster: Cluster) {
    create(&cluster, &JOBS, job("bad", json!({"backoffLimit": 1}))).await;
    let first = one_pod_waits(&cluster, "bad").await;
    pod_ends(&cluster, &first, "Failed").await;
    cluster.sim().elapse(seconds(9)).await;
    assert_eq!(pods_of_job(&cluster, "bad").await.len(), 1, "one second before its time");
    cluster.sim().elapse(seconds(2)).await;
    let second = one_pod_waits(&cluster, "bad").await;
    pod_ends(&cluster, &second, "Failed").await;
    let failed =
        until(&cluster, "the job has failed", &JOBS, NS, "bad", |j| has_condition(j, "Failed")).await;
    assert_eq!(reason(&failed, "Failed"), "BackoffLimitExceeded");
    assert_eq!(failed["status"]["failed"], 2);
}

#[chronoplane::test]
async fn a_deadline_ends_a_job_and_its_pods(cluster: Cluster) {
    create(&cluster, &JOBS, job("late", json!({"activeDeadlineSeconds": 60}))).await;
    one_pod_waits(&cluster, "late").await;
    cluster.sim().elapse(seconds(55)).await;
    let before = cluster.admin().get(&JOBS, NS, "late").await.expect("there");
    assert!(!has_condition(&before, "FailureTarget"), "before its time: {before}");
    cluster.sim().elapse(seconds(6)).await;
    let failed =
        until(&cluster, "the job has failed", &JOBS, NS, "late", |j| has_condition(j, "Failed")).await;
    assert_eq!(reason(&failed, "Failed"), "DeadlineExceeded");
    assert!(pods_of_job(&cluster, "late").await.is_empty());
}

#[chronoplane::test]
async fn an_indexed_job_runs_each_index_and_a_deleted_one_lets_its_pods_go(cluster: Cluster) {
    let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"});
    create(&cluster, &JOBS, job("each", spec)).await;
    let three = |pods: &[Value]| pods.len() == 3;
    let pods = until_all(&cluster, "three pods", &PODS, "default", "job-name=each", three).await;
    let mut indexes: Vec<&str> = pods
        .iter()
        .filter_map(|p| p["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"].as_str())
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, ["0", "1", "2"]);
    let second = pods.iter().find(|p| p["spec"]["hostname"] == "each-1").expect("index 1");
    pod_ends(&cluster, second, "Succeeded").await;
    let counted = |j: &Value| j["status"]["completedIndexes"] == "1" && j["status"]["succeeded"] == 1;
    until(&cluster, "index 1 is done", &JOBS, NS, "each", counted).await;
    let background =
        DeleteParams { propagation_policy: Some("Background".into()), ..DeleteParams::default() };
    cluster.admin().delete(&JOBS, NS, "each", &background).await.expect("deleted");
    until_all(&cluster, "its pods are gone", &PODS, "default", "job-name=each", <[Value]>::is_empty).await;
}

async fn jobs_of(cluster: &Cluster, cron: &str) -> Vec<Value> {
    let jobs = cluster.admin().list(&JOBS, NS, &ListParams::default()).await.expect("listed");
    let ours = |j: &Value| j["metadata"]["ownerReferences"][0]["name"] == cron;
    jobs.items.iter().filter(|j| ours(j)).map(|j| (**j).clone()).collect()
}

fn cron_job(name: &str, policy: &str) -> Value {
    let template = job("", json!({}))["spec"].clone();
    json!({
        "metadata": {"name": name},
        "spec": {"schedule": "0 * * * *", "concurrencyPolicy": policy, "jobTemplate": {"spec": template}},
    })
}

#[chronoplane::test(sparse)]
async fn a_schedule_starts_jobs_by_the_wall_clock(cluster: Cluster) {
    for (name, policy) in [("all", "Allow"), ("one", "Forbid"), ("new", "Replace")] {
        create(&cluster, &CRON_JOBS, cron_job(name, policy)).await;
    }
    let host = cluster.sim().host("cp1");
    let to_the_hour = |host: &world::Host| {
        let now = host.clock().wall().as_second();
        seconds(u64::try_from(3600 - now.rem_euclid(3600)).expect("positive"))
    };
    cluster.sim().elapse(to_the_hour(&host) - seconds(2)).await;
    assert!(jobs_of(&cluster, "all").await.is_empty(), "two seconds before the hour");
    cluster.sim().elapse(seconds(5)).await;
    let first = jobs_of(&cluster, "all").await;
    let minute = host.clock().wall().as_second() / 60;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["metadata"]["name"], format!("all-{minute}"), "named after its time");
    cluster.sim().elapse(seconds(3600)).await;
    let count = async |name: &str| jobs_of(&cluster, name).await.len();
    assert_eq!((count("all").await, count("one").await, count("new").await), (2, 1, 1));
    let new = jobs_of(&cluster, "new").await;
    assert_ne!(new[0]["metadata"]["name"], format!("new-{minute}"), "the old one was replaced");

    // The clock jumps over two full hours: at the next look only the latest of them is made up for.
    cluster.sim().step("cp1", jiff::SignedDuration::from_hours(2));
    cluster.sim().elapse(to_the_hour(&host) + seconds(3)).await;
    let names: Vec<Value> =
        jobs_of(&cluster, "all").await.iter().map(|j| j["metadata"]["name"].clone()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[2], format!("all-{}", minute + 4 * 60), "{names:?}");
}

async fn pod_says(cluster: &Cluster, pod: &Value, status: Value) {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let patch = json!({"status": status});
    cluster.admin().patch(&PODS, NS, name, Patch::Strategic(&patch), Some("status")).await.expect("told");
}

#[chronoplane::test]
async fn a_failure_policy_says_which_failures_count(cluster: Cluster) {
    let rules = json!([
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    ]);
    create(&cluster, &JOBS, job("picky", json!({"backoffLimit": 3, "podFailurePolicy": {"rules": rules}})))
        .await;
    let first = one_pod_waits(&cluster, "picky").await;
    let disrupted =
        json!({"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]});
    pod_says(&cluster, &first, disrupted).await;
    let second = one_pod_waits(&cluster, "picky").await;
    let after = cluster.admin().get(&JOBS, NS, "picky").await.expect("there");
    assert_eq!(after["status"].get("failed"), None, "a disruption is not the job's fault: {after}");
    let exit = json!([{"name": "c", "image": "busybox", "imageID": "", "ready": false, "restartCount": 0,
                       "state": {"terminated": {"exitCode": 42}}}]);
    pod_says(&cluster, &second, json!({"phase": "Failed", "containerStatuses": exit})).await;
    let failed =
        until(&cluster, "the job has failed", &JOBS, NS, "picky", |j| has_condition(j, "Failed")).await;
    assert_eq!(reason(&failed, "Failed"), "PodFailurePolicy");
    assert_eq!(failed["status"]["failed"], 1);
}

#[chronoplane::test]
async fn an_index_may_fail_alone_and_some_may_be_enough(cluster: Cluster) {
    let each = json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed"});
    let mut limited = each.clone();
    limited["backoffLimitPerIndex"] = 0.into();
    let mut enough = each;
    enough["successPolicy"] = json!({"rules": [{"succeededCount": 1}]});
    create(&cluster, &JOBS, job("limited", limited)).await;
    create(&cluster, &JOBS, job("enough", enough)).await;
    for name in ["limited", "enough"] {
        let two = |pods: &[Value]| pods.len() == 2;
        let labels = format!("job-name={name}");
        let pods = until_all(&cluster, "two pods", &PODS, "default", &labels, two).await;
        let of = |index: &str| {
            let at = "/metadata/annotations/batch.kubernetes.io~1job-completion-index";
            pods.iter().find(|p| text(p, at) == index).expect("one each")
        };
        pod_ends(&cluster, of("1"), "Succeeded").await;
        if name == "limited" {
            pod_ends(&cluster, of("0"), "Failed").await;
        }
    }
    let failed = until(&cluster, "it has failed", &JOBS, NS, "limited", |j| has_condition(j, "Failed")).await;
    assert_eq!(reason(&failed, "Failed"), "FailedIndexes");
    assert_eq!(
        (&failed["status"]["failedIndexes"], &failed["status"]["completedIndexes"]),
        (&json!("0"), &json!("1"))
    );
    let done = until(&cluster, "it is complete", &JOBS, NS, "enough", |j| has_condition(j, "Complete")).await;
    assert_eq!(reason(&done, "Complete"), "SuccessPolicy");
}
