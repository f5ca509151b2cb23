//! Ports of the lab: chosen below the range that the system uses for outgoing connections, and
//! held while the keeper lives, also when their node is dead.
//!
//! A held port is bound and does not listen, so connections to a dead node are refused; nodes
//! bind beside it because both sides set `SO_REUSEPORT`. Another lab sees the port as taken,
//! because choosing one binds without that option first. A program that does not set the option gets
//! its ports by [`Ports::release`].

use std::{collections::BTreeMap, fs, io, net::SocketAddr};
use tokio::net::TcpSocket;

/// Ports below this are used by well-known services more often.
const MIN_PORT: u16 = 16384;
/// Linux takes ports for outgoing connections from here on, unless it says otherwise.
const FIRST_EPHEMERAL: u16 = 32768;

#[derive(Debug, thiserror::Error)]
#[error("no free port on 127.0.0.1 between {MIN_PORT} and {0}; end a process that uses them")]
pub struct PortError(u16);

#[derive(Debug)]
pub struct Ports {
    held: BTreeMap<u16, TcpSocket>,
    next: u16,
    end: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self::new()
    }
}

impl Ports {
    pub fn new() -> Self {
        let end = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .filter(|&end| end > MIN_PORT + 100)
            .unwrap_or(FIRST_EPHEMERAL);
        Self {
            held: BTreeMap::new(),
            next: rand::random_range(MIN_PORT..end),
            end,
        }
    }

    /// Takes a certain port.
    pub fn hold(&mut self, port: u16) -> io::Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let probe = TcpSocket::new_v4()?;
        // Connections that ended a moment ago do not make a port taken; listeners and holders do.
        probe.set_reuseaddr(true)?;
        probe.bind(address)?;
        drop(probe);
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        self.held.insert(port, socket);
        Ok(())
    }

    /// Lets go of ports.
    pub fn release(&mut self, ports: &[u16]) {
        self.held.retain(|port, _| !ports.contains(port));
    }

    /// Takes any free port.
    pub fn hold_any(&mut self) -> Result<u16, PortError> {
        for _ in MIN_PORT..self.end {
            let port = self.next;
            self.next = if port + 1 < self.end {
                port + 1
            } else {
                MIN_PORT
            };
            if self.hold(port).is_ok() {
                return Ok(port);
            }
        }
        Err(PortError(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_held_port_refuses_connections_and_other_holders_but_serves_its_node() {
        let mut ports = Ports::new();
        let port = ports.hold_any().unwrap();
        assert!(port < ports.end);
        let address = format!("127.0.0.1:{port}");
        assert_eq!(
            TcpStream::connect(&address).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        assert!(Ports::new().hold(port).is_err());
        assert!(TcpListener::bind(&address).is_err());
        let listener = crate::node::listen(&address).unwrap();
        let client = TcpStream::connect(&address).unwrap();
        // Leave a connection behind that the server's side closed first.
        drop(listener.accept().await.unwrap());
        drop((listener, client));
        drop(ports);
        Ports::new().hold(port).unwrap();
    }
}
