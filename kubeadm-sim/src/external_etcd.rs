//! An etcd that somebody else runs: `etcd.external` of ClusterConfiguration.

use serde_json::{Value, json};

use crate::documents::{ConfigError, texts};

/// Where it is, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalEtcd {
    /// URLs of its members.
    pub endpoints: Vec<String>,
    /// URLs at which its members answer what is no gRPC; the same ones when there are none.
    pub http_endpoints: Vec<String>,
    /// File with its authority.
    pub ca_file: String,
    /// File with the apiserver's certificate for it.
    pub cert_file: String,
    /// File with that certificate's key.
    pub key_file: String,
}

impl ExternalEtcd {
    /// Reads the field of a ClusterConfiguration.
    pub(crate) fn read(value: &Value) -> Result<Self, ConfigError> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (endpoints, http_endpoints) = (texts(value.get("endpoints")), texts(value.get("httpEndpoints")));
        if endpoints.is_empty() {
            return Err(ConfigError::invalid("etcd.external.endpoints", "at least one URL is required"));
        }
        for (field, urls) in [("endpoints", &endpoints), ("httpEndpoints", &http_endpoints)] {
            if let Some(bad) = urls.iter().find(|url| !url.starts_with("https://")) {
                return Err(ConfigError::invalid(
                    format!("etcd.external.{field}"),
                    format!("{bad:?}: the URL must be using the HTTPS scheme"),
                ));
            }
        }
        let this = Self {
            endpoints,
            http_endpoints,
            ca_file: text("caFile"),
            cert_file: text("certFile"),
            key_file: text("keyFile"),
        };
        for (field, path) in this.files() {
            if !path.starts_with('/') {
                return Err(ConfigError::invalid(
                    format!("etcd.external.{field}"),
                    format!("{path:?}: must be an absolute path"),
                ));
            }
        }
        Ok(this)
    }

    /// Its files by the names of their fields.
    pub(crate) fn files(&self) -> [(&'static str, &str); 3] {
        [("caFile", &self.ca_file), ("certFile", &self.cert_file), ("keyFile", &self.key_file)]
    }

    /// Where its members say which version they are.
    pub(crate) fn asked(&self) -> &[String] {
        if self.http_endpoints.is_empty() { &self.endpoints } else { &self.http_endpoints }
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({
            "caFile": self.ca_file,
            "certFile": self.cert_file,
            "endpoints": self.endpoints,
            "keyFile": self.key_file,
        });
        if !self.http_endpoints.is_empty() {
            value["httpEndpoints"] = json!(self.http_endpoints);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written_and_refused_without_tls() {
        let good = json!({
            "caFile": "/ca", "certFile": "/crt", "endpoints": ["https://10.0.0.9:2379"],
            "httpEndpoints": ["https://10.0.0.9:2382"], "keyFile": "/key",
        });
        assert_eq!(ExternalEtcd::read(&good).expect("good").asked(), ["https://10.0.0.9:2382"]);
        assert_eq!(ExternalEtcd::read(&good).expect("good").to_value(), good);
        let check = |at: &str, value: Value, words: &str| {
            let mut bad = good.clone();
            bad[at] = value;
            let e = ExternalEtcd::read(&bad).expect_err(words).to_string();
            assert!(e.contains(words), "{e}");
        };
        check("endpoints", json!([]), "etcd.external.endpoints: at least one URL is required");
        check("endpoints", json!(["http://x:1"]), "must be using the HTTPS scheme");
        check(
            "httpEndpoints",
            json!(["http://x:1"]),
            "etcd.external.httpEndpoints: \"http://x:1\": the URL must be",
        );
        check("keyFile", json!("key"), "etcd.external.keyFile: \"key\": must be an absolute path");
    }
}
