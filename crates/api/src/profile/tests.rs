//! Versions in and out, and the table of facts at its edges.

use std::time::Duration;

use super::*;

fn at(minor: u16) -> Profile {
    Profile::of_minor(minor).unwrap()
}

#[test]
fn parsing() {
    for (text, version) in [
        ("1.32", "v1.32.0"),
        ("v1.32", "v1.32.0"),
        ("1.32.4", "v1.32.4"),
        ("v1.8.15", "v1.8.15"),
        ("1.36", "v1.36.0"),
    ] {
        assert_eq!(Profile::parse(text).map(Profile::git_version).as_deref(), Ok(version), "{text}");
    }
    for text in ["1.7", "1.37", "2.0", "0.32", "1.99.1", "1.100000"] {
        assert_eq!(
            Profile::parse(text).unwrap_err().to_string(),
            format!("Kubernetes {text} has no profile: versions from 1.8 to 1.36 are known")
        );
    }
    for text in [
        "",
        "1",
        "v",
        "1.",
        "1.x",
        "1.32.",
        "1.32.4.5",
        "1.-2",
        "1.+2",
        "1.032",
        "one",
        " 1.32",
        "1.32-alpha",
        "vv1.32",
    ] {
        assert_eq!(
            Profile::parse(text).unwrap_err().to_string(),
            format!("{text:?} is not a Kubernetes version: write it like 1.32, v1.32 or 1.32.4")
        );
    }
}

#[test]
fn the_table_is_in_order_and_says_something() {
    for fact in facts() {
        assert_eq!(fact.starts[0], OLDEST, "{}: the first value holds from the oldest minor", fact.name);
        assert!(fact.starts.is_sorted_by(|a, b| a < b), "{}: steps in order", fact.name);
        assert!(fact.starts.iter().all(|m| *m <= NEWEST), "{}: no step beyond the newest minor", fact.name);
        for start in &fact.starts[1..] {
            assert!(
                fact.difference(at(start - 1), at(*start)).is_some(),
                "{}: 1.{start} changes nothing",
                fact.name
            );
        }
    }
}

