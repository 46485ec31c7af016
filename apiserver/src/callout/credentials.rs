//! As whom the server calls webhooks: the users of a kubeconfig, found by whom is called.

use std::{path::Path, sync::Arc};

use client::{Auth, ClientError};
use pki::{
    ClientIdentity,
    kubeconfig::{Context, Kubeconfig, KubeconfigError, NamedContext},
};
use world::Host;

/// A kubeconfig whose users are named after those who are called.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    host: Host,
    config: Kubeconfig,
}

/// Who the server is for one webhook.
#[derive(Default)]
pub(super) struct Login {
    /// The certificate to show.
    pub(super) identity: Option<Arc<dyn ClientIdentity>>,
    pub(super) auth: Auth,
}

impl Credentials {
    /// Reads the kubeconfig.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn load(host: &Host, path: &Path) -> Result<Self, KubeconfigError> {
        let config = Kubeconfig::load(host.disk(), path)?;
        Ok(Self { host: host.clone(), config })
    }

    /// The user for `host:port`: named so, or `*.` and an end of it, without the port if that is 443; then
    /// `*`, then the current context's. Nobody in particular, if there is none of them.
    ///
    /// # Errors
    /// What the kubeconfig says of the user cannot be used.
    pub(super) fn login(&self, target: &str) -> Result<Login, ClientError> {
        let bare = target.strip_suffix(":443").unwrap_or(target);
        let names = candidates(target).chain(candidates(bare)).chain(["*".to_owned()]);
        let known = |name: &String| self.config.users.iter().any(|user| user.name == *name);
        let current = || {
            let context = self.config.contexts.iter().find(|c| c.name == self.config.current_context)?;
            Some(context.context.user.clone())
        };
        let user = names.into_iter().find(known).or_else(current).filter(known);
        let Some(user) = user else { return Ok(Login::default()) };
        let context = Context { cluster: String::new(), namespace: None, user };
        let name = "webhook".to_owned();
        let config = Kubeconfig {
            contexts: vec![NamedContext { context, name: name.clone() }],
            current_context: name,
            ..self.config.clone()
        };
        Ok(Login {
            identity: config.identity(self.host.disk())?,
            auth: client::credentials(&self.host, &config)?,
        })
    }
}

/// `hook.ns.svc:443`, `*.ns.svc:443`, `*.svc:443`.
fn candidates(target: &str) -> impl Iterator<Item = String> + '_ {
    let ends = target.match_indices('.').map(|(at, _)| format!("*{}", &target[at..]));
    std::iter::once(target.to_owned()).chain(ends)
}

#[cfg(test)]
mod tests {
    use http::{Request, header};
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
- name: 'old.ns.svc'
  user: {username: jane, password: 'a:b'}
- name: 'both.ns.svc'
  user: {username: jane, token: exact}
- name: '*'
  user: {token: any}
";

    #[test]
    fn the_user_is_named_after_who_is_called() {
        run(Config::default(), |sim| async move {
            let host = sim.host("cp");
            host.disk().create_dir_all("/etc").unwrap();
            let login = |text: &str, target: &str| {
                host.disk().write("/etc/hooks.conf", text, 0o600).unwrap();
                Credentials::load(&host, Path::new("/etc/hooks.conf")).unwrap().login(target)
            };
            let header = async |text: &str, target: &str| {
                let mut request = Request::new(());
                client::authorize(&mut request, &login(text, target).unwrap().auth).await.unwrap();
                let header = request.headers().get(header::AUTHORIZATION);
                header.map(|value| value.to_str().unwrap().to_owned())
            };
            for (target, expected) in [
                ("hook.ns.svc:443", "Bearer exact"),
                ("hook.ns.svc:8443", "Bearer port"),
                ("other.ns.svc:443", "Bearer namespace"),
                // Only 443 goes without saying.
                ("other.ns.svc:8443", "Bearer any"),
                ("webhook.example.com:443", "Bearer any"),
                ("old.ns.svc:443", "Basic amFuZTphOmI="),
            ] {
                assert_eq!(header(CONFIG, target).await.as_deref(), Some(expected), "{target}");
            }
            let why = login(CONFIG, "both.ns.svc:443").err().unwrap().to_string();
            assert!(why.contains("found [token basicAuth]") && !why.contains("exact"), "{why}");
            let nobody = "apiVersion: v1\nkind: Config\nusers: []\n";
            assert_eq!(header(nobody, "hook.ns.svc:443").await, None);
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
            assert_eq!(header(current, "hook.ns.svc:443").await.as_deref(), Some("Bearer mine"));
        })
        .unwrap();
    }
}
