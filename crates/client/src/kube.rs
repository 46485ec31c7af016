//! The way for users: a `kube::Client` over our own transport, so that their controllers run on the
//! simulated network as on a real one.

use http::{Request, Response, header::AUTHORIZATION};
use tower::{Service as _, service_fn};
use wire::{Body, BoxError, HttpClient};

use crate::{Auth, ClientError, Faults};

/// A `kube::Client` that speaks through `http` and says with `auth` who it is.
///
/// Its own tasks are the caller's, not the host's: it lives where the user's controller lives.
pub fn kube_client_over(http: HttpClient, auth: Auth, default_namespace: &str) -> kube::Client {
    faulty_kube_client(http, auth, default_namespace, &Faults::new())
}

/// As [`kube_client_over`], with requests that go wrong as `faults` has it.
pub fn faulty_kube_client(
    http: HttpClient,
    auth: Auth,
    default_namespace: &str,
    faults: &Faults,
) -> kube::Client {
    let faults = faults.clone();
    let service = service_fn(move |mut request: Request<kube::client::Body>| {
        let (mut http, auth, faults) = (http.clone(), auth.clone(), faults.clone());
        async move {
            authorize(&mut request, &auth).await?;
            let (host, method, uri) = (http.host().clone(), request.method().clone(), request.uri().clone());
            let send = || async move { Ok::<Response<Body>, BoxError>(http.call(request).await?) };
            faults.pass(&host, &method, &uri, send).await
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
