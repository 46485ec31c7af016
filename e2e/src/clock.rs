//! `chronoplane clock`: the clocks of a cluster that `up` runs, for a test in any language.
//!
//! What the real gear cannot do is refused in words: time passes by itself there, and no timer of a real process fires
//! sooner because somebody wishes it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use serde_json::json;
use world::{
    Wall,
    real::{ClockFile, Setting, system},
    rfc3339, signed,
};

use crate::{
    cli::{Output, Refusal},
    up::{Kept, pause},
};

/// Nobody sets a clock further at once: what certificates and files can say ends somewhere.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24 * 366 * 20);
/// Names every host of the cluster.
const ALL: &str = "all";

/// `chronoplane clock`.
#[derive(Args)]
pub struct ClockArgs {
    #[command(subcommand)]
    what: What,
    /// The cluster's directory, as `up` has it. Default: that of the kubeconfig that KUBECONFIG names
    #[arg(long, global = true)]
    data_dir: Option<PathBuf>,
    /// How to print the clocks
    #[arg(long, value_enum, global = true, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// What each host's clock shows, and how it is set
    Show,
    /// Set a wall clock ahead or back, as NTP or `date -s` would: `step node1 -1h`, `step all +365d`
    Step {
        /// A host, or `all`
        host: String,
        /// As 90s, -1h30m, +365d
        #[arg(allow_hyphen_values = true, value_parser = span)]
        by: SignedDuration,
    },
    /// Let a wall clock run too fast by so many parts per million from now on; negative: slow
    Drift {
        /// A host, or `all`
        host: String,
        /// Parts per million
        #[arg(allow_hyphen_values = true)]
        ppm: i32,
    },
    /// Let a wall clock stand still, as one with a broken clock source
    Freeze {
        /// A host, or `all`
        host: String,
    },
    /// Let it go on from where it stood
    Thaw {
        /// A host, or `all`
        host: String,
    },
    /// Set a wall clock right again
    Reset {
        /// A host, or `all`
        host: String,
    },
    /// Let nothing on a host run for so long, as SIGSTOP and SIGCONT would; returns when it runs again
    Pause {
        /// A host
        host: String,
        /// As 10s
        #[arg(value_parser = span)]
        time: SignedDuration,
    },
    /// Refused: a monotonic clock that stands still is only to be had in the simulated gear
    Suspend {
        /// A host
        host: String,
        /// As 8h
        time: String,
    },
    /// Refused: time passes by itself here
    Elapse {
        /// As 365d
        time: String,
    },
}

/// `-1h30m`, `+365d`, `2y`.
fn span(text: &str) -> Result<SignedDuration, String> {
    let bad = || format!("{text:?} is no span of time; write it as 90s, -1h30m or +365d");
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    // What a length of years is, is a matter of calendars; here they have 365 days, as those of certificates.
    let mut total = SignedDuration::ZERO;
    let mut rest = rest;
    for (unit, hours) in [('y', 24 * 365), ('d', 24)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: i64 = number.parse().map_err(|_| bad())?;
            let hours = number.checked_mul(hours).filter(|h| *h < 24 * 366 * 10_000).ok_or_else(bad)?;
            total = total.checked_add(SignedDuration::from_hours(hours)).ok_or_else(bad)?;
            rest = after;
        }
    }
    if !rest.is_empty() {
        let part: SignedDuration = rest.parse().map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
    }
    if total.unsigned_abs() > FURTHEST.unsigned_abs() {
        return Err(format!("{text}: no clock is set further than 20 years at once"));
    }
    Ok(if negative { -total } else { total })
}

