//! Using a kubeconfig: its current context, its server, its trust and its credentials.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use world::{Disk, Host};

use super::{Cluster, Kubeconfig, KubeconfigError, User};
use crate::{
    CertifiedKey, ClientIdentity, ClientTls, FileIdentity, GoVersion, Roots, StaticIdentity, pair::PairError,
};

impl Kubeconfig {
    /// The cluster of the current context with its name. A kubeconfig that defines one cluster and
    /// no context at all (`cluster-info`) means that one.
    ///
    /// # Errors
    /// No context is current, or a name points to nothing.
    pub fn cluster(&self) -> Result<(&str, &Cluster), KubeconfigError> {
        if let ([only], [], "") = (&*self.clusters, &*self.contexts, &*self.current_context) {
            return Ok((&only.name, &only.cluster));
        }
        let name = &self.context()?.cluster;
        let found = self.clusters.iter().find(|c| c.name == *name);
        found.map(|c| (name.as_str(), &c.cluster)).ok_or_else(|| {
            self.dangling("cluster", name, self.clusters.iter().map(|c| c.name.clone()).collect())
        })
    }

    /// The user of the current context with its name; `None` when there is no context, or it names no user.
    ///
    /// # Errors
    /// A name points to nothing.
    pub fn user(&self) -> Result<Option<(&str, &User)>, KubeconfigError> {
        if self.contexts.is_empty() && self.current_context.is_empty() {
            return Ok(None);
        }
        let name = &self.context()?.user;
        if name.is_empty() {
            return Ok(None);
        }
        let found = self.users.iter().find(|u| u.name == *name);
        found
            .map(|u| Some((name.as_str(), &u.user)))
            .ok_or_else(|| self.dangling("user", name, self.users.iter().map(|u| u.name.clone()).collect()))
    }

    fn context(&self) -> Result<&super::Context, KubeconfigError> {
        if self.current_context.is_empty() {
            return Err(KubeconfigError::NoCurrentContext { origin: self.origin.clone() });
        }
        let found = self.contexts.iter().find(|c| c.name == self.current_context);
        found.map(|c| &c.context).ok_or_else(|| {
            self.dangling(
                "context",
                &self.current_context,
                self.contexts.iter().map(|c| c.name.clone()).collect(),
            )
        })
    }

    fn dangling(&self, kind: &'static str, name: &str, known: Vec<String>) -> KubeconfigError {
        KubeconfigError::Dangling { origin: self.origin.clone(), kind, name: name.to_owned(), known }
    }

    /// The server's URL.
    ///
    /// # Errors
    /// As [`Kubeconfig::cluster`], or it is no URL.
    pub fn server(&self) -> Result<&str, KubeconfigError> {
        let (name, cluster) = self.cluster()?;
        let rest = cluster.server.strip_prefix("https://").or_else(|| cluster.server.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(KubeconfigError::BadServer {
                origin: self.origin.clone(),
                cluster: name.to_owned(),
                server: cluster.server.clone(),
            });
        }
        Ok(&cluster.server)
    }

