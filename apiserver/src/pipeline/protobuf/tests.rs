//! The decoder against bytes as clients write them, and against bytes that nobody should write.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ProtobufError, decode, table::table};

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut n: u64) -> Self {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
        self
    }

    fn int(self, tag: u64, n: i64) -> Self {
        self.varint(tag << 3).varint(n as u64)
    }

    fn bytes(self, tag: u64, bytes: &[u8]) -> Self {
        let mut this = self.varint(tag << 3 | 2).varint(bytes.len() as u64);
        this.0.extend_from_slice(bytes);
        this
    }

    fn text(self, tag: u64, text: &str) -> Self {
        self.bytes(tag, text.as_bytes())
    }

    fn message(self, tag: u64, inner: Message) -> Self {
        self.bytes(tag, &inner.0)
    }
}

fn body(api_version: &str, kind: &str, object: Message) -> Vec<u8> {
    let meta = Message::default().text(1, api_version).text(2, kind);
    let envelope = Message::default().message(1, meta).message(2, object).text(3, "").text(4, "");
    [b"k8s\0".as_slice(), &envelope.0].concat()
}

fn new() -> Message {
    Message::default()
}

#[track_caller]
fn check(api_version: &str, kind: &str, object: Message, expected: Value) {
    assert_eq!(decode(&body(api_version, kind, object)), Ok(expected));
}

#[test]
fn what_kubectl_create_namespace_sends() {
    // As captured from kubectl 1.32: plain fields of Go structs come along empty.
    let bytes = [
        0x6b, 0x38, 0x73, 0x00, 0x0a, 0x0f, 0x0a, 0x02, 0x76, 0x31, 0x12, 0x09, 0x4e, 0x61, 0x6d, 0x65, 0x73,
        0x70, 0x61, 0x63, 0x65, 0x12, 0x1a, 0x0a, 0x12, 0x0a, 0x02, 0x74, 0x31, 0x12, 0x00, 0x1a, 0x00, 0x22,
        0x00, 0x2a, 0x00, 0x32, 0x00, 0x38, 0x00, 0x42, 0x00, 0x12, 0x00, 0x1a, 0x02, 0x0a, 0x00, 0x1a, 0x00,
        0x22, 0x00,
    ];
    let expected = json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "t1" }, "spec": {}, "status": {} });
    assert_eq!(decode(&bytes), Ok(expected));
}

#[test]
fn kinds_of_values() {
    let pair = |k: &str, v: &str| new().text(1, k).text(2, v);
    let meta = new().text(1, "a").message(11, pair("x", "y")).message(11, pair("e", ""));
    let secret = new().message(1, meta).message(2, new().text(1, "k").bytes(2, b"\x00\xff"));
    let expected = json!({
        "kind": "Secret", "apiVersion": "v1",
        "metadata": { "name": "a", "labels": { "x": "y", "e": "" } },
        "data": { "k": "AP8=" },
    });
    check("v1", "Secret", secret, expected);

    let claim = |spec: Message| new().message(2, spec);
    let resources = new().message(2, new().text(1, "storage").message(2, new().text(1, "1Gi")));
    let expected = json!({
        "kind": "PersistentVolumeClaim", "apiVersion": "v1",
        "spec": { "resources": { "requests": { "storage": "1Gi" } } },
    });
    check("v1", "PersistentVolumeClaim", claim(new().message(2, resources)), expected);

    let port = new().text(1, "http").int(3, 80).message(4, new().int(1, 0).int(2, 8080)).int(5, 0);
    let named = new().int(3, 81).message(4, new().int(1, 1).int(2, 0).text(3, "web"));
    let service = new().message(2, new().message(1, port).message(1, named));
    let expected = json!({
        "kind": "Service", "apiVersion": "v1",
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }, { "port": 81, "targetPort": "web" }] },
    });
    check("v1", "Service", service, expected);

    // A zero that was meant stays, one that says nothing goes.
    let deployment = new().message(2, new().int(1, 0).int(5, 0));
    check(
        "apps/v1",
        "Deployment",
        deployment,
        json!({ "kind": "Deployment", "apiVersion": "apps/v1", "spec": { "replicas": 0 } }),
    );

    // Fields of a volume's source stand in the volume itself.
    let volume = new().text(1, "v").message(2, new().message(2, new()));
    let pod = new().message(2, new().message(1, volume));
    let expected = json!({ "kind": "Pod", "apiVersion": "v1", "spec": { "volumes": [{ "name": "v", "emptyDir": {} }] } });
    check("v1", "Pod", pod, expected);

    let extra = new().text(1, "k").message(2, new().text(1, "a").text(1, "b"));
    let review = new().message(2, new().text(3, "jane").message(5, extra));
    let expected = json!({
        "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": { "user": "jane", "extra": { "k": ["a", "b"] } },
    });
    check("authorization.k8s.io/v1", "SubjectAccessReview", review, expected);

    let lease = new().message(2, new().int(2, -1).message(4, new().int(1, 1_767_225_600).int(2, 5000)));
    let expected = json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "spec": { "leaseDurationSeconds": -1, "renewTime": "2026-01-01T00:00:00.000005Z" },
    });
    check("coordination.k8s.io/v1", "Lease", lease, expected);
    check(
        "networking.k8s.io/v1",
        "IPAddress",
        new(),
        json!({ "kind": "IPAddress", "apiVersion": "networking.k8s.io/v1" }),
    );
}

