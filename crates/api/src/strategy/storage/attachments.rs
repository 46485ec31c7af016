//! Attachments: that a volume shall be, and is, attached to a node.

use serde_json::{Value, json};

use super::{
    super::{Strategy, check::Complaints, path::Path},
    GROUP, SPEC, driver_name, volumes,
};
use crate::{names, object::ObjectExt};

const ERROR_MAX: usize = 1024;
const METADATA_MAX: usize = 256 * 1024;

pub(super) const STRATEGY: Strategy = Strategy {
    create: |_, attachment, _| attachment.set_at("/status", json!({"attached": false})),
    validate,
    validate_update: |new, old, subresource, complaints| {
        if subresource == "status" {
            return validate_status(new, complaints);
        }
        complaints.immutable(SPEC, new, old, "/spec");
    },
    ..Strategy::of(GROUP, "VolumeAttachment")
};

fn validate(attachment: &Value, complaints: &mut Complaints) {
    let attacher = attachment.str_at("/spec/attacher");
    driver_name(attacher, SPEC.child("attacher"), complaints);
    let at = SPEC.child("source");
    let volume = attachment.at("/spec/source/persistentVolumeName").and_then(Value::as_str);
    let inline = attachment.at("/spec/source/inlineVolumeSpec").filter(|spec| spec.is_object());
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (volume, inline) {
        (None, None) => complaints.required(at, one),
        (Some(_), Some(_)) => complaints.forbidden(at, one),
        (Some(""), None) => complaints
            .required(at.child("persistentVolumeName"), "must specify non empty persistentVolumeName"),
        (Some(name), None) => {
            complaints.each(at.child("persistentVolumeName"), name, names::dns1123_subdomain(name));
        }
        (None, Some(spec)) => volumes::validate_inline(spec, at.child("inlineVolumeSpec"), complaints),
    }
    let node = attachment.str_at("/spec/nodeName");
    complaints.each(SPEC.child("nodeName"), node, names::dns1123_subdomain(node));
    validate_status(attachment, complaints);
}

fn validate_status(attachment: &Value, complaints: &mut Complaints) {
    let status = Path::root("status");
    let metadata = attachment.map_at("/status/attachmentMetadata");
    let size: usize = metadata
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > METADATA_MAX {
        complaints.too_long(status.child("attachmentMetadata"), METADATA_MAX);
    }
    for field in ["attachError", "detachError"] {
        let at = status.child(field);
        if attachment.str_at(&format!("/status/{field}/message")).len() > ERROR_MAX {
            complaints.too_long(at.child("message"), ERROR_MAX);
        }
        let code = attachment.i64_at(&format!("/status/{field}/errorCode"));
        if let Some(code) = code.filter(|code| *code < 0) {
            complaints.invalid(at.child("errorCode"), code, names::in_range(0, i64::from(i32::MAX)));
        }
    }
}
