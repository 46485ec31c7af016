//! One request on its way: sent, perhaps sent again, answered, and the answer judged.

use std::{future::Future, sync::Arc, time::Duration};

use api::status::Status;
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT, WARNING},
};
use serde_json::Value;
use wire::{Body, HttpClient, body::CollectError};

use crate::{Auth, ClientError, Resource, Tally, answer, auth::Token, retry, throttle::Throttle};

pub(crate) const JSON: &str = "application/json";
/// More than any list of a simulated cluster; a server that sends more has lost its mind.
const LARGEST_ANSWER: usize = 512 << 20;

/// A request before it is sent.
pub(crate) struct Call<'a> {
    pub method: Method,
    pub uri: String,
    /// What it is about, for the words of errors.
    pub about: Option<(&'a Resource, &'a str)>,
    pub body: Option<(Bytes, &'static str)>,
    /// Representations of the answer that are understood, best first.
    pub accept: &'static str,
    /// The client's own limit.
    pub timeout: Option<Duration>,
    pub watch: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, uri: String) -> Self {
        Self { method, uri, about: None, body: None, accept: JSON, timeout: None, watch: false }
    }

    pub(crate) fn about(mut self, resource: &'a Resource, name: &'a str) -> Self {
        self.about = Some((resource, name));
        self
    }

    pub(crate) fn content(self, value: &Value, content_type: &'static str) -> Self {
        // A value can always be written.
        self.document(serde_json::to_vec(value).unwrap_or_default().into(), content_type)
    }

    pub(crate) fn document(mut self, document: Bytes, content_type: &'static str) -> Self {
        self.body = Some((document, content_type));
        self
    }

    pub(crate) fn decode_error(&self, why: impl Into<String>) -> ClientError {
        ClientError::Decode { request: format!("{} {}", self.method, self.uri), why: why.into() }
    }
}

/// The line to a server: a connection, and who one is on it.
pub(crate) struct Line {
    pub http: HttpClient,
    pub auth: Auth,
    pub agent: HeaderValue,
    pub throttle: Option<Throttle>,
    pub tally: Option<Arc<Tally>>,
}

impl Line {
    /// The object that the server answers with.
    pub(crate) async fn value(&self, call: &Call<'_>) -> Result<Value, ClientError> {
        let (status, headers, body) = self.answer(call).await?;
        if let Some(refusal) = refusal(call, status, &headers, &body) {
            return Err(refusal);
        }
        let value: Value = serde_json::from_slice(&body).map_err(|e| call.decode_error(e.to_string()))?;
        // A failure in the clothes of a success.
        match Status::from_value(&value) {
            Some(failure) => Err(failure.into()),
            None => Ok(value),
        }
    }

    /// Only whether the server did it.
    pub(crate) async fn done(&self, call: &Call<'_>) -> Result<(), ClientError> {
        let (status, headers, body) = self.answer(call).await?;
        refusal(call, status, &headers, &body).map_or(Ok(()), Err)
    }

    async fn within<T>(
        &self,
        call: &Call<'_>,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let Some(timeout) = call.timeout else { return answer.await };
        self.http.host().clock().timeout(timeout, answer).await.unwrap_or_else(|_| {
            let mut verb = call.method.as_str().to_lowercase();
            if let Some(first) = verb.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            let url = match call.uri.contains("://") {
                true => call.uri.clone(),
                false => format!("{}{}", self.http.url(), call.uri),
            };
            Err(ClientError::Deadline { verb, url })
        })
    }

    /// The server's answer as it is, whatever its code.
    pub(crate) async fn answer(
        &self,
        call: &Call<'_>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        // Boxed: whoever sends requests now and then would hold the room for one all the time, and
        // thousands do.
        let answer = Box::pin(async {
            let (head, body) = self.open(call).await?.into_parts();
            Ok((head.status, head.headers, read(call, body).await?))
        });
        self.within(call, answer).await
    }

    /// Sends the request, and sends it again where client-go would: when the server says when, when a
    /// read met a broken connection, and once with a new token.
    pub(crate) async fn open(&self, call: &Call<'_>) -> Result<Response<Body>, ClientError> {
        let mut token = self.auth.token().await?;
        let (mut retries, mut renewed) = (0, false);
        loop {
            if let Some(throttle) = self.throttle.as_ref().filter(|_| !call.watch) {
                throttle.pass(self.http.host(), || format!("{} {}", call.method, call.uri)).await;
            }
            let sent = self.http.send(self.request(call, token.as_ref())?).await;
            if let Some(tally) = &self.tally {
                tally.add(&call.method, sent.as_ref().ok().map(Response::status));
            }
            if let (Ok(answer), Some(used), false) = (&sent, &token, renewed)
                && answer.status() == StatusCode::UNAUTHORIZED
                && let Some(new) = self.auth.instead_of(used).await?
            {
                (token, renewed) = (Some(new), true);
                continue;
            }
            let wait = match &sent {
                Ok(answer) => retry::asked_by_server(answer.status(), answer.headers()),
                Err(error) => retry::after_error(&call.method, call.watch, error),
            };
            match wait {
                Some(wait) if retries < retry::MAX_RETRIES => {
                    retries += 1;
                    drop(sent);
                    self.http.host().clock().sleep(wait).await;
                }
                _ => {
                    let answer = sent?;
                    self.show_warnings(&answer);
                    return Ok(answer);
                }
            }
        }
    }

    fn request(&self, call: &Call<'_>, token: Option<&Token>) -> Result<Request<Body>, ClientError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.uri)
            .header(ACCEPT, call.accept)
            .header(USER_AGENT, &self.agent);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token.header()?);
        }
        let body = match &call.body {
            Some((bytes, content_type)) => {
                request = request.header(CONTENT_TYPE, *content_type);
                wire::body::full(bytes.clone())
            }
            None => wire::body::empty(),
        };
        request.body(body).map_err(|e| ClientError::Request(format!("{} {}: {e}", call.method, call.uri)))
    }

    fn show_warnings(&self, answer: &Response<Body>) {
        for warning in answer.headers().get_all(WARNING) {
            // `299 - "text"`
            let text = warning.to_str().unwrap_or_default().splitn(3, ' ').nth(2).unwrap_or_default();
            tracing::warn!(host = self.http.host().name(), "Warning: {}", text.trim_matches('"'));
        }
    }
}

pub(crate) async fn read(call: &Call<'_>, body: Body) -> Result<Bytes, ClientError> {
    wire::body::collect(body, LARGEST_ANSWER).await.map_err(|e| match e {
        CollectError::Broken(why) => ClientError::Broken { why: why.to_string() },
        CollectError::TooLarge { .. } => call.decode_error(e.to_string()),
    })
}

/// The error that an answer stands for, if it stands for one.
pub(crate) fn refusal(
    call: &Call<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<ClientError> {
    answer::refusal(&call.method, status, headers, call.about, body).map(ClientError::from)
}
