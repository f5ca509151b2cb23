//! The `shell` tool: has one command run in the cell and gives its output on as it comes.
//!
//! Cleans, redacts and caps the output. Does not record anything and does not know the model; see
//! [`crate::session`].

mod lane;

use super::collect::Collector;
use crate::{
    cell::{Connection, Door, Event, Route},
    lease_keeper::Until,
    redact::Redactor,
    runner::{
        command::{self, Ended, Job, Left, Report, Word},
        protocol::{Filed, Place},
    },
};
use futures_util::future::join_all;
use lane::{Lane, Sink};
use operator_ledger::event::Stream;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, interval_at, sleep_until, timeout};

pub use lane::Output;

/// Time limit of a command that names none.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(120);
/// Highest time limit a command may name.
pub const HIGHEST_LIMIT: Duration = Duration::from_secs(3600);
/// How long output may still come after the shell has exited.
const DRAIN: Duration = Duration::from_millis(300);
/// An unfinished line is shown after so long without more.
const IDLE: Duration = Duration::from_millis(150);
/// What does not answer a request to end for so long is given up.
const DEAF: Duration = Duration::from_secs(7);
/// What does not end its jobs for so long is given up.
const CLOSING: Duration = Duration::from_millis(1500);
/// How often the cell is asked whether it is there, while a command runs.
const PING: Duration = Duration::from_secs(2);
/// A cell that answered nothing for so long is said to be silent.
const SILENT: Duration = Duration::from_secs(7);

/// One session's shell: its runner, its working folder, and what it left in the background.
#[derive(Debug)]
pub struct Shell {
    door: Door,
    session: String,
    redactor: Redactor,
    /// How long commands may run at all. None: as long as they like.
    pub right: Option<Until>,
    connection: Option<Connection>,
    /// Where the next command starts.
    folder: PathBuf,
    /// Number of the next command.
    next: u32,
    /// Processes that were around commands, of this runner and those before it.
    leaders: Vec<i32>,
    /// Commands whose shell has exited but whose jobs live.
    holding: Vec<Route>,
    /// What went with a runner that is gone, for whoever runs the next command.
    lost: Option<String>,
}

/// What became of all that the session's commands had left.
#[derive(Debug, Default)]
pub struct Closed {
    /// Jobs that were ended.
    pub ended: Vec<command::Running>,
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
    /// Ended because of the `end` of [`Running::wait`], or because its lease was lost.
    pub interrupted: bool,
    pub duration: Duration,
    /// Processes that live on, or could not be ended.
    pub left: Left,
    /// The command was not run, or not to its end, and why.
    pub failed: Option<String>,
    /// Where all that it printed is.
    pub file: Option<Filed>,
    /// What is not as the command before left it, and why.
    pub renewed: Option<String>,
}

impl Shell {
    pub fn new(door: Door, session: &str, redactor: Redactor) -> Self {
        Self {
            door,
            session: session.into(),
            redactor,
            right: None,
            connection: None,
            folder: PathBuf::new(),
            next: 1,
            leaders: Vec::new(),
            holding: Vec::new(),
            lost: None,
        }
    }

    /// Folder the next command starts in. Empty: there is no runner yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where commands run, once there is a runner.
    pub fn place(&self) -> Option<&Place> {
        self.connection.as_ref().map(|c| &c.place)
    }

    /// A runner that is there: the one there was, or a new one.
    pub async fn connect(&mut self) -> Result<&mut Connection, String> {
        let there = self.connection.take().filter(|c| !c.is_lost());
        let connection = match there {
            Some(connection) => connection,
            None => {
                let earlier = self.leaders.clone();
                let new = Connection::open(&self.door, &self.session, earlier).await?;
                self.begin_anew(&new.place);
                new
            }
        };
        Ok(self.connection.insert(connection))
    }

    fn begin_anew(&mut self, place: &Place) {
        let jobs = self.holding.len();
        self.holding.clear();
        if !self.folder.as_os_str().is_empty() {
            let mut text = format!(
                "this command ran in a new shell of the cell, in {}",
                place.home.display()
            );
            if jobs > 0 {
                text.push_str("; background jobs of earlier commands are gone");
            }
            if !place.cleared.is_empty() {
                let ended: Vec<String> = place.cleared.iter().map(ToString::to_string).collect();
                text.push_str(&format!(
                    "; what they had left was ended: {}",
                    ended.join("; ")
                ));
            }
            self.lost = Some(text);
        }
        self.folder.clone_from(&place.home);
    }

    /// Prepares `command`. Nothing runs unless the returned [`Running`] is waited for; dropping it
    /// while it is ends the command and everything it started.
    pub fn start(&mut self, command: &str, limit: Duration) -> Running<'_> {
        Running {
            command: command.into(),
            limit,
            shell: self,
        }
    }

    /// Puts a text that no command printed into a file of the cell.
    pub async fn keep(&mut self, text: &str) -> Option<Filed> {
        let id = self.next;
        self.next += 1;
        self.connect().await.ok()?.keep(id, text).await
    }

    /// Ends the jobs that the session's commands left, and waits for it a little.
    pub async fn close(&mut self) -> Closed {
        let mut all = Closed::default();
        if self.connection.as_ref().is_some_and(Connection::is_lost) && !self.leaders.is_empty() {
            // Those that ended it may have outlived the processes around them: a new one looks.
            if let Ok(connection) = self.connect().await {
                all.ended.append(&mut connection.place.cleared.clone());
            }
        }
        for closed in join_all(self.holding.drain(..).map(end_jobs)).await {
            let Some(closed) = closed else { continue };
            all.ended.extend(closed.ended);
            all.left.services.extend(closed.left.services);
            all.left.jobs.extend(closed.left.jobs);
        }
        self.sweep().await;
        all
    }

    /// Ends the runner too.
    pub async fn leave(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.leave().await;
        }
    }

    /// Ends what lost the process around it, and says what stays of it.
    async fn sweep(&mut self) -> Left {
        match self.connection.as_mut().filter(|c| !c.is_lost()) {
            Some(connection) => connection.sweep().await,
            None => Left::default(),
        }
    }
}

