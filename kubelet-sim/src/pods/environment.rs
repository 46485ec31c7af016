//! A container's environment: services, envFrom, env with its references, and `$(NAME)` in words
//! (`pkg/kubelet/kubelet_pods.go`).

use std::{collections::BTreeMap, time::Duration};

use api::object::{ObjectExt as _, unbase64};
use client::{ClientError, ListParams, Resource};
use serde_json::Value;

use super::worker::Worker;

/// The authorizer sees a new pod a moment after the kubelet does.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

pub(super) type Env = Vec<(String, String)>;

/// Which kind of object holds the data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    ConfigMap,
    Secret,
}

impl Holder {
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ConfigMap => ("configmaps", "configmap", "ConfigMap"),
            Self::Secret => ("secrets", "secret", "Secret"),
        }
    }
}

/// The data of a config map or secret, as bytes.
pub(super) fn data_of(object: &Value) -> BTreeMap<String, Vec<u8>> {
    let secret = object.kind() == "Secret";
    let texts = |at: &str, encoded: bool| {
        let map = object.map_at(at).cloned().unwrap_or_default();
        map.into_iter().filter_map(move |(key, value)| {
            let text = value.as_str()?.to_owned();
            Some((key, if encoded { unbase64(&text)? } else { text.into_bytes() }))
        })
    };
    texts("/data", secret).chain(texts("/binaryData", true)).collect()
}

