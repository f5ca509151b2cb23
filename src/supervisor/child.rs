//! The task of one child: start it, read it, tell how it ended, start it again or give up, end it
//! when asked. Exit and end of output are two facts, each with a time limit.

use super::{
    mailbox::{Fact, Mailbox},
    policy::{Next, Policy},
    process::{Run, describe, launch, writer},
    spawn::Spec,
    stop::{Step, group_alive, signal_group},
    stream::Chunk,
};
use crate::transcript::clean::clean;
use agent_lab::event::Control;
use rustix::process::Signal;
use std::{
    collections::VecDeque,
    process::ExitStatus,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    sync::mpsc,
    time::sleep_until,
};

/// From exit to the verdict that something holds the output open.
const PIPE_LIMIT: Duration = Duration::from_secs(2);
/// Lines of stderr kept for the verdict.
const STDERR_LINES: usize = 5;
/// Bytes kept of each.
const STDERR_BYTES: usize = 500;

#[derive(Debug)]
enum Order {
    Control(Control),
    Restart,
    Stop,
    Kill,
}

/// Orders for one child. Dropping it ends the child at once.
#[derive(Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    mailbox: Mailbox,
}

impl Handle {
    /// Sends a control line. A child that is not there loses it, and its mailbox says so.
    pub fn control(&self, control: Control) {
        self.order(Order::Control(control));
    }

    /// Ends it if it runs, and starts it anew.
    pub fn restart(&self) {
        self.order(Order::Restart);
    }

    /// Asks it to end; [`Fact::Stopped`] follows within the grace time.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// Ends it without grace.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            let why = "too many control lines are waiting".to_owned();
            self.mailbox.fact(Fact::ControlLost { why });
        }
    }
}

/// Starts `spec` under supervision. Call it on the main thread (see `spawn`); restarts happen
/// on a worker of the runtime, which lives as long.
pub fn start(spec: Spec, mailbox: Mailbox) -> Handle {
    let (orders, receiver) = mpsc::channel(64);
    let handle = Handle {
        orders,
        mailbox: mailbox.clone(),
    };
    let first = launch(&spec);
    tokio::spawn(supervise(spec, mailbox, receiver, first));
    handle
}

async fn supervise(
    spec: Spec,
    mailbox: Mailbox,
    mut orders: mpsc::Receiver<Order>,
    mut first: Result<Run, String>,
) {
    let Ok(mut reaper) = signal(SignalKind::child()) else {
        return;
    };
    let mut task = Task {
        mailbox,
        policy: Policy::default(),
        stderr: VecDeque::new(),
    };
    loop {
        let next = match first {
            Ok(run) => match task.run(run, &mut orders, &mut reaper).await {
                RunEnd::Exited { ran, success } => task.policy.ended(Instant::now(), ran, success),
                RunEnd::Restart => Next::Restart {
                    after: Duration::ZERO,
                },
                RunEnd::Stopped => return task.fact(Fact::Stopped),
            },
            Err(why) => {
                task.fact(Fact::StartFailed { why: why.clone() });
                task.policy.not_started(&why)
            }
        };
        let due = match next {
            Next::Restart { after } => {
                if !after.is_zero() {
                    task.fact(Fact::Restarting { after });
                }
                Some(Instant::now() + after)
            }
            Next::GiveUp { why } => {
                let stderr = task.stderr.iter().map(|line| clean(line).0).collect();
                task.fact(Fact::GaveUp { why, stderr });
                None
            }
        };
        if !task.idle(due, &mut orders).await {
            return task.fact(Fact::Stopped);
        }
        task.stderr.clear();
        first = launch(&spec);
    }
}

enum RunEnd {
    Exited { ran: Duration, success: bool },
    Restart,
    Stopped,
}

struct Task {
    mailbox: Mailbox,
    policy: Policy,
    /// The last lines of stderr, as they came.
    stderr: VecDeque<Vec<u8>>,
}

impl Task {
    fn fact(&self, fact: Fact) {
        self.mailbox.fact(fact);
    }

    /// Waits, with no child, until `due` or an order. False: it is over.
    async fn idle(&mut self, due: Option<Instant>, orders: &mut mpsc::Receiver<Order>) -> bool {
        loop {
            let order = tokio::select! {
                () = sleep_opt(due) => return true,
                order = orders.recv() => order,
            };
            match order {
                Some(Order::Restart) => {
                    self.policy.forgive();
                    return true;
                }
                Some(Order::Control(_)) => {
                    self.fact(Fact::ControlLost {
                        why: "it is not running".into(),
                    });
                }
                Some(Order::Stop | Order::Kill) | None => return false,
            }
        }
    }

