//! The keeper: parent of every process of the lab.
//!
//! It holds a lock while it lives, holds the ports of its nodes, starts them, knows how they
//! ended, and answers requests on a Unix socket. What its nodes are is told to it ([`spec`]) and
//! none of its business: any program can be one. It never starts a node again by itself: that is
//! left to whoever looks after the cluster, as it is with containers without a restart policy.

pub mod client;
pub(crate) mod logs;
mod nodes;
pub mod ports;
pub mod protocol;
mod socket;
pub mod spec;

use crate::{
    dir::LabDir,
    node::{EXIT_START, asked_to_stop},
    timing::STOP_GRACE,
};
use nodes::Nodes;
use ports::Ports;
use protocol::{Asked, Reply, Request};
use spec::NodeSpec;
use std::{
    error::Error,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};

/// A request is one short line.
const MAX_REQUEST: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    #[error("a keeper already holds {}", .0.display())]
    Locked(PathBuf),
    #[error("{} is not the folder of a lab, but holds a `data`: nothing was removed; choose another with OPERATOR_LAB_DIR", .0.display())]
    NotALab(PathBuf),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// It could not be settled what the nodes are to be.
    #[error(transparent)]
    Nodes(Box<dyn Error + Send + Sync>),
}

/// How the keeper was started.
#[derive(Debug, Clone)]
pub struct Options {
    pub dir: LabDir,
    /// End when standard input ends.
    pub lifeline: bool,
    /// Remove what an earlier lab stored before anything is started.
    pub fresh: bool,
}

/// Exit code of a keeper that found another one there.
pub const EXIT_LOCKED: i32 = 75;
/// How often the keeper looks whether its folder is still there.
const DIR_CHECK_INTERVAL: Duration = Duration::from_secs(1);

fn io_error(what: &Path) -> impl FnOnce(io::Error) -> KeeperError {
    let what = what.display().to_string();
    move |source| KeeperError::Io { what, source }
}

/// Runs the keeper until the lab is taken down. `prepare` says what its nodes are, and takes their
/// ports; it is called when the folder is the keeper's own.
pub fn run<E>(
    options: &Options,
    prepare: impl FnOnce(&mut Ports) -> Result<Vec<NodeSpec>, E>,
) -> ExitCode
where
    E: Error + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(keep(options, prepare)),
        Err(source) => Err(KeeperError::Io {
            what: "runtime".into(),
            source,
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `lab up` shows the last line of the keeper's log.
            eprintln!("{error}");
            let code = match error {
                KeeperError::Locked(_) => EXIT_LOCKED,
                _ => EXIT_START,
            };
            ExitCode::from(code as u8)
        }
    }
}

/// What has to happen in the keeper's only loop.
enum Event {
    Request(Asked, oneshot::Sender<Reply>),
    LifelineEnded,
    DirGone,
    AskedToStop,
}

async fn keep<E>(
    options: &Options,
    prepare: impl FnOnce(&mut Ports) -> Result<Vec<NodeSpec>, E>,
) -> Result<(), KeeperError>
where
    E: Error + Send + Sync + 'static,
{
    let dir = &options.dir;
    fs::create_dir_all(dir.logs()).map_err(io_error(&dir.logs()))?;
    let lock = fs::File::create(dir.lock()).map_err(io_error(&dir.lock()))?;
    // Whoever only looks whether the lock is held takes it for a moment: try more than once.
    let mut tries = 0;
    while lock.try_lock().is_err() {
        tries += 1;
        if tries == 20 {
            return Err(KeeperError::Locked(dir.lock()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Under the lock: a lab that is just being started by another keeps its data.
    if options.fresh {
        wipe(dir)?;
    }
    let mut ports = Ports::new();
    let specs = prepare(&mut ports).map_err(|e| KeeperError::Nodes(e.into()))?;
    let listener = socket::bind(&dir.socket()).map_err(io_error(&dir.socket()))?;
    let (events, mut queue) = mpsc::channel(64);
    watch_for_end(options.lifeline, &events);
    tokio::spawn(watch_dir(dir.lock(), lock.metadata().ok(), events.clone()));
    tokio::spawn(accept(listener, dir.socket(), events));

    let mut nodes = Nodes::new(dir.clone(), specs, ports);
    nodes.start_all();
    eprintln!("keeper is up, pid {}", std::process::id());
    while let Some(event) = queue.recv().await {
        match event {
            // Nobody waits for it any more: this process was frozen, or busy for long.
            Event::Request(asked, reply) if asked.is_late() || reply.is_closed() => {
                eprintln!("too late, and not done: {:?}", asked.request);
                let message = "it was asked for too long ago, and is not done".into();
                let _ = reply.send(Reply::Error { message });
            }
            Event::Request(
                Asked {
                    request: Request::Down,
                    ..
                },
                reply,
            ) => {
                nodes.stop_all(STOP_GRACE).await;
                let _ = fs::remove_file(dir.socket());
                let _ = reply.send(Reply::Done);
                // The answer must leave before the process does.
                tokio::time::sleep(Duration::from_millis(50)).await;
                break;
            }
            Event::Request(asked, reply) => {
                let _ = reply.send(nodes.answer(asked.request).await);
            }
            Event::LifelineEnded => {
                eprintln!("the process that started this lab is gone");
                nodes.kill_all().await;
                break;
            }
            Event::DirGone => {
                eprintln!("the folder of this lab is gone");
                nodes.kill_all().await;
                break;
            }
            Event::AskedToStop => {
                nodes.stop_all(STOP_GRACE).await;
                break;
            }
        }
    }
    let _ = fs::remove_file(dir.socket());
    eprintln!("keeper ends");
    drop(lock);
    Ok(())
}

/// Removes what a lab makes, and nothing else that is in its folder.
fn wipe(dir: &LabDir) -> Result<(), KeeperError> {
    let gone = |path: &Path, result: io::Result<()>| match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error(path)(source)),
        _ => Ok(()),
    };
    let data = dir.all_data();
    // The folder may be anybody's: OPERATOR_LAB_DIR says which. A lab's has its file until the last.
    if !dir.topology().exists() {
        if data.exists() {
            return Err(KeeperError::NotALab(dir.path().into()));
        }
        return Ok(());
    }
    gone(&data, fs::remove_dir_all(&data))?;
    let kept = dir.log("keeper");
    let logs = fs::read_dir(dir.logs()).map_err(io_error(&dir.logs()))?;
    for log in logs.flatten().map(|entry| entry.path()) {
        // Ours is open, and says why when this fails.
        if log != kept {
            gone(&log, fs::remove_file(&log))?;
        }
    }
    gone(&dir.topology(), fs::remove_file(dir.topology()))
}

fn watch_for_end(lifeline: bool, events: &mpsc::Sender<Event>) {
    let stop = events.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        let _ = stop.send(Event::AskedToStop).await;
    });
    if lifeline {
        let ended = events.clone();
        // It is a thread because a runtime that is shut down would wait for a blocking read for ever.
        std::thread::spawn(move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = ended.blocking_send(Event::LifelineEnded);
        });
    }
}