impl Worker {
    /// A config map's or secret's data; `None` if there is none of that name.
    ///
    /// # Errors
    /// The apiserver's words.
    pub(super) async fn held(
        &self,
        holder: Holder,
        name: &str,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
        let Some(rest) = self.node().rest() else {
            return Err("the kubelet has no apiserver yet".into());
        };
        let resource = Resource::core(holder.words().0);
        let (mut tries, mut pause) = (0, FIRST_PAUSE);
        loop {
            tries += 1;
            match rest.get_opt(&resource, Some(self.pod().namespace()), name).await {
                Ok(object) => {
                    return Ok(object.map(|mut object| {
                        object["kind"] = holder.words().2.into();
                        data_of(&object)
                    }));
                }
                Err(e) if tries < TRIES && passes(&e) => {
                    self.host().clock().sleep(pause).await;
                    pause *= 2;
                }
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// As [`Worker::held`], in the kubelet's words when there is none and one is needed.
    ///
    /// # Errors
    /// Nothing of that name, or the apiserver's words.
    pub(super) async fn held_unless_optional(
        &self,
        holder: Holder,
        reference: &Value,
        name: &str,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
        match self.held(holder, name).await? {
            None if !reference.bool_at("/optional") => {
                Err(format!("{} {name:?} not found", holder.words().1))
            }
            found => Ok(found),
        }
    }

    /// The environment of `container`, in upstream's order.
    ///
    /// # Errors
    /// What is missing, in the kubelet's words: CreateContainerConfigError.
    pub(super) async fn environment(&self, container: &Value, services: bool) -> Result<Env, String> {
        let mut env = Env::new();
        set(&mut env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        set(&mut env, "HOSTNAME", self.hostname());
        if services {
            for (name, value) in self.services().await {
                set(&mut env, &name, value);
            }
        }
        for source in container.list_at("/envFrom") {
            for (holder, field) in [(Holder::ConfigMap, "/configMapRef"), (Holder::Secret, "/secretRef")] {
                let Some(reference) = source.at(field) else { continue };
                let data = self.held_unless_optional(holder, reference, reference.str_at("/name")).await?;
                for (key, value) in data.unwrap_or_default() {
                    let name = format!("{}{key}", source.str_at("/prefix"));
                    set(&mut env, &name, String::from_utf8_lossy(&value).into_owned());
                }
            }
        }
        for variable in container.list_at("/env") {
            let name = variable.str_at("/name");
            let value = match variable.at("/valueFrom") {
                None => Some(substitute(variable.str_at("/value"), &env)),
                Some(from) => self.value_from(container, from).await?,
            };
            if let Some(value) = value {
                set(&mut env, name, value);
            }
        }
        set_default(&mut env, "HOME", "/root");
        Ok(env)
    }

    async fn value_from(&self, container: &Value, from: &Value) -> Result<Option<String>, String> {
        if let Some(field) = from.at("/fieldRef") {
            return self.field(field.str_at("/fieldPath")).map(Some);
        }
        if let Some(reference) = from.at("/resourceFieldRef") {
            return self.resource_field(container, reference).map(Some);
        }
        for (holder, field) in [(Holder::ConfigMap, "/configMapKeyRef"), (Holder::Secret, "/secretKeyRef")] {
            let Some(reference) = from.at(field) else { continue };
            let (name, key) = (reference.str_at("/name"), reference.str_at("/key"));
            let Some(data) = self.held_unless_optional(holder, reference, name).await? else {
                return Ok(None);
            };
            return match data.get(key) {
                Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
                None if reference.bool_at("/optional") => Ok(None),
                None => Err(format!(
                    "couldn't find key {key} in {} {}/{name}",
                    holder.words().2,
                    self.pod().namespace()
                )),
            };
        }
        Ok(None)
    }

    /// What `fieldPath` says of this pod.
    ///
    /// # Errors
    /// No field of that name can be asked for.
    pub(super) fn field(&self, path: &str) -> Result<String, String> {
        let pod = self.pod();
        let quoted = |(key, value): (&str, &str)| format!("{key}={}\n", serde_json::Value::from(value));
        let lines = |entries: Vec<String>| entries.concat().trim_end().to_owned();
        let keyed = |kind: &str| {
            path.strip_prefix("metadata.")
                .and_then(|p| p.strip_prefix(kind))
                .and_then(|p| p.strip_prefix("['"))
                .and_then(|p| p.strip_suffix("']"))
        };
        if let Some(key) = keyed("labels") {
            return Ok(pod.label(key).unwrap_or_default().to_owned());
        }
        if let Some(key) = keyed("annotations") {
            return Ok(pod.annotation(key).unwrap_or_default().to_owned());
        }
        Ok(match path {
            "metadata.name" => pod.name().to_owned(),
            "metadata.namespace" => pod.namespace().to_owned(),
            "metadata.uid" => pod.uid().to_owned(),
            "metadata.labels" => lines(pod.labels().map(quoted).collect()),
            "metadata.annotations" => lines(pod.annotations().map(quoted).collect()),
            "spec.nodeName" => self.node().options.node_name.clone(),
            "spec.serviceAccountName" => pod.str_at("/spec/serviceAccountName").to_owned(),
            "status.hostIP" | "status.hostIPs" => self.node().options.node_ip.to_string(),
            "status.podIP" | "status.podIPs" => self.address().to_owned(),
            _ => return Err(format!("unsupported fieldPath: {path}")),
        })
    }

    /// A limit or request in units of its divisor, rounded up; without a limit the node's room.
    ///
    /// # Errors
    /// No such container, or an amount that cannot be read.
    pub(super) fn resource_field(&self, container: &Value, reference: &Value) -> Result<String, String> {
        let resource = reference.str_at("/resource");
        let name = reference.str_at("/containerName");
        let pod = self.pod();
        let all = pod.list_at("/spec/containers").iter().chain(pod.list_at("/spec/initContainers"));
        let container = match name {
            "" => container,
            name => all
                .into_iter()
                .find(|c| c.str_at("/name") == name)
                .ok_or_else(|| format!("container {name} not found"))?,
        };
        let (kind, what) =
            resource.split_once('.').ok_or_else(|| format!("unsupported container resource : {resource}"))?;
        let amount = container.at(&format!("/resources/{kind}/{what}")).cloned();
        let whole = crate::node::allocatable(&self.node().options);
        let amount = amount.or_else(|| whole.get(what).filter(|_| kind == "limits").cloned());
        let read = |value: &Value| api::quantity::Quantity::from_value(value).map_err(|e| e.to_string());
        let Some(amount) = amount else { return Ok("0".into()) };
        let divisor = match reference.at("/divisor") {
            Some(divisor) => read(divisor)?,
            None => read(&"1".into())?,
        };
        let (amount, divisor) = (read(&amount)?.nanos(), divisor.nanos());
        let divisor = if divisor <= 0 { 1_000_000_000 } else { divisor };
        Ok(((amount + divisor - 1) / divisor).to_string())
    }

    /// Variables of the services that the pod may see; none if they cannot be listed now.
    async fn services(&self) -> Env {
        let Some(rest) = self.node().rest() else { return Env::new() };
        let pod = self.pod();
        let links = pod.at("/spec/enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
        let mut found = Vec::new();
        let own = links.then(|| pod.namespace()).filter(|n| *n != "default");
        for namespace in [Some("default"), own].into_iter().flatten() {
            match rest.list_all(&Resource::core("services"), Some(namespace), &ListParams::default()).await {
                Ok(list) => found.extend(list.items),
                Err(e) => tracing::error!(pod = self.key(), "services are missing in its environment: {e}"),
            }
        }
        let visible = |s: &Value| {
            let master = s.namespace() == "default" && s.name() == "kubernetes";
            master || links && s.namespace() == pod.namespace()
        };
        found.iter().filter(|s| visible(s)).flat_map(|s| service(s)).collect()
    }
}

fn passes(e: &ClientError) -> bool {
    e.is_forbidden() || e.is_transport()
}

/// `NAME_SERVICE_HOST` and its kin (`pkg/kubelet/envvars`).
fn service(service: &Value) -> Env {
    let ip = service.str_at("/spec/clusterIP");
    if ip.is_empty() || ip == "None" {
        return Env::new();
    }
    let upper = |text: &str| text.to_uppercase().replace(['-', '.'], "_");
    let name = upper(service.name());
    let mut env = Env::new();
    for (i, port) in service.list_at("/spec/ports").iter().enumerate() {
        let number = port.i64_at("/port").unwrap_or_default();
        let protocol = if port.str_at("/protocol").is_empty() { "TCP" } else { port.str_at("/protocol") };
        let url = format!("{}://{ip}:{number}", protocol.to_lowercase());
        if i == 0 {
            env.push((format!("{name}_SERVICE_HOST"), ip.to_owned()));
            env.push((format!("{name}_SERVICE_PORT"), number.to_string()));
            env.push((format!("{name}_PORT"), url.clone()));
        }
        if !port.str_at("/name").is_empty() {
            env.push((format!("{name}_SERVICE_PORT_{}", upper(port.str_at("/name"))), number.to_string()));
        }
        let prefix = format!("{name}_PORT_{number}_{protocol}");
        env.push((prefix.clone(), url));
        env.push((format!("{prefix}_PROTO"), protocol.to_lowercase()));
        env.push((format!("{prefix}_PORT"), number.to_string()));
        env.push((format!("{prefix}_ADDR"), ip.to_owned()));
    }
    env
}

fn set(env: &mut Env, name: &str, value: String) {
    match env.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => env.push((name.to_owned(), value)),
    }
}

fn set_default(env: &mut Env, name: &str, value: &str) {
    if !env.iter().any(|(n, _)| n == name) {
        env.push((name.to_owned(), value.to_owned()));
    }
}

/// `$(NAME)` becomes its value, `$$` a dollar; a name that is not there stays as it is written.
pub(super) fn substitute(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|r| r.split_once(')'));
        match name.and_then(|(name, after)| Some((env.iter().find(|(n, _)| n == name)?, after))) {
            Some(((_, value), after)) => {
                out.push_str(value);
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_in_parentheses_become_their_values() {
        let env = [("A".to_owned(), "1".to_owned())];
        let check = |text: &str, out: &str| assert_eq!(substitute(text, &env), out);
        check("$(A)-$(B)-$A", "1-$(B)-$A");
        check("$$(A) $$ 5$", "$(A) $ 5$");
        check("echo $(date)", "echo $(date)");
    }

    #[test]
    fn a_service_is_known_by_its_variables() {
        let object = json!({"metadata": {"name": "my-db"}, "spec": {"clusterIP": "10.96.0.9",
            "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}]}});
        let env = service(&object);
        let value = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(value("MY_DB_SERVICE_HOST"), Some("10.96.0.9"));
        assert_eq!(value("MY_DB_SERVICE_PORT_SQL"), Some("5432"));
        assert_eq!(value("MY_DB_PORT_5432_TCP"), Some("tcp://10.96.0.9:5432"));
        assert!(service(&json!({"metadata": {"name": "h"}, "spec": {"clusterIP": "None"}})).is_empty());
    }

    #[test]
    fn a_secrets_data_is_decoded() {
        let secret = json!({"kind": "Secret", "data": {"k": "dg=="}});
        assert_eq!(data_of(&secret).get("k").map(Vec::as_slice), Some(&b"v"[..]));
    }
}
