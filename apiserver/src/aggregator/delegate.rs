//! Requests for groups that an API service gives to another server.
//!
//! Nothing is passed on yet: the answer is upstream's for a service that is not available.

use std::sync::Arc;

use async_trait::async_trait;
use http::Response;
use wire::Body;

use super::is_remote;
use crate::{
    informers::Informers,
    pipeline::{Delegate, Forward},
    respond,
};

/// Knows by the API services which requests are for others.
#[derive(Debug)]
pub struct Delegation(Arc<Informers>);

impl Delegation {
    /// By the API services of these informers.
    pub fn new(informers: Arc<Informers>) -> Self {
        Self(informers)
    }
}

#[async_trait]
impl Delegate for Delegation {
    fn claims(&self, group: &str, version: &str) -> bool {
        self.0
            .api_services
            .get(None, &format!("{version}.{group}"))
            .is_some_and(|service| is_remote(&service))
    }

    async fn forward(&self, _group: &str, _version: &str, _request: Forward) -> Response<Body> {
        respond::text(503, "service unavailable\n")
    }
}
