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
//! are none, and the command has an stdin. Both are built on [`Reaper`].

use super::lifeline::Report;
use operator_process::{reaper::Reaper, start::ChildSetup, tree};
use rustix::{
    fd::{FromRawFd, OwnedFd, RawFd},
    process::{Signal, getpid},
};
use std::{
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitCode},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    signal::unix::{SignalKind, signal},
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
        operator_ledger::clean::complain(format_args!(
            "operator-tui: cannot watch over the command: {error}"
        ));
        ExitCode::FAILURE
    }))
}

async fn run(fd: RawFd, command: &[OsString]) -> io::Result<ExitCode> {
    let mut reaper = Reaper::new()?;
    let mut lifeline = lifeline(fd)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let command = match start(command) {
        Ok(command) => command,
        Err(error) => {
            let why = error.to_string();
            tell(&mut lifeline, &Report::Failed { why }).await;
            return Ok(ExitCode::FAILURE);
        }
    };
    reaper.watch(&command);
    let pid = command.id().cast_signed();
    tell(&mut lifeline, &Report::Started { pid }).await;
    // From here the end of the output is the end of the last process that can write it.
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    let mut told = false;
    loop {
        reaper.reap();
        if let Some(status) = reaper.exit().filter(|_| !told) {
            told = true;
            let status = status.into_raw();
            tell(&mut lifeline, &Report::Exited { status }).await;
        }
        if reaper.is_alone() {
            break;
        }
        let mut byte = [0];
        tokio::select! {
            word = lifeline.read(&mut byte) => {
                let gone = matches!(word, Ok(0) | Err(_));
                let grace = if gone { GRACE } else { Duration::ZERO };
                reaper.end(|| tree::descendants(getpid()), grace, GIVE_UP).await;
                break;
            }
            () = reaper.child_ended() => {}
            _ = terminate.recv() => tree::terminate(&tree::descendants(getpid())),
        }
    }
    let code = reaper.exit().map_or(1, |status| {
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

fn start(command: &[OsString]) -> io::Result<Child> {
    let Some((program, args)) = command.split_first() else {
        return Err(io::Error::other("there is none"));
    };
    let mut command = Command::new(program);
    command.args(args);
    // Should somebody kill the warden, the command at least goes with it.
    ChildSetup {
        on_parent_death: Some(Signal::KILL),
        ..ChildSetup::default()
    }
    .apply(&mut command);
    command.spawn()
}

/// Best effort: a dashboard that is gone hears nothing.
async fn tell(lifeline: &mut UnixStream, report: &Report) {
    if let Ok(mut line) = serde_json::to_vec(report) {
        line.push(b'\n');
        let _ = lifeline.write_all(&line).await;
    }
}
