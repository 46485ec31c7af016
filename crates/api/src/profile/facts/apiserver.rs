//! What the apiserver does otherwise: its connection to itself, who may do what, streams to pods.

use std::time::Duration;

use super::HOUR;
use crate::profile::{Loopback, Shape};

facts! {
    /// The certificate of the apiserver's connection to itself.
    // 1.10 and 1.12 are read from the releases of client-go and may be off by one minor.
    loopback: Loopback = "loopback certificate" {
        8 => Loopback { shape: Shape::SelfSigned, backdate: Duration::ZERO, max_age: YEAR, livez_check: false },
        10 => Loopback { shape: Shape::CaAndLeaf, backdate: Duration::ZERO, max_age: YEAR, livez_check: false },
        12 => Loopback { shape: Shape::CaAndLeaf, backdate: HOUR, max_age: YEAR, livez_check: false },
        33 => Loopback { shape: Shape::CaAndLeaf, backdate: HOUR, max_age: THREE_YEARS, livez_check: false },
        36 => Loopback { shape: Shape::CaAndLeaf, backdate: HOUR, max_age: THREE_YEARS, livez_check: true },
    }

    /// Streams that the apiserver allows on one HTTP/2 connection.
    // Patch releases of 1.25 to 1.28 have the lower number too.
    http2_max_streams: u32 = "HTTP/2 streams per connection" { 8 => 250, 29 => 100 }

    /// Whether service addresses are allocated by posting ipaddresses objects through the loopback.
    ip_allocation_by_objects: bool = "service addresses are allocated as ipaddresses objects" { 8 => false, 33 => true }

    /// Whether apiservers find each other by leases in the store, instead of being told how many they are
    /// (the default of `--endpoint-reconciler-type`).
    endpoints_by_lease: bool = "apiservers find each other by leases" { 8 => false, 11 => true }

    /// Whether the server streams the initial list of a watch (gate WatchList).
    watch_list: bool = "watches stream their initial list" { 8 => false, 32 => true, 33 => false, 34 => true }

    /// Whether an apiserver closes its connections to kubelets when its certificate for them was replaced.
    // kubernetes/kubernetes#115315, backported to later patch releases of 1.24 to 1.26.
    kubelet_connections_follow_certificate: bool = "connections to kubelets follow their certificate" {
        8 => false, 27 => true,
    }

    /// Whether kubelets may only request certificates in their own name (admission NodeRestriction).
    node_csr_restricted: bool = "NodeRestriction checks the CN of kubelet CSRs" { 8 => false, 31 => true }

    /// Whether kubelets may only request tokens for audiences that their pods need (gate
    /// ServiceAccountNodeAudienceRestriction, on by default).
    node_audience_restricted: bool = "NodeRestriction checks the audience of kubelets' tokens" { 8 => false, 33 => true }

    /// Whether the subject of a client certificate may name a UID (gate AllowParsingUserUIDFromCertAuth, on by
    /// default).
    certificates_name_uids: bool = "client certificates name UIDs" { 8 => false, 33 => true }

    /// Whether authorizers see what a list selects, and the node authorizer demands it (gates AuthorizeWithSelectors
    /// and AuthorizeNodeWithSelectors, on by default).
    authorizes_by_selectors: bool = "authorization looks at selectors" { 8 => false, 32 => true }

    /// Whether the node authorizer lets a kubelet read the service accounts of its pods (gate
    /// KubeletServiceAccountTokenForCredentialProviders, on by default).
    nodes_read_service_accounts: bool = "nodes may get service accounts of their pods" { 8 => false, 34 => true }

    /// Whether the apiserver gives pods tokens of their own, bound to them, instead of their account's secret (gate
    /// BoundServiceAccountTokenVolume, on by default).
    // kubernetes/kubernetes#95667.
    binds_token_volumes: bool = "pods get tokens of their own" { 8 => false, 21 => true }

    /// Whether the apiserver notes when tokens from secrets are used, and warns of them (gate
    /// LegacyServiceAccountTokenTracking, on by default).
    // KEP-2799.
    tracks_token_secrets: bool = "uses of token secrets are noted" { 8 => false, 27 => true }

    /// Whether a permission to impersonate may be for some requests alone (gate ConstrainedImpersonation, on by
    /// default).
    // KEP-5284: alpha in 1.35. That it is on in 1.36 is what users of that release write; its gate was not looked up.
    constrained_impersonation: bool = "impersonation for some requests alone" { 8 => false, 36 => true }

    /// Whether the apiserver asks validating admission policies without being told to.
    // KEP-3488: alpha in 1.26, beta and off in 1.28.
    validating_policies: bool = "validating admission policies" { 8 => false, 30 => true }

    /// Whether the apiserver asks mutating admission policies without being told to.
    // KEP-3962: alpha in 1.32, beta and off in 1.34.
    mutating_policies: bool = "mutating admission policies" { 8 => false, 36 => true }

    /// Whether exec and attach over WebSockets become SPDY on the way to the kubelet.
    // TranslateStreamCloseWebsocketRequests, KEP 4006.
    translates_websockets: bool = "apiserver translates WebSockets to SPDY" { 8 => false, 30 => true }

    /// Whether port-forward may be tunnelled through a WebSocket.
    // PortForwardWebsockets, KEP 4006.
    tunnels_port_forward: bool = "port-forward through WebSockets" { 8 => false, 31 => true }

    /// Whether exec, attach and port-forward by GET need the verb `create` as well.
    // AuthorizePodWebsocketUpgradeCreatePermission, kubernetes/kubernetes#134577.
    websocket_needs_create: bool = "WebSockets to pods need the verb create" { 8 => false, 35 => true }

    /// Where the apiserver is asked how it is; the last of them says whether it may be sent requests.
    // kubernetes/kubernetes#78458.
    health_paths: &'static [&'static str] = "health endpoints of the apiserver" {
        8 => &["/healthz"], 16 => &["/healthz", "/livez", "/readyz"],
    }

    /// Whether a server reads the authorities of its clients and of the front proxy again when their files change.
    // kubernetes/kubernetes#90360, which went to later patch releases of 1.17 and 1.18 too: these two meant to.
    rereads_client_authorities: bool = "servers read their clients' authorities again" { 8 => false, 19 => true }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const THREE_YEARS: Duration = Duration::from_secs((3 * 365 + 1) * 24 * 3600);
