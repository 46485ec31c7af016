//! What kubectl does, over WebSocket and over SPDY, and the pods that it is done to.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chronoplane::{Cluster, cluster::wait_for};
use client::Resource;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use serde_json::{Value, json};
use wire::{
    Body, HttpClient, body,
    spdy::{Reader, Session, Side, Stream},
    websocket::{self, Message, Socket},
};
use world::Host;

pub const PODS: Resource = Resource::core("pods");
pub const LIMIT: Duration = Duration::from_secs(60);

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// kubectl from 1.31 on.
    V5,
    /// Other people's clients.
    V4,
    /// kubectl before 1.31.
    Spdy,
}

pub const ALL: [Speaks; 3] = [Speaks::V5, Speaks::V4, Speaks::Spdy];

/// What came of a command.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub status: Value,
}

impl Said {
    /// The exit code, as kubectl reads it.
    pub fn code(&self) -> &str {
        match self.status["status"].as_str() {
            Some("Success") => "0",
            _ => self.status["details"]["causes"][0]["message"].as_str().unwrap_or("?"),
        }
    }
}

/// A refusal: its code and words.
pub type Refused = (u16, String);

pub async fn workstation(cluster: &Cluster) -> (Host, HttpClient) {
    (cluster.sim().host("workstation"), cluster.admin().http().clone())
}

/// A pod on a node of its own choice that runs `script`, once it is running.
pub async fn run(cluster: &Cluster, name: &str, container: Value) {
    let mut spec = json!({"name": "c", "image": "busybox:1.36"});
    for (key, value) in container.as_object().expect("fields") {
        spec[key] = value.clone();
    }
    let pod = json!({"metadata": {"name": name}, "spec": {"containers": [spec]}});
    cluster.admin().create(&PODS, Some("default"), &pod).await.expect("accepted");
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, "the pod runs", async || {
        let pod = cluster.admin().get(&PODS, Some("default"), name).await.ok()?;
        (pod["status"]["containerStatuses"][0]["state"]["running"].is_object()).then_some(())
    })
    .await
    .expect("in time");
}

/// Waits for the mirror of a static pod.
pub async fn mirrored(cluster: &Cluster, name: &str) {
    let workstation = cluster.sim().host("workstation");
    wait_for(&workstation, "the mirror pod runs", async || {
        let pod = cluster.admin().get(&PODS, Some("kube-system"), name).await.ok()?;
        (pod["status"]["phase"] == "Running").then_some(())
    })
    .await
    .expect("in time");
}

/// `/api/v1/…/exec?command=…` for a pod in `default`.
pub fn exec_path(pod: &str, command: &[&str], more: &str) -> String {
    let escape = |word: &str| {
        word.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect::<String>()
    };
    let words: Vec<String> = command.iter().map(|w| format!("command={}&", escape(w))).collect();
    format!("/api/v1/namespaces/default/pods/{pod}/exec?{}{more}", words.concat())
}

fn request(path: &str, method: http::Method, user: Option<&str>) -> Request<Body> {
    let mut request = Request::new(body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a path");
    if let Some(user) = user {
        request.headers_mut().insert("impersonate-user", HeaderValue::from_str(user).expect("a value"));
    }
    request
}

async fn refusal(response: Response<Body>) -> Refused {
    let code = response.status().as_u16();
    let bytes = body::collect(response.into_body(), 1 << 16).await.expect("a body");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let message =
        serde_json::from_str::<Value>(&text).ok().and_then(|v| v["message"].as_str().map(str::to_owned));
    (code, message.unwrap_or(text))
}

pub async fn socket(
    client: &HttpClient,
    path: &str,
    protocol: &str,
    user: Option<&str>,
) -> Result<Socket, Refused> {
    let asked = request(path, http::Method::GET, user);
    let (response, socket) = websocket::connect(client, asked, &[protocol]).await.expect("an answer");
    match socket {
        Some(socket) => {
            let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).expect("a protocol");
            assert_eq!(chosen, protocol);
            Ok(socket)
        }
        None => Err(refusal(response).await),
    }
}