    /// The namespace of the current context, if it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.context().ok()?.namespace.as_deref()
    }

    /// The authorities to trust; `None` when the cluster names none.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn roots(&self, disk: &Disk) -> Result<Option<Roots>, KubeconfigError> {
        let (name, cluster) = self.cluster()?;
        let field = |which: &str| format!("{which} of cluster {name:?}");
        if let Some(data) = &cluster.certificate_authority_data {
            let field = field("certificate-authority-data");
            let pem = self.decode(&field, data)?;
            return Roots::from_pem(&pem).map(Some).map_err(|why| self.bad_field(field, why.to_string()));
        }
        let Some(file) = &cluster.certificate_authority else { return Ok(None) };
        let field = field("certificate-authority");
        let path = self.path_of(file);
        let pem = disk.read(&path).map_err(|why| self.bad_file(&field, why.to_string()))?;
        let roots = Roots::from_pem(&pem)
            .map_err(|why| self.bad_file(&field, format!("{}: {why}", path.display())))?;
        Ok(Some(roots))
    }

    /// The embedded or referenced client certificate as it is now.
    ///
    /// # Errors
    /// It cannot be read, or certificate and key do not belong together.
    pub fn client_pair(&self, disk: &Disk) -> Result<Option<CertifiedKey>, KubeconfigError> {
        match self.credentials()? {
            None => Ok(None),
            Some(Credentials::Embedded { user, certificate, key }) => {
                self.embedded(user, certificate, key).map(Some)
            }
            Some(Credentials::Files { user, certificate, key }) => {
                let files = self.files(disk, user, &certificate, &key)?;
                Ok(files.pair())
            }
        }
    }

    /// Who this kubeconfig says one is, as TLS presents it; files are read again when they change.
    ///
    /// # Errors
    /// It cannot be read, or certificate and key do not belong together.
    pub fn identity(&self, disk: &Disk) -> Result<Option<Arc<dyn ClientIdentity>>, KubeconfigError> {
        match self.credentials()? {
            None => Ok(None),
            Some(Credentials::Embedded { user, certificate, key }) => {
                let pair = self.embedded(user, certificate, key)?;
                let identity = StaticIdentity::new(&pair).map_err(|why| {
                    self.bad_field(format!("client-key-data of user {user:?}"), why.to_string())
                })?;
                Ok(Some(Arc::new(identity)))
            }
            Some(Credentials::Files { user, certificate, key }) => {
                Ok(Some(Arc::new(self.files(disk, user, &certificate, &key)?)))
            }
        }
    }

    /// A client for the current context; `None` when its server is plain `http://`.
    ///
    /// # Errors
    /// Anything that this kubeconfig says is unusable.
    pub fn client_tls(&self, host: &Host, go: GoVersion) -> Result<Option<ClientTls>, KubeconfigError> {
        let Some(tls) = self.anonymous_tls(host, go)? else { return Ok(None) };
        Ok(Some(match self.identity(host.disk())? {
            Some(identity) => tls.identity(identity),
            None => tls,
        }))
    }

    /// As [`Kubeconfig::client_tls`] without credentials, for those who bring their own identity: a
    /// kubelet whose `kubelet-client-current.pem` does not exist yet, or token discovery.
    ///
    /// # Errors
    /// As [`Kubeconfig::client_tls`], but for the user's part.
    pub fn anonymous_tls(&self, host: &Host, go: GoVersion) -> Result<Option<ClientTls>, KubeconfigError> {
        if !self.server()?.starts_with("https://") {
            return Ok(None);
        }
        let (_, cluster) = self.cluster()?;
        let mut tls = ClientTls::new(host, go);
        if cluster.insecure_skip_tls_verify {
            tls = tls.insecure();
        } else if let Some(roots) = self.roots(host.disk())? {
            tls = tls.roots(roots);
        }
        if let Some(name) = &cluster.tls_server_name {
            tls = tls.server_name(name);
        }
        Ok(Some(tls))
    }

    /// The bearer token as it is now; a token file wins over a token.
    ///
    /// # Errors
    /// The token file cannot be read, the user has a password too, or needs an exec plugin.
    pub fn token(&self, disk: &Disk) -> Result<Option<String>, KubeconfigError> {
        let Some((name, user)) = self.user()? else { return Ok(None) };
        self.refuse_exec(name, user)?;
        self.refuse_two_methods(name, user)?;
        let Some(file) = &user.token_file else { return Ok(user.token.clone()) };
        let read = disk.read_to_string(self.path_of(file));
        let token =
            read.map_err(|why| self.bad_file(&format!("tokenFile of user {name:?}"), why.to_string()))?;
        Ok(Some(token.trim().to_owned()))
    }

    fn credentials(&self) -> Result<Option<Credentials<'_>>, KubeconfigError> {
        let Some((name, user)) = self.user()? else { return Ok(None) };
        self.refuse_exec(name, user)?;
        let half =
            |missing| KubeconfigError::HalfPair { origin: self.origin.clone(), user: name.into(), missing };
        match (&user.client_certificate_data, &user.client_key_data) {
            (Some(certificate), Some(key)) => {
                return Ok(Some(Credentials::Embedded { user: name, certificate, key }));
            }
            (Some(_), None) if user.client_key.is_none() => return Err(half("client-key-data")),
            (None, Some(_)) if user.client_certificate.is_none() => {
                return Err(half("client-certificate-data"));
            }
            (Some(_), None) => {
                return Err(half("client-key-data (client-key next to client-certificate-data)"));
            }
            (None, Some(_)) => {
                return Err(half("client-certificate-data (client-certificate next to client-key-data)"));
            }
            (None, None) => {}
        }
        match (&user.client_certificate, &user.client_key) {
            (Some(certificate), Some(key)) => Ok(Some(Credentials::Files {
                user: name,
                certificate: self.path_of(certificate),
                key: self.path_of(key),
            })),
            (Some(_), None) => Err(half("client-key")),
            (None, Some(_)) => Err(half("client-certificate")),
            (None, None) => Ok(None),
        }
    }

    fn refuse_exec(&self, name: &str, user: &User) -> Result<(), KubeconfigError> {
        match user.exec {
            Some(_) => Err(KubeconfigError::Exec { origin: self.origin.clone(), user: name.to_owned() }),
            None => Ok(()),
        }
    }

    /// As client-go: a token and a password would both want to stand in the same header
    /// (`tools/clientcmd/validation.go`, `transport/round_trippers.go`).
    fn refuse_two_methods(&self, name: &str, user: &User) -> Result<(), KubeconfigError> {
        let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let (basic, token) =
            (given(&user.username) || given(&user.password), given(&user.token) || given(&user.token_file));
        if basic && token {
            return Err(KubeconfigError::TwoMethods { origin: self.origin.clone(), user: name.to_owned() });
        }
        Ok(())
    }

    fn embedded(&self, user: &str, certificate: &str, key: &str) -> Result<CertifiedKey, KubeconfigError> {
        let certificate_field = format!("client-certificate-data of user {user:?}");
        let key_field = format!("client-key-data of user {user:?}");
        let chain = self.decode(&certificate_field, certificate)?;
        let key = self.decode(&key_field, key)?;
        CertifiedKey::from_pem(&chain, &key).map_err(|why| match why {
            PairError::Key(_) => self.bad_field(key_field, why.to_string()),
            PairError::Certificate(_) | PairError::Mismatch => {
                self.bad_field(certificate_field, why.to_string())
            }
        })
    }

    fn files(
        &self,
        disk: &Disk,
        user: &str,
        chain: &Path,
        key: &Path,
    ) -> Result<FileIdentity, KubeconfigError> {
        let files = FileIdentity::new(disk, chain, key);
        files.refresh().map_err(|why| {
            self.bad_file(&format!("client-certificate or client-key of user {user:?}"), why.to_string())
        })?;
        Ok(files)
    }

    fn decode(&self, field: &str, data: &str) -> Result<Vec<u8>, KubeconfigError> {
        let packed: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        STANDARD.decode(packed).map_err(|why| self.bad_field(field.to_owned(), format!("not base64: {why}")))
    }

    fn bad_field(&self, field: String, why: String) -> KubeconfigError {
        KubeconfigError::BadField { origin: self.origin.clone(), field, why }
    }

    fn bad_file(&self, field: &str, why: String) -> KubeconfigError {
        KubeconfigError::BadFile { origin: self.origin.clone(), field: field.to_owned(), why }
    }

    fn path_of(&self, file: &str) -> PathBuf {
        match self.origin.as_deref().and_then(Path::parent) {
            Some(dir) => dir.join(file),
            None => PathBuf::from(file),
        }
    }
}

enum Credentials<'a> {
    Embedded { user: &'a str, certificate: &'a str, key: &'a str },
    Files { user: &'a str, certificate: PathBuf, key: PathBuf },
}
