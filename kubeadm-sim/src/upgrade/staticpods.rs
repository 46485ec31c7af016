//! The control plane of this host, exchanged pod by pod
//! (`cmd/kubeadm/app/phases/upgrade/staticpods.go`).
//!
//! ```text
//! new manifests ─► tmp/kubeadm-upgraded-manifests…      old ones ─► tmp/kubeadm-backup-manifests-<time>
//!   etcd ─► kube-apiserver ─► kube-controller-manager ─► kube-scheduler, each:
//!     equal? skip, its certificates too │ renew its certificates │ exchange the manifest │ wait for the pod
//!   admin.conf, super-admin.conf
//! ```
//!
//! A failure puts back the manifests that were moved: etcd's only if etcd itself failed.

use std::{collections::BTreeMap, time::Duration};

use api::duration;
use client::Rest;
use serde_json::Value;

use super::{cluster::tag, renewal, version::numbers, waiter};
use crate::{
    config::InitConfig,
    manifests,
    paths::{ETCD_DIR, HEALTH_POLL, KUBERNETES_DIR, MANIFESTS_DIR},
    preflight,
    session::{Failure, Result, Session, poll, yaml},
};

/// In the order of their exchange.
pub(super) const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const ETCD: &str = "etcd";
const ETCD_PORT: u16 = 2379;

/// What is exchanged, and how.
pub(super) struct Exchange<'a> {
    pub rest: &'a Rest,
    pub config: &'a InitConfig,
    pub renew: bool,
    pub etcd: bool,
}

/// Where manifests lie meanwhile.
struct Places {
    new: String,
    backup: String,
    backup_etcd: String,
    /// Components whose old manifest lies in the backup.
    moved: BTreeMap<&'static str, String>,
}

impl Places {
    fn new(s: &Session<'_>) -> Result<Self> {
        let places = Self {
            new: random_directory(s, "kubeadm-upgraded-manifests"),
            backup: dated_directory(s, "kubeadm-backup-manifests"),
            backup_etcd: dated_directory(s, "kubeadm-backup-etcd"),
            moved: BTreeMap::new(),
        };
        for dir in [&places.new, &places.backup, &places.backup_etcd] {
            s.disk().create_dir_all(dir)?;
        }
        Ok(places)
    }

    fn new_path(&self, component: &str) -> String {
        format!("{}/{component}.yaml", self.new)
    }

    fn backup_path(&self, component: &str) -> String {
        format!("{}/{component}.yaml", self.backup)
    }
}

/// A directory of kubeadm's with a number that is not in use.
pub(super) fn random_directory(s: &Session<'_>, name: &str) -> String {
    format!("{KUBERNETES_DIR}/tmp/{name}{}", s.host.entropy().below(1 << 32))
}

/// A directory of kubeadm's with the time in its name.
pub(super) fn dated_directory(s: &Session<'_>, name: &str) -> String {
    format!("{KUBERNETES_DIR}/tmp/{name}-{}", s.host.clock().wall().strftime("%Y-%m-%d-%H-%M-%S"))
}

fn real_path(component: &str) -> String {
    format!("{MANIFESTS_DIR}/{component}.yaml")
}

