//! The graph against brute force: whatever happened in whatever order, it is the graph of what is there now, and it
//! reaches what a walk over all objects reaches.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const NAMESPACES: [&str; 2] = ["a", "b"];
const NAMES: [&str; 3] = ["x", "y", "z"];

/// What may happen to one object: it is there in this form, or gone.
#[derive(Clone, Debug)]
enum Event {
    Pod(String, String, Option<Value>),
    Volume(String, Option<Value>),
    Attachment(String, Option<Value>),
    Slice(String, Option<Value>),
}

/// What is there in the end.
#[derive(Default)]
struct State {
    pods: BTreeMap<(String, String), Value>,
    volumes: BTreeMap<String, Value>,
    attachments: BTreeMap<String, Value>,
    slices: BTreeMap<String, Value>,
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn namespace() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMESPACES[..]).prop_map(str::to_owned)
}

/// A node, or none.
fn node() -> impl Strategy<Value = String> {
    prop::sample::select(&["", "n1", "n2", "n3"][..]).prop_map(str::to_owned)
}

fn pod() -> impl Strategy<Value = Event> {
    let names = || prop::collection::vec(name(), 0..3);
    let parts = (
        namespace(),
        name(),
        node(),
        any::<bool>(),
        names(),
        names(),
        names(),
        names(),
        name(),
        any::<bool>(),
    );
    parts.prop_map(|(ns, pod, node, mirror, secrets, maps, claims, devices, account, present)| {
        let volume = |kind: &str, key: &str, name: &String| json!({"name": name, kind: {key: name}});
        let mut volumes: Vec<Value> = secrets.iter().map(|n| volume("secret", "secretName", n)).collect();
        volumes.extend(maps.iter().map(|n| volume("configMap", "name", n)));
        volumes.extend(claims.iter().map(|n| volume("persistentVolumeClaim", "claimName", n)));
        let devices: Vec<Value> =
            devices.iter().map(|n| json!({"name": n, "resourceClaimName": n})).collect();
        let annotations = if mirror { json!({MIRROR_POD: "x"}) } else { json!({}) };
        let object = json!({
            "metadata": {"namespace": ns, "name": pod, "annotations": annotations},
            "spec": {"nodeName": node, "serviceAccountName": account, "volumes": volumes, "resourceClaims": devices},
        });
        Event::Pod(ns, pod, present.then_some(object))
    })
}

fn volume() -> impl Strategy<Value = Event> {
    let claim = prop::option::of((namespace(), name()));
    let secret = prop::option::of((prop::option::of(namespace()), name()));
    (name(), claim, secret, any::<bool>()).prop_map(|(volume, claim, secret, present)| {
        let mut object = json!({"metadata": {"name": volume}, "spec": {}});
        if let Some((namespace, name)) = claim {
            object["spec"]["claimRef"] = json!({"namespace": namespace, "name": name});
        }
        if let Some((namespace, name)) = secret {
            object["spec"]["rbd"] = json!({"secretRef": {"namespace": namespace, "name": name}});
        }
        Event::Volume(volume, present.then_some(object))
    })
}

fn with_node(make: fn(String, Option<Value>) -> Event) -> impl Strategy<Value = Event> {
    (name(), node(), any::<bool>()).prop_map(move |(name, node, present)| {
        let object = json!({"metadata": {"name": name}, "spec": {"nodeName": node}});
        make(name, present.then_some(object))
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => pod(),
        3 => volume(),
        1 => with_node(Event::Attachment),
        1 => with_node(Event::Slice),
    ]
}

impl Graph {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Pod(_, _, Some(pod)) => self.put_pod(pod),
            Event::Pod(namespace, name, None) => self.remove_pod(namespace, name),
            Event::Volume(_, Some(volume)) => self.put_volume(volume),
            Event::Volume(name, None) => self.remove_volume(name),
            Event::Attachment(name, attachment) => self.set_attachment(name, attachment.as_ref()),
            Event::Slice(name, slice) => self.set_slice(name, slice.as_ref()),
        }
    }
}

