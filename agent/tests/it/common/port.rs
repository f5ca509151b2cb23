//! Ports for programs that a test starts and cannot hand a socket: of a range that nobody else of
//! this house takes from, and no number twice, so that two programs of one test, or one that is
//! down for a while, never meet on a port.

use std::{
    net::TcpListener,
    sync::{LazyLock, Mutex},
};

/// Above well-known services, below the lab's own range and the system's for outgoing connections.
const RANGE: std::ops::Range<u16> = 10_000..16_000;

/// A port that is free, and that no other caller of this process gets.
pub(crate) fn port() -> u16 {
    static NEXT: LazyLock<Mutex<u16>> = LazyLock::new(|| {
        // Two test processes side by side begin at different places.
        let ours = std::process::id() % u32::from(RANGE.end - RANGE.start);
        Mutex::new(RANGE.start + u16::try_from(ours).unwrap())
    });
    let mut next = NEXT.lock().unwrap();
    for _ in RANGE {
        let port = *next;
        *next = if port + 1 < RANGE.end {
            port + 1
        } else {
            RANGE.start
        };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port in {RANGE:?}");
}
