//! As whom the server calls webhooks: the users of a kubeconfig, found by whom is called.

use std::{path::Path, sync::Arc};

use pki::{
    ClientIdentity,
    kubeconfig::{Context, Kubeconfig, KubeconfigError, NamedContext},
};
use world::{Disk, Host};

/// A kubeconfig whose users are named after those who are called.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    disk: Disk,
    config: Kubeconfig,
}

/// Who the server is for one webhook.
#[derive(Clone)]
pub(super) struct Login {
    disk: Disk,
    /// With the one user as its current one.
    config: Kubeconfig,
}

impl Credentials {
    /// Reads the kubeconfig.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn load(host: &Host, path: &Path) -> Result<Self, KubeconfigError> {
        let disk = host.disk().clone();
        let config = Kubeconfig::load(&disk, path)?;
        Ok(Self { disk, config })
    }

    /// The user for `host:port`: named so, or `*.` and an end of it, without the port if that is 443; then
    /// `*`, then the current context's.
    pub(super) fn login(&self, target: &str) -> Option<Login> {
        let bare = target.strip_suffix(":443").unwrap_or(target);
        let names = candidates(target).chain(candidates(bare)).chain(["*".to_owned()]);
        let known = |name: &String| self.config.users.iter().any(|user| user.name == *name);
        let current = || {
            let context = self.config.contexts.iter().find(|c| c.name == self.config.current_context)?;
            Some(context.context.user.clone())
        };
        let user = names.into_iter().find(known).or_else(current).filter(known)?;
        let context = Context { cluster: String::new(), namespace: None, user };
        let name = "webhook".to_owned();
        let config = Kubeconfig {
            contexts: vec![NamedContext { context, name: name.clone() }],
            current_context: name,
            ..self.config.clone()
        };
        Some(Login { disk: self.disk.clone(), config })
    }
}

/// `hook.ns.svc:443`, `*.ns.svc:443`, `*.svc:443`.
fn candidates(target: &str) -> impl Iterator<Item = String> + '_ {
    let ends = target.match_indices('.').map(|(at, _)| format!("*{}", &target[at..]));
    std::iter::once(target.to_owned()).chain(ends)
}

impl Login {
    /// The certificate to show.
    pub(super) fn identity(&self) -> Result<Option<Arc<dyn ClientIdentity>>, KubeconfigError> {
        self.config.identity(&self.disk)
    }

    /// The bearer token as it is now.
    pub(super) fn token(&self) -> Result<Option<String>, KubeconfigError> {
        self.config.token(&self.disk)
    }
}

#[cfg(test)]
mod tests {
    use world::sim::{Config, run};

    use super::*;

    const CONFIG: &str = "
apiVersion: v1
kind: Config
users:
- name: 'hook.ns.svc'
  user: {token: exact}
- name: 'hook.ns.svc:8443'
  user: {token: port}
- name: '*.ns.svc'
  user: {token: namespace}
- name: '*'
  user: {token: any}
";

    #[test]
    fn the_user_is_named_after_who_is_called() {
        run(Config::default(), |sim| async move {
            let host = sim.host("cp");
            host.disk().create_dir_all("/etc").unwrap();
            let token = |text: &str, target: &str| {
                host.disk().write("/etc/hooks.conf", text, 0o600).unwrap();
                let credentials = Credentials::load(&host, Path::new("/etc/hooks.conf")).unwrap();
                credentials.login(target).and_then(|login| login.token().unwrap())
            };
            for (target, expected) in [
                ("hook.ns.svc:443", "exact"),
                ("hook.ns.svc:8443", "port"),
                ("other.ns.svc:443", "namespace"),
                // Only 443 goes without saying.
                ("other.ns.svc:8443", "any"),
                ("webhook.example.com:443", "any"),
            ] {
                assert_eq!(token(CONFIG, target).as_deref(), Some(expected), "{target}");
            }
            let nobody = "apiVersion: v1\nkind: Config\nusers: []\n";
            assert_eq!(token(nobody, "hook.ns.svc:443"), None);
            let current = "
apiVersion: v1
kind: Config
current-context: c
contexts:
- name: c
  context: {user: me}
users:
- name: me
  user: {token: mine}
";
            assert_eq!(token(current, "hook.ns.svc:443").as_deref(), Some("mine"));
        })
        .unwrap();
    }
}
