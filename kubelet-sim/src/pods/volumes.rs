//! A pod's volumes as directories on the host, kept up to date while the pod runs.
//!
//! A claim's volume is where its PersistentVolume says (`hostPath`, `local`), whichever pod claims it; other
//! kinds of volumes are a directory of the node under the volume's name, as a driver's stage would be.

use std::{collections::BTreeMap, time::Duration};

use api::object::ObjectExt as _;
use client::Resource;
use serde_json::Value;

use super::{environment::Holder, worker::Worker};
use crate::shell::Mount;

const CLAIMS: Resource = Resource::core("persistentvolumeclaims");
const VOLUMES: Resource = Resource::core("persistentvolumes");
/// Where drivers put what belongs to no pod alone.
const STAGED: &str = "/var/lib/kubelet/plugins/kubernetes.io/csi/pv";

/// How often a running pod's volumes are compared with what they are made of (syncFrequency).
const SYNC: Duration = Duration::from_secs(60);
/// Between two tries to make them.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(122);

/// Relative path, contents and mode.
type Contents = BTreeMap<String, (Vec<u8>, u32)>;

impl Worker {
    /// The pod's own directory on the host.
    fn dir(&self) -> String {
        format!("/var/lib/kubelet/pods/{}", self.pod().uid())
    }

    /// Takes away what [`Worker::mount`] made.
    pub(super) fn unmount(&self) {
        if self.pod().list_at("/spec/volumes").is_empty() {
            return;
        }
        if let Err(e) = self.host().disk().remove_all(self.dir()) {
            tracing::error!(pod = self.key(), "its volumes are left behind: {e}");
        }
    }

