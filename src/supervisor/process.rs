//! One run of a child: its streams, its group, what it was told, how it ended. What to do about
//! any of it is for the task in `child`.

use super::{
    lifeline::Lifeline,
    mailbox::{Fact, Mailbox},
    spawn::{Spec, spawn},
    splitter::Splitter,
    stream::Output,
};
use operator_ledger::event::Control;
use operator_process::stop::{Stop, signal_group};
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

/// Exit code of our own roles that ended because of TERM, as a shell has it.
const TERMINATED: i32 = agent_lab::cli::TERMINATED as i32;

/// How a child that was asked to end did so, and whether well.
pub(super) fn ended_as_asked(status: ExitStatus) -> (String, bool) {
    // The TERM was ours.
    if status.code() == Some(TERMINATED) {
        return ("ended as it was asked".into(), true);
    }
    (describe(status), status.success())
}

/// A warden is asked to kill so often before it is killed.
const WARDEN_TIMES: u32 = 50;

/// Bytes of output that may wait in the kernel: as much as Linux gives anybody.
#[cfg(target_os = "linux")]
const PIPE: usize = 1024 * 1024;

/// One run of the child.
pub(super) struct Run {
    pub output: Output,
    pub group: Group,
    /// The line to its warden, if it has one.
    pub lifeline: Option<Lifeline>,
    pub stdin: Option<mpsc::Sender<Control>>,
    pub stdout: Splitter,
    pub stderr: Splitter,
    pub started: Instant,
    pub exited: Option<Instant>,
    pub ended: bool,
    pub stop: Option<Stop>,
    kills: u32,
}

/// Kills what is left of the group when the task goes away for whatever reason. A warden does that
/// itself, and more; its group is none of our business.
pub(super) struct Group {
    pub pid: Option<Pid>,
    warded: bool,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.pid
            && !self.warded
        {
            signal_group(group, Signal::KILL);
        }
    }
}

pub(super) fn launch(spec: &Spec) -> Result<Run, String> {
    let (child, lifeline) = spawn(spec).map_err(|e| {
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
        group: Group {
            pid: group,
            warded: lifeline.is_some(),
        },
        lifeline,
        stdin: None,
        stdout: Splitter::default(),
        stderr: Splitter::default(),
        started: Instant::now(),
        exited: None,
        ended: false,
        stop: None,
        kills: 0,
    })
}

impl Run {
    /// Asks the child to end: shutdown line, end of stdin, TERM.
    pub(super) fn ask(&mut self) {
        if self.stop.is_some() {
            return;
        }
        if let Some(stdin) = self.stdin.take() {
            let _ = stdin.try_send(Control::Shutdown);
        }
        if let Some(group) = self.group.pid {
            signal_group(group, Signal::TERM);
            // A stopped process gets its TERM only when it runs again.
            signal_group(group, Signal::CONT);
        }
        self.stop = Some(Stop::new(Instant::now(), GRACE));
    }

    /// Ends what is left of it, without grace. A warden needs a moment for that, and is ended
    /// itself only when it was asked often enough.
    pub(super) fn kill(&mut self) {
        self.kills += 1;
        if let Some(lifeline) = &self.lifeline {
            lifeline.end();
        }
        if let Some(group) = self.group.pid
            && (self.lifeline.is_none() || self.kills > WARDEN_TIMES)
        {
            signal_group(group, Signal::STOP);
            signal_group(group, Signal::KILL);
        }
    }
}

/// Control lines are written by a task of their own: a child that does not read them must not
/// keep its output from being read. Dropping the sender closes stdin.
pub(super) fn writer(mailbox: Mailbox, mut stdin: ChildStdin) -> mpsc::Sender<Control> {
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
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(TERMINATED), _) => "somebody outside ended it by TERM".into(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_of_ours_is_no_end_from_outside() {
        let terminated = ExitStatus::from_raw(TERMINATED << 8);
        assert!(describe(terminated).contains("somebody outside"));
        assert!(ended_as_asked(terminated).1);
        let failed = ExitStatus::from_raw(1 << 8);
        assert_eq!(ended_as_asked(failed), ("exit code 1".into(), false));
    }
}
