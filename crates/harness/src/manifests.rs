//! Objects to be applied: from YAML, from files and folders, from derived types.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use kube::core::{CustomResourceExt, GroupVersionKind};
use serde::Serialize;
use serde_json::Value;

use crate::HarnessError;

/// Objects to be applied, in this order, but namespaces and definitions first.
#[derive(Clone, Debug, Default)]
pub struct Manifests(Vec<Manifest>);

/// One object, and where it is from.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub origin: String,
    pub object: Value,
}

impl Manifests {
    /// The documents of a YAML text.
    ///
    /// # Errors
    /// A document is no YAML, or no object.
    pub fn yaml(text: &str) -> Result<Self, HarnessError> {
        Self::read(text, "the YAML text")
    }

    /// The documents of a file, or of every `.yaml`, `.yml` and `.json` file in a folder and below it, by name.
    ///
    /// # Errors
    /// The path cannot be read, or a document is no object.
    pub fn path(path: impl AsRef<Path>) -> Result<Self, HarnessError> {
        let mut all = Self::default();
        for file in files(path.as_ref())? {
            let text = fs::read_to_string(&file)
                .map_err(|e| HarnessError::new(format!("cannot read {}: {e}", file.display())))?;
            all = all.and(Self::read(&text, &file.display().to_string())?);
        }
        Ok(all)
    }

    /// The definition of a type that derives `kube::CustomResource`.
    ///
    /// # Errors
    /// The definition cannot be written as JSON.
    pub fn crd<K: CustomResourceExt>() -> Result<Self, HarnessError> {
        Self::object(&K::crd())
    }

    /// One object of any type.
    ///
    /// # Errors
    /// It is none of the API's: it has no kind.
    pub fn object(object: &impl Serialize) -> Result<Self, HarnessError> {
        let origin = "an object of the test";
        let object = serde_json::to_value(object).map_err(|e| HarnessError::new(format!("{origin}: {e}")))?;
        Ok(Self(vec![Manifest::new(origin.to_owned(), object)?]))
    }

    /// These, and then those.
    pub fn and(mut self, those: Self) -> Self {
        self.0.extend(those.0);
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(text: &str, origin: &str) -> Result<Self, HarnessError> {
        let wrong = |e: String| HarnessError::new(format!("{origin}: {e}"));
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| wrong(e.to_string()))?;
        let mut all = Vec::new();
        for (number, document) in documents.into_iter().enumerate() {
            let origin = format!("{origin}, document {}", number + 1);
            match document {
                Value::Null => {}
                // What `kubectl get -o yaml` writes.
                Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                    let items = list.remove("items").unwrap_or_default();
                    for item in items.as_array().into_iter().flatten() {
                        all.push(Manifest::new(origin.clone(), item.clone())?);
                    }
                }
                object => all.push(Manifest::new(origin, object)?),
            }
        }
        Ok(Self(all))
    }

    /// Those that others may need, first.
    pub(crate) fn in_order(&self) -> Vec<&Manifest> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|manifest| match manifest.kind() {
            "Namespace" => 0,
            "CustomResourceDefinition" => 1,
            _ => 2,
        });
        all
    }
}

impl Manifest {
    fn new(origin: String, object: Value) -> Result<Self, HarnessError> {
        let manifest = Self { origin, object };
        for field in ["apiVersion", "kind"] {
            if manifest.text(&format!("/{field}")).is_empty() {
                let Self { origin, object } = &manifest;
                return Err(HarnessError::new(format!("{origin}: {field} is missing in {object}")));
            }
        }
        Ok(manifest)
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The kinds that a definition has served, by version.
    pub(crate) fn defines(&self) -> Vec<GroupVersionKind> {
        let (group, kind) = (self.text("/spec/group"), self.text("/spec/names/kind"));
        let versions = self.object.pointer("/spec/versions").and_then(Value::as_array);
        let served = versions.into_iter().flatten().filter(|v| v["served"] == true);
        let names = served.filter_map(|version| version["name"].as_str());
        names.map(|version| GroupVersionKind::gvk(group, version, kind)).collect()
    }

    /// What went wrong with it.
    pub(crate) fn wrong(&self, why: &dyn fmt::Display) -> HarnessError {
        let (kind, name, origin) = (self.kind(), self.name(), &self.origin);
        HarnessError::new(format!("cannot apply {kind} {name:?} of {origin}: {why}"))
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, HarnessError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |e: std::io::Error| HarnessError::new(format!("cannot read {}: {e}", path.display()));
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let is_manifest = entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if entry.is_dir() || is_manifest {
            found.extend(files(&entry)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_what_others_need_comes_first() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Namespace\n\
                    metadata: {name: apart}\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n";
        let manifests = Manifests::yaml(text).expect("three objects");
        let order: Vec<_> =
            manifests.in_order().iter().map(|m| format!("{}/{}", m.kind(), m.name())).collect();
        assert_eq!(order, ["Namespace/apart", "ConfigMap/a", "Secret/s"]);
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        let refused = |text: &str| Manifests::yaml(text).expect_err("refused").to_string();
        assert!(
            refused("kind: X\n").contains("document 1: apiVersion is missing"),
            "{}",
            refused("kind: X\n")
        );
        let second = refused("{apiVersion: v1, kind: A}\n---\n[1, 2]\n");
        assert!(second.contains("document 2: apiVersion is missing"), "{second}");
        let missing = Manifests::path("/nowhere/at/all.yaml").expect_err("refused").to_string();
        assert!(missing.starts_with("cannot read /nowhere/at/all.yaml: "), "{missing}");
    }

    #[test]
    fn a_folder_is_read_with_all_that_is_below_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("2.yml", "{apiVersion: v1, kind: B}");
        write("1/deep.yaml", "{apiVersion: v1, kind: A}");
        write("3.json", r#"{"apiVersion": "v1", "kind": "C"}"#);
        write("README.md", "not a manifest");
        let manifests = Manifests::path(dir.path()).expect("three");
        let kinds: Vec<_> = manifests.in_order().iter().map(|m| m.kind().to_owned()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }
}
