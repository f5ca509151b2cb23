//! Starting one child: its own session, all three streams piped, no survivor of its parent.

use std::{ffi::OsString, io, path::PathBuf, process::Stdio};
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
    /// Somebody else's program: it does not know that the end of its stdin means shutdown.
    pub foreign: bool,
}

impl Spec {
    /// The command line for people.
    pub fn line(&self) -> String {
        let words: Vec<_> = self.argv.iter().map(|a| a.to_string_lossy()).collect();
        words.join(" ")
    }
}

/// The running executable, so that an upgrade underneath does not mix versions.
pub fn executable() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() {
        own
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("operator-tui"))
    }
}

/// Starts the child. Must be called on a thread that lives as long as the program: Linux ties
/// the parent-death signal to the thread.
pub fn spawn(spec: &Spec) -> io::Result<Child> {
    let Some((program, args)) = spec.argv.split_first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the command is empty",
        ));
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in &spec.env_remove {
        command.env_remove(name);
    }
    let foreign = spec.foreign;
    let parent = rustix::process::getpid();
    let before_exec = move || {
        // With a group alone the child could still reach our terminal through /dev/tty.
        rustix::process::setsid()?;
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{Signal, getppid, set_parent_process_death_signal};
            // Our own end with their stdin, once they run: a frozen one would never see a TERM.
            let signal = if foreign { Signal::KILL } else { Signal::CONT };
            set_parent_process_death_signal(Some(signal))?;
            if getppid() != Some(parent) {
                return Err(io::Error::other("the dashboard ended"));
            }
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "pre_exec; the hook makes system calls only, no allocation"
    )]
    unsafe {
        command.pre_exec(before_exec);
    }
    command.spawn()
}