#[test]
fn zeroes_that_were_meant_stay() {
    let of = |api_version: &str, kind: &str, spec: Message, expected: Value| {
        let expected = json!({ "kind": kind, "apiVersion": api_version, "spec": expected });
        check(api_version, kind, new().message(2, spec), expected);
    };
    // "" says: no class, not the default one.
    of("v1", "PersistentVolumeClaim", new().text(3, "").text(5, ""), json!({ "storageClassName": "" }));
    of("storage.k8s.io/v1", "CSIDriver", new().int(1, 0), json!({ "attachRequired": false }));
    let security = new().int(2, 0).int(7, 0);
    let container = new().text(1, "").text(2, "").message(15, security).int(18, 0);
    of(
        "v1",
        "Pod",
        new().message(2, container).int(11, 0).int(25, 0),
        json!({
            "containers": [{ "name": "", "securityContext": { "privileged": false, "allowPrivilegeEscalation": false } }],
            "priority": 0,
        }),
    );
    // Plain and left out when zero, though other fields of that name are pointers.
    of("v1", "Service", new().int(13, 0), json!({}));
    let endpoint = new().text(1, "10.0.0.1").message(2, new().int(1, 0));
    let slice = new().message(2, endpoint).text(4, "IPv4");
    let expected = json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": false } }], "addressType": "IPv4",
    });
    check("discovery.k8s.io/v1", "EndpointSlice", slice, expected);
    let lease = new().message(2, new().text(1, "").int(2, 15).int(5, 0));
    let expected = json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "spec": { "holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 0 },
    });
    check("coordination.k8s.io/v1", "Lease", lease, expected);
}

#[test]
fn what_is_no_message_is_refused() {
    let rows: [(&[u8], ProtobufError); 4] = [
        (b"{}", ProtobufError::Magic),
        (b"k8s\0\x0a\x05\x0a", ProtobufError::Truncated),
        (b"k8s\0", ProtobufError::Unknown),
        (b"k8s\0\x07", ProtobufError::WireType),
    ];
    for (bytes, expected) in rows {
        assert_eq!(decode(bytes), Err(expected), "{bytes:?}");
    }
    let bad = new().bytes(1, b"\xff");
    assert_eq!(decode(&body("v1", "Pod", new().message(1, bad))), Err(ProtobufError::Text));
}

#[test]
fn the_table_refers_to_itself_only() {
    let all = table().all();
    assert!(all.len() > 400, "{}", all.len());
    for (name, fields) in all {
        for field in fields {
            if let super::Type::Message(to) = field.kind {
                assert!(to < all.len(), "{name}.{}", field.name);
            }
        }
    }
    // Every stored kind that clients create can be sent.
    let missing: Vec<String> = api::kinds::all()
        .iter()
        .filter(|k| {
            k.allows("create") && !matches!(k.group, "apiextensions.k8s.io" | "apiregistration.k8s.io")
        })
        .filter(|k| table().by_kind(&k.api_version(), k.kind).is_none())
        .map(|k| format!("{} {}", k.api_version(), k.kind))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&[b"k8s\0".as_slice(), &bytes].concat());
        let _ = decode(&body("v1", "Pod", Message(bytes)));
    }
}
