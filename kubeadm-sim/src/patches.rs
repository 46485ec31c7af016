//! `--patches`: people's changes to the files that kubeadm writes (`cmd/kubeadm/app/util/patches`).
//!
//! A directory holds files `<target>[suffix][+type].<yaml|json>`; the type is strategic where none is named.

use api::{kinds, patch};
use serde_json::Value;
use world::FileKind;

use crate::session::{Failure, Result, Session};

/// What can be patched.
const TARGETS: &[&str] = &[
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubeletconfiguration",
    "corednsdeployment",
];
const TYPES: &[&str] = &["json", "merge", "strategic"];
const EXTENSIONS: &[&str] = &["json", "yaml"];

/// The patches of a directory, in the order of their files' names.
#[derive(Default)]
pub(crate) struct Patches(Vec<Patch>);

struct Patch {
    target: &'static str,
    form: &'static str,
    body: Value,
}

/// What the name of a file says.
enum Name {
    Patch(&'static str, &'static str),
    Ignored(String),
}

impl Patches {
    /// Reads a directory of the host.
    ///
    /// # Errors
    /// It cannot be read, or a file is no patch.
    pub(crate) fn read(s: &Session<'_>, dir: &str) -> Result<Self> {
        let at = |e: Failure| e.within(&format!("could not list patch files for path {dir:?}"));
        s.say(format!("[patches] Reading patches from path {dir:?}"));
        let mut this = Self::default();
        let (mut found, mut ignored) = (Vec::new(), Vec::new());
        let disk = s.host.disk();
        for name in disk.list(dir).map_err(|e| at(e.into()))? {
            let path = format!("{dir}/{name}");
            if disk.stat(&path).is_some_and(|stat| stat.kind == FileKind::Dir) {
                continue;
            }
            let (target, form) = match parse_name(&name).map_err(at)? {
                Name::Patch(target, form) => (target, form),
                Name::Ignored(why) => {
                    s.say(format!("[patches] Ignoring file {name:?}: {why}"));
                    ignored.push(name);
                    continue;
                }
            };
            let text = disk.read_to_string(&path).map_err(|e| at(e.into()))?;
            if text.is_empty() {
                s.say(format!("[patches] Ignoring empty file: {name:?}"));
                ignored.push(name);
                continue;
            }
            for part in text.split("\n---").map(str::trim).filter(|part| !part.is_empty()) {
                let body = serde_saphyr::from_str(part.trim_start_matches("---")).map_err(|e| {
                    at(Failure::new(format!("could not convert patch to JSON:\n{part}\n: {e}")))
                })?;
                this.0.push(Patch { target, form, body });
            }
            found.push(name);
        }
        if !found.is_empty() {
            s.say(format!("[patches] Found the following patch files: [{}]", found.join(" ")));
        }
        if !ignored.is_empty() {
            s.say(format!("[patches] Ignored the following files: [{}]", ignored.join(" ")));
        }
        Ok(this)
    }

    fn apply(&self, s: &Session<'_>, target: &str, object: Value) -> Result<Value> {
        let mut object = object;
        for patch in self.0.iter().filter(|patch| patch.target == target) {
            object = patch.applied(&object).map_err(|e| {
                Failure::new(format!(
                    "could not apply the following patch of type {:?} to target {target:?}:\n{}\n: {e}",
                    patch.media_type(),
                    patch.body
                ))
            })?;
            s.say(format!("[patches] Applied patch of type {:?} to target {target:?}", patch.media_type()));
        }
        Ok(object)
    }
}

/// An object that is about to be written, with its patches.
pub(crate) fn patched(s: &Session<'_>, target: &str, object: Value) -> Result<Value> {
    s.patches.apply(s, target, object)
}

impl Patch {
    fn applied(&self, object: &Value) -> std::result::Result<Value, String> {
        let kind = match self.target {
            // Its lists have no merge keys, so that both kinds of merge do the same.
            "kubeletconfiguration" => None,
            "corednsdeployment" => kinds::by_kind("apps", "v1", "Deployment"),
            _ => kinds::by_kind("", "v1", "Pod"),
        };
        let applied = match (self.form, kind) {
            ("json", _) => patch::json_patch(object, &self.body),
            ("strategic", Some(kind)) => patch::strategic_merge(kind, object, &self.body),
            _ => patch::merge_patch(object, &self.body),
        };
        applied.map_err(|status| status.to_string())
    }

    fn media_type(&self) -> &'static str {
        match self.form {
            "json" => "application/json-patch+json",
            "merge" => "application/merge-patch+json",
            _ => "application/strategic-merge-patch+json",
        }
    }
}

fn parse_name(name: &str) -> Result<Name> {
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return Ok(Name::Ignored(format!("the file extension must be one of [{}]", EXTENSIONS.join(" "))));
    };
    if stem.is_empty() || !EXTENSIONS.contains(&extension) {
        return Ok(Name::Ignored(format!("the file extension must be one of [{}]", EXTENSIONS.join(" "))));
    }
    let Some(target) = TARGETS.iter().find(|target| stem.starts_with(**target)) else {
        return Ok(Name::Ignored(format!("unknown target, must be one of [{}]", TARGETS.join(" "))));
    };
    let form = match stem.split_once('+') {
        None => "strategic",
        Some((_, given)) => TYPES.iter().find(|form| given == **form).ok_or_else(|| {
            Failure::new(format!(
                "unknown or missing patch type after '+', must be one of [{}]",
                TYPES.join(" ")
            ))
        })?,
    };
    Ok(Name::Patch(target, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_what_is_patched_and_how() {
        for (name, expected) in [
            ("kube-apiserver.yaml", "kube-apiserver strategic"),
            ("kube-apiserver0+merge.json", "kube-apiserver merge"),
            ("etcd-memory+json.yaml", "etcd json"),
            ("kubeletconfiguration.yaml", "kubeletconfiguration strategic"),
            ("README.md", "the file extension must be one of [json yaml]"),
            ("apiserver.yaml", "unknown target, must be one of [etcd kube-apiserver"),
            (
                "etcd+xml.yaml",
                "unknown or missing patch type after '+', must be one of [json merge strategic]",
            ),
            ("etcd+.yaml", "unknown or missing patch type after '+'"),
        ] {
            let said = match parse_name(name) {
                Ok(Name::Patch(target, form)) => format!("{target} {form}"),
                Ok(Name::Ignored(why)) => why,
                Err(e) => e.0,
            };
            assert!(said.starts_with(expected), "{name}: {said}");
        }
    }
}
