//! Volumes of a pod: a name and exactly one source.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{check::Complaints, path::Path};
use crate::{names, object::ObjectExt};

/// The fields in which a volume can say where it comes from, in upstream's order.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Checks the list; returns the names that mounts may use.
pub(super) fn list<'a>(list: &'a [Value], at: Path<'_>, complaints: &mut Complaints) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    for (index, volume) in list.iter().enumerate() {
        let at = at.index(index);
        source(volume, at, complaints);
        let name = volume.str_at("/name");
        complaints.name(at.child("name"), name, names::dns1123_label);
        if !name.is_empty() && !seen.insert(name) {
            complaints.duplicate(at.child("name"), name);
        }
    }
    seen
}

fn source(volume: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let mut found = false;
    for kind in SOURCES {
        let Some(source) = volume.get(kind).filter(|source| source.is_object()) else { continue };
        let at = at.child(kind);
        if found {
            complaints.forbidden(at, "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        match *kind {
            "hostPath" => path(source.str_at("/path"), at.child("path"), complaints),
            "secret" => complaints.name(at.child("secretName"), source.str_at("/secretName"), |_| Vec::new()),
            "configMap" => complaints.name(at.child("name"), source.str_at("/name"), |_| Vec::new()),
            "persistentVolumeClaim" => {
                complaints.name(at.child("claimName"), source.str_at("/claimName"), |_| Vec::new());
            }
            "nfs" => {
                complaints.name(at.child("server"), source.str_at("/server"), |_| Vec::new());
                complaints.name(at.child("path"), source.str_at("/path"), |_| Vec::new());
            }
            "csi" => complaints.name(at.child("driver"), source.str_at("/driver"), |_| Vec::new()),
            "projected" => projected(source, at, complaints),
            "emptyDir" => {
                if let Some(limit) = source.at("/sizeLimit") {
                    complaints.amount(at.child("sizeLimit"), limit);
                }
            }
            _ => {}
        }
        for field in ["secret", "configMap", "downwardAPI"] {
            if *kind == field {
                items(source, at, complaints);
            }
        }
    }
    if !found {
        complaints.required(at, "must specify a volume type");
    }
}

fn projected(source: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let sources = at.child("sources");
    for (index, projection) in source.list_at("/sources").iter().enumerate() {
        let at = sources.index(index);
        for kind in ["secret", "configMap"] {
            if let Some(inner) = projection.get(kind) {
                let at = at.child(kind);
                complaints.name(at.child("name"), inner.str_at("/name"), |_| Vec::new());
                items(inner, at, complaints);
            }
        }
        if let Some(token) = projection.get("serviceAccountToken") {
            let at = at.child("serviceAccountToken");
            let seconds = token.i64_at("/expirationSeconds").unwrap_or(3600);
            if seconds < 600 {
                complaints.invalid(
                    at.child("expirationSeconds"),
                    seconds,
                    "may not specify a duration less than 10 minutes",
                );
            }
            relative(token.str_at("/path"), at.child("path"), complaints);
        }
    }
}

fn items(source: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let at = at.child("items");
    for (index, item) in source.list_at("/items").iter().enumerate() {
        let at = at.index(index);
        if item.get("fieldRef").is_none() && item.get("resourceFieldRef").is_none() {
            complaints.name(at.child("key"), item.str_at("/key"), |_| Vec::new());
        }
        relative(item.str_at("/path"), at.child("path"), complaints);
    }
}

fn path(path: &str, at: Path<'_>, complaints: &mut Complaints) {
    if path.is_empty() {
        complaints.required(at, "");
    } else {
        backsteps(path, at, complaints);
    }
}

fn relative(path: &str, at: Path<'_>, complaints: &mut Complaints) {
    if path.is_empty() {
        return complaints.required(at, "");
    }
    if path.starts_with('/') {
        complaints.invalid(at, path, "must be a relative path");
    }
    backsteps(path, at, complaints);
}

fn backsteps(path: &str, at: Path<'_>, complaints: &mut Complaints) {
    if path.split('/').any(|part| part == "..") {
        complaints.invalid(at, path, "must not contain '..'");
    }
}