impl Exchange<'_> {
    /// Exchanges etcd, unless it is elsewhere or not wanted, and the control plane.
    ///
    /// # Errors
    /// What went wrong; what was moved is back then.
    pub(super) async fn run(&self, s: &mut Session<'_>) -> Result<()> {
        let mut places = Places::new(s)?;
        let mut before = BTreeMap::new();
        for component in CONTROL_PLANE {
            before.insert(component, self.hash(s, component).await?);
        }
        let etcd = self.etcd && self.config.cluster.external_etcd.is_none();
        let short = s.profile.upgrade_words_of_131();
        if etcd && !short {
            s.say("[upgrade/etcd] Upgrading to TLS for etcd");
        }
        for (component, text) in manifests::control_plane_manifests(s, self.config)? {
            s.disk().write(places.new_path(component), text, 0o600)?;
        }
        let writing = format!("[upgrade/staticpods] Writing new Static Pod manifests to {:?}", places.new);
        if short {
            s.say(&writing);
        }
        if etcd {
            self.etcd(s, &mut places).await?;
        }
        if !short {
            s.say(&writing);
        }
        for component in CONTROL_PLANE {
            let hash = before.get(component).map(String::as_str).unwrap_or_default();
            self.component(s, &mut places, component, hash).await?;
        }
        if self.renew {
            renewal::administrators(s, self.config).map_err(|e| roll_back(s, &places, e, false))?;
        }
        s.disk().remove_all(&places.new)?;
        Ok(())
    }

    async fn hash(&self, s: &Session<'_>, component: &str) -> Result<String> {
        waiter::present_hash(s.host, self.rest, &self.config.node_name, component, self.timeout()).await
    }

    /// How long a component may take to come back (`UpgradeManifests`).
    fn timeout(&self) -> Duration {
        self.config.timeouts.upgrade_manifests
    }

    async fn component(
        &self,
        s: &mut Session<'_>,
        places: &mut Places,
        component: &'static str,
        before: &str,
    ) -> Result<()> {
        s.say(format!("[upgrade/staticpods] Preparing for {component:?} upgrade"));
        let (real, new, backup) =
            (real_path(component), places.new_path(component), places.backup_path(component));
        let equal = self.is_equal(s, &real, &new)?;
        let restart = equal && component == ETCD && self.apiserver_changes(s, places)?;
        if equal && !restart {
            s.say(format!(
                "[upgrade/staticpods] Current and new manifests of {component} are equal, skipping upgrade"
            ));
            return Ok(());
        }
        let restore_etcd = component == ETCD;
        if self.renew {
            renewal::component(s, self.config, component).map_err(|e| {
                let e = e.within(&format!("failed to renew certificates for component {component:?}"));
                roll_back(s, places, e, restore_etcd)
            })?;
        }
        let moved = if restart {
            s.say(format!(
                "[upgrade/staticpods] Restarting the {component} static pod and backing up its manifest to {backup:?}"
            ));
            self.restart(s, places, component).await
        } else {
            self.exchange(s, places, component)
        };
        moved.map_err(|e| roll_back(s, places, e, restore_etcd))?;
        s.say("[upgrade/staticpods] Waiting for the kubelet to restart the component");
        let patience = duration::format(self.timeout());
        s.say(if s.profile.upgrade_words_of_131() {
            format!("[upgrade/staticpods] This can take up to {patience}")
        } else {
            format!(
                "[upgrade/staticpods] This might take a minute or longer depending on the component/version gap (timeout \
                 {patience})"
            )
        });
        let came = self.comes_back(s, component, (!restart).then_some(before)).await;
        came.map_err(|e| roll_back(s, places, e, restore_etcd))?;
        s.say(format!("[upgrade/staticpods] Component {component:?} upgraded successfully!"));
        Ok(())
    }

    /// The old manifest goes away, the new one takes its place.
    fn exchange(&self, s: &mut Session<'_>, places: &mut Places, component: &'static str) -> Result<()> {
        let (real, backup) = (real_path(component), places.backup_path(component));
        let words = if s.profile.upgrade_words_of_131() {
            format!(
                "[upgrade/staticpods] Moving new manifest to {real:?} and backing up old manifest to {backup:?}"
            )
        } else {
            format!(
                "[upgrade/staticpods] Moved new manifest to {real:?} and backed up old manifest to {backup:?}"
            )
        };
        s.disk().rename(&real, &backup)?;
        places.moved.insert(component, backup);
        s.disk().rename(places.new_path(component), &real)?;
        s.say(words);
        Ok(())
    }

    /// The manifest goes away and, once the kubelet has ended the pod, comes back: a manifest that says the same is
    /// the same pod, and only so does it start anew.
    async fn restart(&self, s: &Session<'_>, places: &mut Places, component: &'static str) -> Result<()> {
        let (real, backup) = (real_path(component), places.backup_path(component));
        s.disk().rename(&real, &backup)?;
        places.moved.insert(component, backup);
        poll(s.host, HEALTH_POLL, self.timeout(), async || match preflight::in_use(s, ETCD_PORT).await {
            true => Err(Failure::new(format!("the kubelet did not stop the {component} static pod"))),
            false => Ok(()),
        })
        .await?;
        s.disk().rename(places.new_path(component), &real)?;
        Ok(())
    }

    async fn comes_back(&self, s: &mut Session<'_>, component: &str, before: Option<&str>) -> Result<()> {
        if let Some(before) = before {
            let (node, timeout) = (&self.config.node_name, self.timeout());
            waiter::hash_changed(s.host, self.rest, node, component, before, timeout).await?;
        }
        waiter::pods_running(s, self.rest, &format!("component={component}"), self.timeout()).await
    }

    fn is_equal(&self, s: &Session<'_>, real: &str, new: &str) -> Result<bool> {
        Ok(read_manifest(s, real)? == read_manifest(s, new)?)
    }

    /// Whether etcd is to be restarted although its manifest says the same.
    fn apiserver_changes(&self, s: &Session<'_>, places: &Places) -> Result<bool> {
        if !(self.renew && s.profile.upgrade_renews_unchanged_etcd()) {
            return Ok(false);
        }
        let apiserver = CONTROL_PLANE[0];
        Ok(!self.is_equal(s, &real_path(apiserver), &places.new_path(apiserver))?)
    }

    async fn etcd(&self, s: &mut Session<'_>, places: &mut Places) -> Result<()> {
        etcd_healthy(s).await.map_err(|e| e.within("etcd cluster is not healthy"))?;
        waiter::copy_dir(s, ETCD_DIR, &places.backup_etcd)
            .map_err(|e| e.within("failed to back up etcd data"))?;
        let current = read_manifest(s, &real_path(ETCD))?;
        let image = current.pointer("/spec/containers/0/image").and_then(Value::as_str).unwrap_or_default();
        let (installed, wanted) = (tag(image), s.profile.etcd_version());
        if numbers(wanted) < numbers(installed) {
            let why = if s.profile.upgrade_phases() {
                format!(
                    "the desired etcd version {wanted:?} is older than the currently installed {installed:?}. Skipping etcd \
                     upgrade"
                )
            } else {
                format!(
                    "the desired etcd version for this Kubernetes version {:?} is {wanted:?}, but the current etcd version \
                     is {installed:?}. Won't downgrade etcd, instead just continue",
                    s.profile.git_version()
                )
            };
            s.say(format!("[upgrade/etcd] Non fatal issue encountered during upgrade: {why}"));
            return Ok(());
        }
        let before = self.hash(s, ETCD).await.map_err(|e| e.within("failed to get etcd pod's hash"))?;
        let new = with_members_of(&current, &manifests::etcd_manifest(s, self.config, &[])?)?;
        s.disk().write(places.new_path(ETCD), new, 0o600)?;
        if let Err(e) = self.component(s, places, ETCD, &before).await {
            s.say(format!("[upgrade/etcd] Failed to upgrade etcd: {e}"));
            self.etcd_is_back(s, places).await?;
            return Err(e.within(
                "fatal error when trying to upgrade the etcd cluster, rolled the state back to pre-upgrade state",
            ));
        }
        s.say("[upgrade/etcd] Waiting for etcd to become available");
        if let Err(e) = available(s, self.timeout()).await {
            s.say(format!("[upgrade/etcd] Failed to healthcheck etcd: {e}"));
            s.say("[upgrade/etcd] Rolling back etcd data");
            self.restore_data(s, places)?;
            s.say("[upgrade/etcd] Rolling back etcd manifest");
            // Its words repeat what is said here.
            let _ = roll_back(s, places, e.clone(), true);
            self.etcd_is_back(s, places).await?;
            return Err(e.within(
                "fatal error upgrading local etcd cluster, rolled the state back to pre-upgrade state",
            ));
        }
        Ok(())
    }

    /// After a failure the old manifest is in its place again; whether its etcd is too.
    async fn etcd_is_back(&self, s: &mut Session<'_>, places: &Places) -> Result<()> {
        s.say("[upgrade/etcd] Waiting for previous etcd to become available");
        if let Err(e) = available(s, self.timeout()).await {
            s.say(format!("[upgrade/etcd] Failed to healthcheck previous etcd: {e}"));
            s.say("[upgrade/etcd] Rolling back etcd data");
            self.restore_data(s, places)?;
            s.say("[upgrade/etcd] Waiting for previous etcd to become available");
            if let Err(e) = available(s, self.timeout()).await {
                s.say(format!("[upgrade/etcd] Failed to healthcheck previous etcd: {e}"));
                return Err(e.within(&format!(
                    "fatal error rolling back local etcd cluster manifest, the backup of etcd database is stored here:({})",
                    places.backup_etcd
                )));
            }
        }
        s.say("[upgrade/etcd] Etcd was rolled back and is now available");
        Ok(())
    }

    fn restore_data(&self, s: &mut Session<'_>, places: &Places) -> Result<()> {
        let dir = &places.backup_etcd;
        waiter::copy_dir(s, dir, ETCD_DIR).map_err(|e| {
            Failure::new(format!(
                "fatal error rolling back local etcd cluster datadir: couldn't recover etcd database with error, the location \
                 of etcd backup: {dir} : {e}, the backup of etcd database is stored here:({dir})"
            ))
        })?;
        s.say("[upgrade/etcd] Etcd data rollback successful");
        Ok(())
    }
}

