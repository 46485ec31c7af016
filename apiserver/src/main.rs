//! kube-apiserver as a process of its own: flags as upstream's, the machine's own clock and network.
//!
//! Paths in flags are taken below the directory in `CHRONOPLANE_ROOT` (default: the working
//! directory), as those of a host named `kube-apiserver`.

use std::{net::Ipv4Addr, process::ExitCode};

use world::{
    Exit,
    real::{Block, Real},
};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = std::env::var_os("CHRONOPLANE_ROOT").unwrap_or_else(|| ".".into());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    runtime.block_on(async move {
        let world = Real::new(root.into(), Block::joined(Ipv4Addr::LOCALHOST));
        let host = world.host_at("kube-apiserver", Ipv4Addr::LOCALHOST);
        match apiserver::run(host, args).await {
            Exit::Success => ExitCode::SUCCESS,
            Exit::Failure(why) => complain(&why),
        }
    })
}

fn complain(why: &str) -> ExitCode {
    eprintln!("Error: {why}");
    ExitCode::from(2)
}
