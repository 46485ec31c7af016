//! How a node registers itself (`nodeRegistration` of Init- and JoinConfiguration).

use api::profile::Profile;
use serde_json::{Value, json};

use crate::documents::{ConfigError, arguments, texts};

/// What a kubelet is told about its node, apart from the node's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRegistration {
    /// Where the container runtime listens.
    pub cri_socket: String,
    /// Taints of the node; `None` leaves them to its role.
    pub taints: Option<Vec<Value>>,
    /// Further flags of the kubelet.
    pub kubelet_extra_args: Vec<(String, String)>,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Whether images are pulled one after the other.
    pub image_pull_serial: bool,
}

impl NodeRegistration {
    /// The defaults of a release.
    pub fn of(profile: Profile) -> Self {
        Self {
            cri_socket: profile.cri_socket().into(),
            taints: None,
            kubelet_extra_args: Vec::new(),
            image_pull_policy: "IfNotPresent".into(),
            image_pull_serial: true,
        }
    }

    /// Reads the field, but for the name and the checks to ignore.
    pub(crate) fn apply(&mut self, doc: &Value) -> Result<(), ConfigError> {
        let Some(field) = doc.get("nodeRegistration") else { return Ok(()) };
        let text = |key: &str| field.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        if let Some(socket) = text("criSocket") {
            self.cri_socket = socket.to_owned();
        }
        if let Some(policy) = text("imagePullPolicy") {
            if !["Always", "IfNotPresent", "Never"].contains(&policy) {
                return Err(ConfigError::invalid(
                    "nodeRegistration.imagePullPolicy",
                    format!("{policy:?} is none of Always, IfNotPresent, Never"),
                ));
            }
            self.image_pull_policy = policy.to_owned();
        }
        if let Some(serial) = field.get("imagePullSerial").and_then(Value::as_bool) {
            self.image_pull_serial = serial;
        }
        if let Some(taints) = field.get("taints").and_then(Value::as_array) {
            self.taints = Some(taints.iter().map(taint).collect::<Result<_, _>>()?);
        }
        self.kubelet_extra_args
            .extend(arguments("nodeRegistration.kubeletExtraArgs", field.get("kubeletExtraArgs"))?);
        Ok(())
    }

    /// The checks whose failure the field turns into warnings, lower case.
    pub(crate) fn ignored(doc: &Value) -> Vec<String> {
        texts(doc.pointer("/nodeRegistration/ignorePreflightErrors"))
            .into_iter()
            .map(|name| name.to_lowercase())
            .collect()
    }

    /// The field as v1beta4 writes it.
    pub(crate) fn to_value(&self, name: &str, ignored: &[String]) -> Value {
        let mut field = json!({
            "criSocket": self.cri_socket,
            "imagePullPolicy": self.image_pull_policy,
            "imagePullSerial": self.image_pull_serial,
            "name": name,
            "taints": self.taints,
        });
        if !self.kubelet_extra_args.is_empty() {
            field["kubeletExtraArgs"] = self
                .kubelet_extra_args
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
        }
        if !ignored.is_empty() {
            field["ignorePreflightErrors"] = json!(ignored);
        }
        field
    }

    /// The taints as the kubelet's flag `--register-with-taints` has them.
    pub(crate) fn taints_flag(&self) -> Option<String> {
        let taints = self.taints.as_deref().filter(|taints| !taints.is_empty())?;
        let shown: Vec<String> = taints.iter().map(shown_taint).collect();
        Some(shown.join(","))
    }
}

/// A taint as kubectl and the kubelet write it: `key=value:effect`, or `key:effect` without a value.
pub(crate) fn shown_taint(taint: &Value) -> String {
    let text = |key: &str| taint.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("value") {
        "" => format!("{}:{}", text("key"), text("effect")),
        value => format!("{}={value}:{}", text("key"), text("effect")),
    }
}

fn taint(value: &Value) -> Result<Value, ConfigError> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("key").is_empty() || !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&text("effect")) {
        return Err(ConfigError::invalid(
            "nodeRegistration.taints",
            format!("{value}: a taint has a key and an effect of NoSchedule, PreferNoSchedule, NoExecute"),
        ));
    }
    Ok(value.clone())
}
