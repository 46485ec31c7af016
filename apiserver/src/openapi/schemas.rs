//! The schemas of built-in kinds, as they lie in the binary.

use std::{collections::BTreeMap, io::Read};

use serde_json::Value;

static PACKED: &[u8] = include_bytes!("schemas.txt.gz");

/// Upstream's name for the definition of a built-in kind: `io.k8s.api.apps.v1.Deployment`.
pub fn definition_name(group: &str, version: &str, kind: &str) -> String {
    let package = match group {
        "" => "api.core",
        "apiextensions.k8s.io" => "apiextensions-apiserver.pkg.apis.apiextensions",
        "apiregistration.k8s.io" => "kube-aggregator.pkg.apis.apiregistration",
        group => {
            let first = group.split('.').next().unwrap_or_default();
            return format!("io.k8s.api.{first}.{version}.{kind}");
        }
    };
    format!("io.k8s.{package}.{version}.{kind}")
}

/// All schemas, unpacked. Three megabytes: made for one document and dropped.
pub(super) struct Schemas {
    text: String,
    /// Where the schema of a definition lies in the text.
    places: BTreeMap<String, (usize, usize)>,
}

impl Schemas {
    pub(super) fn unpack() -> Self {
        let mut text = String::new();
        // What is compiled in can be read; if not, there are no schemas, which clients cope with.
        let _ = flate2::read::GzDecoder::new(PACKED).read_to_string(&mut text);
        let mut places = BTreeMap::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            if let Some((name, schema)) = line.split_once('\t') {
                let from = start + name.len() + 1;
                places.insert(name.to_owned(), (from, from + schema.len()));
            }
            start += line.len();
        }
        Self { text, places }
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        let (from, to) = *self.places.get(name)?;
        serde_json::from_str(self.text.get(from..to)?).ok()
    }

    /// What the documents' hashes stand for, besides what is served.
    pub(super) fn fingerprint() -> &'static [u8] {
        PACKED
    }
}
