//! The dashboard's end of the line to a [`super::warden`]: what it says of its command, and that
//! the command has to end. Dropping it ends the command too, with a moment of grace.

use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// One line from the warden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    Started {
        pid: i32,
    },
    /// There is no such command, or it cannot be run.
    Failed {
        why: String,
    },
    /// The command has exited, whatever it left behind. The status is as the kernel says it.
    Exited {
        status: i32,
    },
}

#[derive(Debug)]
pub(super) struct Lifeline {
    reports: Lines<BufReader<OwnedReadHalf>>,
    words: OwnedWriteHalf,
}

impl Lifeline {
    /// Ours, and the warden's end.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (read, words) = UnixStream::from_std(ours)?.into_split();
        let reports = BufReader::new(read).lines();
        Ok((Self { reports, words }, theirs.into()))
    }

    /// The next report; `None`: the warden is gone. Can be dropped and called again without
    /// losing one.
    pub(super) async fn report(&mut self) -> Option<Report> {
        loop {
            let line = self.reports.next_line().await.ok()??;
            // There is nothing else; a line that is not understood is a newer one's.
            if let Ok(report) = serde_json::from_str(&line) {
                return Some(report);
            }
        }
    }

    /// Ends the command and all it started, without grace.
    pub(super) fn end(&self) {
        let _ = self.words.try_write(b"!");
    }
}
