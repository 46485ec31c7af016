//! Levels, versions and the labels of a namespace that choose them.

use std::fmt;

use api::{object::ObjectExt as _, status::FieldError};
use serde_json::Value;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict a policy is; stricter ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "privileged" => Ok(Self::Privileged),
            "baseline" => Ok(Self::Baseline),
            "restricted" => Ok(Self::Restricted),
            _ => Err("must be one of privileged, baseline, restricted"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

/// The release whose checks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Of 1.x.
    Minor(u64),
    /// The server's own.
    Latest,
}

impl Version {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text
            .strip_prefix("v1.")
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()) && (*d == "0" || !d.starts_with('0')));
        digits.and_then(|d| d.parse().ok()).map(Self::Minor).ok_or("must be \"latest\" or \"v1.x\"")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minor(minor) => write!(f, "v1.{minor}"),
            Self::Latest => f.write_str("latest"),
        }
    }
}

/// `baseline:v1.24`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelVersion {
    pub(super) level: Level,
    pub(super) version: Version,
}

impl LevelVersion {
    pub(super) const PRIVILEGED: Self = Self { level: Level::Privileged, version: Version::Latest };

    /// The version of no checks does not matter.
    fn is_equivalent(self, other: Self) -> bool {
        self == other || self.level == Level::Privileged && other.level == Level::Privileged
    }
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// What a namespace demands, in the three modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: LevelVersion,
    pub(super) audit: LevelVersion,
    pub(super) warn: LevelVersion,
}

impl Policy {
    pub(super) const PRIVILEGED: Self = Self {
        enforce: LevelVersion::PRIVILEGED,
        audit: LevelVersion::PRIVILEGED,
        warn: LevelVersion::PRIVILEGED,
    };

    pub(super) fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|mode| mode.level == Level::Privileged)
    }

    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.enforce.is_equivalent(other.enforce)
            && self.audit.is_equivalent(other.audit)
            && self.warn.is_equivalent(other.warn)
    }

    /// The modes that the namespace itself sets to more than nothing: `enforce=baseline:latest, warn=…`.
    pub(super) fn compact(&self, namespace: &Value) -> String {
        let modes = [("enforce", self.enforce), ("audit", self.audit), ("warn", self.warn)];
        let is_set = |mode: &str| {
            namespace.label(&format!("{PREFIX}{mode}")).is_some()
                || namespace.label(&format!("{PREFIX}{mode}-version")).is_some()
        };
        let shown = modes.iter().filter(|(mode, held)| held.level != Level::Privileged && is_set(mode));
        shown.map(|(mode, held)| format!("{mode}={held}")).collect::<Vec<_>>().join(", ")
    }

    /// The policy that a namespace's labels make of `defaults`, and what is wrong with the labels: one that
    /// cannot be read enforces everything, and warns of and audits nothing.
    ///
    /// From 1.26 on (`warn_follows`) who only enforces is warned as strictly.
    pub(super) fn of(namespace: &Value, defaults: &Self, warn_follows: bool) -> (Self, Vec<FieldError>) {
        let mut policy = *defaults;
        let mut errors = Vec::new();
        if namespace.map_at("/metadata/labels").is_none_or(serde_json::Map::is_empty) {
            return (policy, errors);
        }
        let mut wrong = |label: String, value: &str, why: &str| {
            errors.push(FieldError::invalid(format!("metadata.labels[{label}]"), value, why));
        };
        let mut given = [false; 6];
        let modes = [
            ("enforce", &mut policy.enforce, Level::Restricted),
            ("audit", &mut policy.audit, Level::Privileged),
            ("warn", &mut policy.warn, Level::Privileged),
        ];
        for (at, (mode, held, otherwise)) in modes.into_iter().enumerate() {
            let label = format!("{PREFIX}{mode}");
            if let Some(value) = namespace.label(&label) {
                let level = Level::parse(value);
                // A level that cannot be read is no reason to warn of it.
                given[at * 2] = level.is_ok() || mode != "enforce";
                held.level = level.unwrap_or_else(|why| {
                    wrong(label, value, why);
                    otherwise
                });
            }
            let label = format!("{PREFIX}{mode}-version");
            if let Some(value) = namespace.label(&label) {
                given[at * 2 + 1] = true;
                held.version = Version::parse(value).unwrap_or_else(|why| {
                    wrong(label, value, why);
                    Version::Latest
                });
            }
        }
        let [has_enforce, _, _, _, has_warn, has_warn_version] = given;
        if warn_follows && has_enforce && !has_warn && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !has_warn_version {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, errors)
    }
}