    async fn run(
        &mut self,
        mut run: Run,
        orders: &mut mpsc::Receiver<Order>,
        reaper: &mut SignalStream,
    ) -> RunEnd {
        let pid = run
            .group
            .0
            .map_or(0, |p| p.as_raw_nonzero().get().cast_unsigned());
        self.fact(Fact::Started { pid });
        let stdin = run.output.take_stdin();
        run.stdin = stdin.map(|stdin| writer(self.mailbox.clone(), stdin));
        let (mut restart, mut status) = (false, None);
        // Whether the child may have exited since it was last asked.
        let mut look = true;
        loop {
            if std::mem::take(&mut look)
                && status.is_none()
                && let Ok(Some(s)) = run.output.exited()
            {
                status = Some(s);
                run.exited = Some(Instant::now());
            }
            let wake = match self.deadlines(&mut run, status, restart) {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Control(control)) => self.pass(&run, control),
                    Some(Order::Restart) => {
                        restart = true;
                        self.policy.forgive();
                        run.ask();
                    }
                    Some(Order::Stop) => {
                        restart = false;
                        run.ask();
                    }
                    Some(Order::Kill) | None => {
                        restart = false;
                        run.ask();
                        if let Some(stop) = &mut run.stop {
                            stop.hurry(Instant::now());
                        }
                    }
                },
                _ = reaper.recv(), if status.is_none() => look = true,
                () = sleep_opt(wake) => look = true,
                chunk = run.output.next(), if !run.ended => {
                    look |= matches!(chunk, Chunk::End);
                    if self.chunk(&mut run, &chunk) {
                        self.mailbox.room().await;
                    }
                }
            }
        }
    }

    /// Sends what is due now. Ok: when to look again. Err: the run is over.
    fn deadlines(
        &self,
        run: &mut Run,
        status: Option<ExitStatus>,
        restart: bool,
    ) -> Result<Option<Instant>, RunEnd> {
        let now = Instant::now();
        if run.stop.is_some() {
            return self.stopping(run, now, status, restart);
        }
        let (Some(status), Some(exited)) = (status, run.exited) else {
            return Ok(None);
        };
        if !run.ended && now < exited + PIPE_LIMIT {
            return Ok(Some(exited + PIPE_LIMIT));
        }
        // What it left behind in its group ends with it, once its last words are read.
        if let Some(group) = run.group.0
            && group_alive(group)
        {
            if !run.ended && !run.pipe_named {
                run.pipe_named = true;
                self.fact(Fact::PipeHeld);
            }
            signal_group(group, Signal::KILL);
        } else if !run.ended && !run.pipe_named {
            run.pipe_named = true;
            self.fact(Fact::PipeHeld);
        }
        run.group.0 = None;
        let success = status.success();
        self.fact(Fact::Exited {
            how: describe(status),
            success,
        });
        self.fact(Fact::OutputEnded);
        Err(RunEnd::Exited {
            ran: exited - run.started,
            success,
        })
    }

    fn stopping(
        &self,
        run: &mut Run,
        now: Instant,
        status: Option<ExitStatus>,
        restart: bool,
    ) -> Result<Option<Instant>, RunEnd> {
        let alive = run.group.0.is_some_and(group_alive);
        let Some(stop) = &mut run.stop else {
            return Ok(None);
        };
        match stop.step(now, status.is_some(), alive) {
            Step::Wait(at) => Ok(Some(at)),
            Step::Kill(at) => {
                if let Some(group) = run.group.0 {
                    signal_group(group, Signal::STOP);
                    signal_group(group, Signal::KILL);
                }
                Ok(Some(at))
            }
            Step::Done => {
                run.group.0 = None;
                if let Some(status) = status {
                    let success = status.success();
                    self.fact(Fact::Exited {
                        how: describe(status),
                        success,
                    });
                }
                Err(if restart {
                    RunEnd::Restart
                } else {
                    RunEnd::Stopped
                })
            }
        }
    }

    /// True: wait for room before the next chunk.
    fn chunk(&mut self, run: &mut Run, chunk: &Chunk) -> bool {
        let mut batch = self.mailbox.batch();
        let stderr = &mut self.stderr;
        let mut error_line = |line: &[u8]| {
            let mut kept = if stderr.len() == STDERR_LINES {
                stderr.pop_front().unwrap_or_default()
            } else {
                Vec::new()
            };
            kept.clear();
            kept.extend_from_slice(&line[..line.len().min(STDERR_BYTES)]);
            stderr.push_back(kept);
        };
        match chunk {
            Chunk::Stdout(bytes) => {
                run.stdout.feed((**bytes).as_ref(), |line, omitted| {
                    batch.line(line, omitted, false);
                });
            }
            Chunk::Stderr(bytes) => {
                run.stderr.feed((**bytes).as_ref(), |line, omitted| {
                    error_line(line);
                    batch.line(line, omitted, true);
                });
            }
            Chunk::End => {
                run.ended = true;
                run.stdout
                    .finish(|line, omitted| batch.line(line, omitted, false));
                run.stderr.finish(|line, omitted| {
                    error_line(line);
                    batch.line(line, omitted, true);
                });
            }
        }
        batch.finish()
    }

    fn pass(&self, run: &Run, control: Control) {
        let lost = match &run.stdin {
            Some(stdin) => stdin
                .try_send(control)
                .err()
                .map(|_| "it does not read its stdin"),
            None => Some("its stdin is closed"),
        };
        if let Some(why) = lost {
            self.fact(Fact::ControlLost { why: why.into() });
        }
    }
}

async fn sleep_opt(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