    /// Makes all volumes, trying until they are there.
    pub(super) async fn mount(&self) {
        let mut pause = FIRST_PAUSE;
        while let Err((volume, why)) = self.write_volumes().await {
            let words = format!("MountVolume.SetUp failed for volume {volume:?} : {why}");
            tracing::error!(pod = self.key(), "{words}");
            self.warning("FailedMount", words);
            self.host().clock().sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Keeps the volumes up to date until the pod has run its course: nobody reads them then.
    pub(super) async fn keep_volumes(&self) {
        let changes = |v: &Value| {
            ["/configMap", "/secret", "/projected", "/downwardAPI"].iter().any(|kind| v.at(kind).is_some())
        };
        if !self.pod().list_at("/spec/volumes").iter().any(changes) {
            return;
        }
        let host = self.host().clone();
        loop {
            // A token's end is a deadline, whatever the pace of this world; the rest recurs.
            // One that a new token did not push back (the apiserver's clock is behind this one) is
            // looked at again as often as upstream looks.
            let due = async {
                // Where time is stretched, a token that no script can read may age until the next
                // turn: a year of renewals for programs that do not exist would be most of its cost.
                let read = host.periods().is_upstream() || self.runs_scripts();
                if read && self.tokens().are_there() {
                    host.clock().sleep(self.tokens().due(&host).unwrap_or(SYNC)).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = self.until(|s| s.finished) => return,
                () = due => {}
                () = host.recur(SYNC) => {}
            }
            if let Err((volume, why)) = self.write_volumes().await {
                tracing::error!(pod = self.key(), "volume {volume:?} is not up to date: {why}");
                host.clock().sleep(SYNC).await;
            }
        }
    }

    async fn write_volumes(&self) -> Result<(), (String, String)> {
        let pod = self.pod();
        for volume in pod.list_at("/spec/volumes") {
            let failed = |why: String| (volume.str_at("/name").to_owned(), why);
            self.write_volume(volume).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Where a volume is on the host.
    fn path(&self, volume: &Value) -> String {
        let host_path = volume.str_at("/hostPath/path");
        if !host_path.is_empty() {
            return host_path.trim_end_matches('/').to_owned();
        }
        if let Some(claimed) = self.claimed(volume.str_at("/name")) {
            return claimed;
        }
        let kinds = ["configMap", "secret", "projected", "downwardAPI", "emptyDir"];
        let kind = kinds.into_iter().find(|kind| volume.at(&format!("/{kind}")).is_some());
        let plugin = match kind {
            Some("configMap") => "configmap",
            Some("secret") => "secret",
            Some("projected") => "projected",
            Some("downwardAPI") => "downward-api",
            Some(_) => "empty-dir",
            None => "csi",
        };
        format!("{}/volumes/kubernetes.io~{plugin}/{}", self.dir(), volume.str_at("/name"))
    }

    /// Where on the host the volume is that claim `name` is bound to.
    async fn claimed_path(&self, name: &str) -> Result<String, String> {
        let Some(rest) = self.node().rest() else { return Err("the kubelet has no apiserver yet".into()) };
        let (pod, words) = (self.pod(), |e: client::ClientError| e.to_string());
        let claim = rest.get_opt(&CLAIMS, Some(pod.namespace()), name).await.map_err(words)?;
        let claim = claim.ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))?;
        let volume = claim.str_at("/spec/volumeName");
        if volume.is_empty() || claim.str_at("/status/phase") != "Bound" {
            return Err(format!("PVC {}/{name} is not bound", pod.namespace()));
        }
        let found = rest.get_opt(&VOLUMES, None, volume).await.map_err(words)?;
        let found = found.ok_or_else(|| format!("persistentvolume {volume:?} not found"))?;
        let own =
            ["/spec/hostPath/path", "/spec/local/path"].map(|at| found.str_at(at).trim_end_matches('/'));
        Ok(match own.into_iter().find(|path| !path.is_empty()) {
            Some(path) => path.to_owned(),
            None => format!("{STAGED}/{volume}/globalmount"),
        })
    }

    async fn write_volume(&self, volume: &Value) -> Result<(), String> {
        if volume.at("/hostPath").is_some() {
            return Ok(());
        }
        let claim = match volume.str_at("/persistentVolumeClaim/claimName") {
            "" if volume.at("/ephemeral").is_some() => {
                Some(format!("{}-{}", self.pod().name(), volume.str_at("/name")))
            }
            "" => None,
            name => Some(name.to_owned()),
        };
        if let Some(claim) = claim {
            let path = self.claimed_path(&claim).await?;
            self.claims(volume.str_at("/name"), path);
        }
        let (disk, path) = (self.host().disk(), self.path(volume));
        disk.create_dir_all(&path).map_err(|e| e.to_string())?;
        let mut contents = Contents::new();
        let default_mode = |at: &str| mode(volume, &format!("{at}/defaultMode")).unwrap_or(0o644);
        if let Some(source) = volume.at("/projected") {
            for part in source.list_at("/sources") {
                self.project(part, default_mode("/projected"), &mut contents).await?;
            }
        } else if ["/configMap", "/secret", "/downwardAPI"].iter().any(|kind| volume.at(kind).is_some()) {
            let kind = ["/configMap", "/secret", "/downwardAPI"].into_iter().find(|k| volume.at(k).is_some());
            self.project(volume, default_mode(kind.unwrap_or_default()), &mut contents).await?;
        } else {
            return Ok(());
        }
        for (name, (bytes, mode)) in &contents {
            let file = format!("{path}/{name}");
            if disk.read(&file).ok().as_ref() != Some(bytes) {
                disk.write(&file, bytes, *mode).map_err(|e| e.to_string())?;
            }
        }
        for name in disk.list(&path).map_err(|e| e.to_string())? {
            let wanted = contents.keys().any(|k| k.split('/').next() == Some(name.as_str()));
            if !wanted {
                disk.remove(format!("{path}/{name}")).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    /// Adds what one source gives.
    async fn project(
        &self,
        source: &Value,
        default_mode: u32,
        contents: &mut Contents,
    ) -> Result<(), String> {
        for (holder, field, name) in
            [(Holder::ConfigMap, "/configMap", "/name"), (Holder::Secret, "/secret", "/secretName")]
        {
            let Some(reference) = source.at(field) else { continue };
            let name = if reference.str_at(name).is_empty() { "/name" } else { name };
            let name = reference.str_at(name);
            let Some(data) = self.held_unless_optional(holder, reference, name).await? else { continue };
            let items = reference.list_at("/items");
            if items.is_empty() {
                contents.extend(data.into_iter().map(|(key, bytes)| (key, (bytes, default_mode))));
                continue;
            }
            for item in items {
                let key = item.str_at("/key");
                match data.get(key) {
                    Some(bytes) => {
                        let mode = mode(item, "/mode").unwrap_or(default_mode);
                        contents.insert(item.str_at("/path").to_owned(), (bytes.clone(), mode));
                    }
                    None if reference.bool_at("/optional") => {}
                    None => {
                        return Err(format!(
                            "references non-existent {} key: {key}",
                            &field[1..].to_lowercase()
                        ));
                    }
                }
            }
        }
        if let Some(reference) = source.at("/downwardAPI") {
            for item in reference.list_at("/items") {
                let text = match (item.at("/fieldRef"), item.at("/resourceFieldRef")) {
                    (Some(field), _) => self.field(field.str_at("/fieldPath"))?,
                    (None, Some(reference)) => self.resource_field(&Value::Null, reference)?,
                    (None, None) => continue,
                };
                let mode = mode(item, "/mode").unwrap_or(default_mode);
                contents.insert(item.str_at("/path").to_owned(), (text.into_bytes(), mode));
            }
        }
        if let Some(wanted) = source.at("/serviceAccountToken") {
            let token = self.token(wanted).await?;
            let path = if wanted.str_at("/path").is_empty() { "token" } else { wanted.str_at("/path") };
            contents.insert(path.to_owned(), (token.into_bytes(), default_mode));
        }
        Ok(())
    }

    /// What a container sees of the pod's volumes.
    pub(super) fn mounts(&self, container: &Value) -> Vec<Mount> {
        let pod = self.pod();
        let mut mounts = Vec::new();
        for mount in container.list_at("/volumeMounts") {
            let volumes = pod.list_at("/spec/volumes");
            let Some(volume) = volumes.iter().find(|v| v.str_at("/name") == mount.str_at("/name")) else {
                continue;
            };
            let below = mount.str_at("/subPath");
            let source = self.path(volume);
            let kept = ["configMap", "secret", "projected", "downwardAPI"];
            let written = !kept.iter().any(|kind| volume.at(&format!("/{kind}")).is_some());
            mounts.push(Mount {
                path: mount.str_at("/mountPath").to_owned(),
                source: if below.is_empty() { source } else { format!("{source}/{below}") },
                // What the kubelet writes, nobody else does.
                read_only: mount.bool_at("/readOnly")
                    || volume.bool_at("/persistentVolumeClaim/readOnly")
                    || !written,
            });
        }
        mounts
    }
}

fn mode(value: &Value, at: &str) -> Option<u32> {
    value.i64_at(at).and_then(|m| u32::try_from(m).ok())
}
