//! `kubeadm version`.

use clap::Args;
use serde_json::json;

use crate::session::{Failure, Result, Session, yaml};

#[derive(Args)]
pub(crate) struct VersionArgs {
    /// yaml, json or short; a line for people when absent
    #[arg(short, long)]
    output: Option<String>,
}

/// Runs the command. Commit and build date are not known of a release that was not built.
pub(crate) fn run(s: &Session<'_>, args: &VersionArgs) -> Result<()> {
    let version = s.profile.git_version();
    let minor = s.profile.minor();
    let (go_major, go_minor) = (s.profile.go().0, s.profile.go().1);
    let go = format!("go{go_major}.{go_minor}");
    let info = json!({"clientVersion": {
        "compiler": "gc",
        "gitTreeState": "clean",
        "gitVersion": version,
        "goVersion": go,
        "major": "1",
        "minor": minor.to_string(),
        "platform": "linux/amd64",
    }});
    match args.output.as_deref() {
        None => s.say(format!(
            "kubeadm version: &version.Info{{Major:\"1\", Minor:\"{minor}\", GitVersion:{version:?}, GitTreeState:\"clean\", \
             GoVersion:{go:?}, Compiler:\"gc\", Platform:\"linux/amd64\"}}"
        )),
        Some("short") => s.say(version),
        Some("json") => s.say(format!("{info:#}")),
        Some("yaml") => s.say(yaml("the version", &info)?.trim_end()),
        Some(other) => return Err(Failure::new(format!("invalid output format: {other}"))),
    }
    Ok(())
}