/// Sets clocks, and shows how they are then.
///
/// # Errors
/// There is no such cluster or host, or it is asked for what the real gear cannot do.
pub fn run(args: &ClockArgs) -> Result<ExitCode, Refusal> {
    let simulated =
        "in the simulated gear there is: #[chronoplane::test] in Rust, `chronoplane run` for the stories";
    match &args.what {
        What::Elapse { time } => {
            return Err(Refusal(format!(
                "nothing makes {time} pass sooner: the timers of `up` are the machine's. `chronoplane clock step all \
                 +{}` sets every wall clock, so that certificates and tokens end, while waits go on as they were. A time \
                 that passes with all its timers {simulated}",
                time.trim_start_matches('+')
            )));
        }
        What::Suspend { host, time } => {
            return Err(Refusal(format!(
                "the monotonic clock of {host} is the machine's and cannot stand still for {time}. `chronoplane clock \
                 pause {host}` followed by `step {host}` comes near it. A suspended host {simulated}"
            )));
        }
        _ => {}
    }
    let kept = Kept::find(args.data_dir.as_deref())?;
    match &args.what {
        What::Show | What::Elapse { .. } | What::Suspend { .. } => {}
        What::Step { host, by } => set(&kept, host, |setting, now| setting.step(*by, now))?,
        What::Drift { host, ppm } => set(&kept, host, |setting, now| setting.drift(*ppm, now))?,
        What::Freeze { host } => set(&kept, host, Setting::freeze)?,
        What::Thaw { host } => set(&kept, host, Setting::thaw)?,
        What::Reset { host } => set(&kept, host, |_, _| Setting::default())?,
        What::Pause { host, time } => {
            let hosts = named(&kept, host)?;
            let [host] = hosts.as_slice() else {
                return Err(Refusal(
                    "one host at a time can be paused; start several commands for several".into(),
                ));
            };
            let time = Duration::try_from(*time).map_err(|_| Refusal("a pause is not negative".into()))?;
            if !kept.runs() {
                return Err(Refusal(format!(
                    "nothing runs in {}; `chronoplane up --data-dir` starts it",
                    kept.dir.display()
                )));
            }
            pause::ask(&kept.dir.join(host), time)?;
        }
    }
    show(&kept, args.output)?;
    Ok(ExitCode::SUCCESS)
}

fn named(kept: &Kept, host: &str) -> Result<Vec<String>, Refusal> {
    if host == ALL {
        return Ok(kept.hosts.clone());
    }
    if !kept.hosts.iter().any(|known| known == host) {
        return Err(Refusal(format!(
            "there is no host {host:?}; there are {}, and {ALL}",
            kept.hosts.join(", ")
        )));
    }
    Ok(vec![host.to_owned()])
}

fn file_of(kept: &Kept, host: &str) -> Result<ClockFile, Refusal> {
    let root = kept.dir.join(host);
    ClockFile::of_host(&root)
        .map_err(|e| Refusal(format!("the clock of {host} cannot be opened below {}: {e}", root.display())))
}

fn set(kept: &Kept, host: &str, change: impl Fn(Setting, Wall) -> Setting) -> Result<(), Refusal> {
    for host in named(kept, host)? {
        file_of(kept, &host)?
            .set(&change)
            .map_err(|e| Refusal(format!("the clock of {host} cannot be set: {e}")))?;
    }
    Ok(())
}

fn show(kept: &Kept, output: Output) -> Result<(), Refusal> {
    let mut clocks = Vec::new();
    for host in &kept.hosts {
        let setting = file_of(kept, host)?
            .read()
            .map_err(|e| Refusal(format!("the clock of {host} cannot be read: {e}")))?;
        clocks.push((host, setting));
    }
    let now = system();
    match output {
        Output::Json => {
            let all: Vec<_> = clocks
                .iter()
                .map(|(host, setting)| {
                    json!({
                        "host": host,
                        "wall": setting.wall(now).to_string(),
                        "ahead_seconds": setting.ahead(now).as_secs_f64(),
                        "drift_ppm": setting.drift_ppm(),
                        "frozen": setting.is_frozen(),
                    })
                })
                .collect();
            outln!("{}", json!(all));
        }
        Output::Text => {
            outln!("{:<16} {:<21} {:>16}  SET", "HOST", "WALL CLOCK", "AHEAD");
            for (host, setting) in clocks {
                let mut how = Vec::new();
                if setting.drift_ppm() != 0 {
                    how.push(format!("drifts by {} ppm", setting.drift_ppm()));
                }
                if setting.is_frozen() {
                    how.push("stands still".to_owned());
                }
                outln!(
                    "{host:<16} {:<21} {:>16}  {}",
                    rfc3339(setting.wall(now)),
                    whole_seconds(setting.ahead(now)),
                    how.join(", ")
                );
            }
        }
    }
    Ok(())
}

/// `-1h 30m`, without what is left of a second.
fn whole_seconds(ahead: SignedDuration) -> String {
    signed(SignedDuration::from_secs(ahead.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_signed_and_may_be_days_and_years() {
        let hours = SignedDuration::from_hours;
        for (text, expected) in [
            ("90s", SignedDuration::from_secs(90)),
            ("-1h30m", -SignedDuration::from_mins(90)),
            ("+365d", hours(365 * 24)),
            ("1y", hours(365 * 24)),
            ("-1d12h", -hours(36)),
            ("1y1d1h", hours(366 * 24 + 1)),
        ] {
            assert_eq!(span(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_in_words() {
        for text in ["", "-", "an hour", "1", "h", "d", "99999999999999d", "21y", "--1h", "1h-30m"] {
            assert!(
                span(text).unwrap_err().contains(if text == "21y" { "20 years" } else { "no span" }),
                "{text}"
            );
        }
    }
}
