//! `kubeadm upgrade plan`: which releases there are to go to, and what would become of each component
//! (`cmd/kubeadm/app/cmd/upgrade/plan.go` and `phases/upgrade/compute.go`).
//!
//! Upstream asks the internet for the newest release that this kubeadm may install. Here the newest is kubeadm's own,
//! and of every other minor the first release is the only one.

use std::collections::BTreeMap;

use clap::Args;
use client::{Resource, Rest};
use serde_json::{Value, json};

use super::{
    apply::preflight_words,
    cluster::{self, tag},
    configuration::UpgradeConfig,
    flags::{ChoiceFlags, CommonFlags},
    health, kubelet_config,
    version::Version,
};
use crate::{
    columns::aligned,
    config::InitConfig,
    output::{self, Output},
    paths::{ADMIN_CONF, KUBE_SYSTEM},
    preflight,
    session::{Failure, Result, Session, yaml},
};

/// `kubeadm upgrade plan`.
#[derive(Args)]
pub(super) struct PlanArgs {
    /// The version to plan for; default: the newest that this kubeadm can install
    version: Option<String>,
    #[command(flatten)]
    common: CommonFlags,
    #[command(flatten)]
    choice: ChoiceFlags,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Versions of everything, before or after.
struct State {
    kubeadm: Version,
    kubelets: BTreeMap<Version, Vec<String>>,
    /// By component, the nodes that run each tag.
    components: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
    dns: String,
}

/// A release to go to.
struct Upgrade {
    description: String,
    to: Version,
    kubeadm: Version,
}

/// One line of the plan.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: &'static str,
    node: String,
    current: String,
    target: String,
}

const STATIC: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

/// Runs the command.
pub(super) async fn run(s: &mut Session<'_>, own_version: bool, args: PlanArgs) -> Result<()> {
    let mut wanted = args.version.as_deref().map(Version::parse).transpose()?;
    if let (Some(wanted), false) = (&wanted, own_version) {
        s.profile = wanted.release;
    }
    let fatal = |e: Failure| e.within("[upgrade/upgrade config] FATAL");
    let file = UpgradeConfig::read(s, args.common.config.as_deref()).map_err(fatal)?;
    if let (None, Some(text)) = (&wanted, file.section("plan").version()) {
        let version = Version::parse(&text)?;
        if !own_version {
            s.profile = version.release;
        }
        wanted = Some(version);
    }
    let quiet = args.output != Output::Text;
    let rest = cluster::client(s, args.common.kubeconfig.as_deref().unwrap_or(ADMIN_CONF))?;
    let (config, state, cluster_version) = if quiet {
        // A program reads the output: what people are told besides must not be in it.
        let mut nowhere = std::io::sink();
        let mut silent = Session::new(s.host, s.profile, &mut nowhere);
        look(&mut silent, &rest, &args, &file).await?
    } else {
        look(s, &rest, &args, &file).await?
    };
    let upgrades = upgrades(s, quiet, &cluster_version, wanted);
    let plans: Vec<(Upgrade, Vec<Row>)> = upgrades
        .into_iter()
        .map(|upgrade| {
            let rows = rows(&state, &cluster_version, &upgrade, config.cluster.external_etcd.is_some());
            (upgrade, rows)
        })
        .collect();
    if quiet {
        let document = document(&plans, &state);
        s.say(output::structured(&document, args.output == Output::Yaml)?);
    } else if !plans.is_empty() {
        let nodes = s.profile.upgrade_plan_names_nodes();
        let text: String = plans.iter().map(|(upgrade, rows)| text(upgrade, rows, &state, nodes)).collect();
        s.say(format!("\n{text}{}", CONFIGS.trim_end_matches('\n')));
        s.say("");
    }
    Ok(())
}

