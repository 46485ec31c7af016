//! `chronoplane-etcd`: the etcd pod as a program of this machine, with etcd's own flags.

use std::{net::Ipv4Addr, process::ExitCode};

use world::{
    Exit,
    real::{Block, Real},
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("cannot start threads: {e}")),
    };
    // The machine itself. A world keeps each host's files in a directory of the host's name: without a name,
    // that is the root.
    let machine = Real::new("/".into(), Block::joined(Ipv4Addr::LOCALHOST)).host_at("", Ipv4Addr::LOCALHOST);
    match runtime.block_on(store::server::run(machine, absolute(args))) {
        Exit::Success => ExitCode::SUCCESS,
        Exit::Failure(why) => fail(&why),
    }
}

/// A host's paths are absolute; etcd's default directory is below the current one.
fn absolute(mut args: Vec<String>) -> Vec<String> {
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    for arg in &mut args {
        let file = arg.split_once('=').filter(|(flag, path)| {
            (flag.ends_with("-dir") || flag.ends_with("-file")) && !path.is_empty() && !path.starts_with('/')
        });
        if let Some((flag, path)) = file {
            *arg = format!("{flag}={}", here.join(path).display());
        }
    }
    args
}

fn fail(why: &str) -> ExitCode {
    eprintln!("chronoplane-etcd: {why}");
    ExitCode::from(2)
}
