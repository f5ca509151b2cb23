//! The runner: what of Operator is in the cell, where commands run. One for a session.
//!
//! It takes frames on stdin and answers on stdout ([`protocol`]); what it is told to run it gives
//! to a process of ours of its own for each command ([`command`]), and carries what those print and
//! report back. It makes the world that commands see ([`environment`], [`folder`]), and keeps whole
//! outputs there. At the end of its stdin it ends all but services.
//!
//! No key, no record and no configuration is here. It has no threads and no async runtime: it waits
//! for whatever can be read, and does one thing after another.

pub mod command;
mod drain;
pub mod environment;
mod folder;
mod orphans;
mod output_file;
mod place;
pub mod protocol;
mod running;

use command::Job;
use folder::PrivateFolder;
use orphans::Orphans;
use output_file::OutputFile;
use protocol::{Decoder, Frame, Greeting, Order, Told};
use running::{Read, Running};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    process::{WaitOptions, getpid, set_child_subreaper, setsid, wait},
};
use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    io::{self, Read as _, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
};

/// First argument of a process that is a runner.
pub const ROLE: &str = "__runner";

const BUFFER: usize = 32 * 1024;

/// The role: runs until its stdin ends.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads any more: that is the end, as the end of stdin is.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            operator_ledger::clean::complain(format_args!("runner: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    // Fails only where the caller made this process a group leader; nothing is lost then.
    let _ = setsid();
    // The parent of all that loses its own process: a command can kill the one around it.
    set_child_subreaper(Some(getpid()))?;
    // One byte for each child that ends: also one that was only adopted is to be collected.
    let (ended, tell) = UnixStream::pair()?;
    ended.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, tell)?;
    // A frozen runner does not see its stdin end; one that is not takes no harm.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))?;
    let mut out = io::stdout();
    out.write_all(protocol::MARK)?;
    out.flush()?;
    let mut decoder = Decoder::default();
    let Some(greeting) = greeting(&mut decoder)? else {
        return Ok(());
    };
    let folder = PrivateFolder::create()?;
    let environment = environment::environment(std::env::vars_os(), &folder, &greeting);
    let orphans = Orphans::new(greeting.earlier);
    let cleared = orphans.end_marked(&greeting.session);
    let mut runner = Runner {
        out,
        here: place::describe(&folder, &environment, cleared),
        environment,
        folder,
        orphans,
        ended,
        running: BTreeMap::new(),
        files: HashMap::new(),
        room: output_file::OF_SESSION,
    };
    let here = runner.here.clone();
    runner.tell(&Told::Hello(here))?;
    let served = runner.serve(&mut decoder);
    // Their lifelines end with them, and then they end what is not a service.
    runner.running.clear();
    runner.orphans.end();
    served
}

/// What comes first, if anything does.
fn greeting(decoder: &mut Decoder) -> io::Result<Option<Greeting>> {
    loop {
        match decoder.frame()? {
            Some(Frame::Order(Order::Hello(greeting))) => return Ok(Some(greeting)),
            Some(_) => return Err(io::Error::other("the first frame is no greeting")),
            None => {}
        }
        let stdin = io::stdin();
        wait_for(&mut [PollFd::new(&stdin, PollFlags::IN)])?;
        if !take_in(decoder)? {
            return Ok(None);
        }
    }
}

