//! The reaper: makes this process the parent of every orphan among its descendants, collects those
//! that end, and ends all that are left.
//!
//! For a process that exists around one command; whatever that starts, and wherever that moves to,
//! is a descendant then. When to end it, and whom to tell, is its user's.

use crate::{
    stop::{Step, Stop},
    tree,
};
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, wait};
use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout_at,
};

#[derive(Debug)]
pub struct Reaper {
    children: Signal,
    command: Option<Pid>,
    exit: Option<ExitStatus>,
    alone: bool,
}

impl Reaper {
    /// Comes before the command is started, so that none of its descendants is missed.
    pub fn new() -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        Ok(Self {
            children: signal(SignalKind::child())?,
            command: None,
            exit: None,
            alone: false,
        })
    }

    /// The command this process is around, whose exit is of interest.
    pub fn watch(&mut self, command: &Child) {
        self.command = Some(Pid::from_child(command));
    }

    /// The command, as long as it has not been reaped.
    pub fn command(&self) -> Option<Pid> {
        self.command.filter(|_| self.exit.is_none())
    }

    /// How the command ended, once it has been reaped.
    pub fn exit(&self) -> Option<ExitStatus> {
        self.exit
    }

    /// All children have been reaped, so there is no descendant.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Collects every child that has ended.
    pub fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if Some(pid) == self.command {
                        self.exit = Some(ExitStatus::from_raw(status.as_raw()));
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return,
                Err(_) => {
                    self.alone = true;
                    return;
                }
            }
        }
    }

    /// Waits until a child may have ended.
    pub async fn child_ended(&mut self) {
        self.children.recv().await;
    }

    /// TERM and the grace, if any; then STOP and KILL until `whom` finds nobody and the command
    /// has been reaped, or `give_up` has passed.
    pub async fn end(&mut self, whom: impl Fn() -> Vec<Pid>, grace: Duration, give_up: Duration) {
        let mut stop = Stop::new(Instant::now(), grace).giving_up_after(give_up);
        if !grace.is_zero() {
            tree::terminate(&whom());
        }
        loop {
            self.reap();
            let left = !self.alone && !whom().is_empty();
            let exited = self.alone || self.exit.is_some();
            let next = match stop.step(Instant::now(), exited, left) {
                Step::Wait(at) => at,
                Step::Kill(at) => {
                    tree::kill_all(&whom);
                    at
                }
                Step::Done => return,
            };
            let _ = timeout_at(next.into(), self.child_ended()).await;
        }
    }
}
