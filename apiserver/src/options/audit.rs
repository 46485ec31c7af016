//! The flags `--audit-*`.

use super::{
    Options,
    parse::{UsageError, Values, invalid},
};

pub(super) fn audit(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    v.path("audit-policy-file", &mut o.audit_policy_file);
    v.path("audit-log-path", &mut o.audit_log_path);
    let mut numbers = [0_i64; 3];
    for (flag, number) in
        ["audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize"].iter().zip(&mut numbers)
    {
        v.parsed(flag, number)?;
        if *number < 0 {
            return Err(UsageError::Together(format!("--{flag} {number} can't be a negative number")));
        }
    }
    let [age, backups, size] = numbers.map(|number| u64::try_from(number).unwrap_or_default());
    o.audit_rotation = crate::audit::Rotation {
        max_age_days: age,
        max_backups: usize::try_from(backups).unwrap_or(usize::MAX),
        max_megabytes: size,
    };
    match v.last("audit-log-format") {
        None | Some("json") => webhook(v, o),
        Some(other) => Err(invalid("audit-log-format", other, "events are written as json only")),
    }
}

/// `validateBackendBatchOptions`
fn webhook(v: &Values, o: &mut Options) -> Result<(), UsageError> {
    v.path("audit-webhook-config-file", &mut o.audit_webhook_config_file);
    match v.last("audit-webhook-mode") {
        None | Some("batch") => {}
        Some(mode @ ("blocking" | "blocking-strict")) => {
            let why = "no request waits for a webhook here; leave it out or use batch";
            return Err(invalid("audit-webhook-mode", mode, why));
        }
        Some(mode) => {
            return Err(UsageError::Together(format!(
                "invalid audit webhook mode {mode}, allowed modes are \"batch,blocking,blocking-strict\""
            )));
        }
    }
    if let Some(version) = v.last("audit-webhook-version").filter(|version| *version != "audit.k8s.io/v1") {
        let why = "invalid group version, allowed versions are [\"audit.k8s.io/v1\"]";
        return Err(invalid("audit-webhook-version", version, why));
    }
    let positive = |what: &str, value: f64| {
        if value > 0.0 {
            return Ok(());
        }
        let words = format!("invalid audit batch webhook {what} {value}, must be a positive number");
        Err(UsageError::Together(words))
    };
    let batching = &mut o.audit_batching;
    let mut sizes = [batching.buffer as i64, batching.most as i64];
    for ((flag, what), size) in
        [("buffer-size", "buffer size"), ("max-size", "max batch size")].iter().zip(&mut sizes)
    {
        v.parsed(&format!("audit-webhook-batch-{flag}"), size)?;
        positive(what, *size as f64)?;
    }
    let [buffer, most] = sizes.map(|size| usize::try_from(size).unwrap_or(1));
    (batching.buffer, batching.most) = (buffer, most);
    v.duration("audit-webhook-batch-max-wait", &mut batching.wait)?;
    v.duration("audit-webhook-initial-backoff", &mut batching.backoff)?;
    let (mut throttles, (mut qps, mut burst)) = (true, batching.throttle.unwrap_or((10.0, 15)));
    v.switch("audit-webhook-batch-throttle-enable", &mut throttles)?;
    v.parsed("audit-webhook-batch-throttle-qps", &mut qps)?;
    v.parsed("audit-webhook-batch-throttle-burst", &mut burst)?;
    if throttles {
        positive("throttle QPS", qps)?;
        positive("throttle burst", f64::from(burst))?;
    }
    batching.throttle = throttles.then_some((qps, burst));
    Ok(())
}
