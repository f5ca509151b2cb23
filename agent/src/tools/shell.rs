//! The `shell` tool: runs one command under a runner and gives its output on as it comes.
//!
//! Cleans, redacts and caps the output. Does not record anything and does not know the model; see
//! [`crate::session`].

mod lane;

use super::{
    collect::Collector,
    orphans::Adopter,
    runner::{self, Ended, Job, Left, ROLE, Report, Word},
};
use crate::{lease_keeper::Until, redact::Redactor};
use futures_util::future::join_all;
use lane::{Lane, Sink};
use operator_ledger::event::Stream;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    time::{Instant, sleep_until, timeout},
};

pub use lane::Output;

/// Time limit of a command that names none.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(120);
/// Highest time limit a command may name.
pub const HIGHEST_LIMIT: Duration = Duration::from_secs(3600);
/// How long output may still come after the shell has exited.
const DRAIN: Duration = Duration::from_millis(300);
/// An unfinished line is shown after so long without more.
const IDLE: Duration = Duration::from_millis(150);
/// A runner that does not answer a request to end for so long is given up.
const DEAF: Duration = Duration::from_secs(7);
/// A runner that does not end its jobs for so long is given up.
const CLOSING: Duration = Duration::from_millis(1500);
const BUFFER: usize = 16 * 1024;

/// One session's shell: its environment, its working folder, and what it left in the background.
#[derive(Debug)]
pub struct Shell {
    pub executable: PathBuf,
    pub environment: BTreeMap<OsString, OsString>,
    pub redactor: Redactor,
    /// Who ends what a killed runner leaves, if that is ours to do.
    pub adopter: Option<Arc<Adopter>>,
    /// How long commands may run at all. None: as long as they like.
    pub right: Option<Until>,
    folder: PathBuf,
    /// Where a command's shell notes the folder it ended in.
    note: PathBuf,
    /// Runners whose shell has exited but whose jobs or services live.
    holding: Vec<Held>,
}

/// A runner and its lifeline.
#[derive(Debug)]
struct Held {
    child: Child,
    words: OwnedWriteHalf,
    reports: Lines<BufReader<OwnedReadHalf>>,
}

impl Held {
    /// Has it end the jobs. None: it is gone.
    async fn close(mut self) -> Option<Closed> {
        wake(&self.child);
        say(&mut self.words, &Word::End).await;
        let mut closed = None;
        // It says nothing more after that, but stays as long as its services print.
        while let Ok(Ok(Some(line))) = timeout(CLOSING, self.reports.next_line()).await {
            if let Ok(Report::Closed { ended, left }) = serde_json::from_str(&line) {
                closed = Some(Closed { ended, left });
                break;
            }
        }
        let over = closed.as_ref().is_none_or(|c| c.left.services.is_empty());
        if over {
            let _ = timeout(CLOSING, self.child.wait()).await;
        }
        closed
    }
}

/// What became of all that the session's commands had left.
#[derive(Debug, Default)]
pub struct Closed {
    /// Jobs that were ended.
    pub ended: Vec<runner::Running>,
    pub left: Left,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// None when it was ended before it had one.
    pub exit_code: Option<i32>,
    /// The signal that ended the shell.
    pub signal: Option<i32>,
    pub timed_out: bool,
    /// Ended because of [`Running::end`], or because its lease was lost.
    pub interrupted: bool,
    pub duration: Duration,
    /// Processes that live on, or could not be ended.
    pub left: Left,
    /// The command was not run, and why.
    pub failed: Option<String>,
}

/// Where the file is that bash reads first; unset before a command begins.
const START: &str = "OPERATOR_START";