/// The edges on which stories stand: the last minor of one behaviour and the first of the next.
#[test]
fn edges() {
    let day = 24 * 3600;
    let loopback = |minor| {
        let l = at(minor).loopback();
        (l.shape, l.backdate.as_secs(), l.max_age.as_secs() / day, l.livez_check)
    };
    assert_eq!(loopback(9), (Shape::SelfSigned, 0, 365, false));
    assert_eq!(loopback(10), (Shape::CaAndLeaf, 0, 365, false));
    assert_eq!(loopback(11), (Shape::CaAndLeaf, 0, 365, false));
    assert_eq!(loopback(12), (Shape::CaAndLeaf, 3600, 365, false));
    assert_eq!(loopback(32), (Shape::CaAndLeaf, 3600, 365, false));
    assert_eq!(loopback(33), (Shape::CaAndLeaf, 3600, 1096, false));
    assert_eq!(loopback(35), (Shape::CaAndLeaf, 3600, 1096, false));
    assert_eq!(loopback(36), (Shape::CaAndLeaf, 3600, 1096, true));

    assert_eq!((at(26).go(), at(27).go(), at(36).go()), ((1, 19), (1, 20), (1, 26)));
    assert_eq!((at(26).tls_verify_prefix(), at(27).tls_verify_prefix()), (false, true));
    assert_eq!((at(32).ip_allocation_by_objects(), at(33).ip_allocation_by_objects()), (false, true));
    assert_eq!(
        (at(31).node_grace(), at(32).node_grace()),
        (Duration::from_secs(40), Duration::from_secs(50))
    );
    assert_eq!((at(26).kubelet_api_rate(), at(27).kubelet_api_rate()), ((5, 10), (50, 100)));
    assert_eq!([31, 32, 33, 34].map(|m| at(m).watch_list()), [false, true, false, true]);
    assert_eq!((at(13).synchronous_bootstrap(), at(14).synchronous_bootstrap()), (true, false));
    assert_eq!((at(12).csr_name_hashes_private_key(), at(13).csr_name_hashes_private_key()), (true, false));
    assert_eq!(
        (at(30).kubelet_reloads_serving_files(), at(31).kubelet_reloads_serving_files()),
        (false, true)
    );
    assert_eq!((at(28).admin_group(), at(29).admin_group()), ("system:masters", "kubeadm:cluster-admins"));
    assert_eq!((at(28).super_admin_conf(), at(29).super_admin_conf()), (false, true));
    assert_eq!(
        [28, 29, 35, 36].map(|m| at(m).kubelet_client_group()),
        ["system:masters", "kubeadm:cluster-admins", "kubeadm:cluster-admins", ""]
    );
    assert_eq!((at(28).etcd_client_group(), at(29).etcd_client_group()), ("system:masters", ""));
    assert_eq!(
        (at(27).authority_backdate(), at(28).authority_backdate()),
        (Duration::ZERO, Duration::from_secs(300))
    );
    assert_eq!((at(13).signer_heeds_its_end(), at(14).signer_heeds_its_end()), (false, true));
    assert_eq!((at(15).token_cleaner_looks_again(), at(16).token_cleaner_looks_again()), (false, true));
    assert_eq!((at(17).discovery_begins_anew(), at(18).discovery_begins_anew()), (true, false));
    assert_eq!((at(13).discovery_is_silent(), at(14).discovery_is_silent()), (false, true));
    assert_eq!([18, 19].map(|m| at(m).tls_bootstrap_patience().as_secs()), [120, 300]);
    assert_eq!((at(8).kubeconfig_taken_unseen(), at(9).kubeconfig_taken_unseen()), (true, false));
    assert_eq!((at(13).expired_certificate_in_use(), at(14).expired_certificate_in_use()), (true, false));
    let ending = |minor| at(minor).without_certificate().0;
    assert_eq!(ending(8), "");
    assert!(ending(13).starts_with("The currently") && ending(14).starts_with("It has been 5m0s"));
    assert!(
        ending(20).starts_with("It has been 5m0s") && ending(21).starts_with("No valid client certificate")
    );
    let follow = |minor| at(minor).kubelet_connections_follow_certificate();
    assert_eq!((follow(26), follow(27)), (false, true));
    assert_eq!((at(33).node_local_cri_socket(), at(34).node_local_cri_socket()), (false, true));
    assert_eq!((at(32).waits_for_all_components(), at(33).waits_for_all_components()), (false, true));
    let (master, control_plane) = ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane");
    let no_balancer = "node.kubernetes.io/exclude-from-external-load-balancers";
    assert_eq!(
        [19, 20, 21, 23, 24].map(|m| at(m).control_plane_labels().to_vec()),
        [
            vec![master],
            vec![control_plane, master],
            vec![control_plane, master, no_balancer],
            vec![control_plane, master, no_balancer],
            vec![control_plane, no_balancer],
        ]
    );
    assert_eq!(
        [23, 24, 25].map(|m| at(m).control_plane_taints().to_vec()),
        [vec![master], vec![control_plane, master], vec![control_plane]]
    );
    assert_eq!((at(30).leaf_start(), at(31).leaf_start()), (LeafStart::AuthorityStart, LeafStart::Backdated));
    assert_eq!(
        [10, 11, 23, 24].map(|m| at(m).kubelet_config_name()),
        [
            None,
            Some("kubelet-config-1.11".into()),
            Some("kubelet-config-1.23".into()),
            Some("kubelet-config".into())
        ]
    );
    assert_eq!(
        [10, 11, 12, 14, 21, 30, 31].map(|m| at(m).kubeadm_config().version),
        ["v1alpha1", "v1alpha2", "v1alpha3", "v1beta1", "v1beta2", "v1beta3", "v1beta4"]
    );
    let order = |m| at(m).certificate_order();
    assert!([8, 9].iter().all(|m| !order(*m).contains(&"etcd-ca")), "etcd without TLS");
    assert_eq!(order(10).iter().position(|p| *p == "sa"), Some(8));
    assert_eq!(
        [11, 12, 36].map(|m| order(m).last().copied()),
        [Some("apiserver-etcd-client"), Some("sa"), Some("sa")]
    );
    assert_eq!([9, 10].map(|m| at(m).etcd_tls()), [false, true]);
    assert_eq!([27, 28].map(|m| at(m).authority_serial_is_zero()), [true, false]);
    assert_eq!(
        [10, 11, 12, 13].map(|m| at(m).etcd_names()),
        [EtcdNames::Apart, EtcdNames::LocalServing, EtcdNames::LocalServing, EtcdNames::Both]
    );
    assert_eq!([10, 11].map(|m| at(m).kube_dns_by_default()), [true, false]);
    assert_eq!([8, 9, 12, 13].map(|m| at(m).self_hosting_phase()), [false, true, true, false]);
    assert_eq!([10, 11].map(|m| at(m).kubelet_unit_flags_only()), [true, false]);
    assert_eq!([12, 13].map(|m| at(m).join_reads_configuration()), [false, true]);
    assert_eq!([17, 18].map(|m| at(m).tokens_get_nodes()), [false, true]);
    assert_eq!([20, 21].map(|m| at(m).binds_token_volumes()), [false, true]);
    assert_eq!([23, 24].map(|m| at(m).token_secrets()), [true, false]);
    assert_eq!([26, 27].map(|m| at(m).tracks_token_secrets()), [false, true]);
    assert_eq!([28, 29].map(|m| at(m).cleans_token_secrets()), [false, true]);
    assert_eq!([35, 36].map(|m| at(m).constrained_impersonation()), [false, true]);
    assert_eq!([11, 12].map(|m| at(m).image_suffix()), ["-amd64", ""]);
    let shows_join_command = |m| at(m).init_phases().contains(&"show-join-command");
    assert_eq!((shows_join_command(25), shows_join_command(26)), (false, true));
    let finalizes = |m| at(m).init_phases().contains(&"kubelet-finalize");
    assert_eq!([16, 17].map(finalizes), [false, true]);
    assert_eq!([16, 17].map(|m| at(m).kubelet_conf_follows_rotation()), [false, true]);
    let before_certs = |m| {
        let phases = at(m).init_phases();
        let place = |name| phases.iter().position(|p| *p == name);
        place("kubelet-start")
            .map(|kubelet| (kubelet < place("certs").unwrap(), kubelet < place("etcd").unwrap()))
    };
    assert_eq!(
        [10, 11, 18, 19, 27, 28, 36].map(before_certs),
        [
            None,
            Some((true, true)),
            Some((true, true)),
            Some((false, true)),
            Some((false, true)),
            Some((false, false)),
            Some((false, false))
        ]
    );
}

#[test]
fn differences_are_told_in_words() {
    assert_eq!(at(32).differences(at(32)), []);
    let told: Vec<String> = at(32)
        .differences(at(33))
        .into_iter()
        .filter(|d| d.words == "loopback certificate")
        .map(|d| format!("{} / {}", d.here, d.there))
        .collect();
    assert_eq!(
        told,
        [
            "authority and leaf, 365 d from 1 h before the start / authority and leaf, 1096 d from 1 h before the start"
        ]
    );
}
