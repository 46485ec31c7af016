//! Connections of other processes ended from outside, as a network that resets them would.
//!
//! The kernel gives a parent a copy of its descendants' sockets (pidfd_getfd), and a copy that is shut down is the
//! connection shut down. Nobody has to know of it who has the connection.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Shutdown, TcpStream},
    path::Path,
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::story::StoryError;

/// The kernel's number of the state ESTABLISHED.
const ESTABLISHED: &str = "01";

/// Ends the connections from `from` to `to` at `port`, at both of their ends; returns how many there were.
///
/// # Errors
/// The kernel does not let us.
pub(super) fn end(from: IpAddr, to: IpAddr, port: u16) -> Result<usize, StoryError> {
    let refused = |e: io::Error| {
        StoryError(format!(
            "a connection of another process cannot be ended: {e}; the story needs Linux 5.6 and, in a container, \
             --cap-add=SYS_PTRACE"
        ))
    };
    let table = fs::read_to_string("/proc/net/tcp").map_err(refused)?;
    let ends: BTreeSet<u64> = table.lines().skip(1).filter_map(|line| inode(line, from, to, port)).collect();
    let mut copies = Vec::new();
    for process in fs::read_dir("/proc").map_err(refused)?.flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = number.and_then(Pid::from_raw) {
            copies.extend(copies_of(&process.path(), pid, &ends).map_err(refused)?);
        }
    }
    for copy in &copies {
        // The other end may have been faster.
        let _ = copy.shutdown(Shutdown::Both);
    }
    // Each connection has two ends, and both are in this machine.
    Ok(copies.len().div_ceil(2))
}

/// The socket of a line of the kernel's table, if it is an end of such a connection.
fn inode(line: &str, from: IpAddr, to: IpAddr, port: u16) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (here, there) = (address(words.get(1)?)?, address(words.get(2)?)?);
    let client = here.0 == from && there == (to, port);
    let server = there.0 == from && here == (to, port);
    if *words.get(3)? != ESTABLISHED || !(client || server) {
        return None;
    }
    words.get(9)?.parse().ok()
}

/// `0100007F:1943` is 127.0.0.1:6467: an address in the machine's order of bytes.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    Some((Ipv4Addr::from(address).into(), u16::from_str_radix(port, 16).ok()?))
}

/// Copies of those of the sockets that a process has. One that ends meanwhile, or is somebody else's, has none.
fn copies_of(process: &Path, pid: Pid, sockets: &BTreeSet<u64>) -> io::Result<Vec<TcpStream>> {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return Ok(Vec::new()) };
    let mut copies = Vec::new();
    for file in files.flatten() {
        let Ok(target) = fs::read_link(file.path()) else { continue };
        let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        let number = file.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(inode), Some(number)) = (inode, number)
            && sockets.contains(&inode)
        {
            let process = match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(process) => process,
                Err(Errno::SRCH) => continue,
                Err(e) => return Err(e.into()),
            };
            match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
                Ok(copy) => copies.push(TcpStream::from(copy)),
                Err(Errno::BADF | Errno::SRCH) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(copies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_of_a_connection_is_known_by_its_line() {
        let (a, b) = (IpAddr::from([127, 64, 1, 1]), IpAddr::from([127, 64, 1, 2]));
        let hex = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let line = |here: [u8; 4], port: u16, there: [u8; 4], other: u16, state: &str| {
            format!(
                "  3: {}:{port:04X} {}:{other:04X} {state} 00000000:00000000 00:00000000 00000000 0 0 4711 1 0",
                hex(here),
                hex(there)
            )
        };
        let client = line([127, 64, 1, 1], 40_000, [127, 64, 1, 2], 6443, ESTABLISHED);
        let server = line([127, 64, 1, 2], 6443, [127, 64, 1, 1], 40_000, ESTABLISHED);
        assert_eq!(inode(&client, a, b, 6443), Some(4711));
        assert_eq!(inode(&server, a, b, 6443), Some(4711));
        assert_eq!(inode(&client, b, a, 6443), None, "the other way round");
        assert_eq!(inode(&client, a, b, 6444), None, "another port");
        let listens = line([127, 64, 1, 2], 6443, [0; 4], 0, "0A");
        assert_eq!(inode(&listens, a, b, 6443), None);
    }

    #[test]
    fn a_connection_of_this_process_is_ended() -> io::Result<()> {
        use std::io::Read as _;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let at = listener.local_addr()?;
        let mut client = TcpStream::connect(at)?;
        let (_server, _) = listener.accept()?;
        match end(at.ip(), at.ip(), at.port()) {
            Ok(count) => {
                assert_eq!(count, 1);
                assert_eq!(client.read(&mut [0; 1])?, 0, "it is at its end");
            }
            Err(why) => assert!(why.0.contains("SYS_PTRACE"), "{why}"),
        }
        Ok(())
    }
}
