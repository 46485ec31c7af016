//! Flags that cannot stand beside `--config`: what a file says is not said again
//! (`ValidateMixedArguments` of `cmd/kubeadm/app/apis/kubeadm/validation`).

use api::profile::Profile;
use clap::{ArgMatches, Command, parser::ValueSource};

use crate::session::{Failure, Result};

/// Flags that stand beside everything: this program's own (which kubeadm it is, and what stories need), and the log's.
const FREE: &[&str] = &["chronoplane-leaf-validity", "encryption-algorithm", "kubernetes-version", "v"];

/// The flags on a command line, and the words of its commands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    commands: Vec<String>,
    flags: Vec<String>,
}

impl Given {
    /// What was given to the innermost command.
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let (mut command, mut matches, mut commands) = (command, matches, Vec::new());
        while let Some((name, inner)) = matches.subcommand() {
            commands.push(name.to_owned());
            let Some(found) = command.find_subcommand(name) else { break };
            (command, matches) = (found, inner);
        }
        let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let mut flags: Vec<String> = command
            .get_arguments()
            .filter(|arg| given(arg.get_id().as_str()))
            .filter_map(|arg| arg.get_long().map(str::to_owned))
            .collect();
        flags.sort();
        Self { commands, flags }
    }

    /// Refuses what kubeadm of `profile` does not take beside `--config`.
    ///
    /// # Errors
    /// Upstream's words with the flags in question.
    pub(crate) fn check(&self, profile: Profile) -> Result<()> {
        if !self.flags.iter().any(|flag| flag == "config") || !self.is_checked(profile) {
            return Ok(());
        }
        let allowed = profile.flags_beside_config();
        let is_allowed =
            |flag: &str| flag.starts_with("skip-") || allowed.contains(&flag) || FREE.contains(&flag);
        let mixed: Vec<&str> =
            self.flags.iter().map(String::as_str).filter(|flag| !is_allowed(flag)).collect();
        if mixed.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("can not mix '--config' with arguments [{}]", mixed.join(" "))))
    }

    /// Whether the command looks at all: the others read the file for what they need of it.
    fn is_checked(&self, profile: Profile) -> bool {
        let commands: Vec<&str> = self.commands.iter().map(String::as_str).collect();
        match commands.as_slice() {
            ["init" | "join" | "reset", ..] | ["token", "create"] => true,
            ["upgrade", ..] => profile.upgrade_configuration(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn given(line: &str) -> Given {
        let flags = [
            "config",
            "dry-run",
            "patches",
            "pod-network-cidr",
            "skip-phases",
            "yes",
            "cri-socket",
            "kubernetes-version",
        ];
        let flags = || flags.map(|name| Arg::new(name).long(name).num_args(0..=1).default_missing_value("x"));
        let command = |name: &'static str| Command::new(name).args(flags());
        let mut kubeadm = Command::new("kubeadm").subcommands([
            command("init").subcommand(command("phase")),
            Command::new("upgrade").subcommand(command("apply")),
            Command::new("config").subcommand(command("validate")),
        ]);
        let matches = kubeadm.try_get_matches_from_mut(line.split(' ')).expect("flags of the test");
        Given::of(&kubeadm, &matches)
    }

    #[test]
    fn what_a_file_says_is_not_said_again() {
        for (line, minor, words) in [
            ("kubeadm init --config --pod-network-cidr --cri-socket", 36, "[cri-socket pod-network-cidr]"),
            ("kubeadm init --pod-network-cidr --cri-socket", 36, ""),
            ("kubeadm init --config --dry-run --skip-phases --kubernetes-version", 36, ""),
            ("kubeadm init phase --config --patches", 36, "[patches]"),
            ("kubeadm init phase --config --patches", 22, ""),
            ("kubeadm init phase --config --cri-socket", 20, ""),
            ("kubeadm upgrade apply --config --yes", 36, ""),
            ("kubeadm upgrade apply --config --yes", 30, "[yes]"),
            ("kubeadm upgrade apply --config --patches", 29, ""),
            ("kubeadm config validate --config --patches", 36, ""),
        ] {
            let said = given(line).check(Profile::of_minor(minor).expect("known")).map_err(|e| e.0);
            let expected = match words {
                "" => Ok(()),
                words => Err(format!("can not mix '--config' with arguments {words}")),
            };
            assert_eq!(said, expected, "{line} of 1.{minor}");
        }
    }
}
