//! Seams for what is not a resource of ours: discovery pages, and servers behind this one.

use async_trait::async_trait;
use http::{HeaderMap, Method, Response};
use wire::Body;
use world::Wall;

use super::Query;
use crate::identity::User;

/// A permitted request for a path that names no resource.
#[derive(Debug)]
pub struct Page<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// Path, such as `/apis/apps/v1`.
    pub path: &'a str,
    /// Query.
    pub query: &'a Query,
    /// Headers, credentials removed.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub user: &'a User,
    /// When.
    pub now: Wall,
}

/// Somebody who answers pages: discovery, OpenAPI, the version.
#[async_trait]
pub trait Pages: Send + Sync {
    /// The paths that `/` lists.
    fn paths(&self) -> Vec<String>;
    /// The answer, or `None` if the path is not theirs.
    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>>;
}

/// A permitted request that goes on to another server.
#[derive(Debug)]
pub struct Forward {
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Headers, credentials removed.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Connection upgrades live here.
    pub extensions: http::Extensions,
    /// Who asks: told to the other server in front-proxy headers.
    pub user: User,
    /// `Audit-Id`: the same on both servers.
    pub audit_id: String,
    /// The client's address.
    pub remote: std::net::IpAddr,
}

/// Somebody who serves groups elsewhere: the aggregator.
#[async_trait]
pub trait Delegate: Send + Sync {
    /// Whether an APIService sends this group and version elsewhere.
    fn claims(&self, group: &str, version: &str) -> bool;
    /// Passes the request on and gives back what came.
    async fn forward(&self, group: &str, version: &str, request: Forward) -> Response<Body>;
}
