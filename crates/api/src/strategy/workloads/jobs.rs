//! Jobs, whose selector the server makes from their uid, and cron jobs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::{
        Strategy,
        check::Complaints,
        fill::{fill, fill_text},
        path::Path,
        pods,
    },
    TEMPLATE, TEMPLATE_PATH, schedules, validate_counts,
};
use crate::{kinds::Kind, object::ObjectExt, selector::LabelSelector};

/// Label, and the spelling of it before 1.27, which is still set.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

pub(super) const JOB: Strategy = Strategy {
    default: default_job,
    create: create_job,
    validate: |job, complaints| {
        validate_job(job, "/spec", Path::root("spec"), complaints);
        if !job.bool_at("/spec/manualSelector") {
            validate_generated(job, complaints);
        }
        validate_selector(job, complaints);
    },
    validate_update: validate_job_update,
    ..Strategy::of("batch", "Job")
};

pub(super) const CRON_JOB: Strategy =
    Strategy { default: default_cron_job, validate: validate_cron_job, ..Strategy::of("batch", "CronJob") };

fn default_job(job: &mut Value) {
    pods::default_template(job, TEMPLATE);
    if job.i64_at("/spec/parallelism").is_none() {
        if job.i64_at("/spec/completions").is_none() {
            fill(job, "/spec/completions", 1);
        }
        fill(job, "/spec/parallelism", 1);
    }
    let per_index = job.i64_at("/spec/backoffLimitPerIndex").is_some();
    fill(job, "/spec/backoffLimit", if per_index { i32::MAX } else { 6 });
    if let Some(labels) = job.at("/spec/template/metadata/labels").cloned()
        && job.map_at("/metadata/labels").is_none_or(|labels| labels.is_empty())
    {
        job.set_at("/metadata/labels", labels);
    }
    fill_text(job, "/spec/completionMode", "NonIndexed");
    fill(job, "/spec/suspend", false);
    let policy = job.map_at("/spec/podFailurePolicy").is_some();
    fill_text(job, "/spec/podReplacementPolicy", if policy { "Failed" } else { "TerminatingOrFailed" });
    fill(job, "/spec/manualSelector", false);
}

/// Labels the template with the job's uid and selects by it.
fn create_job(_kind: &Kind, job: &mut Value, _now: Timestamp) {
    job.set_at("/status", json!({}));
    if job.bool_at("/spec/manualSelector") {
        return;
    }
    let (uid, name) = (job.uid().to_owned(), job.name().to_owned());
    if let Some(template) = job.at_mut(TEMPLATE).filter(|template| template.is_object()) {
        let pairs =
            UID_LABELS.iter().map(|key| (key, &uid)).chain(NAME_LABELS.iter().map(|key| (key, &name)));
        for (key, value) in pairs {
            // What stands there otherwise is left for validation to refuse.
            if template.label(key).is_none() {
                template.set_label(key, value);
            }
        }
    }
    if job.map_at("/spec/selector").is_none() {
        job.set_at("/spec/selector", json!({}));
    }
    let escaped = UID_LABELS[0].replace('/', "~1");
    fill(job, &format!("/spec/selector/matchLabels/{escaped}"), uid);
}

fn validate_generated(job: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    if let Some(selector) = job.map_at("/spec/selector/matchLabels") {
        let foreign = selector
            .iter()
            .any(|(key, value)| !UID_LABELS.contains(&key.as_str()) || value.as_str() != Some(job.uid()));
        if foreign || !job.list_at("/spec/selector/matchExpressions").is_empty() {
            let value = job.at("/spec/selector").cloned().unwrap_or_default();
            complaints.invalid(spec.child("selector"), value, "`selector` not auto-generated");
        }
    }
    let labels = job.map_at("/spec/template/metadata/labels");
    let at = Path::root("spec.template.metadata.labels");
    let expected = UID_LABELS
        .iter()
        .map(|key| (*key, job.uid()))
        .chain(NAME_LABELS.iter().map(|key| (*key, job.name())));
    for (key, wanted) in expected {
        match labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) {
            None => complaints.required(at.key(key), &format!("must be '{wanted}'")),
            Some(value) if value != wanted => {
                complaints.invalid(at.key(key), value, format!("must be '{wanted}'"))
            }
            Some(_) => {}
        }
    }
}

fn validate_selector(job: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    let Some(selector) = job.at("/spec/selector").filter(|selector| selector.is_object()) else {
        return complaints.required(spec.child("selector"), "");
    };
    complaints.label_selector(spec.child("selector"), Some(selector));
    let labels = job.map_at("/spec/template/metadata/labels");
    if LabelSelector::from_object(selector).is_ok_and(|selector| !selector.matches_labels(labels)) {
        let value = labels.cloned().map_or(Value::Null, Value::Object);
        complaints.invalid(
            Path::root("spec.template.metadata.labels"),
            value,
            "`selector` does not match template `labels`",
        );
    }
}

