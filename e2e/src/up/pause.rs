//! How another process has a host of a running `up` paused: it leaves a request below the host's root, and the request is
//! gone when the host goes on. Who looks for it also sees how others have set the host's clock.

use std::{
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use world::real::Real;

use crate::cli::Refusal;

/// Below a host's root: for how long, in milliseconds.
const REQUEST: &str = "run/chronoplane/pause";
/// What is left beside it if that cannot be done, in words.
const REFUSED: &str = "run/chronoplane/pause.refused";
/// How often both sides look.
const LOOK: Duration = Duration::from_millis(50);
/// An `up` that runs looks far sooner.
const TAKEN: Duration = Duration::from_secs(10);

/// Carries out what is asked for, for as long as it is polled.
pub(super) async fn serve(world: &Real, dir: &Path, hosts: Vec<String>, processes: bool) -> Infallible {
    let each = hosts.iter().map(|host| serve_host(world, dir.join(host), host, processes));
    match join_all(each).await.into_iter().next() {
        Some(never) => never,
        None => std::future::pending().await,
    }
}

#[allow(clippy::disallowed_methods, reason = "looks for what other processes do, in the system's time")]
async fn serve_host(world: &Real, root: PathBuf, host: &str, processes: bool) -> Infallible {
    let request = root.join(REQUEST);
    loop {
        // A clock that another process has set is news for whoever watches this one.
        world.look_at_clock(host);
        if let Ok(text) = std::fs::read_to_string(&request) {
            let refused = match text.trim().parse() {
                Ok(millis) if !processes => {
                    world.pause(host, Duration::from_millis(millis)).await;
                    None
                }
                Ok(_) => Some(
                    "its components are processes of their own; stop these with `kill -STOP` and `kill -CONT`",
                ),
                Err(_) => Some("the request is no number of milliseconds"),
            };
            if let Some(why) = refused {
                leave(&root, REFUSED, why).unwrap_or_else(|e| tracing::error!("{}: {e}", root.display()));
            }
            // Whoever asked waits for this.
            std::fs::remove_file(&request).unwrap_or_else(|e| tracing::error!("{}: {e}", request.display()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn leave(root: &Path, name: &str, text: &str) -> io::Result<()> {
    let (whole, path) = (root.join(format!("{name}.new")), root.join(name));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(&whole, text)?;
    std::fs::rename(whole, path)
}

/// Has the host with that root paused for `d`, and returns when it goes on.
///
/// # Errors
/// Nobody takes the request, or says why not.
#[allow(clippy::disallowed_methods, reason = "waits for another process, in the system's time")]
pub(crate) fn ask(root: &Path, d: Duration) -> Result<(), Refusal> {
    let (request, refused) = (root.join(REQUEST), root.join(REFUSED));
    let _ = std::fs::remove_file(&refused);
    leave(root, REQUEST, &d.as_millis().to_string())
        .map_err(|e| Refusal(format!("cannot ask for a pause in {}: {e}", request.display())))?;
    let began = std::time::Instant::now();
    while request.exists() {
        if began.elapsed() > d + TAKEN {
            let _ = std::fs::remove_file(&request);
            return Err(Refusal("the cluster does not answer; does its `chronoplane up` run?".into()));
        }
        std::thread::sleep(LOOK);
    }
    match std::fs::read_to_string(&refused) {
        Ok(why) => Err(Refusal(format!("this host cannot be paused: {why}"))),
        Err(_) => Ok(()),
    }
}