/// Has a command's jobs ended. None: what is around them is gone.
async fn end_jobs(mut route: Route) -> Option<Closed> {
    route.say(Word::End);
    let closed = async {
        loop {
            match route.next().await? {
                Event::Report {
                    report: Report::Closed { ended, left },
                    ..
                } => return Some(Closed { ended, left }),
                Event::Gone => return None,
                _ => {}
            }
        }
    };
    timeout(CLOSING, closed).await.ok()?
}

/// A command that is to run.
#[derive(Debug)]
pub struct Running<'a> {
    command: String,
    limit: Duration,
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
            command,
            limit,
            shell,
        } = self;
        let began = Instant::now();
        let mut end = std::pin::pin!(end);
        let there = tokio::select! {
            there = shell.connect() => there.map(|_| ()),
            () = &mut end => return Ok(Outcome {
                interrupted: true,
                duration: began.elapsed(),
                ..Outcome::default()
            }),
        };
        let connection = match (there, &mut shell.connection) {
            (Ok(()), Some(connection)) => connection,
            (there, _) => {
                return Ok(Outcome {
                    failed: Some(there.err().unwrap_or_else(|| "there is no runner".into())),
                    duration: began.elapsed(),
                    ..Outcome::default()
                });
            }
        };
        let id = shell.next;
        shell.next += 1;
        let mut right = shell.right.clone();
        let mut route = connection.start(
            id,
            Job {
                command,
                folder: shell.folder.clone(),
                limit_ms: limit.as_millis() as u64,
                right_ms: right.as_ref().map(Until::left_ms),
            },
        );
        let mut sink = Sink { collector, output };
        let mut out = Lane::new(Stream::Stdout, &shell.redactor);
        let mut err = Lane::new(Stream::Stderr, &shell.redactor);
        let mut asked = false;
        // What is around the command keeps the time limit, unless it stands still itself.
        let overdue = began + limit + DEAF;
        let given_up = overdue + DEAF;
        let mut deadline = Instant::now() + Duration::from_secs(u32::MAX.into());
        let mut idle: Option<Instant> = None;
        let mut report: Option<Report> = None;
        let mut filed = None;
        let mut open = true;
        let mut lost = false;
        let mut woken = false;
        let mut pings = interval_at(Instant::now() + PING, PING);
        let mut silent = false;
        while out.open || err.open || (report.is_none() && open) {
            tokio::select! {
                event = route.next() => match event {
                    Some(Event::Output(stream, bytes)) => {
                        let lane = match stream {
                            Stream::Stdout => &mut out,
                            Stream::Stderr => &mut err,
                        };
                        sink.lane(lane, &bytes);
                        idle = Some(Instant::now() + IDLE);
                    }
                    Some(Event::Started { pid }) => shell.leaders.push(pid),
                    Some(Event::Report { report: said, folder, file }) => {
                        report = Some(said);
                        filed = file;
                        if let Some(folder) = folder {
                            shell.folder = folder;
                        }
                        deadline = deadline.min(Instant::now() + DRAIN);
                    }
                    Some(Event::Gone) => {
                        open = false;
                        deadline = deadline.min(Instant::now() + DRAIN);
                    }
                    Some(Event::Swept(_) | Event::Kept(_)) => {}
                    None => {
                        lost = true;
                        break;
                    }
                },
                () = &mut end, if !asked => {
                    asked = true;
                    connection.wake();
                    route.say(Word::End);
                    deadline = deadline.min(Instant::now() + DEAF);
                }
                right_ms = renewed(&mut right) => route.say(Word::Renew { right_ms }),
                () = sleep_until(idle.unwrap_or(deadline)), if idle.is_some() => {
                    idle = None;
                    for lane in [&mut out, &mut err] {
                        let text = lane.redact.idle();
                        sink.text(lane.stream, &text);
                    }
                }
                _ = pings.tick() => {
                    let silence = connection.silence();
                    if silence < SILENT {
                        silent = false;
                    } else if !silent {
                        silent = true;
                        sink.output.silent(silence);
                    }
                    connection.ping();
                }
                () = sleep_until(overdue), if !woken && open => {
                    woken = true;
                    connection.wake();
                    route.wake();
                }
                () = sleep_until(given_up), if open && report.is_none() => {
                    lost = true;
                    break;
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
            file: filed,
            renewed: shell.lost.take(),
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
            None if lost || (asked && open && connection.silence() >= SILENT) => {
                outcome.interrupted = asked;
                let cell = &shell.door.cell;
                let why = if connection.is_lost() {
                    format!(
                        "the cell {cell} was lost while it ran: {}",
                        connection.loss()
                    )
                } else {
                    let silence = connection.silence().as_secs();
                    format!("the cell {cell} has not answered for {silence} s, and was given up")
                };
                outcome.failed = Some(format!(
                    "{why}; what it did, and whether it still runs, is \
                                               not known"
                ));
                connection.kill();
                return Ok(outcome);
            }
            Some(Report::Closed { .. }) | None => {
                outcome.interrupted = asked;
                if !asked {
                    outcome.failed =
                        Some("the process around it was killed, and so is the command".into());
                }
                outcome.left = shell.sweep().await;
            }
        }
        if open && !ended && !outcome.left.jobs.is_empty() {
            // What is left writes on; somebody has to read, or it stands still.
            route.discard();
            shell.holding.push(route);
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
