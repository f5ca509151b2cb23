//! Starting one child: its own session, all three streams piped, no survivor of its parent.

use super::{lifeline::Lifeline, warden::ROLE};
use agent_lab::keys;
use operator_process::start::ChildSetup;
use rustix::process::Signal;
use std::{ffi::OsString, io, os::fd::AsRawFd, path::PathBuf, process::Stdio};
use tokio::process::{Child, Command};

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// For people: `agent`, `monitor`, `lab`.
    pub name: &'static str,
    /// Program and arguments. Never empty.
    pub argv: Vec<OsString>,
    pub env: Vec<(OsString, OsString)>,
    /// Variables the child does not get.
    pub env_remove: Vec<OsString>,
    /// Whether it gets our keys: our own agent takes them from a pipe, somebody else's program finds
    /// them in its environment where a person asked for that.
    pub keys: bool,
    /// Somebody else's program, which does not know that the end of its stdin means shutdown:
    /// started by this executable as its [`super::warden`].
    pub warden: Option<PathBuf>,
}

impl Spec {
    /// The command line for people.
    pub fn line(&self) -> String {
        let words: Vec<_> = self.argv.iter().map(|a| a.to_string_lossy()).collect();
        words.join(" ")
    }
}

/// Starts the child. Must be called on a thread that lives as long as the program: Linux ties
/// the parent-death signal to the thread.
pub(super) fn spawn(spec: &Spec) -> io::Result<(Child, Option<Lifeline>)> {
    let Some((program, args)) = spec.argv.split_first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the command is empty",
        ));
    };
    let (mut command, lifeline, theirs) = match &spec.warden {
        Some(warden) => {
            let (ours, theirs) = Lifeline::new()?;
            let mut command = Command::new(warden);
            let fd = theirs.as_raw_fd().to_string();
            command.arg0("operator-tui").args([ROLE, &fd]).arg(program);
            (command, Some(ours), Some(theirs))
        }
        None => (Command::new(program), None, None),
    };
    command
        .args(args)
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A warden has still something to do.
        .kill_on_drop(lifeline.is_none());
    for name in &spec.env_remove {
        command.env_remove(name);
    }
    let mut theirs = theirs;
    if spec.keys && spec.warden.is_some() {
        command.envs(keys::all());
    } else if spec.keys
        && let Some(pipe) = keys::pipe()?
    {
        command.env(keys::FD_VAR, pipe.as_raw_fd().to_string());
        theirs = Some(pipe);
    }
    ChildSetup {
        own_session: true,
        // They end with their stdin or their lifeline, once they run: a frozen one would not see
        // that it ended.
        on_parent_death: Some(Signal::CONT),
        inherited: theirs,
    }
    .apply(command.as_std_mut());
    Ok((command.spawn()?, lifeline))
}
