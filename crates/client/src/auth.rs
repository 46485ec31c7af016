//! Who a client says that it is, apart from the certificate it presents in the handshake.

use std::{fmt, sync::Arc, time::Duration};

use api::object::{ObjectExt as _, base64};
use futures::future::BoxFuture;
use http::HeaderValue;
use parking_lot::Mutex;
use serde_json::{Value, json};
use world::{Host, Mono};

use crate::{ClientError, Resource, Rest};

/// The credentials that a request carries in its header.
#[derive(Clone, Default)]
pub enum Auth {
    /// None: anonymous, or known by the certificate.
    #[default]
    None,
    /// A bearer token that never changes.
    Bearer(Token),
    /// A user's name and password.
    Basic(Token),
    /// Bearer tokens that are renewed.
    Token(Arc<dyn TokenSource>),
}

impl Auth {
    /// A bearer token that never changes.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self::Bearer(Token::new(token))
    }

    /// A user's name and password.
    pub fn basic(username: &str, password: &str) -> Self {
        let text = base64(format!("{username}:{password}").as_bytes());
        Self::Basic(Token { scheme: "Basic", text: text.into() })
    }

    pub(crate) async fn token(&self) -> Result<Option<Token>, ClientError> {
        match self {
            Self::None => Ok(None),
            Self::Bearer(token) | Self::Basic(token) => Ok(Some(token.clone())),
            Self::Token(source) => source.token().await.map(Some),
        }
    }

    /// What to try after `rejected` was answered with 401; `None` if there is nothing else.
    pub(crate) async fn instead_of(&self, rejected: &Token) -> Result<Option<Token>, ClientError> {
        match self {
            Self::None | Self::Bearer(_) | Self::Basic(_) => Ok(None),
            Self::Token(source) => {
                source.reject(rejected);
                source.token().await.map(Some)
            }
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Auth::None",
            Self::Bearer(_) => "Auth::Bearer",
            Self::Basic(_) => "Auth::Basic",
            Self::Token(_) => "Auth::Token",
        })
    }
}

/// A bearer token, or what stands in its place. Not shown by Debug.
#[derive(Clone)]
pub struct Token {
    /// Of the header.
    scheme: &'static str,
    text: Arc<str>,
}

