//! Starting this executable again, in another role.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The running executable. Where there is a `/proc`, that file even if its name now leads to
/// another one: a rebuild underneath a running lab does not mix versions.
fn path() -> PathBuf {
    let link = Path::new("/proc/self/exe");
    if link.exists() {
        return link.into();
    }
    std::env::current_exe().unwrap_or_else(|_| "operator-tui".into())
}

/// A command that runs this executable, with nothing of our environment but what a program needs
/// to run: keys of the user have no business in the lab.
pub fn command() -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(path());
    command.arg0("operator-tui").env_clear();
    for name in ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Gives the child a session of its own, and with `die_with_us` a KILL when the thread that
/// starts it ends, even if that thread is killed itself.
pub fn own_session(command: &mut Command, die_with_us: bool) {
    use std::os::unix::process::CommandExt;
    let prepare = move || {
        rustix::process::setsid()?;
        #[cfg(target_os = "linux")]
        if die_with_us {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = die_with_us;
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "between fork and exec; both calls are async-signal-safe"
    )]
    unsafe {
        command.pre_exec(prepare);
    }
}