fn read_manifest(s: &Session<'_>, path: &str) -> Result<Value> {
    let text = s.disk().read_to_string(path)?;
    serde_saphyr::from_str(&text)
        .map_err(|e| Failure::new(format!("failed to parse the manifest {path}: {e}")))
}

/// Puts back what was moved; always the failure to tell.
fn roll_back(s: &Session<'_>, places: &Places, why: Failure, etcd_too: bool) -> Failure {
    let mut errors = vec![why.0];
    for (component, backup) in places.moved.iter().filter(|(name, _)| etcd_too || **name != ETCD) {
        if let Err(e) = s.disk().rename(backup, real_path(component)) {
            errors.push(e.to_string());
        }
    }
    let errors =
        if let [only] = errors.as_slice() { only.clone() } else { format!("[{}]", errors.join(", ")) };
    Failure::new(format!(
        "couldn't upgrade control plane. kubeadm has tried to recover everything into the earlier state. Errors faced: \
         {errors}"
    ))
}

/// A new etcd manifest with the old one's members: a member that joined later finds the others by them.
fn with_members_of(old: &Value, new: &str) -> Result<String> {
    const COMMAND: &str = "/spec/containers/0/command";
    let is_kept =
        |flag: &str| flag.starts_with("--initial-cluster=") || flag.starts_with("--initial-cluster-state=");
    let kept: Vec<&str> = old
        .pointer(COMMAND)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|flag| is_kept(flag))
        .collect();
    let mut pod: Value = serde_saphyr::from_str(new)
        .map_err(|e| Failure::new(format!("failed to parse the new manifest of etcd: {e}")))?;
    if let Some(command) = pod.pointer_mut(COMMAND).and_then(Value::as_array_mut) {
        let at = command.iter().position(|flag| flag.as_str().is_some_and(is_kept)).unwrap_or(command.len());
        command.retain(|flag| !flag.as_str().is_some_and(is_kept));
        command.splice(at..at, kept.into_iter().map(Value::from));
    }
    yaml("the manifest of etcd", &pod)
}

/// Whether the member of this host answers where its probes ask it.
async fn etcd_healthy(s: &Session<'_>) -> Result<()> {
    crate::wait::answers(s, "http://127.0.0.1:2381", "/livez").await
}

async fn available(s: &Session<'_>, timeout: Duration) -> Result<()> {
    poll(s.host, HEALTH_POLL, timeout, async || etcd_healthy(s).await).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_etcd_manifest_keeps_the_members() {
        let pod = |flags: &[&str]| json!({"spec": {"containers": [{"command": flags}]}});
        let old = pod(&[
            "etcd",
            "--data-dir=/old",
            "--initial-cluster=a=x,b=y",
            "--initial-cluster-state=existing",
        ]);
        let new = pod(&["etcd", "--data-dir=/new", "--initial-cluster=b=y", "--name=b"]);
        let new = yaml("a pod", &new).expect("YAML");
        let merged: Value =
            serde_saphyr::from_str(&with_members_of(&old, &new).expect("merged")).expect("YAML");
        let expected = [
            "etcd",
            "--data-dir=/new",
            "--initial-cluster=a=x,b=y",
            "--initial-cluster-state=existing",
            "--name=b",
        ];
        assert_eq!(merged, pod(&expected));
    }
}