impl Token {
    /// Wraps a bearer token's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { scheme: "Bearer", text: text.into().into() }
    }

    /// The token's text: for the header, nowhere else.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether both are clones of one token; does not look at the text.
    pub fn is(&self, other: &Token) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    /// The header's value, marked so that nobody logs it.
    pub(crate) fn header(&self) -> Result<HeaderValue, ClientError> {
        let mut value = HeaderValue::try_from(format!("{} {}", self.scheme, self.text))
            .map_err(|_| ClientError::Credentials("the bearer token is not fit for a header".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Where bearer tokens come from.
pub trait TokenSource: Send + Sync {
    /// A token that is good now; fetched when there is none or the last one nears its end.
    fn token(&self) -> BoxFuture<'_, Result<Token, ClientError>>;

    /// The server answered 401 to this token: do not hand it out again.
    fn reject(&self, token: &Token);
}

/// How long a requested token is to live (upstream's client builder for controllers).
const LIFETIME: Duration = Duration::from_secs(3600);
/// A shorter life than this is taken for clock skew.
const SHORTEST: Duration = Duration::from_secs(600);
/// Part of a token's life before its end in which a new one is fetched, in percent.
const LEEWAY_PERCENT: u32 = 20;
/// Waits between the tries to get a token.
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Tokens of a service account, got with TokenRequest by somebody who may. The account is created if
/// it does not exist, as kube-controller-manager does for its loops.
pub struct ServiceAccountToken {
    host: Host,
    rest: Rest,
    namespace: String,
    name: String,
    held: Mutex<Option<Held>>,
    /// One request at a time: whoever waits takes what the first one got.
    fetching: tokio::sync::Mutex<()>,
}

struct Held {
    token: Token,
    /// As upstream, an in-process time: compared on the monotonic clock.
    until: Mono,
}

impl ServiceAccountToken {
    /// Tokens of `namespace`/`name`, asked for with `rest`.
    pub fn new(host: &Host, rest: &Rest, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            host: host.clone(),
            rest: rest.clone(),
            namespace: namespace.into(),
            name: name.into(),
            held: Mutex::new(None),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    fn good(&self) -> Option<Token> {
        let now = self.host.clock().monotonic();
        self.held.lock().as_ref().filter(|h| now < h.until).map(|h| h.token.clone())
    }

    async fn current(&self) -> Result<Token, ClientError> {
        if let Some(token) = self.good() {
            return Ok(token);
        }
        let _turn = self.fetching.lock().await;
        if let Some(token) = self.good() {
            return Ok(token);
        }
        let mut waits = WAITS.iter();
        loop {
            let error = match self.fetch().await {
                Ok(held) => {
                    let token = held.token.clone();
                    *self.held.lock() = Some(held);
                    return Ok(token);
                }
                Err(error) => error,
            };
            tracing::warn!(host = self.host.name(), "get token failed: {error}");
            let Some(wait) = waits.next() else {
                let (namespace, name) = (&self.namespace, &self.name);
                let text = format!("failed to get token for {namespace}/{name}: {error}");
                return Err(ClientError::Credentials(text));
            };
            self.host.clock().sleep(*wait).await;
        }
    }

    async fn fetch(&self) -> Result<Held, ClientError> {
        let accounts = Resource::core("serviceaccounts");
        let (namespace, name) = (Some(self.namespace.as_str()), self.name.as_str());
        if self.rest.get_opt(&accounts, namespace, name).await?.is_none() {
            self.create_account(&accounts).await?;
        }
        let request = json!({
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {},
            "spec": {"audiences": null, "expirationSeconds": LIFETIME.as_secs(), "boundObjectRef": null},
        });
        let answer = self.rest.create_sub(&accounts, namespace, name, "token", &request).await?;
        let missing = |what: &str| ClientError::Decode {
            request: format!("the TokenRequest for {}/{}", self.namespace, self.name),
            why: format!("it has no {what}"),
        };
        let token = Some(answer.str_at("/status/token")).filter(|t| !t.is_empty());
        let token = token.ok_or_else(|| missing("status.token"))?;
        let expires = answer.time_at("/status/expirationTimestamp");
        let expires = expires.ok_or_else(|| missing("status.expirationTimestamp"))?;
        let left = expires.duration_since(self.host.clock().wall());
        let life = Duration::try_from(left).unwrap_or_default().max(SHORTEST);
        let until = self.host.clock().monotonic() + life * (100 - LEEWAY_PERCENT) / 100;
        Ok(Held { token: Token::new(token), until })
    }

    async fn create_account(&self, accounts: &Resource) -> Result<(), ClientError> {
        let namespaces = Resource::core("namespaces");
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let account: Value = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": self.name, "namespace": self.namespace},
        });
        let create = || self.rest.create(accounts, Some(&self.namespace), &account);
        let mut created = create().await;
        if created.as_ref().is_err_and(ClientError::is_not_found) {
            match self.rest.create(&namespaces, None, &namespace).await {
                Err(e) if !e.is_already_exists() => return Err(e),
                _ => created = create().await,
            }
        }
        match created {
            Err(e) if !e.is_already_exists() => Err(e),
            _ => Ok(()),
        }
    }
}

impl TokenSource for ServiceAccountToken {
    fn token(&self) -> BoxFuture<'_, Result<Token, ClientError>> {
        Box::pin(self.current())
    }

    fn reject(&self, token: &Token) {
        let mut held = self.held.lock();
        // Another request may have fetched a new one already.
        if held.as_ref().is_some_and(|h| h.token.is(token)) {
            *held = None;
        }
    }
}

impl fmt::Debug for ServiceAccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccountToken({}/{})", self.namespace, self.name)
    }
}
