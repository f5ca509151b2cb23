//! The process around one shell command, which sees to it that nothing the command started outlives
//! the runner, whatever dies first, but for what made itself independent.
//!
//! It has its own session and is a child subreaper, so every descendant of the command stays its
//! descendant. Its stdin is a socket to the runner: the lifeline. One line of JSON comes in, the
//! [`Job`]; [`Word`]s may follow; [`Report`]s go back. At end of the lifeline, at the time limit,
//! on [`Word::End`] and on SIGTERM it ends the command and its jobs; services stay, and why which
//! is which is [`operator_process::service`]'s to say. When the shell has exited by itself it stays
//! as long as anything lives that the command left.
//!
//! It does not read the command's output: that goes straight to the runner through its inherited
//! stdout and stderr, which it gives up as soon as the shell has them. Only what services
//! print when nobody listens any more it takes in, lest they stand still or die of it.

use super::drain::Drain;
use jiff::Timestamp;
use operator_ledger::Stopwatch;
use operator_process::{
    proc,
    reaper::Reaper,
    service::{self, Judge, Process},
};
use rustix::process::setsid;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::OpenOptions,
    io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

/// First argument of a process that is around a command.
pub const ROLE: &str = "__command";

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_millis(400);
/// How long children may need to follow their shell before they count as background.
const SETTLE: Duration = Duration::from_millis(60);
/// After so much KILL, what is left (another user's process, say) is reported and left.
const GIVE_UP: Duration = Duration::from_millis(4600);

/// Processes of a kind that are named.
const MOST_NAMED: usize = 20;

/// What to run. The environment is that of the process around it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub command: String,
    pub folder: PathBuf,
    /// Time limit of the shell.
    pub limit_ms: u64,
    /// For how much longer the agent has the right to run anything, unless a [`Word::Renew`] says
    /// otherwise: an agent that stands still may have lost its ticket to another. None: for ever.
    pub right_ms: Option<u64>,
}

/// From the agent, by way of the runner, one line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// End the command and its jobs.
    End,
    /// The agent's right goes on for so long.
    Renew { right_ms: u64 },
}

/// To the agent, by way of the runner, one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// No shell was started.
    Failed { error: String },
    /// The shell has exited.
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
        /// Why it was ended, if it did not end by itself.
        ended: Option<Ended>,
        /// What is still alive.
        left: Left,
    },
    /// What it had left was ended, but for what stays.
    Closed { ended: Vec<Running>, left: Left },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    TimeLimit,
    Asked,
    LeaseLost,
}

/// What lives on of what a command started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// These stay, whatever ends.
    pub services: Vec<Running>,
    /// These end by themselves, or at the latest before proof is asked for.
    pub jobs: Vec<Running>,
}

impl Left {
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.jobs.is_empty()
    }
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub pid: i32,
    /// Its start, in clock ticks since boot: with the pid, a name nobody else will have.
    pub start_ticks: u64,
    pub command: String,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)?;
        if let Some(at) = self.began() {
            write!(f, ", started {}", at.strftime("%Y-%m-%d %H:%M:%SZ"))?;
        }
        write!(f, ": {}", self.command)
    }
}

impl Running {
    /// By the clock on the wall.
    pub fn began(&self) -> Option<Timestamp> {
        Timestamp::try_from(proc::began_at(self.start_ticks)?).ok()
    }
}

impl From<Process> for Running {
    fn from(process: Process) -> Self {
        Self {
            pid: process.pid.as_raw_nonzero().get(),
            start_ticks: process.start_ticks,
            command: process.command,
        }
    }
}

/// For the wire, no more than people can read.
fn few(processes: Vec<Process>) -> Vec<Running> {
    let few = processes.into_iter().take(MOST_NAMED);
    few.map(Running::from).collect()
}

/// Says of a division what each is.
pub(super) fn told(left: service::Left) -> Left {
    Left {
        services: few(left.services),
        jobs: few(service::described(&left.jobs)),
    }
}

/// The role: runs until no descendant is left.
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.and_then(|runtime| runtime.block_on(run()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            operator_ledger::clean::complain(format_args!("a command: {error}"));
            ExitCode::FAILURE
        }
    }
}

struct Around {
    words: Lines<BufReader<OwnedReadHalf>>,
    reports: OwnedWriteHalf,
    terminate: tokio::signal::unix::Signal,
    reaper: Reaper,
}

async fn run() -> io::Result<()> {
    // Fails only where the caller made this process a group leader; nothing is lost then.
    let _ = setsid();
    // A program that somebody started with nohup would hand that on, and every job of its commands
    // would seem to be a service. What has a handler is reset for them.
    let _hangup = signal(SignalKind::hangup())?;
    let mut reaper = Reaper::new()?;
    // One that is frozen does not see its lifeline end; one that is not takes no harm.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))?;
    let lifeline = std::os::unix::net::UnixStream::from(rustix::io::fcntl_dupfd_cloexec(
        rustix::stdio::stdin(),
        3,
    )?);
    lifeline.set_nonblocking(true)?;
    let (read, mut reports) = UnixStream::from_std(lifeline)?.into_split();
    let mut words = BufReader::new(read).lines();
    let Some(job) = words.next_line().await? else {
        return Ok(());
    };
    let job: Job = serde_json::from_str(&job)?;
    let terminate = signal(SignalKind::terminate())?;
    let drain = Drain::prepare();
    match start(&job) {
        Ok(shell) => reaper.watch(&shell),
        Err(error) => {
            return tell(
                &mut reports,
                &Report::Failed {
                    error: error.to_string(),
                },
            )
            .await;
        }
    }
    let mut around = Around {
        words,
        reports,
        terminate,
        reaper,
    };
    if around.hold(&job).await {
        drop((around.words, around.reports));
        drain.hold(&mut around.reaper).await?;
    }
    Ok(())
}

