//! Discovery: from a token and a pin, or from a kubeconfig file, to a cluster that can be trusted
//! (`cmd/kubeadm/app/discovery`).

mod by_file;
mod by_token;

use pki::kubeconfig::{Kubeconfig, User};

use crate::{
    config::JoinConfig,
    session::{Failure, Result, Session},
};

/// The user of a kubeconfig that only serves the TLS bootstrap.
const USER: &str = "tls-bootstrap-token-user";

/// The cluster's kubeconfig, validated, with credentials for the TLS bootstrap.
pub(crate) async fn run(s: &Session<'_>, config: &JoinConfig) -> Result<Kubeconfig> {
    let found = match &config.discovery_file {
        Some(place) => by_file::find(s, config, place)
            .await
            .map_err(|e| e.within("couldn't validate the identity of the API Server"))?,
        None => by_token::find(s, config).await?,
    };
    let token =
        config.tls_bootstrap_token.as_deref().or(Some(config.token.as_str()).filter(|t| !t.is_empty()));
    let (_, cluster) = found.cluster()?;
    match token {
        Some(token) => Ok(Kubeconfig::new("kubernetes", cluster.clone(), USER, User::with_token(token))),
        None if found.user()?.is_some_and(|(_, user)| has_credentials(user)) => Ok(found),
        None => Err(Failure::new(
            "couldn't find authentication credentials for the TLS bootstrap process. Please consider to use \
             --tls-bootstrap-token, or embed credentials in the discovery file",
        )),
    }
}

fn has_credentials(user: &User) -> bool {
    user.token.is_some()
        || user.token_file.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some()
}
