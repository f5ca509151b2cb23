//! The terminal, opened a second time for us alone: reading and writing it never waits, and the
//! file that we share with whoever started us stays as it is.
//!
//! Knows nothing of modes (see [`super::guard`]) nor of frames (see [`super::output`]).

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, open},
    io::Errno,
};
use std::{
    io,
    sync::OnceLock,
    time::{Duration, Instant},
};

static OUT: OnceLock<OwnedFd> = OnceLock::new();

/// Where frames go. Where it could not be opened anew it is stdout, and writing may wait.
pub(super) fn out() -> BorrowedFd<'static> {
    OUT.get()
        .map_or_else(rustix::stdio::stdout, |file| file.as_fd())
}

/// Opens the terminal anew for what this process reads and writes. Without `/proc` and
/// `/dev/tty` everything stays as it is.
pub(super) fn reopen() {
    if OUT.get().is_some() {
        return;
    }
    if let Some(file) = anew("/proc/self/fd/1") {
        let _ = OUT.set(file);
    }
    // What reads keys asks again until there is nothing more, which must not wait either.
    if let Some(file) = anew("/proc/self/fd/0") {
        let _ = rustix::stdio::dup2_stdin(&file);
    }
}

fn anew(name: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // A terminal of another user's (after `su`) can be opened by its other name only.
    [name, "/dev/tty"]
        .into_iter()
        .find_map(|name| open(name, flags, Mode::empty()).ok())
}

/// As much of `bytes` as the terminal takes now.
pub(super) fn write_some(file: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::io::write(file, &bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => sent += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(sent)
}

/// All of `bytes`, or an error when the terminal has not taken them within `limit`.
pub(super) fn write_within(bytes: &[u8], limit: Duration) -> io::Result<()> {
    let (file, deadline) = (out(), Instant::now() + limit);
    let mut sent = 0;
    loop {
        sent += write_some(file, &bytes[sent..])?;
        if sent == bytes.len() {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::new(&file, PollFlags::OUT)], left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Larger than any screen; on a terminal that claims to be, the rest stays empty. Every cell costs
/// memory, twice.
const LARGEST: (u16, u16) = (1024, 512);

/// Columns and rows that are drawn on.
pub(super) fn size() -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(out())?;
    Ok((size.ws_col.min(LARGEST.0), size.ws_row.min(LARGEST.1)))
}
