//! What a request that is passed on asks for, as admission is shown it: `PodExecOptions` and its kin.

use serde_json::{Map, Value, json};

use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Query, Refusal, RequestInfo, WriteOptions, write::Scope},
};

/// Asks admission.
///
/// # Errors
/// By whichever plugin says no.
pub(super) async fn admit(
    ctx: &Ctx,
    permitted: &Permitted,
    served: &std::sync::Arc<Served>,
) -> Result<(), Refusal> {
    let info = permitted.info();
    let kind = served.subresource(&info.subresource).map(|sub| sub.kind.clone()).unwrap_or_default();
    let mut options = of(&info.subresource, &kind, &permitted.request().query, &path_behind(info));
    let scope = Scope::new(permitted, served.clone(), WriteOptions::default());
    Ok(scope.admit_connect(ctx, &mut options).await?)
}

/// The path behind `proxy`, slashes at both ends as they were.
fn path_behind(info: &RequestInfo) -> String {
    let behind = info.parts.iter().skip_while(|part| *part != "proxy").skip(1);
    let mut path: String = behind.map(|part| format!("/{part}")).collect();
    if info.path.ends_with('/') {
        path.push('/');
    }
    path
}

fn of(subresource: &str, kind: &str, query: &Query, path: &str) -> Value {
    let mut options = Map::new();
    options.insert("kind".to_owned(), kind.into());
    options.insert("apiVersion".to_owned(), "v1".into());
    match subresource {
        "proxy" if !path.is_empty() => {
            options.insert("path".to_owned(), path.into());
        }
        "portforward" => {
            let ports: Vec<i64> = query.all("ports").filter_map(|port| port.parse().ok()).collect();
            if !ports.is_empty() {
                options.insert("ports".to_owned(), ports.into());
            }
        }
        "exec" | "attach" => {
            for flag in ["stdin", "stdout", "stderr", "tty"] {
                if query.truthy(flag) {
                    options.insert(flag.to_owned(), json!(true));
                }
            }
            if let Some(container) = query.get("container").filter(|c| !c.is_empty()) {
                options.insert("container".to_owned(), container.into());
            }
            let command: Vec<&str> = query.all("command").collect();
            if !command.is_empty() {
                options.insert("command".to_owned(), command.into());
            }
        }
        _ => {}
    }
    Value::Object(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_shown_by_its_options() {
        let check = |subresource: &str, query: &str, path: &str, expected: Value| {
            let found = of(subresource, "K", &Query::parse(query), path);
            let mut all = json!({"kind": "K", "apiVersion": "v1"});
            all.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
            assert_eq!(found, all, "{subresource}?{query}");
        };
        check(
            "exec",
            "container=c&command=sh&command=-c&stdin=true&tty=1&stderr=false",
            "",
            json!({"container": "c", "command": ["sh", "-c"], "stdin": true, "tty": true}),
        );
        check("portforward", "ports=80&ports=443", "", json!({"ports": [80, 443]}));
        check("proxy", "", "/metrics/x", json!({"path": "/metrics/x"}));
        check("proxy", "", "", json!({}));
    }
}