/// Reads everything, in upstream's words and order.
async fn look(
    s: &mut Session<'_>,
    rest: &Rest,
    args: &PlanArgs,
    file: &UpgradeConfig,
) -> Result<(InitConfig, State, Version)> {
    let (kubeadm, section) = (s.profile, file.section("plan"));
    let ignore = args.common.ignored(&section)?;
    let mut config = preflight_words(s, kubeadm, async |s: &mut Session<'_>| {
        cluster::configuration(s, rest, "upgrade/config", true).await
    })
    .await?;
    preflight::root(s, &ignore)?;
    file.apply(s, &mut config)?;
    health::check(s, rest, &config, &ignore, false).await.map_err(|e| e.within("[upgrade/health] FATAL"))?;
    if args.choice.choice(&section)?.print_config {
        s.say("[upgrade/config] Configuration used:");
        kubelet_config::print_indented(s, &yaml("the configuration", &config.cluster.to_value())?);
    }
    s.say("[upgrade] Fetching available versions to upgrade to");
    let fatal = |e: Failure| e.within("[upgrade/versions] FATAL");
    let version = cluster::version(rest).await.map_err(fatal)?;
    let state = state(s, rest).await.map_err(fatal)?;
    Ok((config, state, version))
}

async fn state(s: &Session<'_>, rest: &Rest) -> Result<State> {
    let mut components = BTreeMap::new();
    for name in STATIC {
        components.insert(name, cluster::component(rest, name).await?);
    }
    let deployment = rest
        .get(&Resource::new("apps", "v1", "deployments"), Some(KUBE_SYSTEM), "coredns")
        .await
        .map_err(|e| Failure::from(e).within("couldn't retrieve DNS addon deployments"))?;
    let image = deployment.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str);
    Ok(State {
        kubeadm: s.profile.into(),
        kubelets: cluster::kubelets(rest).await?,
        components,
        dns: tag(image.unwrap_or_default()).to_owned(),
    })
}

/// What can be upgraded to: the newest of the cluster's own minor, then the newest of all.
fn upgrades(s: &mut Session<'_>, quiet: bool, cluster: &Version, wanted: Option<Version>) -> Vec<Upgrade> {
    let kubeadm: Version = s.profile.into();
    let stable = wanted.unwrap_or_else(|| kubeadm.clone());
    let minor = cluster.release.minor();
    let in_series =
        if stable.release.minor() == minor { stable.clone().max(cluster.clone()) } else { cluster.clone() };
    let series = format!("version in the v1.{minor} series");
    if !quiet {
        let shown = cluster.to_string();
        let bare = s.profile.upgrade_plan_names_nodes();
        s.say(format!(
            "[upgrade/versions] Cluster version: {}",
            if bare { shown.trim_start_matches('v') } else { &shown }
        ));
        s.say(format!("[upgrade/versions] kubeadm version: {kubeadm}"));
        s.say(format!("[upgrade/versions] Target version: {stable}"));
        if stable >= *cluster {
            s.say(format!("[upgrade/versions] Latest {series}: {in_series}"));
        }
    }
    let mut found = Vec::new();
    if *cluster < in_series {
        let kubeadm = kubeadm.clone().max(in_series.clone());
        found.push(Upgrade { description: series, to: in_series.clone(), kubeadm });
    }
    if in_series < stable {
        found.push(Upgrade { description: "stable version".into(), to: stable.clone(), kubeadm: stable });
    }
    found
}

/// What the upgrade makes of every component.
fn rows(state: &State, cluster: &Version, upgrade: &Upgrade, external_etcd: bool) -> Vec<Row> {
    let to = upgrade.to.to_string();
    let release = upgrade.to.release;
    let mut rows = Vec::new();
    let kubelets_stay = state.kubelets.len() == 1 && state.kubelets.contains_key(&upgrade.to);
    if !kubelets_stay {
        for (version, nodes) in &state.kubelets {
            rows.extend(nodes.iter().map(|node| Row {
                name: "kubelet",
                node: node.clone(),
                current: version.to_string(),
                target: to.clone(),
            }));
        }
    }
    let of_static = |name: &'static str, target: &str| -> Vec<Row> {
        let found = state.components.get(name).into_iter().flatten();
        found
            .flat_map(|(tag, nodes)| {
                nodes.iter().map(|node| Row {
                    name,
                    node: node.clone(),
                    current: tag.clone(),
                    target: target.to_owned(),
                })
            })
            .collect()
    };
    for name in &STATIC[..3] {
        rows.extend(of_static(name, &to));
    }
    let whole = |name, current: String, target: String| Row { name, node: String::new(), current, target };
    rows.push(whole("kube-proxy", cluster.to_string().trim_start_matches('v').to_owned(), to.clone()));
    rows.push(whole("CoreDNS", state.dns.clone(), tag(release.coredns_image()).to_owned()));
    if !external_etcd {
        rows.extend(of_static("etcd", release.etcd_version()));
    }
    rows
}

