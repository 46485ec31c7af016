//! From a kubeconfig to a connection: where the server is, how to trust it, who one is.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use pki::{GoVersion, kubeconfig::Kubeconfig};
use wire::HttpClient;
use world::{Host, Mono};

use crate::{Auth, ClientError, Rest, Token, TokenSource, kube_client_over};

impl Rest {
    /// A client for the current context of `config`; `user_agent` is what servers log. Client
    /// certificates in files are read again when they change, and so are token files.
    ///
    /// # Errors
    /// The kubeconfig names no server, or what it names cannot be used.
    pub fn from_kubeconfig(
        host: &Host,
        config: &Kubeconfig,
        go: GoVersion,
        user_agent: &str,
    ) -> Result<Self, ClientError> {
        let (http, auth) = connection(host, config, go)?;
        Ok(Self::new(http, auth, user_agent))
    }
}

/// A `kube::Client` for the current context of `config`, speaking from `host`. Its default namespace
/// is the context's.
///
/// # Errors
/// The kubeconfig names no server, or what it names cannot be used.
pub fn kube_client(host: &Host, config: &Kubeconfig, go: GoVersion) -> Result<kube::Client, ClientError> {
    let (http, auth) = connection(host, config, go)?;
    Ok(kube_client_over(http.user_agent("kube-rs"), auth, config.namespace().unwrap_or("default")))
}

/// The transport to the server of the current context of `config`, and who one is there: for whoever speaks
/// HTTP themselves.
///
/// # Errors
/// The kubeconfig names no server, or what it names cannot be used.
pub fn connection(
    host: &Host,
    config: &Kubeconfig,
    go: GoVersion,
) -> Result<(HttpClient, Auth), ClientError> {
    let http = HttpClient::new(host, config.server()?, config.client_tls(host, go)?)?;
    Ok((http, credentials(host, config)?))
}

/// Who the user of the current context of `config` is, apart from the certificate: for whoever has another way
/// to the server than the kubeconfig's.
///
/// # Errors
/// What the kubeconfig says of the user cannot be used.
pub fn credentials(host: &Host, config: &Kubeconfig) -> Result<Auth, ClientError> {
    let Some((_, user)) = config.user()? else { return Ok(Auth::None) };
    let from_file = user.token_file.is_some();
    let basic = user.username.as_deref().filter(|name| !name.is_empty());
    Ok(match (config.token(host.disk())?, basic) {
        (Some(_), _) if from_file => Auth::Token(Arc::new(FileToken::new(host, config))),
        (Some(token), _) => Auth::bearer(token),
        (None, Some(name)) => Auth::basic(name, user.password.as_deref().unwrap_or_default()),
        (None, None) => Auth::None,
    })
}

/// A token file is read again after this time (client-go's file token source).
const REREAD: Duration = Duration::from_secs(60);

struct FileToken {
    host: Host,
    config: Kubeconfig,
    held: Mutex<Option<(Token, Mono)>>,
}

impl FileToken {
    fn new(host: &Host, config: &Kubeconfig) -> Self {
        Self { host: host.clone(), config: config.clone(), held: Mutex::new(None) }
    }

    fn read(&self) -> Result<Token, ClientError> {
        let now = self.host.clock().monotonic();
        let mut held = self.held.lock();
        if let Some((token, read)) = &*held
            && now.since(*read) < REREAD
        {
            return Ok(token.clone());
        }
        match (self.config.token(self.host.disk()), &*held) {
            (Ok(text), _) => {
                let token = Token::new(text.unwrap_or_default());
                *held = Some((token.clone(), now));
                Ok(token)
            }
            // A file that is being replaced: the last token may still be good.
            (Err(error), Some((token, _))) => {
                tracing::warn!(host = self.host.name(), "Unable to rotate token: {error}");
                Ok(token.clone())
            }
            (Err(error), None) => Err(error.into()),
        }
    }
}

impl TokenSource for FileToken {
    fn token(&self) -> BoxFuture<'_, Result<Token, ClientError>> {
        Box::pin(std::future::ready(self.read()))
    }

    fn reject(&self, token: &Token) {
        let mut held = self.held.lock();
        if held.as_ref().is_some_and(|(t, _)| t.is(token)) {
            *held = None;
        }
    }
}
