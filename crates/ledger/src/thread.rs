//! The thread that owns a ledger's connection, and the way to it.
//!
//! Calls are carried out one after the other, in the order of one handle's. When the last handle is
//! gone, or on [`Handle::close`], the thread does what is queued, closes the file and ends.

use crate::{
    Reply, Result,
    engine::{self, Engine},
};
use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};
use tokio::{runtime, sync::oneshot};

enum Job {
    Call(Box<dyn FnOnce(&mut Engine) + Send>),
    Close(oneshot::Sender<Result<()>>),
}

/// The way to an engine. Clones lead to the same one.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Shared>);

struct Shared {
    path: PathBuf,
    // Dropped before `_ended` is, which waits for the thread that this keeps.
    jobs: Sender<Job>,
    _ended: Ended,
}

/// The thread drops the other end when it has closed the file.
struct Ended(Mutex<Receiver<Infallible>>);

impl Drop for Ended {
    fn drop(&mut self) {
        // A command that is over leaves a closed file behind. A runtime's thread must not wait;
        // what runs there closes its ledger instead.
        if runtime::Handle::try_current().is_err() && !thread::panicking() {
            let ended = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.0.path.display())
    }
}

impl Handle {
    /// Starts a thread that opens an engine; `role` makes of the way to it what is answered.
    pub(crate) fn open<R: Send + 'static>(
        path: &Path,
        open: fn(&Path) -> engine::Result<Engine>,
        role: fn(Self) -> R,
    ) -> Reply<R> {
        let (answer, reply) = Reply::new();
        let (jobs, queue) = channel();
        let (ends, ended) = channel();
        let handle = Self(Arc::new(Shared {
            path: path.to_owned(),
            jobs,
            _ended: Ended(Mutex::new(ended)),
        }));
        // In this order, should no thread be had for them: a handle waits for what `ends` tells.
        let kept = (ends, handle);
        // Without a thread the answer is dropped, and the reply says so.
        let _ = thread::Builder::new()
            .name("ledger".into())
            .spawn(move || serve(open, role, kept, &queue, answer));
        reply
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Has the engine carry a call out.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Engine) -> engine::Result<T> + Send + 'static,
    ) -> Reply<T> {
        let (answer, reply) = Reply::new();
        // Where the thread is gone the answer is dropped, and the reply says so.
        let _ = self.0.jobs.send(Job::Call(Box::new(move |engine| {
            let done = engine.refresh().and_then(|()| call(engine));
            let _ = answer.send(done.map_err(|e| engine.explain(e)));
        })));
        reply
    }

    pub(crate) fn close(&self) -> Reply<()> {
        let (answer, reply) = Reply::new();
        let _ = self.0.jobs.send(Job::Close(answer));
        reply
    }
}

fn serve<R>(
    open: fn(&Path) -> engine::Result<Engine>,
    role: fn(Handle) -> R,
    // Dropped last, and so when the file is closed.
    (ends, handle): (Sender<Infallible>, Handle),
    queue: &Receiver<Job>,
    answer: oneshot::Sender<Result<R>>,
) {
    let opened = open(&handle.0.path);
    let mut engine = match opened {
        Ok(engine) => engine,
        Err(e) => {
            drop(ends);
            drop(handle);
            let _ = answer.send(Err(e.into()));
            return;
        }
    };
    if let Err(unwanted) = answer.send(Ok(role(handle))) {
        drop(engine);
        drop(ends);
        drop(unwanted);
        return;
    }
    while let Ok(job) = queue.recv() {
        match job {
            Job::Call(call) => call(&mut engine),
            Job::Close(answer) => {
                drop(engine);
                let _ = answer.send(Ok(()));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LedgerError, NewTicket, PersonLedger, Reader};
    use std::{panic, time::Duration};

    fn new(message: impl Into<String>) -> NewTicket {
        NewTicket {
            message: message.into(),
            by: "ada".into(),
            ..NewTicket::default()
        }
    }

    #[test]
    fn calls_are_carried_out_in_order_whether_anybody_waits_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tickets.db");
        let ledger = PersonLedger::open(&path).wait().unwrap();
        let other = ledger.clone();
        for n in 1..=20 {
            drop(ledger.open_ticket(new(format!("ticket {n}"))));
        }
        // What is queued is done, and the file closed, when the last handle is gone.
        drop(ledger);
        drop(other);
        assert!(!dir.path().join("tickets.db-wal").exists());
        let reader = Reader::open(&path).wait().unwrap();
        let messages: Vec<String> = reader
            .tickets(100)
            .wait()
            .unwrap()
            .into_iter()
            .map(|t| t.message)
            .rev()
            .collect();
        let expected: Vec<String> = (1..=20).map(|n| format!("ticket {n}")).collect();
        assert_eq!(messages, expected);
    }

    #[test]
    fn a_ledger_that_is_closed_or_broken_answers_with_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tickets.db");
        let ledger = PersonLedger::open(&path).wait().unwrap();
        let other = ledger.clone();
        let last = ledger.open_ticket(new("the last"));
        ledger.close().wait().unwrap();
        assert_eq!(last.wait().unwrap(), 1);
        assert!(matches!(
            other.open_ticket(new("too late")).wait(),
            Err(LedgerError::Closed)
        ));

        let handle = Handle::open(&path, Engine::open, |handle| handle)
            .wait()
            .unwrap();
        let broken = handle.ask::<()>(|_| panic!("a call that panics, on purpose"));
        let next = handle.ask(|engine| engine.newest_ticket());
        assert!(matches!(broken.wait(), Err(LedgerError::Closed)));
        assert!(matches!(next.wait(), Err(LedgerError::Closed)));
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_and_leaves_no_thread_behind() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Reader::open(&dir.path().join("none.db")).wait();
        assert!(matches!(missing, Err(LedgerError::Missing { .. })));
        // Nobody takes the answer: the thread ends and closes the file all the same.
        drop(PersonLedger::open(&dir.path().join("tickets.db")));
    }

    #[test]
    fn a_runtime_awaits_and_cannot_block_unnoticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tickets.db");
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let ledger = PersonLedger::open(&path).await.unwrap();
            assert_eq!(ledger.open_ticket(new("awaited")).await.unwrap(), 1);
            let blocked = panic::catch_unwind(panic::AssertUnwindSafe(|| ledger.ticket(1).wait()));
            assert!(blocked.is_err());
            ledger.close().await.unwrap();
        });
    }

    #[test]
    fn an_age_makes_data_older_and_never_younger() {
        use crate::Mono;
        let now = Mono::now();
        let old = Mono::before(Duration::from_micros(1_500));
        assert!(old.boot == now.boot && old.ms <= Mono::now().ms - 2);
    }
}
