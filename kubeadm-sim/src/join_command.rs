//! The command by which another host joins, as `init` and `token create --print-join-command` print it.

use api::profile::{Profile, console};
use pki::{kubeconfig::Kubeconfig, token::BootstrapToken};

use crate::session::{Failure, Result, Session};

/// What the joining host becomes.
#[derive(Clone, Copy)]
pub(crate) enum Role<'a> {
    Worker,
    /// With the key of the uploaded certificates; without one they are copied by hand.
    ControlPlane(Option<&'a str>),
}

/// The command for a server and the pins of its authorities, as a release prints it.
pub(crate) fn text(
    profile: Profile,
    endpoint: &str,
    token: &BootstrapToken,
    pins: &[String],
    role: Role<'_>,
) -> String {
    let flags: Vec<String> = pins.iter().map(|pin| format!("--discovery-token-ca-cert-hash {pin}")).collect();
    let worker = console::JOIN_COMMAND.fill(profile, &[endpoint, &token.reveal(), &flags.join(" ")]);
    if let (Some(one_line), Role::Worker) = (worker, role) {
        return one_line;
    }
    let indent = profile.join_command_indent();
    let pins: String = pins.iter().map(|pin| format!("--discovery-token-ca-cert-hash {pin} ")).collect();
    let control_plane = match role {
        Role::Worker => String::new(),
        Role::ControlPlane(None) => format!("\\\n{indent}--control-plane "),
        Role::ControlPlane(Some(key)) => format!("\\\n{indent}--control-plane --certificate-key {key}"),
    };
    format!("kubeadm join {endpoint} --token {} \\\n{indent}{pins}{control_plane}", token.reveal())
}

/// The command for the cluster of a kubeconfig file.
pub(crate) fn of_kubeconfig(
    s: &Session<'_>,
    path: &str,
    token: &BootstrapToken,
    role: Role<'_>,
) -> Result<String> {
    let config = Kubeconfig::load(s.disk(), path)?;
    let server = config.server()?;
    let endpoint = server.strip_prefix("https://").unwrap_or(server).trim_end_matches('/');
    let roots = config.roots(s.disk())?.unwrap_or_default();
    if roots.is_empty() {
        return Err(Failure::new(format!("no CA certificates found in kubeconfig {path}")));
    }
    let pins: Vec<String> = roots.certificates().iter().map(|ca| ca.public_key().pin()).collect();
    Ok(text(s.profile, endpoint, token, &pins, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_and_control_planes_have_their_command() {
        let token = BootstrapToken::new("abcdef", "0123456789abcdef").expect("a token");
        let pins = ["sha256:aa".to_owned()];
        let worker = "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef \\\n\t--discovery-token-ca-cert-hash sha256:aa ";
        let at = |minor| Profile::of_minor(minor).expect("known");
        let text = |minor, role| text(at(minor), "10.0.0.1:6443", &token, &pins, role);
        assert_eq!(text(36, Role::Worker), worker);
        assert_eq!(
            text(10, Role::Worker),
            "kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:aa"
        );
        assert_eq!(
            text(9, Role::Worker),
            "kubeadm join --token abcdef.0123456789abcdef 10.0.0.1:6443 --discovery-token-ca-cert-hash sha256:aa"
        );
        assert_eq!(
            text(36, Role::ControlPlane(Some("k"))),
            format!("{worker}\\\n\t--control-plane --certificate-key k")
        );
    }
}
