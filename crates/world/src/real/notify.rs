//! systemd's protocol for services that say when they are ready.

use std::{
    env, io,
    os::unix::net::{SocketAddr, UnixDatagram},
};

/// Sends `state` to the socket in `NOTIFY_SOCKET`, if there is one.
pub(crate) fn notify(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let sent = match name.to_str() {
        Some(name) => send(name, state),
        None => Err(io::ErrorKind::InvalidInput.into()),
    };
    if let Err(error) = sent {
        tracing::error!("Unable to send systemd daemon successful start message: {error}");
    }
}

fn send(name: &str, state: &str) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address(name)?).map(drop)
}

/// A path, or with `@` in front a name that is no file.
fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name),
        #[cfg(not(target_os = "linux"))]
        Some(_) => Err(io::ErrorKind::Unsupported.into()),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reaches_the_socket() {
        let path = env::temp_dir().join(format!("chronoplane-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap(), "READY=1").unwrap();
        let mut heard = [0; 16];
        let length = socket.recv(&mut heard).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        assert!(send("/nobody/listens", "READY=1").is_err());
    }
}
