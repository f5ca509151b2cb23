//! What the process around a command does when all that is left of its command are services: it takes in what they
//! print, as long as they print to where the command did, and reaps them as long as the agent
//! lives. Whoever writes to a pipe without a reader dies of it, or stands still when it is full.
//!
//! It ends nothing, and keeps nothing of what it reads.

use operator_process::reaper::Reaper;
#[cfg(target_os = "linux")]
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::OwnedFd,
    process::{PidfdFlags, pidfd_open},
};
use rustix::{
    fs::{FileType, fstat},
    process::{Pid, getppid},
};
use std::{fs::File, io, thread};
use tokio::sync::mpsc::{Sender, channel};

/// The reading ends of what the command prints to.
#[derive(Debug)]
pub(super) struct Drain {
    pipes: Vec<File>,
    agent: Option<Pid>,
}

impl Drain {
    /// Comes before stdout and stderr are given up. Nothing is read yet: that is the agent's.
    pub(super) fn prepare() -> Self {
        let pipes = [1, 2].into_iter().filter_map(|fd| {
            // Another open file for the same pipe, there where this leads to it.
            let file = File::open(format!("/proc/self/fd/{fd}")).ok()?;
            let kind = FileType::from_raw_mode(fstat(&file).ok()?.st_mode);
            (kind == FileType::Fifo).then_some(file)
        });
        Self {
            pipes: pipes.collect(),
            agent: getppid(),
        }
    }

    /// Returns when nobody is left, or when the agent is gone and nobody holds the output.
    pub(super) async fn hold(self, reaper: &mut Reaper) -> io::Result<()> {
        let mut open = self.pipes.len();
        let (tell, mut events) = channel(3);
        for mut pipe in self.pipes {
            watch(&tell, Event::OutputEnded, move || {
                let _ = io::copy(&mut pipe, &mut io::sink());
            })?;
        }
        #[cfg(target_os = "linux")]
        if let Some(agent) = self.agent.and_then(end_of) {
            watch(&tell, Event::AgentEnded, move || {
                let _ = poll(&mut [PollFd::new(&agent, PollFlags::IN)], None);
            })?;
        }
        loop {
            reaper.reap();
            let orphan = self.agent.is_none() || getppid() != self.agent;
            if reaper.is_alone() || (open == 0 && orphan) {
                return Ok(());
            }
            tokio::select! {
                () = reaper.child_ended() => {}
                Some(event) = events.recv() => open -= usize::from(event == Event::OutputEnded),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Nobody holds one of the pipes any more.
    OutputEnded,
    AgentEnded,
}

/// Does what blocks on a thread of its own, and says when it is done.
fn watch(
    tell: &Sender<Event>,
    event: Event,
    wait: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let tell = tell.clone();
    let run = move || {
        wait();
        let _ = tell.blocking_send(event);
    };
    thread::Builder::new().name("drain".into()).spawn(run)?;
    Ok(())
}

/// What becomes readable when the process ends.
#[cfg(target_os = "linux")]
fn end_of(pid: Pid) -> Option<OwnedFd> {
    pidfd_open(pid, PidfdFlags::empty()).ok()
}