fn start(job: &Job) -> io::Result<Child> {
    if job.right_ms == Some(0) {
        return Err(io::Error::other(
            "the lease on the ticket ran out before it started",
        ));
    }
    let child = Command::new("bash")
        .args(["--noprofile", "--norc", "-c", &job.command])
        .current_dir(if job.folder.is_dir() {
            &job.folder
        } else {
            Path::new("/")
        })
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => io::Error::other(format!(
                "cannot start bash in {}: {e}; is bash installed, and does the folder exist?",
                job.folder.display()
            )),
            io::ErrorKind::ArgumentListTooLong => io::Error::other("the command is too long"),
            _ => io::Error::other(format!("cannot start bash: {e}")),
        })?;
    // From here the end of the output is the end of the last process that can write it.
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(child)
}

/// The agent's right to run anything, as it was last told.
struct Right {
    told: Stopwatch,
    lasts: Duration,
}

impl Right {
    fn now(ms: u64) -> Self {
        Self {
            told: Stopwatch::start(),
            lasts: Duration::from_millis(ms),
        }
    }

    fn left(&self) -> Duration {
        self.lasts.saturating_sub(self.told.elapsed())
    }
}

fn left(right: Option<&Right>) -> Duration {
    right.map_or(Duration::MAX, Right::left)
}

async fn tell(to: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    to.write_all(&line).await
}

impl Around {
    /// True: services are left.
    async fn hold(&mut self, job: &Job) -> bool {
        let limit = Instant::now() + Duration::from_millis(job.limit_ms);
        let mut right = job.right_ms.map(Right::now);
        let mut settle: Option<Instant> = None;
        let mut reported = false;
        loop {
            self.reaper.reap();
            if self.reaper.exit().is_some() && !reported {
                let now = Instant::now();
                let until = *settle.get_or_insert(now + SETTLE);
                if self.reaper.is_alone() || now >= until {
                    let left = self.left();
                    self.exited(None, left).await;
                    reported = true;
                }
            }
            if self.reaper.is_alone() {
                return false;
            }
            let pending = settle.filter(|_| !reported);
            let why = tokio::select! {
                word = self.words.next_line() => match word {
                    Ok(Some(line)) => match serde_json::from_str(&line) {
                        Ok(Word::Renew { right_ms }) => {
                            right = Some(Right::now(right_ms));
                            continue;
                        }
                        Ok(Word::End) => Ended::Asked,
                        Err(_) => continue,
                    },
                    Ok(None) | Err(_) => Ended::Asked,
                },
                _ = self.terminate.recv() => Ended::Asked,
                () = self.reaper.child_ended() => continue,
                () = sleep_until(pending.unwrap_or(limit)), if pending.is_some() => continue,
                () = sleep_until(limit), if self.reaper.exit().is_none() => Ended::TimeLimit,
                () = tokio::time::sleep(left(right.as_ref())), if right.is_some() => {
                    // Slept through a suspend, or woken a little early.
                    if !left(right.as_ref()).is_zero() {
                        continue;
                    }
                    Ended::LeaseLost
                }
            };
            let ended = service::described(&self.judge().divide().jobs);
            let judge = self.judge();
            self.reaper
                .end(|| judge.divide().jobs, GRACE, GIVE_UP)
                .await;
            let left = self.left();
            let stay = !left.services.is_empty();
            if reported {
                // One that made itself independent meanwhile, or cannot be ended, is not ended.
                let gone = |p: &Process| {
                    !proc::Stat::of(p.pid)
                        .is_some_and(|s| s.start_ticks == p.start_ticks && !s.has_ended())
                };
                let ended = few(ended.into_iter().filter(gone).collect());
                self.tell(&Report::Closed { ended, left }).await;
            } else {
                self.exited(Some(why), left).await;
            }
            return stay;
        }
    }

    fn judge(&self) -> Judge {
        Judge::of_command(self.reaper.command())
    }

    fn left(&self) -> Left {
        // Looking through all processes costs more than most commands do.
        if self.reaper.is_alone() {
            return Left::default();
        }
        told(self.judge().divide())
    }

    async fn exited(&mut self, ended: Option<Ended>, left: Left) {
        let exit = self.reaper.exit();
        self.tell(&Report::Exited {
            code: exit.and_then(|status| status.code()),
            signal: exit.and_then(|status| status.signal()),
            ended,
            left,
        })
        .await;
    }

    /// Best effort: an agent that is gone hears nothing.
    async fn tell(&mut self, report: &Report) {
        let _ = tell(&mut self.reports, report).await;
    }
}