impl Shell {
    /// `folder`: where the first command starts. `scratch`: an existing folder for small files.
    pub fn new(
        executable: PathBuf,
        environment: BTreeMap<OsString, OsString>,
        folder: PathBuf,
        scratch: &Path,
        redactor: Redactor,
    ) -> io::Result<Self> {
        let note = scratch.join("folder");
        let start = scratch.join("start.sh");
        // Quoted for when it runs, and again for when it is set.
        let keep = format!("pwd -P > {}", shell_words::quote(&note.to_string_lossy()));
        // Bash reads this file before the command. The trap costs the command nothing, and a
        // command that sets its own only loses the change of folder.
        fs::write(
            &start,
            format!(
                "unset BASH_ENV {START}\ntrap {} EXIT\n",
                shell_words::quote(&keep)
            ),
        )?;
        let mut environment = environment;
        // Bash expands what it is told here, once: the name of a folder must not be what it expands.
        environment.insert("BASH_ENV".into(), format!("${START}").into());
        environment.insert(START.into(), start.into_os_string());
        Ok(Self {
            executable,
            environment,
            redactor,
            adopter: None,
            right: None,
            folder,
            note,
            holding: Vec::new(),
        })
    }

    /// Folder the next command starts in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts `command`. Nothing runs unless the returned [`Running`] is waited for; dropping it
    /// ends the command and everything it started.
    pub fn start(&mut self, command: &str, limit: Duration) -> io::Result<Running<'_>> {
        if !self.folder.is_dir() {
            self.folder = PathBuf::from("/");
        }
        let _ = fs::remove_file(&self.note);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&self.executable)
            .arg(ROLE)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let (Some(adopter), Some(pid)) = (&self.adopter, pid) {
            adopter.started(pid);
        }
        let job = Job {
            command: command.to_string(),
            folder: self.folder.clone(),
            limit_ms: limit.as_millis() as u64,
            // Said when it starts.
            right_ms: None,
        };
        Ok(Running {
            child,
            socket: UnixStream::from_std(ours)?,
            job,
            began: Instant::now(),
            shell: self,
        })
    }

    /// Ends the jobs that the session's commands left, and waits for it a little.
    pub async fn close(&mut self) -> Closed {
        let mut all = Closed::default();
        for held in join_all(self.holding.drain(..).map(Held::close)).await {
            let Some(closed) = held else { continue };
            all.ended.extend(closed.ended);
            all.left.services.extend(closed.left.services);
            all.left.jobs.extend(closed.left.jobs);
        }
        self.end_orphans().await;
        all
    }

    /// Ends what has no runner any more, and says what stays of it.
    async fn end_orphans(&mut self) -> Left {
        match &self.adopter {
            Some(adopter) => runner::told(adopter.end().await.0),
            None => Left::default(),
        }
    }

    fn note_folder(&mut self) {
        if let Ok(text) = fs::read_to_string(&self.note) {
            let folder = PathBuf::from(text.trim_end_matches('\n'));
            if folder.is_absolute() {
                self.folder = folder;
            }
        }
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Running<'a> {
    child: Child,
    socket: UnixStream,
    job: Job,
    began: Instant,
    shell: &'a mut Shell,
}

