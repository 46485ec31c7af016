//! What was done to clocks, network, disks and power, and how long it lasted.

use world::Event;

use super::{lanes::Lanes, schema::Fault};

/// Words that begin a state, by the kind of event, the word that ends it, and how to say it.
const STATES: &[(&str, &str, &str, &str)] = &[
    ("clock", "suspend", "resume", "suspended"),
    ("clock", "pause", "resume", "paused"),
    ("clock", "freeze", "thaw", "wall clock stands still"),
    ("power", "off", "on", "switched off"),
    ("network", "cut", "heal", "cut off from each other"),
];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Takes in the event of number `at`, on `host` at time `t`.
    pub(super) fn see(&mut self, lanes: &mut Lanes, at: usize, t: i64, host: usize, event: &Event) {
        if !matches!(event.kind, "clock" | "network" | "disk" | "power") {
            return;
        }
        let Some((word, value)) = event.fields.first().map(|(k, v)| (*k, v.as_str())) else { return };
        let hosts = touched(lanes, host, value);
        if self.ends(event.kind, word, value, t, &hosts) {
            return;
        }
        let state = STATES.iter().find(|(kind, begins, ..)| (*kind, *begins) == (event.kind, word));
        let lasts = state.is_some() || event.kind == "disk" && value == "begins" || word == "drift_ppm";
        let text = match (state, word) {
            (Some((.., said)), _) => (*said).to_owned(),
            (None, "step") => format!("wall clock set by {value}"),
            (None, "drift_ppm") => format!("clock runs {value} ppm off"),
            (None, "reset") => format!("connections reset: {value}"),
            (None, "full") => "disk full".to_owned(),
            (None, "read_only") => "disk read-only".to_owned(),
            (None, "unsynced") => "unsynced writes lost".to_owned(),
            (None, _) if value.is_empty() => word.replace('_', " "),
            (None, _) => format!("{} {value}", word.replace('_', " ")),
        };
        let kind = event.kind.to_owned();
        self.0.push(Fault { kind, t, until: None, lasts, hosts, text, event: at });
    }

    /// Whether this ends a state, which then has its end.
    fn ends(&mut self, kind: &str, word: &str, value: &str, t: i64, hosts: &[usize]) -> bool {
        let begun_by = |text: &str| {
            let state = STATES.iter().find(|(.., said)| *said == text);
            state.is_some_and(|(of, _, ends, _)| *of == kind && *ends == word)
        };
        let disk = |text: &str| match word {
            "full" => value == "ends" && text == "disk full",
            "read_only" => value == "ends" && text == "disk read-only",
            _ => false,
        };
        let drift = |text: &str| word == "drift_ppm" && text.ends_with(" ppm off");
        let open = self.0.iter_mut().rfind(|f| {
            f.lasts
                && f.until.is_none()
                && f.hosts == hosts
                && f.kind == kind
                && (begun_by(&f.text) || disk(&f.text) || drift(&f.text))
        });
        let Some(fault) = open else { return word == "drift_ppm" && value == "0" };
        fault.until = Some(t);
        // A rate is replaced by the next one, and ends with none.
        word != "drift_ppm" || value == "0"
    }

    /// All of them, oldest first.
    pub(super) fn done(self) -> Vec<Fault> {
        self.0
    }
}

/// The host itself, or the two that `a|b` or `a->b:port` names.
fn touched(lanes: &mut Lanes, host: usize, value: &str) -> Vec<usize> {
    let Some((a, b)) = value.split_once('|').or_else(|| value.split_once("->")) else { return vec![host] };
    let b = b.split_once(':').map_or(b, |(name, _)| name);
    let mut both = vec![lanes.host(a), lanes.host(b)];
    both.dedup();
    both
}
