//! `etcd --help`: the flags of the table in etcd's groups, each with what it means here.

use std::fmt::Write as _;

use super::given::{FLAGS, Use};

/// etcd's groups in its order; the flags of each with what those that have a meaning here mean.
#[rustfmt::skip]
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    ("Member", &[
        ("name", "Name of this member"),
        ("data-dir", "Where the data is"),
        ("wal-dir", ""),
        ("snapshot-count", ""),
        ("heartbeat-interval", ""),
        ("election-timeout", ""),
        ("initial-election-tick-advance", ""),
        ("listen-peer-urls", "URLs to listen on for other members"),
        ("listen-client-urls", "URLs to listen on for clients"),
        ("max-snapshots", ""),
        ("max-wals", ""),
        ("quota-backend-bytes", ""),
        ("max-txn-ops", "Operations in a transaction"),
        ("max-request-bytes", "Size of a request"),
        ("max-concurrent-streams", ""),
        ("grpc-keepalive-min-time", ""),
        ("grpc-keepalive-interval", ""),
        ("grpc-keepalive-timeout", ""),
        ("warning-apply-duration", ""),
    ]),
    ("Clustering", &[
        ("initial-advertise-peer-urls", "URLs under which other members find this one"),
        ("initial-cluster", "All members: name=URL,name=URL"),
        ("initial-cluster-state", "new, or existing for a member that joins"),
        ("initial-cluster-token", "Tells clusters with the same members apart"),
        ("advertise-client-urls", "URLs under which clients find this member"),
        ("discovery", "Only empty: "),
        ("discovery-srv", "Only empty: "),
        ("strict-reconfig-check", ""),
        ("pre-vote", ""),
        ("auto-compaction-retention", "History that is kept: hours, 30m, or revisions; 0 leaves it to clients"),
        ("auto-compaction-mode", "periodic: by age; revision: by number"),
    ]),
    ("Security", &[
        ("cert-file", "Certificate for clients"),
        ("key-file", "Key of that certificate"),
        ("client-cert-auth", "Whether clients need a certificate"),
        ("client-crl-file", "Only empty: "),
        ("trusted-ca-file", "Authority of clients' certificates"),
        ("auto-tls", "Only false: "),
        ("peer-cert-file", "Certificate for other members"),
        ("peer-key-file", "Key of that certificate"),
        ("peer-client-cert-auth", "Whether other members need a certificate"),
        ("peer-trusted-ca-file", "Authority of members' certificates"),
        ("peer-auto-tls", "Only false: "),
        ("peer-crl-file", "Only empty: "),
        ("cipher-suites", "Ciphers that are taken"),
        ("tls-min-version", "TLS1.2 or TLS1.3"),
    ]),
    ("Profiling and Monitoring", &[
        ("enable-pprof", ""),
        ("metrics", ""),
        ("listen-metrics-urls", "Further URLs for /metrics and /health"),
    ]),
    ("Logging", &[("logger", ""), ("log-outputs", ""), ("log-level", ""), ("log-format", "")]),
    ("Features", &[
        ("feature-gates", ""),
        ("corrupt-check-time", ""),
        ("compact-hash-check-time", ""),
        ("enable-v2", ""),
        ("watch-progress-notify-interval", "How often a watch without events is told the revision"),
        ("experimental-watch-progress-notify-interval", "The same, as etcd 3.5 has it"),
        ("experimental-initial-corrupt-check", ""),
        ("experimental-corrupt-check-time", ""),
        ("experimental-compact-hash-check-enabled", ""),
        ("experimental-warning-apply-duration", ""),
    ]),
    ("Unsafe feature", &[("force-new-cluster", "Only false: "), ("unsafe-no-fsync", "")]),
];

/// The whole text.
pub fn help() -> String {
    let mut text =
        String::from("etcd of a simulated control plane, with etcd's flags.\n\nUsage:\n  etcd [flags]\n");
    for (group, rows) in GROUPS {
        let _ = write!(text, "\n{group}:\n");
        for (name, words) in rows.iter() {
            let Some((_, meaning)) = FLAGS.iter().find(|(known, _)| known == name) else { continue };
            let about = match meaning {
                Use::Text | Use::Bool => (*words).to_owned(),
                Use::Moot | Use::MootBool => "Accepted; what it tunes is not here".into(),
                Use::Refused(_, instead) => {
                    format!("{words}{}", if words.ends_with(": ") { instead } else { "" })
                }
            };
            let value = if matches!(meaning, Use::Bool | Use::MootBool) { "" } else { " string" };
            let flag = format!("--{name}{value}");
            let _ = writeln!(text, "  {flag:<58} {about}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_is_in_one_group_and_those_with_a_meaning_say_it() {
        let mut seen = BTreeSet::new();
        for (name, words) in GROUPS.iter().flat_map(|(_, rows)| rows.iter()) {
            assert!(seen.insert(*name), "--{name} is in two groups");
            let meaning = FLAGS.iter().find(|(known, _)| known == name).map(|(_, meaning)| *meaning);
            let moot = matches!(meaning, Some(Use::Moot | Use::MootBool));
            assert!(meaning.is_some(), "--{name} is no flag");
            assert_eq!(moot, words.is_empty(), "--{name}: {words:?}");
        }
        for (name, _) in FLAGS {
            assert!(seen.contains(name), "--{name} is in no group");
        }
    }
}
