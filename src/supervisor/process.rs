//! One run of a child: its streams, its group, what it was told, how it ended. What to do about
//! any of it is for the task in `child`.

use super::{
    mailbox::{Fact, Mailbox},
    spawn::{Spec, spawn},
    splitter::Splitter,
    stop::{Stop, signal_group},
    stream::Output,
};
use agent_lab::event::Control;
use rustix::process::{Pid, Signal};
use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc, time::timeout};

/// From TERM to KILL.
const GRACE: Duration = Duration::from_secs(5);
/// A control line that is not taken by then is lost.
const CONTROL_LIMIT: Duration = Duration::from_secs(2);

/// Bytes of output that may wait in the kernel: as much as Linux gives anybody.
#[cfg(target_os = "linux")]
const PIPE: usize = 1024 * 1024;

/// One run of the child.
pub struct Run {
    pub output: Output,
    pub group: Group,
    pub stdin: Option<mpsc::Sender<Control>>,
    pub stdout: Splitter,
    pub stderr: Splitter,
    pub started: Instant,
    pub exited: Option<Instant>,
    pub ended: bool,
    pub pipe_named: bool,
    pub stop: Option<Stop>,
}

/// Kills what is left of the group when the task goes away for whatever reason.
pub struct Group(pub Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            signal_group(group, Signal::KILL);
        }
    }
}

pub fn launch(spec: &Spec) -> Result<Run, String> {
    let child = spawn(spec).map_err(|e| {
        let program = spec.argv.first().map(|p| p.to_string_lossy().into_owned());
        format!("{}: {e}", program.unwrap_or_default())
    })?;
    // Room for what a child says while nobody has time for it, where there can be more.
    #[cfg(target_os = "linux")]
    if let Some(stdout) = &child.stdout {
        let _ = rustix::pipe::fcntl_setpipe_size(stdout, PIPE);
    }
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    Ok(Run {
        output: Output::new(child),
        group: Group(group),
        stdin: None,
        stdout: Splitter::default(),
        stderr: Splitter::default(),
        started: Instant::now(),
        exited: None,
        ended: false,
        pipe_named: false,
        stop: None,
    })
}

impl Run {
    /// Asks the child to end: shutdown line, end of stdin, TERM.
    pub fn ask(&mut self) {
        if self.stop.is_some() {
            return;
        }
        if let Some(stdin) = self.stdin.take() {
            let _ = stdin.try_send(Control::Shutdown);
        }
        if let Some(group) = self.group.0 {
            signal_group(group, Signal::TERM);
            // A stopped process gets its TERM only when it runs again.
            signal_group(group, Signal::CONT);
        }
        self.stop = Some(Stop::new(Instant::now(), GRACE));
    }
}

/// Control lines are written by a task of their own: a child that does not read them must not
/// keep its output from being read. Dropping the sender closes stdin.
pub fn writer(mailbox: Mailbox, mut stdin: ChildStdin) -> mpsc::Sender<Control> {
    let (sender, mut lines) = mpsc::channel::<Control>(16);
    tokio::spawn(async move {
        while let Some(control) = lines.recv().await {
            let Ok(mut line) = serde_json::to_vec(&control) else {
                continue;
            };
            line.push(b'\n');
            let sent = timeout(CONTROL_LIMIT, stdin.write_all(&line)).await;
            let why = match sent {
                Ok(Ok(())) => continue,
                Ok(Err(e)) => e.to_string(),
                Err(_) => "it does not read its stdin".to_owned(),
            };
            mailbox.fact(Fact::ControlLost { why });
            break;
        }
    });
    sender
}

/// An exit status for people.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
