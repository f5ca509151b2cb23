//! The warden: a hidden process around somebody else's command, which sees to it that nothing the
//! command started outlives the dashboard, whatever dies first and however.
//!
//! Our own children end with their stdin, and so does what they start. A foreign one knows nothing
//! of that, and what it starts may leave its session and ignore every signal that can be ignored.
//! The warden is a child subreaper, so that all of it stays its descendant. It ends them when its
//! lifeline to the dashboard ends or a byte comes out of it, and passes TERM on. The command has
//! the dashboard's pipes to itself: the warden neither reads nor keeps them.
//!
//! `agent_lab`'s runner does the same around a shell command, with limits and leases; here there
//! are none, and the command has an stdin.

use super::lifeline::Report;
use agent_lab::tools::process_tree;
use rustix::{
    fd::{FromRawFd, OwnedFd, RawFd},
    process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, wait},
};
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitCode, ExitStatus},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    signal::unix::{Signal as Stream, SignalKind, signal},
    time::{Instant, timeout},
};

/// First argument of a process that is a warden; the file descriptor of its lifeline follows, then
/// the command.
pub const ROLE: &str = "__warden";

/// From TERM to KILL when the dashboard is gone.
const GRACE: Duration = Duration::from_millis(400);
/// What KILL cannot end (another user's process, say) is not waited for longer.
const GIVE_UP: Duration = Duration::from_secs(2);

/// Runs the role, if this process was started for it.
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ROLE {
        return None;
    }
    let fd = args.next()?.to_str()?.parse().ok()?;
    let command: Vec<_> = args.collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime.and_then(|runtime| runtime.block_on(run(fd, &command)));
    Some(done.unwrap_or_else(|error| {
        eprintln!("operator-tui: cannot watch over the command: {error}");
        ExitCode::FAILURE
    }))
}

struct Warden {
    children: Stream,
    command: Pid,
    exit: Option<ExitStatus>,
    /// All children have been reaped, so there is no descendant.
    alone: bool,
}

async fn run(fd: RawFd, command: &[OsString]) -> io::Result<ExitCode> {
    set_child_subreaper(Some(getpid()))?;
    let mut lifeline = lifeline(fd)?;
    let children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let command = match start(command) {
        Ok(pid) => pid,
        Err(error) => {
            let why = error.to_string();
            tell(&mut lifeline, &Report::Failed { why }).await;
            return Ok(ExitCode::FAILURE);
        }
    };
    let pid = command.as_raw_nonzero().get();
    tell(&mut lifeline, &Report::Started { pid }).await;
    // From here the end of the output is the end of the last process that can write it.
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    let mut warden = Warden {
        children,
        command,
        exit: None,
        alone: false,
    };
    let mut told = false;
    loop {
        warden.reap();
        if let Some(status) = warden.exit.filter(|_| !told) {
            told = true;
            let status = status.into_raw();
            tell(&mut lifeline, &Report::Exited { status }).await;
        }
        if warden.alone {
            break;
        }
        let mut byte = [0];
        tokio::select! {
            word = lifeline.read(&mut byte) => {
                let gone = matches!(word, Ok(0) | Err(_));
                warden.end_all(if gone { GRACE } else { Duration::ZERO }).await;
                break;
            }
            _ = warden.children.recv() => {}
            _ = terminate.recv() => ask_all(),
        }
    }
    let code = warden.exit.map_or(1, |status| {
        let by_signal = || status.signal().map_or(1, |signal| 128 + signal);
        status.code().unwrap_or_else(by_signal)
    });
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn lifeline(fd: RawFd) -> io::Result<UnixStream> {
    #[expect(
        unsafe_code,
        reason = "the number was given to this process, for this and nothing else"
    )]
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn start(command: &[OsString]) -> io::Result<Pid> {
    let Some((program, args)) = command.split_first() else {
        return Err(io::Error::other("there is none"));
    };
    let mut command = Command::new(program);
    command.args(args);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::set_parent_process_death_signal;
        use std::os::unix::process::CommandExt;
        // Should somebody kill the warden, the command at least goes with it.
        let before_exec = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        #[expect(
            unsafe_code,
            reason = "pre_exec; the hook makes a system call only, no allocation"
        )]
        unsafe {
            command.pre_exec(before_exec);
        }
    }
    command.spawn().map(|child| Pid::from_child(&child))
}

/// Best effort: a dashboard that is gone hears nothing.
async fn tell(lifeline: &mut UnixStream, report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = lifeline.write_all(&line).await;
    }
}

fn ask_all() {
    let tree = process_tree::descendants(getpid());
    process_tree::signal_all(&tree, Signal::TERM);
    // A stopped process takes its TERM only when it goes on.
    process_tree::signal_all(&tree, Signal::CONT);
}

impl Warden {
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid == self.command {
                        self.exit = Some(ExitStatus::from_raw(status.as_raw()));
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return,
                Err(_) => {
                    self.alone = true;
                    return;
                }
            }
        }
    }

    /// TERM and grace, if any; then STOP and KILL until nobody is left.
    async fn end_all(&mut self, grace: Duration) {
        let began = Instant::now();
        if !grace.is_zero() {
            ask_all();
        }
        while !self.alone && began.elapsed() < grace + GIVE_UP {
            if began.elapsed() >= grace {
                process_tree::kill_all(getpid());
            }
            let _ = timeout(Duration::from_millis(20), self.children.recv()).await;
            self.reap();
        }
    }
}
