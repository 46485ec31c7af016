//! Whom the headers of a request name.

use std::collections::BTreeMap;

use api::status::Status;
use http::{HeaderMap, HeaderValue};

use crate::{identity::User, pipeline::request_info::percent_decode};

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

/// The user as the headers say, without what goes without saying; `None` if they say nothing.
///
/// # Errors
/// 400 for parts of a user without the user; `constrained` decides the words.
pub(super) fn wanted(headers: &HeaderMap, constrained: bool) -> Result<Option<User>, Status> {
    let unreadable = headers.iter().find(|(name, value)| {
        let name = name.as_str();
        (matches!(name, USER | UID | GROUP) || name.starts_with(EXTRA)) && text(value).is_none()
    });
    if let Some((name, _)) = unreadable {
        return Err(Status::bad_request(format!("header {name} is not UTF-8")));
    }
    let first = |name: &str| values(headers, name).next().unwrap_or_default().to_owned();
    let groups: Vec<String> = values(headers, GROUP).map(str::to_owned).collect();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers.iter() {
        if let (Some(key), Some(value)) = (header.as_str().strip_prefix(EXTRA), text(value)) {
            extra.entry(percent_decode(key)).or_default().push(value.to_owned());
        }
    }
    let user = User { name: first(USER), uid: first(UID), groups, extra };
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user == User::default() {
        return Ok(None);
    }
    let words = if constrained {
        format!("requested {} without impersonating a user name", go_syntax(&user))
    } else {
        format!("requested [{}] without impersonating a user", references(&user))
    };
    Err(Status::bad_request(words))
}

/// Takes the headers out: nobody behind this stage behaves otherwise because of them.
pub(super) fn clear(headers: &mut HeaderMap) {
    let named: Vec<_> = headers.keys().filter(|k| k.as_str().starts_with("impersonate-")).cloned().collect();
    for key in named {
        headers.remove(key);
    }
}

/// Object references as Go prints them: kind, namespace, name, uid, version, revision, path.
fn references(user: &User) -> String {
    let group = |g: &String| format!("{{Group  {g}    }}");
    let value = |(k, v): (&String, &String)| format!("{{UserExtra  {v}  {IDENTITIES}/v1  {k}}}");
    let mut asked: Vec<String> = user.groups.iter().map(group).collect();
    let extras = user.extra.iter().flat_map(|(k, values)| values.iter().map(move |v| (k, v)));
    asked.extend(extras.map(value));
    if !user.uid.is_empty() {
        asked.push(format!("{{UID  {}  {IDENTITIES}/v1  }}", user.uid));
    }
    asked.join(" ")
}

/// The user as Go's `%#v` prints it.
fn go_syntax(user: &User) -> String {
    let list = |items: &[String]| match items {
        [] => "[]string(nil)".to_owned(),
        items => {
            format!("[]string{{{}}}", items.iter().map(|i| format!("{i:?}")).collect::<Vec<_>>().join(", "))
        }
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let pairs = user.extra.iter().map(|(key, values)| format!("{key:?}:{}", list(values)));
        format!("map[string][]string{{{}}}", pairs.collect::<Vec<_>>().join(", "))
    };
    format!(
        "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{}, Extra:{extra}}}",
        user.name,
        user.uid,
        list(&user.groups)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_without_a_user_are_told_in_each_releases_words() {
        let mut headers = HeaderMap::new();
        assert_eq!(wanted(&headers, true), Ok(None));
        headers.append(GROUP, HeaderValue::from_static("dev"));
        headers.append(UID, HeaderValue::from_static("7"));
        headers.append("impersonate-extra-scopes%2fa", HeaderValue::from_static("view"));
        let words = |constrained| wanted(&headers, constrained).unwrap_err().message;
        assert_eq!(
            words(true),
            r#"requested &user.DefaultInfo{Name:"", UID:"7", Groups:[]string{"dev"}, Extra:map[string][]string{"scopes/a":[]string{"view"}}} without impersonating a user name"#
        );
        assert_eq!(
            words(false),
            "requested [{Group  dev    } {UserExtra  view  authentication.k8s.io/v1  scopes/a} {UID  7  authentication.k8s.io/v1  }] without impersonating a user"
        );
        headers.append(USER, HeaderValue::from_static("jane"));
        assert_eq!(wanted(&headers, true).unwrap().unwrap().name, "jane");
        clear(&mut headers);
        assert!(headers.is_empty());
    }
}