/// The plan of one upgrade for people; with a line for each node, or as older releases counted them.
fn text(upgrade: &Upgrade, rows: &[Row], state: &State, nodes: bool) -> String {
    let header = |node: bool| -> Vec<String> {
        let cells: &[&str] = if node {
            &["COMPONENT", "NODE", "CURRENT", "TARGET"]
        } else {
            &["COMPONENT", "CURRENT", "TARGET"]
        };
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    };
    let cells = |row: &Row| -> Vec<String> {
        let mut cells = vec![row.name.to_owned()];
        if nodes {
            cells.push(row.node.clone());
        }
        cells.extend([row.current.clone(), row.target.clone()]);
        cells
    };
    let (kubelets, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.name == "kubelet");
    let mut out = String::new();
    if !kubelets.is_empty() {
        out.push_str(
            "Components that must be upgraded manually after you have upgraded the control plane with 'kubeadm upgrade \
             apply':\n",
        );
        let mut table = vec![header(nodes)];
        if nodes {
            table.extend(kubelets.into_iter().map(cells));
        } else {
            for (at, (version, on)) in state.kubelets.iter().enumerate() {
                let name = if at == 0 { "kubelet" } else { "" };
                table.push(vec![name.into(), format!("{} x {version}", on.len()), upgrade.to.to_string()]);
            }
        }
        out.push_str(&aligned(&table));
        out.push('\n');
    }
    out.push_str(&format!("Upgrade to the latest {}:\n\n", upgrade.description));
    let mut table = vec![header(nodes)];
    if nodes {
        table.extend(others.into_iter().map(cells));
    } else {
        let mut seen = Vec::new();
        for row in others.into_iter().filter(|row| !(row.name == "kube-proxy" && row.current.is_empty())) {
            let mut line = cells(row);
            if row.name == "kube-proxy" {
                line[1] = format!("v{}", row.current);
            }
            if !seen.contains(&row.name) {
                seen.push(row.name);
                table.push(line);
            }
        }
    }
    out.push_str(&aligned(&table));
    out.push_str(&format!(
        "\nYou can now apply the upgrade by executing the following command:\n\n\tkubeadm upgrade apply {}\n\n",
        upgrade.to
    ));
    if upgrade.kubeadm != state.kubeadm {
        out.push_str(&format!(
            "Note: Before you can perform this upgrade, you have to update kubeadm to {}.\n\n",
            upgrade.kubeadm
        ));
    }
    out.push_str("_____________________________________________________________________\n\n");
    out
}

/// Group, current and preferred version of the configurations that kubeadm keeps for others.
const COMPONENT_CONFIGS: [(&str, &str, &str); 2] =
    [("kubeproxy.config.k8s.io", "v1alpha1", "v1alpha1"), ("kubelet.config.k8s.io", "v1beta1", "v1beta1")];

const CONFIGS: &str = "
The table below shows the current state of component configs as understood by this version of kubeadm.
Configs that have a \"yes\" mark in the \"MANUAL UPGRADE REQUIRED\" column require manual config upgrade or
resetting to kubeadm defaults before a successful upgrade can be performed. The version to manually
upgrade to is denoted in the \"PREFERRED VERSION\" column.

API GROUP                 CURRENT VERSION   PREFERRED VERSION   MANUAL UPGRADE REQUIRED
kubeproxy.config.k8s.io   v1alpha1          v1alpha1            no
kubelet.config.k8s.io     v1beta1           v1beta1             no
_____________________________________________________________________
";

