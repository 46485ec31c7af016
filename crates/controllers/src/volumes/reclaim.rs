//! What becomes of a volume whose claim is gone.

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{
    matching::annotation,
    provisioner::{OURS, PROVISIONED_BY},
};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// It stays as it is, until a person looks after it.
    Kept,
    /// Its own provisioner deletes it.
    SomebodyElse,
    Now,
    /// It should go, and nobody can do it: in upstream's words.
    Impossible {
        reason: &'static str,
        why: String,
    },
}

pub(super) fn deletion(volume: &Value) -> Deletion {
    match volume.str_at("/spec/persistentVolumeReclaimPolicy") {
        "Delete" => {}
        "Recycle" => {
            let why = "No recycler plugin found for the volume!".to_owned();
            return Deletion::Impossible { reason: "VolumeFailedRecycle", why };
        }
        _ => return Deletion::Kept,
    }
    match annotation(volume, PROVISIONED_BY) {
        Some(OURS) => return Deletion::Now,
        Some(_) => return Deletion::SomebodyElse,
        None => {}
    }
    if volume.pointer("/spec/csi").is_some() {
        return Deletion::SomebodyElse;
    }
    let path = volume.str_at("/spec/hostPath/path");
    if path.is_empty() {
        let name = volume.name();
        let why =
            format!("error getting deleter volume plugin for volume {name:?}: no volume plugin matched");
        return Deletion::Impossible { reason: "VolumeFailedDelete", why };
    }
    if path.strip_prefix("/tmp/").is_none_or(str::is_empty) {
        let why = format!("host_path deleter only supports /tmp/.+ but received provided {path}");
        return Deletion::Impossible { reason: "VolumeFailedDelete", why };
    }
    Deletion::Now
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(policy: &str, source: Value, made_by: Option<&str>, gone: bool) {
        let mut volume = json!({"metadata": {"name": "v", "annotations": {}}, "spec": source});
        volume["spec"]["persistentVolumeReclaimPolicy"] = policy.into();
        if let Some(who) = made_by {
            volume["metadata"]["annotations"][PROVISIONED_BY] = who.into();
        }
        assert_eq!(deletion(&volume) == Deletion::Now, gone, "{volume}");
    }

    #[test]
    fn what_may_be_deleted() {
        let path = |path: &str| json!({"hostPath": {"path": path}});
        check("Retain", path("/tmp/a"), None, false);
        check("Delete", path("/tmp/a"), None, true);
        check("Delete", path("/tmp/"), None, false);
        check("Delete", path("/srv/a"), None, false);
        check("Delete", path("/srv/a"), Some(OURS), true);
        check("Delete", path("/srv/a"), Some("example.com/disk"), false);
        check("Delete", json!({"nfs": {}}), None, false);
        check("Recycle", path("/tmp/a"), None, false);
    }
}
