//! The way for users: a `kube::Client` over our own transport, so that their controllers run on the
//! simulated network as on a real one.

use http::{Request, Response, header::AUTHORIZATION};
use tower::{Service as _, service_fn};
use wire::{Body, BoxError, HttpClient};

use crate::{Auth, ClientError};

/// A `kube::Client` that speaks through `http` and says with `auth` who it is.
///
/// Its own tasks are the caller's, not the host's: it lives where the user's controller lives.
pub fn kube_client_over(http: HttpClient, auth: Auth, default_namespace: &str) -> kube::Client {
    let service = service_fn(move |request: Request<kube::client::Body>| {
        let (mut http, auth) = (http.clone(), auth.clone());
        async move {
            let mut request = request;
            authorize(&mut request, &auth).await?;
            let answer: Response<Body> = http.call(request).await?;
            Ok::<_, BoxError>(answer)
        }
    });
    kube::Client::new(service, default_namespace)
}

/// Puts into a request who sends it.
///
/// # Errors
/// There is no token to be had.
pub async fn authorize<B>(request: &mut Request<B>, auth: &Auth) -> Result<(), ClientError> {
    if let Some(token) = auth.token().await? {
        request.headers_mut().insert(AUTHORIZATION, token.header()?);
    }
    Ok(())
}
