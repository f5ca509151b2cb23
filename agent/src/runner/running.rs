//! One command that runs in the cell: the process around it, its lifeline, and what it prints.
//!
//! Nothing is waited for here; see [`super::Runner`].

use super::{
    command::{self, Job, Report, Word},
    do_not_block,
    output_file::OutputFile,
    protocol::Told,
};
use operator_ledger::event::Stream;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

/// Where a command's shell notes the folder that it ended in.
const NOTE: &str = "OPERATOR_NOTE";
/// For a process that does not read what it is to run.
const PATIENCE: Timespec = Timespec {
    tv_sec: 2,
    tv_nsec: 0,
};

#[derive(Debug)]
pub(super) struct Running {
    /// Of the process around it.
    pub pid: Pid,
    /// Whether what it prints is carried on.
    pub wanted: bool,
    pub file: OutputFile,
    lifeline: Option<UnixStream>,
    /// Of a report that has not come whole.
    line: Vec<u8>,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    note: PathBuf,
}

/// What of a command can be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub lifeline: bool,
    out: bool,
    err: bool,
}

impl Read {
    pub(super) const ALL: Self = Self {
        lifeline: true,
        out: true,
        err: true,
    };

    pub(super) fn streams(self) -> impl Iterator<Item = Stream> {
        let out = self.out.then_some(Stream::Stdout);
        out.into_iter().chain(self.err.then_some(Stream::Stderr))
    }
}

impl Running {
    /// Starts the process around a command, and tells it what to run.
    pub(super) fn start(
        environment: &BTreeMap<OsString, OsString>,
        job: &Job,
        note: PathBuf,
        file: OutputFile,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = Command::new(operator_process::executable())
            .arg(command::ROLE)
            .env_clear()
            .envs(environment)
            .env(NOTE, &note)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        ours.set_nonblocking(true)?;
        let mut running = Self {
            pid: Pid::from_child(&child),
            wanted: true,
            file,
            lifeline: Some(ours),
            line: Vec::new(),
            out: child.stdout.take().map(OwnedFd::from),
            err: child.stderr.take().map(OwnedFd::from),
            note,
        };
        for pipe in [&running.out, &running.err].into_iter().flatten() {
            do_not_block(pipe)?;
        }
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        running.write(&line);
        Ok(running)
    }

    pub(super) fn say(&mut self, word: &Word) {
        if matches!(word, Word::End) {
            self.wake();
        }
        if let Ok(mut line) = serde_json::to_vec(word) {
            line.push(b'\n');
            self.write(&line);
        }
    }

    /// Lets what is around it go on. What that started is its own to wake.
    pub(super) fn wake(&self) {
        if self.lifeline.is_some() {
            let _ = kill_process(self.pid, Signal::CONT);
        }
    }

    /// Best effort: one that is gone needs no words.
    fn write(&mut self, mut bytes: &[u8]) {
        let Some(lifeline) = &mut self.lifeline else {
            return;
        };
        // Longer than what a socket takes at once is a command alone, and then it is being read.
        while !bytes.is_empty() {
            match lifeline.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(lifeline, PollFlags::OUT)];
                    if !matches!(poll(&mut fds, Some(&PATIENCE)), Ok(n) if n > 0) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let lifeline = self.lifeline.as_ref().map(AsFd::as_fd);
        let pipes = [&self.out, &self.err].map(|p| p.as_ref().map(AsFd::as_fd));
        [lifeline].into_iter().chain(pipes).flatten()
    }

    /// Says of each source, in the order of [`Self::sources`], whether it is ready.
    pub(super) fn which(&self, mut ready: impl FnMut() -> bool) -> Read {
        Read {
            lifeline: self.lifeline.is_some() && ready(),
            out: self.out.is_some() && ready(),
            err: self.err.is_some() && ready(),
        }
    }

    /// Reads what one stream has, and gives it on; nothing at its end.
    pub(super) fn pass_on(
        &mut self,
        stream: Stream,
        buffer: &mut [u8],
        give: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let pipe = match stream {
            Stream::Stdout => &mut self.out,
            Stream::Stderr => &mut self.err,
        };
        while let Some(open) = pipe {
            let read = match rustix::io::read(&*open, &mut *buffer) {
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) => 0,
            };
            if self.wanted {
                self.file.push(&buffer[..read]);
                give(&buffer[..read])?;
            }
            if read == 0 {
                *pipe = None;
            } else if read < buffer.len() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the process around it reports. `ready`: there is something to read.
    pub(super) fn reports(&mut self, ready: bool, id: u32) -> Vec<Told> {
        let mut told = Vec::new();
        while ready && let Some(lifeline) = &self.lifeline {
            let mut bytes = [0; 4096];
            match rustix::io::read(lifeline, &mut bytes) {
                Ok(0) => {
                    self.lifeline = None;
                    told.push(Told::Gone { id });
                }
                Ok(n) => self.line.extend_from_slice(&bytes[..n]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.lifeline = None;
                    told.push(Told::Gone { id });
                }
            }
        }
        let mut at = 0;
        let mut reports = Vec::new();
        while let Some(end) = self.line[at..].iter().position(|b| *b == b'\n') {
            if let Ok(report) = serde_json::from_slice::<Report>(&self.line[at..at + end]) {
                reports.push(Told::Report {
                    id,
                    report,
                    folder: None,
                    file: None,
                });
            }
            at += end + 1;
        }
        self.line.drain(..at);
        reports.extend(told);
        reports
    }

    /// Adds to a report what only this side knows.
    pub(super) fn complete(&mut self, told: Told) -> Told {
        let Told::Report { id, report, .. } = told else {
            return told;
        };
        let noted = fs::read_to_string(&self.note).ok();
        let _ = fs::remove_file(&self.note);
        let folder = noted.map(|text| PathBuf::from(text.trim_end_matches('\n')));
        Told::Report {
            id,
            report,
            folder: folder.filter(|f| f.is_absolute()),
            file: self.file.filed(),
        }
    }

    /// Nobody reports any more, and nothing is printed any more.
    pub(super) fn is_over(&self) -> bool {
        self.lifeline.is_none() && self.out.is_none() && self.err.is_none()
    }
}

impl Drop for Running {
    /// Its lifeline ends; one that stands still must see that.
    fn drop(&mut self) {
        self.wake();
    }
}