/// The same for programs: kind UpgradePlan.
fn document(plans: &[(Upgrade, Vec<Row>)], state: &State) -> Value {
    let component = |row: &Row| {
        let mut component =
            json!({"name": row.name, "currentVersion": row.current, "newVersion": row.target});
        if !row.node.is_empty() {
            component["nodeName"] = row.node.as_str().into();
        }
        component
    };
    let available: Vec<Value> = plans
        .iter()
        .map(|(upgrade, rows)| {
            let mut components: Vec<Value> = rows.iter().map(component).collect();
            // Before etcd, which is last where there is any.
            let at = rows.iter().position(|row| row.name == "etcd").unwrap_or(rows.len());
            let kubeadm = json!({
                "name": "kubeadm",
                "currentVersion": state.kubeadm.to_string(),
                "newVersion": upgrade.kubeadm.to_string(),
            });
            components.insert(at, kubeadm);
            json!({"description": upgrade.description, "components": components})
        })
        .collect();
    let configs: Vec<Value> = COMPONENT_CONFIGS
        .iter()
        .map(|(group, current, preferred)| {
            json!({
                "group": group,
                "currentVersion": current,
                "preferredVersion": preferred,
                "manualUpgradeRequired": false,
            })
        })
        .collect();
    json!({
        "kind": "UpgradePlan",
        "apiVersion": output::API_VERSION,
        "availableUpgrades": available,
        "configVersions": configs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    fn state(kubeadm: &str) -> State {
        let on = |tag: &str, node: &str| BTreeMap::from([(tag.to_owned(), vec![node.to_owned()])]);
        State {
            kubeadm: version(kubeadm),
            kubelets: BTreeMap::from([(version("v1.34.0"), vec!["controlplane".into(), "node01".into()])]),
            components: BTreeMap::from([
                ("kube-apiserver", on("v1.34.0", "controlplane")),
                ("kube-controller-manager", on("v1.34.0", "controlplane")),
                ("kube-scheduler", on("v1.34.0", "controlplane")),
                ("etcd", on("3.6.4-0", "controlplane")),
            ]),
            dns: "v1.12.1".into(),
        }
    }

    fn to_135() -> Upgrade {
        Upgrade { description: "stable version".into(), to: version("1.35"), kubeadm: version("1.35") }
    }

    #[test]
    fn the_table_is_kubeadms() {
        let state = state("1.34");
        let upgrade = to_135();
        let rows = rows(&state, &version("1.34"), &upgrade, false);
        let expected = "\
Components that must be upgraded manually after you have upgraded the control plane with 'kubeadm upgrade apply':
COMPONENT   NODE           CURRENT   TARGET
kubelet     controlplane   v1.34.0   v1.35.0
kubelet     node01         v1.34.0   v1.35.0

Upgrade to the latest stable version:

COMPONENT                 NODE           CURRENT   TARGET
kube-apiserver            controlplane   v1.34.0   v1.35.0
kube-controller-manager   controlplane   v1.34.0   v1.35.0
kube-scheduler            controlplane   v1.34.0   v1.35.0
kube-proxy                               1.34.0    v1.35.0
CoreDNS                                  v1.12.1   v1.13.1
etcd                      controlplane   3.6.4-0   3.6.6-0

You can now apply the upgrade by executing the following command:

\tkubeadm upgrade apply v1.35.0

Note: Before you can perform this upgrade, you have to update kubeadm to v1.35.0.

_____________________________________________________________________

";
        assert_eq!(text(&upgrade, &rows, &state, true), expected);
        let counted = text(&upgrade, &rows, &state, false);
        assert!(counted.contains("\nkubelet     2 x v1.34.0   v1.35.0\n"), "{counted}");
        assert!(counted.contains("\nkube-proxy                v1.34.0   v1.35.0\n"), "{counted}");
    }

    #[test]
    fn programs_get_the_same_with_kubeadm_before_etcd() {
        let (state, upgrade) = (state("1.35"), to_135());
        let rows = rows(&state, &version("1.34"), &upgrade, false);
        let document = document(&[(upgrade, rows)], &state);
        let components = document["availableUpgrades"][0]["components"].as_array().expect("components");
        let names: Vec<&str> = components.iter().filter_map(|c| c["name"].as_str()).collect();
        assert_eq!(names[6..], ["CoreDNS", "kubeadm", "etcd"], "{names:?}");
        assert_eq!(components[0]["nodeName"], "controlplane");
        assert_eq!(components[5].get("nodeName"), None);
    }

    #[test]
    fn external_etcd_and_upgraded_kubelets_are_left_out() {
        let mut state = state("1.35");
        state.kubelets = BTreeMap::from([(version("1.35"), vec!["controlplane".into()])]);
        let rows = rows(&state, &version("1.34"), &to_135(), true);
        assert!(rows.iter().all(|row| row.name != "etcd" && row.name != "kubelet"), "{rows:?}");
    }
}