/// Without its folder nobody can reach a keeper any more, not even to end it.
async fn watch_dir(lock: PathBuf, held: Option<fs::Metadata>, events: mpsc::Sender<Event>) {
    let Some(held) = held else { return };
    let same = |found: &fs::Metadata| (found.dev(), found.ino()) == (held.dev(), held.ino());
    while fs::metadata(&lock).is_ok_and(|found| same(&found)) {
        tokio::time::sleep(DIR_CHECK_INTERVAL).await;
    }
    let _ = events.send(Event::DirGone).await;
}

async fn accept(mut listener: UnixListener, path: PathBuf, events: mpsc::Sender<Event>) {
    let mut check = tokio::time::interval(DIR_CHECK_INTERVAL);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // We may be out of file descriptors for a while: that is not the end of all answers.
                Err(error) => {
                    eprintln!("{}: {error}", path.display());
                    tokio::time::sleep(DIR_CHECK_INTERVAL).await;
                    continue;
                }
            },
            // Somebody who took the socket for a stale one must not make the lab unreachable.
            _ = check.tick() => {
                if !path.exists() && let Ok(again) = socket::bind(&path) {
                    listener = again;
                }
                continue;
            }
        };
        let events = events.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, events).await {
                eprintln!("request: {error}");
            }
        });
    }
}

/// How long a hangup may take to be heard.
const HANGUP: Duration = Duration::from_millis(5);

/// One request line, one reply line.
async fn converse(stream: UnixStream, events: mpsc::Sender<Event>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX_REQUEST));
    read.read_line(&mut line).await?;
    let reply = match serde_json::from_str::<Asked>(&line) {
        Err(error) => Reply::Error {
            message: format!("not a request: {error}"),
        },
        Ok(asked) => {
            let (reply, waiting) = oneshot::channel();
            let mut more = [0];
            // Who asked is gone: what was not begun yet is not done. That it hung up is heard a
            // moment after its line.
            if timeout(HANGUP, read.read(&mut more)).await.is_ok() {
                return Ok(());
            }
            let _ = events.send(Event::Request(asked, reply)).await;
            let answer = async {
                waiting.await.unwrap_or_else(|_| Reply::Error {
                    message: "the lab is going down".into(),
                })
            };
            tokio::select! {
                reply = answer => reply,
                _ = read.read(&mut more) => return Ok(()),
            }
        }
    };
    let mut text = serde_json::to_string(&reply).map_err(io::Error::other)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_labs_is_not_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("data/theirs");
        fs::create_dir_all(folder.path().join("data")).unwrap();
        fs::create_dir_all(folder.path().join("logs")).unwrap();
        fs::write(&theirs, "kept").unwrap();
        let log = folder.path().join("logs/theirs.log");
        fs::write(&log, "kept").unwrap();
        let dir = LabDir::at(folder.path());
        assert!(matches!(wipe(&dir), Err(KeeperError::NotALab(_))));
        assert!(theirs.exists() && log.exists());
        fs::write(dir.topology(), "{}").unwrap();
        wipe(&dir).unwrap();
        assert!(!theirs.exists() && !dir.topology().exists());
    }
}