impl Running<'_> {
    /// Runs to the end. `end` is polled: when it completes, the command and all it started is
    /// ended.
    pub async fn wait(
        self,
        collector: &mut Collector,
        output: &mut impl Output,
        end: impl Future<Output = ()>,
    ) -> io::Result<Outcome> {
        let Self {
            mut child,
            socket,
            mut job,
            began,
            shell,
        } = self;
        let (read, mut words) = socket.into_split();
        let mut reports = BufReader::new(read).lines();
        let mut right = shell.right.clone();
        job.right_ms = right.as_ref().map(Until::left_ms);
        let mut line = serde_json::to_vec(&job)?;
        line.push(b'\n');
        words.write_all(&line).await?;
        let mut stdout = child.stdout.take();
        let mut stderr = child.stderr.take();
        let mut sink = Sink { collector, output };
        let mut out = Lane::new(Stream::Stdout, &shell.redactor);
        let mut err = Lane::new(Stream::Stderr, &shell.redactor);
        let (mut out_buffer, mut err_buffer) = (vec![0; BUFFER], vec![0; BUFFER]);
        let mut end = std::pin::pin!(end);
        let mut asked = false;
        // The runner keeps the time limit, unless it stands still itself.
        let overdue = began + Duration::from_millis(job.limit_ms) + DEAF;
        let mut deadline = Instant::now() + Duration::from_secs(u32::MAX.into());
        let mut idle: Option<Instant> = None;
        let mut report: Option<Report> = None;
        let mut runner_open = true;
        let mut woken = false;
        while out.open || err.open || (report.is_none() && runner_open) {
            tokio::select! {
                n = read_some(&mut stdout, &mut out_buffer), if out.open => {
                    sink.lane(&mut out, &out_buffer[..n]);
                    idle = Some(Instant::now() + IDLE);
                }
                n = read_some(&mut stderr, &mut err_buffer), if err.open => {
                    sink.lane(&mut err, &err_buffer[..n]);
                    idle = Some(Instant::now() + IDLE);
                }
                line = reports.next_line(), if runner_open => {
                    if let Ok(Some(line)) = line {
                        report = serde_json::from_str(&line).ok().or(report);
                    } else {
                        runner_open = false;
                    }
                    deadline = deadline.min(Instant::now() + DRAIN);
                }
                () = &mut end, if !asked => {
                    asked = true;
                    wake(&child);
                    say(&mut words, &Word::End).await;
                    deadline = deadline.min(Instant::now() + DEAF);
                }
                right_ms = renewed(&mut right) => {
                    say(&mut words, &Word::Renew { right_ms }).await;
                }
                () = sleep_until(idle.unwrap_or(deadline)), if idle.is_some() => {
                    idle = None;
                    for lane in [&mut out, &mut err] {
                        let text = lane.redact.idle();
                        sink.text(lane.stream, &text);
                    }
                }
                () = sleep_until(overdue), if !woken && runner_open => {
                    woken = true;
                    wake(&child);
                }
                () = sleep_until(deadline) => break,
            }
        }
        for lane in [&mut out, &mut err] {
            let text = lane.finish();
            sink.text(lane.stream, &text);
        }
        let mut outcome = Outcome {
            duration: began.elapsed(),
            ..Outcome::default()
        };
        let ended = matches!(&report, Some(Report::Exited { ended: Some(_), .. }));
        match report {
            Some(Report::Exited {
                code,
                signal,
                ended,
                left,
            }) => {
                outcome.exit_code = code.filter(|_| ended.is_none());
                outcome.signal = signal;
                outcome.timed_out = ended == Some(Ended::TimeLimit);
                outcome.interrupted = matches!(ended, Some(Ended::Asked | Ended::LeaseLost));
                outcome.left = left;
            }
            Some(Report::Failed { error }) => outcome.failed = Some(error),
            Some(Report::Closed { .. }) | None => {
                outcome.interrupted = asked;
                if !asked {
                    outcome.failed = Some("its runner was killed, and so is the command".into());
                }
                outcome.left = shell.end_orphans().await;
            }
        }
        shell.note_folder();
        if runner_open && !ended && !outcome.left.is_empty() {
            // What is left writes on; somebody has to read, or it stands still.
            tokio::spawn(discard(stdout));
            tokio::spawn(discard(stderr));
            shell.holding.push(Held {
                child,
                words,
                reports,
            });
        } else if !outcome.left.services.is_empty() {
            // Its runner takes in what it prints.
            drop((words, reports, stdout, stderr));
        } else {
            drop(words);
            let _ = timeout(Duration::from_millis(200), child.wait()).await;
        }
        Ok(outcome)
    }
}

/// Waits until the right to run is renewed; for how long it goes on, in milliseconds.
async fn renewed(right: &mut Option<Until>) -> u64 {
    if let Some(right) = right
        && right.changed().await
    {
        return right.left_ms();
    }
    std::future::pending().await
}

/// Zero bytes: the end, errors included.
async fn read_some(from: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

async fn discard(from: Option<impl AsyncRead + Unpin>) {
    if let Some(mut from) = from {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
}

/// Lets a runner that something froze go on. Its descendants are its own to wake.
fn wake(runner: &Child) {
    let pid = runner.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::CONT);
    }
}

/// Best effort: a runner that is gone needs no words.
async fn say(words: &mut OwnedWriteHalf, word: &Word) {
    if let Ok(mut line) = serde_json::to_vec(word) {
        line.push(b'\n');
        let _ = words.write_all(&line).await;
    }
}