/// Reads what has come on stdin; comes after it was said to be readable. It is left as it is: where
/// somebody made stdin and stdout one socket, a change to one is a change to the other. False: it
/// has ended.
fn take_in(decoder: &mut Decoder) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => return Ok(false),
            Ok(n) => {
                decoder.push(&buffer[..n]);
                return Ok(true);
            }
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>]) -> io::Result<()> {
    loop {
        match poll(fds, None) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

fn do_not_block(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    Ok(fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?)
}

struct Runner {
    out: io::Stdout,
    here: protocol::Place,
    environment: BTreeMap<OsString, OsString>,
    /// Where it is told that a child has ended.
    ended: UnixStream,
    folder: PrivateFolder,
    orphans: Orphans,
    /// By the number that their orders bear.
    running: BTreeMap<u32, Running>,
    /// Of pages, which no command prints.
    files: HashMap<u32, OutputFile>,
    /// Bytes that whole outputs may still take.
    room: u64,
}

impl Runner {
    fn serve(&mut self, decoder: &mut Decoder) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            while let Some(frame) = decoder.frame()? {
                if let Frame::Order(order) = frame {
                    self.obey(order)?;
                }
            }
            let (stdin, ids, ready) = self.wait()?;
            if stdin && !take_in(decoder)? {
                return Ok(());
            }
            for (id, ready) in ids.into_iter().zip(ready) {
                self.carry(id, ready, &mut buffer)?;
            }
        }
    }

    /// Until something can be read. Returns whether stdin can, and of each command what can.
    fn wait(&self) -> io::Result<(bool, Vec<u32>, Vec<Read>)> {
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        let ids: Vec<u32> = self.running.keys().copied().collect();
        for running in self.running.values() {
            let sources = running.sources();
            fds.extend(sources.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        wait_for(&mut fds)?;
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let stdin = ready.next().unwrap_or(false);
        if ready.next().unwrap_or(false) {
            reap(&self.ended);
        }
        let of = |running: &Running| running.which(|| ready.next().unwrap_or(false));
        let ready = self.running.values().map(of).collect();
        Ok((stdin, ids, ready))
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Hello(_) => {}
            Order::Ping => self.tell(&Told::Pong)?,
            Order::Start { id, job } => self.start(id, &job)?,
            Order::Word { id, word } => {
                if let Some(running) = self.running.get_mut(&id) {
                    running.say(&word);
                }
            }
            Order::Wake { id } => {
                if let Some(running) = self.running.get(&id) {
                    running.wake();
                }
            }
            Order::Discard { id } => {
                if let Some(running) = self.running.get_mut(&id) {
                    running.wanted = false;
                }
            }
            Order::Release { id } => {
                if let Some(running) = self.running.remove(&id) {
                    self.room = self.room.saturating_sub(running.file.written());
                }
            }
            Order::Sweep => {
                let left = self.orphans.end();
                self.tell(&Told::Swept { left })?;
            }
            Order::Keep { id, text, last } => {
                let room = self.room;
                let file = self
                    .files
                    .entry(id)
                    .or_insert_with(|| OutputFile::new(self.folder.output(id), room));
                file.keep(text.as_bytes());
                if last {
                    let filed = file.filed();
                    self.room = self.room.saturating_sub(file.written());
                    self.files.remove(&id);
                    self.tell(&Told::Kept { id, file: filed })?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, id: u32, job: &Job) -> io::Result<()> {
        let file = OutputFile::new(self.folder.output(id), self.room);
        let note = self.folder.note(id);
        match Running::start(&self.environment, job, note, file) {
            Ok(running) => {
                self.orphans.started(running.pid);
                let pid = running.pid.as_raw_nonzero().get();
                self.running.insert(id, running);
                self.tell(&Told::Started { id, pid })
            }
            Err(e) => {
                let error = format!("its process could not be started: {e}");
                self.tell(&Told::Report {
                    id,
                    report: command::Report::Failed { error },
                    folder: None,
                    file: None,
                })
            }
        }
    }

    /// Carries on what one command prints and reports.
    fn carry(&mut self, id: u32, ready: Read, buffer: &mut [u8]) -> io::Result<()> {
        let Some(running) = self.running.get_mut(&id) else {
            return Ok(());
        };
        let out = &mut self.out;
        for stream in ready.streams() {
            running.pass_on(stream, buffer, &mut |bytes| {
                protocol::write_output(out, id, stream, bytes)
            })?;
        }
        for told in running.reports(ready.lifeline, id) {
            // What was printed before it is told before it.
            if matches!(told, Told::Report { .. }) {
                for stream in Read::ALL.streams() {
                    running.pass_on(stream, buffer, &mut |bytes| {
                        protocol::write_output(out, id, stream, bytes)
                    })?;
                }
            }
            let told = running.complete(told);
            protocol::write(out, &told)?;
        }
        if running.is_over() {
            self.room = self.room.saturating_sub(running.file.written());
            self.running.remove(&id);
        }
        self.out.flush()
    }

    fn tell(&mut self, told: &Told) -> io::Result<()> {
        protocol::write(&mut self.out, told)?;
        self.out.flush()
    }
}

/// Collects every child that has ended; how one ended it has said itself.
fn reap(mut told: &UnixStream) {
    // Before they are collected: one that ends meanwhile is told again.
    while matches!(told.read(&mut [0; 64]), Ok(n) if n > 0) {}
    collect();
}

fn collect() {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return,
        }
    }
}
