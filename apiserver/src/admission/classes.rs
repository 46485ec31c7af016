//! The classes that objects get or need: DefaultStorageClass, DefaultIngressClass,
//! PersistentVolumeClaimResize.

use std::{cmp::Reverse, sync::Arc};

use api::{object::ObjectExt as _, quantity::Quantity, status::Status};
use serde_json::Value;

use super::{Operation, Review, Tools, refusal::forbidden};

const STORAGE_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const OLD_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const INGRESS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const OLD_INGRESS_CLASS: &str = "kubernetes.io/ingress.class";
/// The release in which several defaults are no mistake any more: the newest counts.
const NEWEST_COUNTS_SINCE: u16 = 26;

fn is_set(object: &Value, at: &str) -> bool {
    object.at(at).is_some_and(|v| !v.is_null())
}

/// The default class: the newest, then the first by name.
fn default_class(
    tools: &Tools,
    review: &Review<'_>,
    classes: Vec<Arc<Value>>,
    marks: &[&str],
    too_many: &str,
) -> Result<Option<String>, Status> {
    let is_default = |class: &Arc<Value>| marks.iter().any(|mark| class.annotation(mark) == Some("true"));
    let mut defaults: Vec<Arc<Value>> = classes.into_iter().filter(is_default).collect();
    if defaults.len() > 1 && tools.profile.minor() < NEWEST_COUNTS_SINCE {
        let why = Status::internal(format_args!("{} default {too_many}", defaults.len()));
        return Err(forbidden(review, why));
    }
    defaults.sort_by_key(|class| (Reverse(class.creation_timestamp()), class.name().to_owned()));
    Ok(defaults.first().map(|class| class.name().to_owned()))
}

/// DefaultStorageClass: a claim that names no class gets the default one. An empty name is a name.
pub(super) async fn of_claim(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    let applies = review.operation == Operation::Create
        && review.is("", "persistentvolumeclaims")
        && review.subresource.is_empty();
    let Some(claim) = review.new_object().filter(|_| applies) else { return Ok(()) };
    if claim.annotation(OLD_STORAGE_CLASS).is_some() || is_set(claim, "/spec/storageClassName") {
        return Ok(());
    }
    tools.ready(review, &[&tools.informers.storage_classes]).await?;
    let classes = tools.informers.storage_classes.list();
    let found = default_class(tools, review, classes, &STORAGE_DEFAULT, "StorageClasses were found")?;
    if let (Some(class), Some(claim)) = (found, review.object.as_deref_mut()) {
        claim.set_at("/spec/storageClassName", class);
    }
    Ok(())
}

/// DefaultIngressClass: the same for ingresses.
pub(super) async fn of_ingress(tools: &Tools, review: &mut Review<'_>) -> Result<(), Status> {
    let applies = review.operation == Operation::Create
        && review.is("networking.k8s.io", "ingresses")
        && review.subresource.is_empty();
    let Some(ingress) = review.new_object().filter(|_| applies) else { return Ok(()) };
    if ingress.annotation(OLD_INGRESS_CLASS).is_some() || is_set(ingress, "/spec/ingressClassName") {
        return Ok(());
    }
    tools.ready(review, &[&tools.informers.ingress_classes]).await?;
    let classes = tools.informers.ingress_classes.list();
    let too_many = "IngressClasses were found, only 1 allowed";
    let found = default_class(tools, review, classes, &[INGRESS_DEFAULT], too_many)?;
    if let (Some(class), Some(ingress)) = (found, review.object.as_deref_mut()) {
        ingress.set_at("/spec/ingressClassName", class);
    }
    Ok(())
}

/// PersistentVolumeClaimResize: claims grow only when they are bound and their class lets them.
pub(super) async fn growth(tools: &Tools, review: &Review<'_>) -> Result<(), Status> {
    let applies = review.operation == Operation::Update
        && review.is("", "persistentvolumeclaims")
        && review.subresource.is_empty();
    let (Some(new), Some(old)) = (review.new_object().filter(|_| applies), review.old) else {
        return Ok(());
    };
    let size = |claim: &Value| {
        let storage = claim.at("/spec/resources/requests/storage");
        storage.and_then(|s| Quantity::from_value(s).ok()).map_or(0, Quantity::nanos)
    };
    if size(new) <= size(old) {
        return Ok(());
    }
    if old.str_at("/status/phase") != "Bound" {
        return Err(forbidden(review, "Only bound persistent volume claims can be expanded"));
    }
    let class = |claim: &'_ Value| match claim.annotation(OLD_STORAGE_CLASS) {
        Some(class) => class.to_owned(),
        None => claim.str_at("/spec/storageClassName").to_owned(),
    };
    tools.ready(review, &[&tools.informers.storage_classes]).await?;
    let (now, before) = (class(new), class(old));
    let expands = !now.is_empty()
        && now == before
        && tools
            .informers
            .storage_classes
            .get(None, &now)
            .is_some_and(|class| class.bool_at("/allowVolumeExpansion"));
    if expands {
        return Ok(());
    }
    Err(forbidden(
        review,
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
         support resize",
    ))
}
