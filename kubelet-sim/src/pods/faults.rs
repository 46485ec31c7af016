//! Faults as data: annotations of a pod under `chronoplane.dev/` make its containers fail on purpose.
//!
//! | annotation | value | what happens |
//! |---|---|---|
//! | `image-pull-error` | words | no pull succeeds while it is there: ErrImagePull, ImagePullBackOff |
//! | `image-pull-duration` | duration | a pull takes so long |
//! | `never-ready` | any | the container never becomes ready |
//! | `slow-start` | duration | probes fail until so long after each start |
//! | `crash-after` | duration, and an exit code after a comma if it is not 1 | ends so long after each start |
//! | `oom-after` | duration | killed so long after each start: 137, OOMKilled |
//!
//! A key with `.<container>` at its end is for that container alone.

use std::time::Duration;

use api::object::ObjectExt as _;
use serde_json::Value;

/// The faults of one container.
pub(super) struct Faults<'a> {
    pod: &'a Value,
    container: &'a str,
}

impl<'a> Faults<'a> {
    pub(super) fn of(pod: &'a Value, container: &'a str) -> Self {
        Self { pod, container }
    }

    fn text(&self, fault: &str) -> Option<&'a str> {
        let own = format!("chronoplane.dev/{fault}.{}", self.container);
        self.pod.annotation(&own).or_else(|| self.pod.annotation(&format!("chronoplane.dev/{fault}")))
    }

    fn duration(&self, fault: &str) -> Option<Duration> {
        let text = self.text(fault)?;
        let parsed = api::duration::parse(text);
        if let Err(e) = &parsed {
            tracing::error!(pod = self.pod.name(), "annotation chronoplane.dev/{fault} is ignored: {e}");
        }
        parsed.ok()
    }

    pub(super) fn image_pull_error(&self) -> Option<&'a str> {
        self.text("image-pull-error")
    }

    pub(super) fn image_pull_duration(&self) -> Duration {
        self.duration("image-pull-duration").unwrap_or_default()
    }

    pub(super) fn never_ready(&self) -> bool {
        self.text("never-ready").is_some_and(|v| v != "false")
    }

    pub(super) fn slow_start(&self) -> Duration {
        self.duration("slow-start").unwrap_or_default()
    }

    /// When it ends by itself, and with which code.
    pub(super) fn crash_after(&self) -> Option<(Duration, i32)> {
        let text = self.text("crash-after")?;
        let (after, code) = text.split_once(',').unwrap_or((text, "1"));
        let parsed = api::duration::parse(after.trim()).ok().zip(code.trim().parse().ok());
        if parsed.is_none() {
            tracing::error!(
                pod = self.pod.name(),
                "annotation chronoplane.dev/crash-after is ignored: {text}"
            );
        }
        parsed
    }

    pub(super) fn oom_after(&self) -> Option<Duration> {
        self.duration("oom-after")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_containers_own_fault_comes_first_and_nonsense_is_none() {
        let pod = json!({"metadata": {"annotations": {
            "chronoplane.dev/oom-after": "1m",
            "chronoplane.dev/oom-after.b": "2m30s",
            "chronoplane.dev/crash-after": "5s",
            "chronoplane.dev/crash-after.b": "10s, 3",
            "chronoplane.dev/crash-after.c": "10s, three",
            "chronoplane.dev/slow-start": "soon",
            "chronoplane.dev/never-ready.b": "true",
        }}});
        let seconds = |name: &str| Faults::of(&pod, name).oom_after().map(|d| d.as_secs());
        assert_eq!((seconds("a"), seconds("b")), (Some(60), Some(150)));
        let crash = |name: &str| Faults::of(&pod, name).crash_after().map(|(d, code)| (d.as_secs(), code));
        assert_eq!((crash("a"), crash("b"), crash("c")), (Some((5, 1)), Some((10, 3)), None));
        assert_eq!(Faults::of(&pod, "a").slow_start(), Duration::ZERO);
        assert_eq!((Faults::of(&pod, "a").never_ready(), Faults::of(&pod, "b").never_ready()), (false, true));
    }
}
