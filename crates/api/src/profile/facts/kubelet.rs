//! What the kubelet does otherwise: its certificates, its requests, its pods.

facts! {
    /// Whether a kubelet bootstraps before it starts, with a CSR named node-csr-….
    synchronous_bootstrap: bool = "kubelet bootstraps before it starts (node-csr-…)" { 8 => true, 14 => false }

    /// Whether the certificate of a bootstrap lies in kubelet-client.crt and kubelet-client.key, which the kubeconfig
    /// then names, instead of a dated file behind kubelet-client-current.pem.
    // Not looked up to the minor.
    plain_client_certificate: bool = "first certificate in kubelet-client.crt and .key" { 8 => true, 11 => false }

    /// Whether a kubelet takes a kubeconfig that is there without a look at its certificate.
    // kubernetes/kubernetes#53037.
    kubeconfig_taken_unseen: bool = "kubelet bootstraps only where it has no kubeconfig" { 8 => true, 9 => false }

    /// Whether a kubelet goes on with a client certificate that is over: shows it, and asks for the next one with it.
    // kubernetes/kubernetes#69890.
    expired_certificate_in_use: bool = "kubelet goes on with an expired certificate" { 8 => true, 14 => false }

    /// What a kubelet says without a valid certificate: when it ends because its server is well, and when it goes on
    /// because its server is not. Empty where it does neither.
    // The step at 21 was not looked up to the minor.
    without_certificate: (&'static str, &'static str) = "last words of a kubelet without certificate" {
        8 => ("", ""),
        9 => ("The currently active client certificate has expired and the server is responsive, exiting.",
            "The currently active client certificate has expired, but the server is not responsive. A restart may be necessary to retrieve new initial credentials."),
        14 => ("It has been 5m0s since a valid client cert was found and the server is responsive, exiting.",
            "It has been 5m0s since a valid client cert was found, but the server is not responsive. A restart may be necessary to retrieve new initial credentials."),
        21 => ("No valid client certificate is found and the server is responsive, exiting.",
            "No valid client certificate is found but the server is not responsive. A restart may be necessary to retrieve new initial credentials."),
    }

    /// Whether the kubelet asks for `key encipherment` for ECDSA keys too.
    csr_always_asks_key_encipherment: bool = "kubelet CSRs always ask for key encipherment" { 8 => true, 27 => false }

    /// Whether the name node-csr-… is a digest of the private key's text instead of the public key.
    csr_name_hashes_private_key: bool = "node-csr-… names hash the private key" { 8 => true, 13 => false }

    /// Whether the kubelet reads tlsCertFile and tlsPrivateKeyFile again when they change (gate
    /// ReloadKubeletServerCertificateFile, on by default).
    kubelet_reloads_serving_files: bool = "kubelet reloads its serving certificate from files" { 8 => false, 31 => true }

    /// Whether a kubelet's serving certificate may name no IP address.
    dns_only_serving_csr: bool = "kubelet serving CSRs may name no IP address" { 8 => true, 31 => false }

    /// Whether the kubelet flushes a new certificate to disk before it links to it.
    certificate_store_syncs: bool = "kubelet certificates are synced before use" { 8 => false, 33 => true }

    /// Whether a kubelet that starts leaves containers ready and started as it finds them, instead of waiting for
    /// their next probe (gate ChangeContainerStatusOnKubeletRestart, off).
    // KEP-4781.
    kubelet_restart_keeps_ready: bool = "containers stay ready over a kubelet's restart" { 8 => false, 35 => true }

    /// Whether a kubelet changes the resources of containers that run, and tells them in their status (gate
    /// InPlacePodVerticalScaling, on by default).
    in_place_pod_resize: bool = "in-place resize of pods" { 8 => false, 33 => true }

    /// Requests a second and at once of a kubelet that is told nothing else (kubeAPIQPS, kubeAPIBurst).
    // kubernetes/kubernetes#116121
    kubelet_api_rate: (u32, u32) = "limit of the kubelet's requests" {
        8 => (5, 10), 27 => (50, 100),
    }

    /// Whether the kubelet asks for pods, healthz and configz of a node before it asks for its proxy.
    // KubeletFineGrainedAuthz, beta.
    kubelet_authorizes_parts: bool = "kubelets authorize parts of their API" { 8 => false, 33 => true }
}
