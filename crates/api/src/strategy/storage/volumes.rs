//! Volumes: exactly one source, which stays.

use serde_json::{Value, json};

use super::{
    super::{
        Strategy,
        check::Complaints,
        fill::{canonicalize, fill, fill_text},
        path::Path,
        pods,
    },
    SPEC, VOLUME_MODES, access_modes, driver_name,
};
use crate::{meta, names, object::ObjectExt};

const RECLAIM: &[&str] = &["Delete", "Recycle", "Retain"];
const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// The fields in which a volume can say what it is, in upstream's order.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

pub(super) const STRATEGY: Strategy = Strategy {
    default: |volume| {
        fill_text(volume, "/spec/persistentVolumeReclaimPolicy", "Retain");
        fill_text(volume, "/spec/volumeMode", "Filesystem");
        canonicalize(volume, "/spec/capacity");
        if volume.map_at("/spec/hostPath").is_some() {
            fill(volume, "/spec/hostPath/type", "");
        }
    },
    create: |_, volume, _| volume.set_at("/status", json!({"phase": "Pending"})),
    validate: |volume, complaints| {
        let spec = volume.at("/spec").unwrap_or(&Value::Null);
        validate_spec(spec, SPEC, complaints);
    },
    validate_update,
    ..Strategy::of("", "PersistentVolume")
};

fn validate_spec(spec: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let modes = spec.list_at("/accessModes");
    if modes.is_empty() {
        complaints.required(at.child("accessModes"), "");
    }
    access_modes(modes, at.child("accessModes"), complaints);
    capacity(spec, at.child("capacity"), complaints);
    let policy = spec.str_at("/persistentVolumeReclaimPolicy");
    complaints.optional_one_of(at.child("persistentVolumeReclaimPolicy"), policy, RECLAIM);
    if let Some(affinity) = spec.at("/nodeAffinity").filter(|affinity| affinity.is_object()) {
        let at = at.child("nodeAffinity");
        match affinity.at("/required") {
            None => complaints.required(at.child("required"), "must specify required node constraints"),
            Some(required) => pods::validate_node_selector(required, at.child("required"), complaints),
        }
    }
    source(spec, at, complaints);
    if spec.str_at("/hostPath/path").trim_end_matches('/').is_empty()
        && spec.map_at("/hostPath").is_some()
        && policy == "Recycle"
    {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        complaints.forbidden(at.child("persistentVolumeReclaimPolicy"), detail);
    }
    let class = spec.str_at("/storageClassName");
    complaints.optional_name(at.child("storageClassName"), class, names::dns1123_subdomain);
    complaints.optional_one_of(at.child("volumeMode"), spec.str_at("/volumeMode"), VOLUME_MODES);
    if let Some(class) = spec.at("/volumeAttributesClassName").and_then(Value::as_str) {
        if class.is_empty() {
            complaints.required(at.child("volumeAttributesClassName"), "an empty string is disallowed");
        } else {
            let at = at.child("volumeAttributesClassName");
            complaints.each(at, class, names::dns1123_subdomain(class));
        }
        if spec.map_at("/csi").is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            complaints.required(at.child("csi"), detail);
        }
    }
}

fn capacity(spec: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let amounts = spec.map_at("/capacity");
    if amounts.is_none_or(|amounts| amounts.is_empty()) {
        complaints.required(at, "");
    }
    if amounts.is_none_or(|amounts| amounts.len() > 1 || !amounts.contains_key("storage")) {
        let shown = amounts.cloned().map_or(Value::Null, Value::Object);
        complaints.not_supported(at, shown, &["storage"]);
    }
    for (resource, amount) in amounts.into_iter().flatten() {
        complaints.positive_amount(at.key(resource), amount);
    }
}

