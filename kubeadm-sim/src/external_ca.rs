//! The external CA mode of releases before 1.13: everything that `ca.key` would sign is there and the key is
//! not (`cmd/kubeadm/app/phases/certs/certs.go`, UsingExternalCA). Later releases look at each file by itself.

use crate::{
    certs::{first_certificate, signed_by},
    session::Session,
};

/// Signed pairs that must be there, and their authorities.
const PAIRS: &[(&str, &str)] =
    &[("apiserver", "ca"), ("apiserver-kubelet-client", "ca"), ("front-proxy-client", "front-proxy-ca")];

/// Whether certificates and kubeconfigs are somebody else's business.
pub(crate) fn is_used(s: &Session<'_>, dir: &str) -> bool {
    let there = |file: &str| s.disk().exists(format!("{dir}/{file}"));
    let certificate = |file: &str| first_certificate(s, &format!("{dir}/{file}.crt")).ok();
    let complete = |(file, authority): &(&str, &str)| {
        let signed = certificate(file).zip(certificate(authority));
        signed.is_some_and(|(leaf, authority)| signed_by(&leaf, &authority)) && there(&format!("{file}.key"))
    };
    s.profile.external_ca_is_all_or_nothing()
        && there("ca.crt")
        && !there("ca.key")
        && ["sa.key", "sa.pub", "front-proxy-ca.key"].into_iter().all(there)
        && PAIRS.iter().all(complete)
}
