//! What the commands of `kubeadm upgrade` are told, by flags and by the sections of an UpgradeConfiguration
//! (`cmd/kubeadm/app/cmd/upgrade`). A flag that is given wins over its field.

use clap::{Args, Subcommand};

use super::configuration::Section;
use crate::{cli::ignored_checks, session::Result};

/// What `apply` and `node` do with this host.
#[derive(Args)]
pub(super) struct HostFlags {
    #[command(flatten)]
    pub common: CommonFlags,
    /// Perform the renewal of certificates used by component changed during upgrades; default true
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    certificate_renewal: Option<bool>,
    /// Perform the upgrade of etcd; default true
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    etcd_upgrade: Option<bool>,
    /// Do not change any state, just output what actions would be performed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    dry_run: Option<bool>,
    /// Directory with files target[suffix][+patchtype].extension, patches of what is written
    #[arg(long)]
    patches: Option<String>,
}

/// What all but `diff` take.
#[derive(Args)]
pub(super) struct CommonFlags {
    /// kubeadm configuration file with an UpgradeConfiguration
    #[arg(long)]
    pub config: Option<String>,
    /// Checks whose failure is only a warning
    #[arg(long, value_delimiter = ',')]
    ignore_preflight_errors: Vec<String>,
    /// The kubeconfig file to use when talking to the cluster
    #[arg(long)]
    pub kubeconfig: Option<String>,
}

/// What `apply` and `plan` may choose, and whether they show what they found.
#[derive(Args)]
pub(super) struct ChoiceFlags {
    /// Allow alpha, beta and candidate versions, which have no profile here
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_experimental_upgrades: Option<bool>,
    /// Allow release candidates, which have no profile here
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_release_candidate_upgrades: Option<bool>,
    /// Whether the configuration used is printed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    print_config: Option<bool>,
}

/// One phase of a command alone.
#[derive(Subcommand)]
pub(super) enum Only<F: Args> {
    /// Run a single phase of the workflow
    Phase {
        /// The phase
        phase: String,
        /// Its part, or all, where it has parts
        part: Option<String>,
        #[command(flatten)]
        flags: F,
    },
}

/// The flags of one phase, or those of the whole command.
pub(super) fn of_phase<'a, F: Args>(whole: &'a F, only: Option<&'a Only<F>>) -> &'a F {
    match only {
        Some(Only::Phase { flags, .. }) => flags,
        None => whole,
    }
}

/// What `apply` and `node` shall do.
pub(super) struct Settings {
    pub renew: bool,
    pub etcd: bool,
    pub dry_run: bool,
    /// Checks whose failure is only a warning, lower case.
    pub ignore: Vec<String>,
    pub patches: Option<String>,
}

impl HostFlags {
    /// Flags, then the section's fields, then upstream's defaults.
    pub(super) fn settings(&self, section: &Section<'_>) -> Result<Settings> {
        let flag = |given: Option<bool>, field: &str, default: bool| match given {
            Some(given) => Ok(given),
            None => section.flag(field, default),
        };
        Ok(Settings {
            renew: flag(self.certificate_renewal, "certificateRenewal", true)?,
            etcd: flag(self.etcd_upgrade, "etcdUpgrade", true)?,
            dry_run: flag(self.dry_run, "dryRun", false)?,
            ignore: self.common.ignored(section)?,
            patches: match &self.patches {
                Some(given) => Some(given.clone()),
                None => section.patches()?,
            },
        })
    }
}

impl CommonFlags {
    /// The checks that flag and field name together.
    pub(super) fn ignored(&self, section: &Section<'_>) -> Result<Vec<String>> {
        let mut names = section.texts("ignorePreflightErrors");
        names.extend(self.ignore_preflight_errors.iter().cloned());
        ignored_checks(&names)
    }
}

/// What `apply` and `plan` may choose.
pub(super) struct Choice {
    pub experimental: bool,
    pub release_candidates: bool,
    pub print_config: bool,
}

impl ChoiceFlags {
    pub(super) fn choice(&self, section: &Section<'_>) -> Result<Choice> {
        let flag = |given: Option<bool>, field: &str| match given {
            Some(given) => Ok(given),
            None => section.flag(field, false),
        };
        Ok(Choice {
            experimental: flag(self.allow_experimental_upgrades, "allowExperimentalUpgrades")?,
            release_candidates: flag(self.allow_release_candidate_upgrades, "allowRCUpgrades")?,
            print_config: flag(self.print_config, "printConfig")?,
        })
    }
}

/// The phases that a flag leaves out, or those of the section when the flag names none.
pub(super) fn skipped(flag: &[String], section: &Section<'_>) -> Vec<String> {
    if flag.is_empty() { section.texts("skipPhases") } else { flag.to_vec() }
}
