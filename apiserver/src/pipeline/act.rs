//! As whom: impersonation, each part of it a permission of its own.

use std::collections::BTreeMap;

use api::status::Status;
use http::{HeaderMap, HeaderValue};

use super::{Identified, Parsed, Refusal, request_info::percent_decode};
use crate::{
    authz::{Attributes, Authz},
    context::Ctx,
    identity::{ANONYMOUS, UNAUTHENTICATED, User},
};

/// A request with the user that it is carried out as.
#[derive(Debug)]
pub struct Acting {
    pub(super) parsed: Parsed,
    pub(super) user: User,
    /// Whether that is another one than who asked.
    pub(super) impersonates: bool,
}

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";
const IDENTITIES: &str = "authentication.k8s.io";

/// Names are UTF-8, as Go reads them: one that was passed over would leave the caller's own rights.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).into_iter().filter_map(text)
}

impl Identified {
    /// Becomes whom the headers name, if the user may.
    ///
    /// # Errors
    /// 400 for parts of a user without the user, 403 for what the user may not become.
    pub async fn act(mut self, ctx: &Ctx) -> Result<Acting, Refusal> {
        let headers = &self.parsed.framed.headers;
        let unreadable = headers.iter().find(|(name, value)| {
            let name = name.as_str();
            (matches!(name, USER | UID | GROUP) || name.starts_with(EXTRA)) && text(value).is_none()
        });
        if let Some((name, _)) = unreadable {
            return Err(Status::bad_request(format!("header {name} is not UTF-8")).into());
        }
        let name = values(headers, USER).next().unwrap_or_default().to_owned();
        let uid = values(headers, UID).next().unwrap_or_default().to_owned();
        let groups: Vec<String> = values(headers, GROUP).map(str::to_owned).collect();
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (header, value) in headers.iter() {
            if let (Some(key), Some(value)) = (header.as_str().strip_prefix(EXTRA), text(value)) {
                extra.entry(percent_decode(key)).or_default().push(value.to_owned());
            }
        }
        if name.is_empty() {
            if !uid.is_empty() || !groups.is_empty() || !extra.is_empty() {
                // Object references as Go prints them: kind, namespace, name, uid, version, revision, path.
                let group = |g: &String| format!("{{Group  {g}    }}");
                let value = |(k, v): (&String, &String)| format!("{{UserExtra  {v}  {IDENTITIES}/v1  {k}}}");
                let mut asked: Vec<String> = groups.iter().map(group).collect();
                let extras = extra.iter().flat_map(|(k, values)| values.iter().map(move |v| (k, v)));
                asked.extend(extras.map(value));
                if !uid.is_empty() {
                    asked.push(format!("{{UID  {uid}  {IDENTITIES}/v1  }}"));
                }
                let words = format!("requested [{}] without impersonating a user", asked.join(" "));
                return Err(Status::bad_request(words).into());
            }
            return Ok(Acting { parsed: self.parsed, user: self.user, impersonates: false });
        }
        let framed = &self.parsed.framed;
        let may = async |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
            let attributes = Attributes {
                verb: "impersonate",
                group,
                version: "v1",
                resource,
                subresource,
                namespace,
                name,
                path: &framed.path,
                resource_request: true,
                ..Attributes::of(&self.user)
            };
            let verdict = ctx.authz.authorize(&attributes).await;
            if verdict.is_allowed() && verdict.errors.is_empty() {
                Ok(())
            } else {
                Err(Authz::forbidden(&attributes, &verdict))
            }
        };
        let mut user = User { name, uid, groups, extra };
        match user.service_account_name() {
            Some((namespace, account)) => may("", "serviceaccounts", "", namespace, account).await?,
            None => may("", "users", "", "", &user.name).await?,
        }
        for group in &user.groups {
            may("", "groups", "", "", group).await?;
        }
        if !user.uid.is_empty() {
            may(IDENTITIES, "uids", "", "", &user.uid).await?;
        }
        for (key, values) in &user.extra {
            for value in values {
                may(IDENTITIES, "userextras", key, "", value).await?;
            }
        }
        if let Some((namespace, _)) = user.service_account_name()
            && user.groups.is_empty()
        {
            user.groups = User::service_account_groups(namespace).to_vec();
        }
        if user.name == ANONYMOUS && !user.is_in(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        }
        user.mark_authenticated();
        let headers = &mut self.parsed.framed.headers;
        let named: Vec<_> =
            headers.keys().filter(|k| k.as_str().starts_with("impersonate-")).cloned().collect();
        for key in named {
            headers.remove(key);
        }
        Ok(Acting { parsed: self.parsed, user, impersonates: true })
    }
}
