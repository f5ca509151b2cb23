//! The task of one child: start it, read it, tell how it ended, start it again or give up, end it
//! when asked. Exit and end of output are two facts, each with a time limit.

use super::{
    handle::{Handle, Order},
    last_words::LastWords,
    lifeline::{Lifeline, Report},
    mailbox::{Fact, Mailbox},
    policy::{Next, Policy},
    process::{Run, describe, ended_as_asked, launch, writer},
    spawn::Spec,
    stream::Chunk,
};
use operator_ledger::event::Control;
use operator_process::stop::{Step, group_alive};
use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    sync::mpsc,
    task::yield_now,
    time::sleep_until,
};

/// From exit to the verdict that something holds the output open.
const PIPE_LIMIT: Duration = Duration::from_secs(2);
/// After so many bytes in a row the others of this thread have their turn: keys, above all.
const SLICE: usize = 64 * 1024;

/// Starts `spec` under supervision. Call it on a runtime whose threads live as long as the program
/// (see `spawn`): restarts happen there.
pub fn start(spec: Spec, mailbox: Mailbox) -> Handle {
    let (handle, receiver) = Handle::new(mailbox.clone());
    let first = launch(&spec);
    let listen = || signal(SignalKind::child());
    tokio::spawn(supervise(spec, mailbox, receiver, first, listen));
    handle
}

async fn supervise(
    spec: Spec,
    mailbox: Mailbox,
    mut orders: mpsc::Receiver<Order>,
    mut first: Result<Run, String>,
    listen: impl Fn() -> io::Result<SignalStream>,
) {
    let mut task = Task {
        mailbox,
        policy: Policy::default(),
        stderr: LastWords::default(),
    };
    let mut reaper = loop {
        let error = match listen() {
            Ok(reaper) => break reaper,
            Err(error) => error,
        };
        // Ends the child: nobody would see it exit by itself.
        drop(first);
        task.fact(Fact::GaveUp {
            why: format!("cannot be watched: {error}"),
            stderr: Vec::new(),
        });
        if !task.idle(None, &mut orders).await {
            return task.fact(Fact::Stopped);
        }
        first = launch(&spec);
    };
    loop {
        tracing::debug!(child = spec.name, started = first.is_ok(), "started");
        let next = match first {
            Ok(run) => match task.run(&spec, run, &mut orders, &mut reaper).await {
                RunEnd::Exited { ran, success } => task.policy.ended(Instant::now(), ran, success),
                RunEnd::NotStarted { why } => {
                    task.fact(Fact::StartFailed { why: why.clone() });
                    task.policy.not_started(&why)
                }
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
                let stderr = task.stderr.text();
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
    Exited {
        ran: Duration,
        success: bool,
    },
    /// By its warden, which could not.
    NotStarted {
        why: String,
    },
    Restart,
    Stopped,
}

struct Task {
    mailbox: Mailbox,
    policy: Policy,
    stderr: LastWords,
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
        spec: &Spec,
        mut run: Run,
        orders: &mut mpsc::Receiver<Order>,
        reaper: &mut SignalStream,
    ) -> RunEnd {
        if let Some(pid) = run.group.pid.filter(|_| run.lifeline.is_none()) {
            let pid = pid.as_raw_nonzero().get().cast_unsigned();
            self.fact(Fact::Started { pid });
        }
        let stdin = run.output.take_stdin();
        run.stdin = stdin.map(|stdin| writer(self.mailbox.clone(), stdin));
        let (mut restart, mut status) = (false, None);
        // Whether the child may have exited since it was last asked.
        let mut look = true;
        let mut slice = 0;
        loop {
            // What its warden says comes first: that ends later, and in its own way.
            if std::mem::take(&mut look)
                && status.is_none()
                && run.lifeline.is_none()
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
                report = report(&mut run.lifeline), if run.lifeline.is_some() => match report {
                    Some(Report::Started { pid }) => {
                        let pid = pid.cast_unsigned();
                        self.fact(Fact::Started { pid });
                    }
                    Some(Report::Failed { why }) => {
                        let why = format!("{}: {why}", spec.line());
                        return RunEnd::NotStarted { why };
                    }
                    Some(Report::Exited { status: raw }) => {
                        status = Some(ExitStatus::from_raw(raw));
                        run.exited = Some(Instant::now());
                    }
                    None => {
                        run.lifeline = None;
                        look = true;
                    }
                },
                _ = reaper.recv(), if status.is_none() => look = true,
                () = sleep_opt(wake) => look = true,
                chunk = run.output.next(), if !run.ended => {
                    look |= matches!(chunk, Chunk::End);
                    if self.chunk(&mut run, &chunk) {
                        self.mailbox.room().await;
                    }
                    slice += chunk.len();
                    if slice >= SLICE {
                        slice = 0;
                        yield_now().await;
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
        if !run.ended {
            self.fact(Fact::PipeHeld);
        }
        // What it left behind ends with it, once its last words are read.
        if run.group.pid.is_some_and(group_alive) {
            run.kill();
        }
        run.group.pid = None;
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
        let alive = run.group.pid.is_some_and(group_alive);
        let Some(stop) = &mut run.stop else {
            return Ok(None);
        };
        match stop.step(now, status.is_some(), alive) {
            Step::Wait(at) => Ok(Some(at)),
            Step::Kill(at) => {
                run.kill();
                Ok(Some(at))
            }
            Step::Done => {
                run.group.pid = None;
                if let Some((how, success)) = status.map(ended_as_asked) {
                    self.fact(Fact::Exited { how, success });
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
        match chunk {
            Chunk::Stdout(bytes) => {
                run.stdout.feed((**bytes).as_ref(), |line, omitted| {
                    batch.line(line, omitted, false);
                });
            }
            Chunk::Stderr(bytes) => {
                run.stderr.feed((**bytes).as_ref(), |line, omitted| {
                    stderr.push(line);
                    batch.line(line, omitted, true);
                });
            }
            Chunk::End => {
                run.ended = true;
                run.stdout
                    .finish(|line, omitted| batch.line(line, omitted, false));
                run.stderr.finish(|line, omitted| {
                    stderr.push(line);
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

async fn report(lifeline: &mut Option<Lifeline>) -> Option<Report> {
    match lifeline {
        Some(lifeline) => lifeline.report().await,
        None => std::future::pending().await,
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