pub async fn spdy(
    host: &Host,
    client: &HttpClient,
    path: &str,
    protocol: &'static str,
    user: Option<&str>,
) -> Result<Session, Refused> {
    let mut asked = request(path, http::Method::POST, user);
    let headers = asked.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert("x-stream-protocol-version", HeaderValue::from_static(protocol));
    let (response, stream) = client.upgrade(asked).await.expect("an answer");
    match stream {
        Some(stream) => {
            assert_eq!(response.headers()["x-stream-protocol-version"], protocol);
            Ok(Session::new(host, stream, Side::Client, 0))
        }
        None => Err(refusal(response).await),
    }
}

pub async fn open(session: &Session, headers: &[(&'static str, &str)]) -> Stream {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_str(value).expect("a value"));
    }
    session.open(map).await.expect("granted")
}

pub async fn all(mut reader: Reader) -> String {
    let mut text = Vec::new();
    while let Some(bytes) = reader.read().await {
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).expect("UTF-8")
}

/// Runs a command (or attaches, by `path`) with `stdin`, to its end.
pub async fn talk(
    cluster: &Cluster,
    speaks: Speaks,
    path: &str,
    stdin: Option<&str>,
    user: Option<&str>,
) -> Result<Said, Refused> {
    let (host, client) = workstation(cluster).await;
    let path = format!("{path}stdout=true&stderr=true{}", if stdin.is_some() { "&stdin=true" } else { "" });
    let talking = async {
        match speaks {
            Speaks::V5 => {
                over_socket(socket(&client, &path, "v5.channel.k8s.io", user).await?, stdin, true).await
            }
            Speaks::V4 => {
                over_socket(socket(&client, &path, "v4.channel.k8s.io", user).await?, stdin, false).await
            }
            Speaks::Spdy => {
                over_spdy(spdy(&host, &client, &path, "v4.channel.k8s.io", user).await?, stdin).await
            }
        }
    };
    host.clock().timeout(LIMIT, talking).await.expect("ends within a minute")
}

async fn over_socket(socket: Socket, stdin: Option<&str>, closes: bool) -> Result<Said, Refused> {
    let (mut sender, mut receiver) = socket.split();
    if let Some(text) = stdin {
        let message = [&[0], text.as_bytes()].concat();
        // Whoever ends without reading is not written to any more; what it said counts.
        if sender.send(Message::Binary(message.into())).await.is_ok() && closes {
            let _ = sender.send(Message::Binary(Bytes::from_static(&[255, 0]))).await;
        }
    }
    let mut channels: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    while let Ok(Some(message)) = receiver.next().await {
        let Message::Binary(bytes) = message else { panic!("{message:?}") };
        let (channel, rest) = bytes.split_first().expect("a channel");
        channels.entry(*channel).or_default().extend_from_slice(rest);
    }
    let text =
        |channel: u8| String::from_utf8(channels.get(&channel).cloned().unwrap_or_default()).expect("UTF-8");
    Ok(Said { out: text(1), err: text(2), status: serde_json::from_str(&text(3)).expect("a Status") })
}

async fn over_spdy(session: Session, stdin: Option<&str>) -> Result<Said, Refused> {
    let error = open(&session, &[("streamtype", "error")]).await;
    let input = match stdin {
        Some(_) => Some(open(&session, &[("streamtype", "stdin")]).await),
        None => None,
    };
    let out = open(&session, &[("streamtype", "stdout")]).await;
    let err = open(&session, &[("streamtype", "stderr")]).await;
    if let (Some(input), Some(text)) = (&input, stdin) {
        // Whoever ends without reading is not written to any more; what it said counts.
        if input.writer.write(text.to_owned().into()).await.is_ok() {
            input.writer.finish().await;
        }
    }
    let (out, err, status) =
        futures::future::join3(all(out.reader), all(err.reader), all(error.reader)).await;
    Ok(Said { out, err, status: serde_json::from_str(&status).expect("a Status") })
}
