//! The command line: which flags there are, and which values were given.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr, time::Duration};

use super::flags::{Url, UsageError};

/// The last value of each flag.
pub(super) struct Given(BTreeMap<&'static str, String>);

impl Given {
    pub(super) fn read(args: &[String]) -> Result<Self, UsageError> {
        let mut given = BTreeMap::new();
        let mut args = args.iter().map(String::as_str).peekable();
        args.next_if(|first| *first == "etcd" || first.ends_with("/etcd"));
        while let Some(argument) = args.next() {
            // Go's flag package takes one dash as well as two.
            let body = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')).unwrap_or("");
            let (flag, value) = match body.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (body, None),
            };
            if flag.is_empty() {
                return Err(UsageError::NotAFlag { argument: argument.to_owned() });
            }
            let Some((flag, meaning)) = FLAGS.iter().find(|(known, _)| *known == flag) else {
                return Err(UsageError::Unknown { flag: flag.to_owned() });
            };
            let is_bool = matches!(meaning, Use::Bool | Use::MootBool);
            let value = match value {
                Some(value) => value,
                None if is_bool => "true",
                None => args.next().ok_or_else(|| UsageError::NoValue { flag: (*flag).to_owned() })?,
            };
            let bad = |why: &str| UsageError::Value {
                flag: (*flag).to_owned(),
                value: value.to_owned(),
                why: why.into(),
            };
            if is_bool && !["true", "false", "1", "0", "t", "f"].contains(&value) {
                return Err(bad("use true or false"));
            }
            if let Use::Refused(allowed, instead) = meaning
                && !allowed.contains(&value)
            {
                return Err(UsageError::Unsupported {
                    flag: (*flag).to_owned(),
                    value: value.to_owned(),
                    instead,
                });
            }
            given.insert(*flag, value.to_owned());
        }
        Ok(Self(given))
    }

    pub(super) fn bad(&self, flag: &str, value: &str, why: impl Into<String>) -> UsageError {
        UsageError::Value { flag: flag.to_owned(), value: value.to_owned(), why: why.into() }
    }

    pub(super) fn text(&self, flag: &str) -> Option<&str> {
        self.0.get(flag).map(String::as_str)
    }

    pub(super) fn path(&self, flag: &str) -> Option<PathBuf> {
        self.text(flag).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    pub(super) fn is_true(&self, flag: &str) -> bool {
        self.text(flag).is_some_and(|value| ["true", "1", "t"].contains(&value))
    }

    pub(super) fn number<T: FromStr<Err: ToString>>(&self, flag: &str) -> Result<Option<T>, UsageError> {
        let Some(text) = self.text(flag) else { return Ok(None) };
        text.parse().map(Some).map_err(|e: T::Err| self.bad(flag, text, e.to_string()))
    }

    pub(super) fn duration(&self, flag: &str) -> Result<Option<Duration>, UsageError> {
        let Some(text) = self.text(flag) else { return Ok(None) };
        let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
        match parsed {
            Some(d) if !d.is_zero() => Ok(Some(d)),
            _ => Err(self.bad(flag, text, "durations look like 5s or 10m")),
        }
    }

    pub(super) fn urls(&self, flag: &str, default: &str) -> Result<Vec<Url>, UsageError> {
        let text = self.text(flag).unwrap_or(default);
        text.split(',')
            .filter(|url| !url.is_empty())
            .map(|url| Url::parse(url).map_err(|why| self.bad(flag, url, why)))
            .collect()
    }
}

/// What is done with a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Read below.
    Text,
    Bool,
    /// Tunes something that does not exist here (Raft, snapshots, logs): taken, without effect.
    Moot,
    MootBool,
    /// Only the values that ask for nothing are taken.
    Refused(&'static [&'static str], &'static str),
}

/// Name and use.
pub(super) const FLAGS: &[(&str, Use)] = &[
    ("name", Use::Text),
    ("data-dir", Use::Text),
    ("listen-client-urls", Use::Text),
    ("advertise-client-urls", Use::Text),
    ("listen-peer-urls", Use::Text),
    ("initial-advertise-peer-urls", Use::Text),
    ("listen-metrics-urls", Use::Text),
    ("initial-cluster", Use::Text),
    ("initial-cluster-token", Use::Text),
    ("cert-file", Use::Text),
    ("key-file", Use::Text),
    ("trusted-ca-file", Use::Text),
    ("client-cert-auth", Use::Bool),
    ("peer-cert-file", Use::Text),
    ("peer-key-file", Use::Text),
    ("peer-trusted-ca-file", Use::Text),
    ("peer-client-cert-auth", Use::Bool),
    ("cipher-suites", Use::Text),
    ("tls-min-version", Use::Text),
    ("max-request-bytes", Use::Text),
    ("max-txn-ops", Use::Text),
    ("watch-progress-notify-interval", Use::Text),
    ("experimental-watch-progress-notify-interval", Use::Text),
    ("initial-cluster-state", Use::Refused(&["new", "existing"], "use new or existing")),
    ("snapshot-count", Use::Moot),
    ("heartbeat-interval", Use::Moot),
    ("election-timeout", Use::Moot),
    ("initial-election-tick-advance", Use::MootBool),
    ("quota-backend-bytes", Use::Moot),
    ("max-snapshots", Use::Moot),
    ("max-wals", Use::Moot),
    ("wal-dir", Use::Moot),
    ("grpc-keepalive-min-time", Use::Moot),
    ("grpc-keepalive-interval", Use::Moot),
    ("grpc-keepalive-timeout", Use::Moot),
    ("max-concurrent-streams", Use::Moot),
    ("pre-vote", Use::MootBool),
    ("strict-reconfig-check", Use::MootBool),
    ("logger", Use::Moot),
    ("log-level", Use::Moot),
    ("log-format", Use::Moot),
    ("log-outputs", Use::Moot),
    ("metrics", Use::Moot),
    ("enable-pprof", Use::MootBool),
    ("enable-v2", Use::MootBool),
    // A leave, which nobody must take.
    ("unsafe-no-fsync", Use::MootBool),
    ("feature-gates", Use::Moot),
    ("experimental-initial-corrupt-check", Use::MootBool),
    ("experimental-corrupt-check-time", Use::Moot),
    ("experimental-compact-hash-check-enabled", Use::MootBool),
    ("experimental-warning-apply-duration", Use::Moot),
    ("warning-apply-duration", Use::Moot),
    ("compact-hash-check-time", Use::Moot),
    ("corrupt-check-time", Use::Moot),
    ("auto-compaction-mode", Use::Text),
    ("auto-compaction-retention", Use::Text),
    ("auto-tls", Use::Refused(&["false"], "give --cert-file and --key-file")),
    ("peer-auto-tls", Use::Refused(&["false"], "give --peer-cert-file and --peer-key-file")),
    ("force-new-cluster", Use::Refused(&["false"], "there is no cluster to be split from")),
    ("discovery", Use::Refused(&[""], "name the members with --initial-cluster")),
    ("discovery-srv", Use::Refused(&[""], "name the members with --initial-cluster")),
    ("client-crl-file", Use::Refused(&[""], "leave it out")),
    ("peer-crl-file", Use::Refused(&[""], "leave it out")),
];
