//! Port-forward through a WebSocket: binary messages carry the bytes of an SPDY connection to the kubelet
//! (`apimachinery/pkg/util/portforward/tunneling.go`, KEP 4006).

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{
    Body,
    upgrade::{self, Upgraded},
    websocket::{self, Message, Socket},
};

use super::{Asked, close, refused};
use crate::pipeline::{Open, Refusal};

/// What a client offers who can do this.
pub(super) const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
const CHUNK: usize = 32 << 10;

pub(super) async fn serve(mut asked: Asked) -> Result<Response<Body>, Refusal> {
    let response = websocket::grant(&asked.headers, Some(PROTOCOL));
    let mut response = response.map_err(|why| Refusal::from(api::status::Status::bad_request(why)))?;
    let (answer, kubelet) = asked.spdy(&["portforward.k8s.io"]).await?;
    let Some(kubelet) = kubelet else { return Ok(refused(answer)) };
    let pending = upgrade::of_request(&mut asked.ours);
    let open = Open::default();
    open.of(&mut response);
    asked.ctx.host.spawn(async move {
        let _open = open;
        if let Some(client) = pending.await {
            carry(Socket::server(client).await, kubelet).await;
        }
    });
    Ok(response)
}

async fn carry(client: Socket, kubelet: Upgraded) {
    let (mut sender, mut receiver) = client.split();
    let (mut from_kubelet, mut to_kubelet) = tokio::io::split(kubelet);
    let down = async {
        let mut chunk = vec![0; CHUNK];
        while let Ok(n) = from_kubelet.read(&mut chunk).await {
            let bytes = Bytes::copy_from_slice(chunk.get(..n).unwrap_or_default());
            if n == 0 || sender.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
    };
    let up = async {
        while let Ok(Some(message)) = receiver.next().await {
            // Only bytes mean anything here.
            let Message::Binary(bytes) = message else { return };
            if to_kubelet.write_all(&bytes).await.is_err() || to_kubelet.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = down => {}
        () = up => {}
    }
    sender.close(1000, "").await;
    close(to_kubelet).await;
}
