//! What a child does between fork and exec: the only place where such code is.

use rustix::{
    fd::OwnedFd,
    io::{Errno, FdFlags, fcntl_setfd},
    process::{Signal, getpid, setsid},
};
use std::{io, os::unix::process::CommandExt, process::Command};

/// How a child is set up. It starts only if all of it worked.
#[derive(Debug, Default)]
pub struct ChildSetup {
    /// With a group alone the child could still reach our terminal through `/dev/tty`.
    pub own_session: bool,
    /// What it gets when the thread that started it ends, even if that is killed. Linux ties this
    /// to the thread: start it on one that lives as long as the program.
    pub on_parent_death: Option<Signal>,
    /// Stays open in the child, under the same number.
    pub inherited: Option<OwnedFd>,
}

impl ChildSetup {
    pub fn apply(self, command: &mut Command) {
        let parent = getpid();
        let before_exec = move || {
            if self.own_session {
                setsid()?;
            }
            #[cfg(target_os = "linux")]
            if self.on_parent_death.is_some() {
                rustix::process::set_parent_process_death_signal(self.on_parent_death)?;
                // It may have died before that.
                if rustix::process::getppid() != Some(parent) {
                    return Err(io::Error::from(Errno::SRCH));
                }
            }
            #[cfg(not(target_os = "linux"))]
            let _ = (parent, Errno::SRCH);
            if let Some(fd) = &self.inherited {
                fcntl_setfd(fd, FdFlags::empty())?;
            }
            Ok(())
        };
        #[expect(
            unsafe_code,
            reason = "pre_exec; the hook makes system calls only and allocates nothing: another \
                      thread may have held the allocator's lock when this process was forked"
        )]
        unsafe {
            command.pre_exec(before_exec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, getsid};
    use std::{
        io::{Read, Write},
        os::fd::AsRawFd,
        process::Stdio,
    };

    #[test]
    fn a_child_leads_its_session_and_keeps_what_it_is_to_inherit() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let fd = theirs.as_raw_fd();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("echo ready >&{fd}; read line")])
            .stdin(Stdio::piped());
        ChildSetup {
            own_session: true,
            on_parent_death: Some(Signal::KILL),
            inherited: Some(theirs.into()),
        }
        .apply(&mut command);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut said = [0; 6];
        (&ours).read_exact(&mut said).unwrap();
        assert_eq!(&said, b"ready\n");
        let pid = Pid::from_child(&child);
        assert_eq!(getsid(Some(pid)).unwrap(), pid);
        child.stdin.take().unwrap().write_all(b"end\n").unwrap();
        assert!(child.wait().unwrap().success());
    }
}