impl State {
    fn apply(&mut self, event: Event) {
        fn set<K: Ord>(held: &mut BTreeMap<K, Value>, key: K, object: Option<Value>) {
            match object {
                Some(object) => drop(held.insert(key, object)),
                None => drop(held.remove(&key)),
            }
        }
        match event {
            Event::Pod(namespace, name, pod) => set(&mut self.pods, (namespace, name), pod),
            Event::Volume(name, volume) => set(&mut self.volumes, name, volume),
            Event::Attachment(name, attachment) => set(&mut self.attachments, name, attachment),
            Event::Slice(name, slice) => set(&mut self.slices, name, slice),
        }
    }

    /// A graph that saw everything once, what came last first.
    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        self.slices.iter().rev().for_each(|(name, slice)| graph.set_slice(name, Some(slice)));
        self.attachments.iter().rev().for_each(|(name, va)| graph.set_attachment(name, Some(va)));
        self.volumes.values().rev().for_each(|volume| graph.put_volume(volume));
        self.pods.values().rev().for_each(|pod| graph.put_pod(pod));
        graph
    }

    fn names(pod: &Value, vertex: Vertex) -> Vec<String> {
        let texts = |list: &str, at: &str| -> Vec<String> {
            let found = pod.list_at(list).iter().map(|item| item.str_at(at).to_owned());
            found.filter(|name| !name.is_empty()).collect()
        };
        if vertex == Vertex::Pod {
            return vec![pod.name().to_owned()];
        }
        if pod["metadata"]["annotations"].get(MIRROR_POD).is_some() {
            return Vec::new();
        }
        match vertex {
            Vertex::Pod => Vec::new(),
            Vertex::Secret => texts("/spec/volumes", "/secret/secretName"),
            Vertex::ConfigMap => texts("/spec/volumes", "/configMap/name"),
            Vertex::Claim => texts("/spec/volumes", "/persistentVolumeClaim/claimName"),
            Vertex::ResourceClaim => texts("/spec/resourceClaims", "/resourceClaimName"),
            Vertex::ServiceAccount => vec![pod.str_at("/spec/serviceAccountName").to_owned()],
        }
    }

    fn reaches(&self, node: &str, vertex: Vertex, namespace: &str, name: &str) -> bool {
        let by_pod = self.pods.iter().any(|((ns, _), pod)| {
            ns == namespace
                && pod.str_at("/spec/nodeName") == node
                && Self::names(pod, vertex).iter().any(|n| n == name)
        });
        let by_volume = vertex == Vertex::Secret
            && self.volumes.iter().any(|(volume, object)| {
                let secret = object.at("/spec/rbd/secretRef");
                secret.is_some_and(|secret| {
                    let own = secret.str_at("/namespace");
                    let claims = object.str_at("/spec/claimRef/namespace");
                    let held = if own.is_empty() { claims } else { own };
                    held == namespace && secret.str_at("/name") == name
                }) && self.reaches_volume(node, volume)
            });
        by_pod || by_volume
    }

    fn reaches_volume(&self, node: &str, name: &str) -> bool {
        self.volumes.get(name).is_some_and(|volume| {
            let claim = |at: &str| volume.str_at(&format!("/spec/claimRef/{at}"));
            self.reaches(node, Vertex::Claim, claim("namespace"), claim("name"))
        })
    }
}

proptest! {
    #[test]
    fn it_is_the_graph_of_what_is_there_now(events in prop::collection::vec(event(), 0..40)) {
        let (mut graph, mut state) = (Graph::default(), State::default());
        for event in events {
            graph.apply(&event);
            state.apply(event);
        }
        prop_assert_eq!(&graph, &state.graph());
        for node in NODES {
            for name in NAMES {
                for namespace in NAMESPACES {
                    for vertex in VERTICES {
                        prop_assert_eq!(
                            graph.reaches(node, vertex, namespace, name),
                            state.reaches(node, vertex, namespace, name),
                            "{:?} {}/{} from {}", vertex, namespace, name, node
                        );
                    }
                }
                prop_assert_eq!(graph.reaches_volume(node, name), state.reaches_volume(node, name));
                let says = |held: &BTreeMap<String, Value>| {
                    held.get(name).is_some_and(|object| object.str_at("/spec/nodeName") == node)
                };
                prop_assert_eq!(graph.attaches(node, name), says(&state.attachments));
                prop_assert_eq!(graph.slices(node, name), says(&state.slices));
            }
        }
    }
}