/// Volumes that an attachment describes itself are of drivers, and belong to no claim.
pub(super) fn validate_inline(spec: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let detail = "may not be specified in the context of inline volumes";
    for field in ["claimRef", "capacity"] {
        if spec.map_at(&format!("/{field}")).is_some_and(|map| !map.is_empty()) {
            complaints.forbidden(at.child(field), detail);
        }
    }
    if spec.map_at("/csi").is_none() {
        complaints.required(at.child("csi"), "has to be specified in the context of inline volumes");
    }
    if spec.list_at("/accessModes").is_empty() {
        complaints.required(at.child("accessModes"), "");
    }
    access_modes(spec.list_at("/accessModes"), at.child("accessModes"), complaints);
    let policy = spec.str_at("/persistentVolumeReclaimPolicy");
    if !matches!(policy, "" | "Retain") {
        let detail = "may only be Retain in the context of inline volumes";
        complaints.forbidden(at.child("persistentVolumeReclaimPolicy"), detail);
    }
    if spec.map_at("/nodeAffinity").is_some() {
        complaints.forbidden(at.child("nodeAffinity"), detail);
    }
    source(spec, at, complaints);
    if !spec.str_at("/storageClassName").is_empty() {
        complaints.forbidden(at.child("storageClassName"), detail);
    }
    if !matches!(spec.str_at("/volumeMode"), "" | "Filesystem") {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        complaints.forbidden(at.child("volumeMode"), detail);
    }
}

fn source(spec: &Value, at: Path<'_>, complaints: &mut Complaints) {
    let mut found = false;
    for kind in SOURCES {
        let Some(source) = spec.get(kind).filter(|source| source.is_object()) else { continue };
        let own = at.child(kind);
        if found {
            complaints.forbidden(own, "may not specify more than 1 volume type");
            continue;
        }
        found = true;
        match *kind {
            "hostPath" => {
                path(source.str_at("/path"), own.child("path"), complaints);
                let kind = source.str_at("/type");
                if !HOST_PATH_TYPES.contains(&kind) {
                    complaints.not_supported(own.child("type"), kind, HOST_PATH_TYPES);
                }
            }
            "nfs" => {
                let (server, path) = (source.str_at("/server"), source.str_at("/path"));
                complaints.name(own.child("server"), server, |_| Vec::new());
                if path.is_empty() {
                    complaints.required(own.child("path"), "");
                } else if !path.starts_with('/') {
                    complaints.invalid(own.child("path"), path, "must be an absolute path");
                }
            }
            "local" => {
                path(source.str_at("/path"), own.child("path"), complaints);
                if spec.map_at("/nodeAffinity").is_none() {
                    complaints.required(at.child("nodeAffinity"), "Local volume requires node affinity");
                }
            }
            "csi" => {
                driver_name(source.str_at("/driver"), own.child("driver"), complaints);
                complaints.name(own.child("volumeHandle"), source.str_at("/volumeHandle"), |_| Vec::new());
            }
            _ => {}
        }
    }
    if !found {
        complaints.required(at, "must specify a volume type");
    }
}

fn path(path: &str, at: Path<'_>, complaints: &mut Complaints) {
    if path.is_empty() {
        complaints.required(at, "");
    } else if path.split('/').any(|part| part == "..") {
        complaints.invalid(at, path, "must not contain '..'");
    }
}

fn validate_update(new: &Value, old: &Value, subresource: &str, complaints: &mut Complaints) {
    if subresource == "status" {
        return;
    }
    let sources = |volume: &Value, other: &Value| -> Vec<Value> {
        let one = |kind: &&str| {
            let mut source = volume.at(&format!("/spec/{kind}")).cloned().unwrap_or_default();
            // A secret for expansion may be named later.
            if *kind == "csi" && other.at("/spec/csi/controllerExpandSecretRef").is_none() {
                source.remove_at("/controllerExpandSecretRef");
            }
            source
        };
        SOURCES.iter().map(one).collect()
    };
    let (now, before) = (sources(new, old), sources(old, old));
    if now.iter().zip(&before).any(|(now, before)| !meta::semantic_eq(Some(now), Some(before))) {
        let at = SPEC.child("persistentvolumesource");
        complaints.forbidden(at, "spec.persistentvolumesource is immutable after creation");
    }
    complaints.immutable(Path::root("volumeMode"), new, old, "/spec/volumeMode");
    if old.map_at("/spec/nodeAffinity").is_some() {
        complaints.immutable(Path::root("nodeAffinity"), new, old, "/spec/nodeAffinity");
    }
    let class = "/spec/volumeAttributesClassName";
    if old.at(class).is_some() && new.at(class).is_none() {
        let at = SPEC.child("volumeAttributesClassName");
        complaints.forbidden(at, "update from non-nil value to nil is forbidden");
    }
}
