//! Who is behind a service: nothing routes cluster addresses here, so whoever calls one is sent to an
//! endpoint of it, as upstream does with `--enable-aggregator-routing=true`.

use api::{object::ObjectExt, status::quoted};
use client::Informer;
use serde_json::Value;
use world::Host;

use crate::informers::Informers;

/// Services and their endpoints, as the server's informers know them.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    host: Host,
    services: Informer,
    endpoints: Informer,
}

impl Services {
    pub(crate) fn new(host: &Host, informers: &Informers) -> Self {
        Self {
            host: host.clone(),
            services: informers.services.clone(),
            endpoints: informers.endpoints.clone(),
        }
    }

    /// Address and port of one endpoint, by chance among those that are ready.
    ///
    /// # Errors
    /// No service, port or endpoint, in upstream's words.
    pub(crate) fn endpoint(&self, namespace: &str, name: &str, port: i64) -> Result<(String, u16), String> {
        let all = self.endpoints(namespace, name, port)?;
        let chosen = if all.len() > 1 { self.host.entropy().below(all.len() as u64) } else { 0 };
        let chosen = all.into_iter().nth(usize::try_from(chosen).unwrap_or_default());
        chosen.ok_or_else(|| format!("no endpoints available for service {}", quoted(name)))
    }

    /// Addresses and ports of all endpoints that are ready.
    ///
    /// # Errors
    /// No service, port or endpoints, in upstream's words.
    pub(crate) fn endpoints(
        &self,
        namespace: &str,
        name: &str,
        port: i64,
    ) -> Result<Vec<(String, u16)>, String> {
        let shown = quoted(name);
        let service = self.services.get(namespace, name).ok_or(format!("service {shown} not found"))?;
        let number = |port: i64| u16::try_from(port).map_err(|_| format!("{port} is no port"));
        if service.str_at("/spec/type") == "ExternalName" {
            return Ok(vec![(service.str_at("/spec/externalName").to_owned(), number(port)?)]);
        }
        let listed = service.list_at("/spec/ports").iter().find(|p| p.i64_at("/port") == Some(port));
        let listed = listed.ok_or_else(|| format!("no service port {port} found for service {shown}"))?;
        let endpoints = self.endpoints.get(namespace, name);
        let endpoints = endpoints.ok_or_else(|| format!("endpoints {shown} not found"))?;
        Ok(behind(listed, &endpoints))
    }
}

/// Addresses and ports of those who are ready behind one port of a service, as an Endpoints object has them.
pub(crate) fn behind(port: &Value, endpoints: &Value) -> Vec<(String, u16)> {
    let mut all = Vec::new();
    for subset in endpoints.list_at("/subsets") {
        let mut ports = subset.list_at("/ports").iter();
        let Some(found) = ports.find(|p| p.str_at("/name") == port.str_at("/name")) else { continue };
        // Validation keeps out what is no port.
        let Some(number) = found.i64_at("/port").and_then(|port| u16::try_from(port).ok()) else { continue };
        all.extend(subset.list_at("/addresses").iter().map(|a| (a.str_at("/ip").to_owned(), number)));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use world::sim::{Config, run};

    use super::*;

    #[test]
    fn a_service_leads_to_its_endpoints() {
        run(Config::default(), |sim| async move {
            let check = |service: Value, endpoints: Value, expected: Result<(&str, u16), &str>| {
                let held = |spec: Value| {
                    let named = |mut object: Value| {
                        object["metadata"] = json!({"namespace": "n", "name": "hook"});
                        object
                    };
                    Informer::fixed(if spec.is_null() { vec![] } else { vec![named(spec)] })
                };
                let informers =
                    Informers { services: held(service), endpoints: held(endpoints), ..Informers::empty() };
                let found = Services::new(&sim.host("cp"), &informers).endpoint("n", "hook", 443);
                let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
                assert_eq!(found.map_err(|why| why.as_str()), expected);
            };
            let service = json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 443}]}});
            let endpoints = json!({"subsets": [
                {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"name": "a", "port": 8080}]},
                {"addresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "b", "port": 8443}]}]});
            check(service.clone(), endpoints, Ok(("10.0.0.2", 8443)));
            check(Value::Null, Value::Null, Err("service \"hook\" not found"));
            check(service.clone(), Value::Null, Err("endpoints \"hook\" not found"));
            let empty = json!({"subsets": []});
            check(service, empty.clone(), Err("no endpoints available for service \"hook\""));
            let other = json!({"spec": {"ports": [{"port": 80}]}});
            check(other, empty, Err("no service port 443 found for service \"hook\""));
            let outside = json!({"spec": {"type": "ExternalName", "externalName": "hook.example.com"}});
            check(outside, Value::Null, Ok(("hook.example.com", 443)));
        })
        .unwrap();
    }
}