/// The rules that a job's spec keeps, in a job and in the template of a cron job.
fn validate_job(object: &Value, pointer: &str, at: Path<'_>, complaints: &mut Complaints) {
    let Some(spec) = object.at(pointer) else { return complaints.required(at, "") };
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ] {
        complaints.non_negative(at.child(field), spec.i64_at(&format!("/{field}")));
    }
    let mode = spec.str_at("/completionMode");
    complaints.optional_one_of(at.child("completionMode"), mode, &["Indexed", "NonIndexed"]);
    if mode == "Indexed" && spec.i64_at("/completions").is_none() {
        let detail = "when completion mode is Indexed";
        complaints.required(at.child("completions"), detail);
    }
    let indexed = mode == "Indexed";
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if !indexed && spec.get(field).is_some() {
            complaints.invalid(
                at.child(field),
                spec.i64_at(&format!("/{field}")),
                "requires indexed completion mode",
            );
        }
    }
    if spec.get("maxFailedIndexes").is_some() && spec.get("backoffLimitPerIndex").is_none() && indexed {
        let detail = "when maxFailedIndexes is specified";
        complaints.required(at.child("backoffLimitPerIndex"), detail);
    }
    let replacement = spec.str_at("/podReplacementPolicy");
    if !replacement.is_empty() {
        let known: &[&str] = if spec.get("podFailurePolicy").is_some() {
            &["Failed"]
        } else {
            &["Failed", "TerminatingOrFailed"]
        };
        complaints.optional_one_of(at.child("podReplacementPolicy"), replacement, known);
    }
    let template = at.child("template");
    pods::validate_template(spec, "/template", template, complaints);
    let policy = spec.str_at("/template/spec/restartPolicy");
    let template_spec = template.child("spec");
    if policy == "Always" {
        // Pods default to it, so that nobody may have asked for it.
        complaints.required(template_spec.child("restartPolicy"), "valid values: \"OnFailure\", \"Never\"");
    } else {
        complaints.optional_one_of(template_spec.child("restartPolicy"), policy, &["OnFailure", "Never"]);
    }
}

fn validate_job_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource == "status" {
        return;
    }
    let spec = Path::root("spec");
    if new.str_at("/spec/completionMode") != "Indexed" {
        complaints.immutable(spec.child("completions"), new, old, "/spec/completions");
    }
    complaints.immutable(spec.child("selector"), new, old, "/spec/selector");
    let suspended = old.bool_at("/spec/suspend") && old.at("/status/startTime").is_none();
    if !suspended {
        complaints.immutable(TEMPLATE_PATH, new, old, TEMPLATE);
    }
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        complaints.immutable(spec.child(field), new, old, &format!("/spec/{field}"));
    }
}

fn default_cron_job(cron: &mut Value) {
    pods::default_template(cron, "/spec/jobTemplate/spec/template");
    fill_text(cron, "/spec/concurrencyPolicy", "Allow");
    fill(cron, "/spec/suspend", false);
    fill(cron, "/spec/successfulJobsHistoryLimit", 3);
    fill(cron, "/spec/failedJobsHistoryLimit", 1);
}

fn validate_cron_job(cron: &Value, complaints: &mut Complaints) {
    let spec = Path::root("spec");
    let schedule = cron.str_at("/spec/schedule");
    if schedule.is_empty() {
        complaints.required(spec.child("schedule"), "");
    } else {
        if let Err(wrong) = schedules::schedule(schedule) {
            complaints.invalid(spec.child("schedule"), schedule, wrong);
        }
        // Old cron jobs may say so; new ones have a field for it.
        if schedule.contains("TZ") && cron.resource_version().is_empty() {
            let detail = match cron.at("/spec/timeZone") {
                Some(_) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
                None => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            };
            complaints.invalid(spec.child("schedule"), schedule, detail);
        }
    }
    let at = spec.child("timeZone");
    match cron.at("/spec/timeZone").and_then(Value::as_str) {
        Some("") => complaints.invalid(at, "", "timeZone must be nil or non-empty string"),
        Some(zone) if zone.eq_ignore_ascii_case("Local") => {
            let detail =
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
            complaints.invalid(at, zone, detail);
        }
        _ => {}
    }
    validate_counts(
        cron,
        &["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"],
        complaints,
    );
    let policy = cron.str_at("/spec/concurrencyPolicy");
    complaints.one_of(spec.child("concurrencyPolicy"), policy, &["Allow", "Forbid", "Replace"]);
    let template = spec.child("jobTemplate");
    validate_job(cron, "/spec/jobTemplate/spec", template.child("spec"), complaints);
    // The controller appends a dash and ten digits.
    if cron.name().len() > 52 {
        complaints.invalid(Path::root("metadata.name"), cron.name(), "must be no more than 52 characters");
    }
}
