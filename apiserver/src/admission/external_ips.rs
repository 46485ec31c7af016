//! DenyServiceExternalIPs: nobody takes an address for a service that the cluster does not manage.

use api::{object::ObjectExt as _, status::Status};
use serde_json::Value;

use super::{Operation, Review, refusal::forbidden};

pub(super) fn validate(review: &Review<'_>) -> Result<(), Status> {
    let applies = matches!(review.operation, Operation::Create | Operation::Update)
        && review.is("", "services")
        && review.subresource.is_empty();
    let Some(new) = review.new_object().filter(|_| applies) else { return Ok(()) };
    let addresses = |service: &'_ Value| service.list_at("/spec/externalIPs").to_vec();
    let held = review.old.map(addresses).unwrap_or_default();
    // What is there may stay and go.
    if addresses(new).iter().all(|address| held.contains(address)) {
        return Ok(());
    }
    Err(forbidden(review, "Use of external IPs is denied by admission control"))
}
