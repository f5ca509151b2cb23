//! Starting the keeper and its nodes, most of them this executable in another role, and looking at
//! what was started.

use crate::keeper::spec::Program;
use operator_ledger::home::executable;
use rustix::process::{Pid, Signal};
use std::{os::unix::process::CommandExt, process::Command};

/// A command that runs a program, with nothing of our environment but what a program needs to run:
/// keys of the user have no business in the lab.
pub(crate) fn command(program: &Program) -> Command {
    let mut command = match program {
        Program::Own => {
            let mut command = Command::new(executable());
            command.arg0("operator-tui");
            command
        }
        Program::Other(path) => Command::new(path),
    };
    command.env_clear();
    for name in ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Gives the child a session of its own, and a signal when the thread that starts it ends, even
/// if that thread is killed itself.
pub(crate) fn own_session(command: &mut Command, on_our_death: Option<Signal>) {
    let parent = rustix::process::getpid();
    let prepare = move || {
        rustix::process::setsid()?;
        #[cfg(target_os = "linux")]
        if on_our_death.is_some() {
            rustix::process::set_parent_process_death_signal(on_our_death)?;
            // We may have died before there was a signal to get.
            if rustix::process::getppid() != Some(parent) {
                return Err(rustix::io::Errno::SRCH.into());
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (on_our_death, parent);
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "between fork and exec; all calls are async-signal-safe"
    )]
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Whether the kernel says that a process is stopped; `None` where it cannot be asked.
pub(crate) fn is_stopped(pid: Pid) -> Option<bool> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    Some(state == 'T')
}
