//! Where the kubelet of a pod has what a request asks for (`pkg/registry/core/pod/strategy.go`).

use api::{object::ObjectExt, status::Status};
use serde_json::Value;
use wire::HttpClient;

use super::super::fetch;
use crate::{
    catalog::Served,
    context::Ctx,
    pipeline::{Permitted, Query, Refusal},
};

/// The kubelet, and path and query of the request to it.
pub(super) async fn of(
    ctx: &Ctx,
    permitted: &Permitted,
    served: &Served,
) -> Result<(HttpClient, String), Refusal> {
    let info = permitted.info();
    let (namespace, name) = (&info.namespace, &info.name);
    let pod = fetch(ctx, served, namespace, name).await?.object;
    let query = &permitted.request().query;
    let path = match info.subresource.as_str() {
        "portforward" => format!("/portForward/{namespace}/{name}?{}", ports(query)),
        sub => {
            let container = container(&pod, query.get("container").unwrap_or_default())?;
            format!("/{sub}/{namespace}/{name}/{container}?{}", streams(query))
        }
    };
    let node = pod.str_at("/spec/nodeName");
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")).into());
    }
    let Some(nodes) = ctx.catalog.find("", "v1", "nodes") else {
        return Err(Status::no_such_resource().into());
    };
    let node = fetch(ctx, &nodes, "", node).await?.object;
    Ok((ctx.kubelets.of(&node)?, path))
}

/// PodExecOptions and PodAttachOptions in the kubelet's own names.
fn streams(query: &Query) -> String {
    let flags = [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")];
    let mut out: Vec<String> = query.all("command").map(|word| format!("command={}", escape(word))).collect();
    out.extend(flags.iter().filter(|(ours, _)| query.truthy(ours)).map(|(_, theirs)| format!("{theirs}=1")));
    out.join("&")
}

fn ports(query: &Query) -> String {
    let all: Vec<String> = query.all("ports").map(|port| format!("port={}", escape(port))).collect();
    all.join("&")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The container that is meant: the named one, or the only one.
pub(in super::super) fn container(pod: &Value, named: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<&str> { pod.list_at(list).iter().map(|c| c.str_at("/name")).collect() };
    let (containers, init) = (names("/spec/containers"), names("/spec/initContainers"));
    let ephemeral = names("/spec/ephemeralContainers");
    let pod = pod.name();
    if named.is_empty() {
        if let [only] = containers.as_slice() {
            return Ok((*only).to_owned());
        }
        let or_init = if init.is_empty() {
            String::new()
        } else {
            format!(" or one of the init containers: [{}]", init.join(" "))
        };
        return Err(Status::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]{or_init}",
            containers.join(" ")
        )));
    }
    if [containers, init, ephemeral].concat().contains(&named) {
        return Ok(named.to_owned());
    }
    Err(Status::bad_request(format!("container {named} is not valid for pod {pod}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_go_on_in_the_kubelets_names() {
        let query =
            Query::parse("command=sh&command=-c&command=echo+%22a+b%22&stdin=true&stdout=1&stderr=false&tty");
        assert_eq!(
            streams(&query),
            "command=sh&command=-c&command=echo%20%22a%20b%22&input=1&output=1&tty=1"
        );
        assert_eq!(ports(&Query::parse("ports=80&ports=443")), "port=80&port=443");
    }

    #[test]
    fn a_container_is_named_or_the_only_one() {
        let pod = |containers: &[&str], init: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|n| json!({"name": n})).collect::<Vec<_>>();
            json!({"metadata": {"name": "p"}, "spec": {"containers": list(containers), "initContainers": list(init)}})
        };
        let check = |containers: &[&str], init: &[&str], named: &str, expected: Result<&str, &str>| {
            let found = container(&pod(containers, init), named).map_err(|status| status.message);
            assert_eq!(
                found.as_deref().map_err(String::as_str),
                expected,
                "{containers:?} {init:?} {named:?}"
            );
        };
        check(&["a"], &[], "", Ok("a"));
        check(&["a", "b"], &[], "b", Ok("b"));
        check(&["a"], &["i"], "i", Ok("i"));
        check(
            &["a", "b"],
            &[],
            "",
            Err("a container name must be specified for pod p, choose one of: [a b]"),
        );
        check(&["a"], &["i"], "", Ok("a"));
        check(
            &["a", "b"],
            &["i"],
            "",
            Err(
                "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
            ),
        );
        check(&["a"], &[], "x", Err("container x is not valid for pod p"));
    }
}
