//! What the loops of controller manager and scheduler do otherwise.

use std::time::Duration;

facts! {
    /// Silence after which the controller manager calls a node unknown.
    node_grace: Duration = "silence until a node is called unknown" {
        8 => Duration::from_secs(40), 32 => Duration::from_secs(50),
    }

    /// Whether a candidate waits as long as the leader's record says, or as long as its own flags say.
    // kubernetes/kubernetes#114872.
    candidates_heed_the_record: bool = "candidates wait as long as the leader's record says" { 8 => false, 27 => true }

    /// With which words a CronJob that missed more than a hundred times is never started again; empty when only the
    /// missed ones are left out (the second controller, CronJobControllerV2).
    // The step at 16, a golint clean-up, was not looked up to the minor.
    cron_job_gives_up: &'static str = "a CronJob that missed more than a hundred times" {
        8 => "Too many missed start time (> 100). Set or decrease .spec.startingDeadlineSeconds or check clock skew.",
        16 => "too many missed start time (> 100). Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        21 => "",
    }

    /// Whether the warning of too many missed times says how many.
    // The step at 28 was not looked up to the minor.
    cron_job_counts_missed: bool = "a CronJob's warning counts what was missed" { 8 => true, 28 => false }

    /// What the scheduler says of a node whose taint keeps a pod away; `<taint>` stands for key and value.
    // 18 is kubernetes/kubernetes#87250. 35 is #134740, backported to later patch releases of 1.34.
    untolerated_taint: &'static str = "the scheduler's word for a taint" {
        8 => "node(s) had taints that the pod didn't tolerate",
        18 => "node(s) had taint {<taint>}, that the pod didn't tolerate",
        24 => "node(s) had untolerated taint {<taint>}",
        35 => "node(s) had untolerated taint(s)",
    }

    /// Whether the scheduler says why preemption does not help.
    tells_of_preemption: bool = "the scheduler says why preemption does not help" { 8 => false, 24 => true }

    /// Whether each service account gets a secret with a token that has no end (until the gate
    /// LegacyServiceAccountTokenNoAutoGeneration, on by default).
    // kubernetes/kubernetes#108309.
    token_secrets: bool = "each service account has a secret with a token" { 8 => true, 24 => false }

    /// Whether tokens from secrets are removed when nobody has used them for a year (gate
    /// LegacyServiceAccountTokenCleanUp, on by default).
    // KEP-2799.
    cleans_token_secrets: bool = "unused token secrets are cleaned up" { 8 => false, 29 => true }

    /// Whether every namespace gets the ConfigMap kube-root-ca.crt (gate RootCAConfigMap; before it, the alpha gate
    /// BoundServiceAccountTokenVolume).
    // kubernetes/kubernetes#96197.
    root_ca_published: bool = "kube-root-ca.crt is in every namespace" { 8 => false, 20 => true }

    /// Whether kube-root-ca.crt says what its bundle is good for.
    // kubernetes/kubernetes#100926.
    root_ca_described: bool = "kube-root-ca.crt carries a description" { 8 => false, 22 => true }

    /// Whether the signer dates certificates of less than eight hours so that the full time is left.
    signer_spares_short_certificates: bool = "short certificates keep their full time" { 8 => false, 22 => true }

    /// Whether the signer heeds the end of its own certificate.
    // kubernetes/kubernetes#73706.
    signer_heeds_its_end: bool = "signed certificates end with their authority" { 8 => false, 14 => true }

    /// Whether the token cleaner looks again at the end of a token; without that it looks when a token is made or
    /// changed, and when it is started.
    // kubernetes/kubernetes#77713.
    token_cleaner_looks_again: bool = "expired bootstrap tokens are deleted when they expire" { 8 => false, 16 => true }
}
