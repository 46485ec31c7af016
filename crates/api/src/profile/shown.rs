//! How the facts' values are shown to people.

use std::time::Duration;

use super::{
    ConfigFormat, GoVersion, LeafStart, Loopback, Shape,
    facts::{DAY, EtcdNames, EtcdProbes, HOUR},
};

/// How a value is shown to people.
pub(super) trait Shown {
    fn shown(&self) -> String;
}

impl Shown for bool {
    fn shown(&self) -> String {
        if *self { "yes".into() } else { "no".into() }
    }
}

impl Shown for u32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for u16 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for (u32, u32) {
    fn shown(&self) -> String {
        format!("{} a second, {} at once", self.0, self.1)
    }
}

impl Shown for (&'static str, &'static str) {
    fn shown(&self) -> String {
        self.0.shown()
    }
}

impl Shown for &'static str {
    fn shown(&self) -> String {
        if self.is_empty() { "none".into() } else { (*self).into() }
    }
}

impl Shown for &'static [&'static str] {
    fn shown(&self) -> String {
        if self.is_empty() { "none".into() } else { self.join(", ") }
    }
}

impl Shown for GoVersion {
    fn shown(&self) -> String {
        format!("{}.{}", self.0, self.1)
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        for (unit, letter) in [(DAY, "d"), (HOUR, "h"), (Duration::from_secs(60), "min")] {
            if !self.is_zero() && self.as_secs().is_multiple_of(unit.as_secs()) {
                return format!("{} {letter}", self.as_secs() / unit.as_secs());
            }
        }
        format!("{} s", self.as_secs())
    }
}

impl Shown for Loopback {
    fn shown(&self) -> String {
        let shape = match self.shape {
            Shape::SelfSigned => "one self-signed certificate",
            Shape::CaAndLeaf => "authority and leaf",
        };
        let check = if self.livez_check { ", checked by livez" } else { "" };
        format!("{shape}, {} from {} before the start{check}", self.max_age.shown(), self.backdate.shown())
    }
}

impl Shown for LeafStart {
    fn shown(&self) -> String {
        match self {
            LeafStart::AuthorityStart => "with their authority".into(),
            LeafStart::Backdated => "5 min before they are made".into(),
        }
    }
}

impl Shown for ConfigFormat {
    fn shown(&self) -> String {
        let status = if self.cluster_status { " and ClusterStatus" } else { "" };
        format!("{}, stored as {}{status}", self.version, self.key)
    }
}

impl Shown for EtcdProbes {
    fn shown(&self) -> String {
        let Self { live, ready, started } = self;
        format!("live {live}, ready {}, started {started}", ready.shown())
    }
}

impl Shown for EtcdNames {
    fn shown(&self) -> String {
        match self {
            EtcdNames::Apart => "localhost for clients, the node for peers".into(),
            EtcdNames::LocalServing => "the advertised address for peers only".into(),
            EtcdNames::Both => "the same for clients and peers".into(),
        }
    }
}
