//! Output of commands on its way to the ledger, behind the work: a thread with its own connection
//! stores it in batches. A slow disk delays the record of the output, never the command.

use crate::lease_keeper::Until;
use operator_ledger::{Ledger, OutputChunk};
use std::{
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long chunks are gathered before they are stored.
const GATHER: Duration = Duration::from_millis(100);
/// How long a locked ledger is asked again.
const PATIENCE: Duration = Duration::from_secs(20);

enum Item {
    Chunk(OutputChunk),
    /// Everything before this is to be stored; then the sender is told.
    Flush(Sender<()>),
}

/// Handle to the storing thread of one session.
#[derive(Debug)]
pub struct OutputLog {
    items: Option<Sender<Item>>,
    _thread: JoinHandle<()>,
}

impl OutputLog {
    /// `until`: nothing is stored once the lease is lost. `failed` is called with each batch that
    /// could not be stored.
    pub fn start(
        ledger: &Path,
        session: String,
        until: Until,
        failed: impl Fn(String) + Send + 'static,
    ) -> operator_ledger::Result<Self> {
        let ledger = Ledger::open(ledger)?;
        let (items, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("output".into())
            .spawn(move || store(ledger, &session, &until, &queue, &failed))
            .map_err(|e| {
                operator_ledger::LedgerError::Refused(format!("cannot start a thread: {e}"))
            })?;
        Ok(Self {
            items: Some(items),
            _thread: thread,
        })
    }

    /// Never waits. The caller bounds how much one command may send.
    pub fn push(&self, chunk: OutputChunk) {
        if let Some(items) = &self.items {
            let _ = items.send(Item::Chunk(chunk));
        }
    }

    /// Waits until everything so far is stored, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        let (tell, told) = channel();
        if let Some(items) = &self.items
            && items.send(Item::Flush(tell)).is_ok()
        {
            let _ = told.recv_timeout(limit);
        }
    }
}

fn store(
    mut ledger: Ledger,
    session: &str,
    until: &Until,
    queue: &Receiver<Item>,
    failed: &impl Fn(String),
) {
    while let Ok(first) = queue.recv() {
        let mut batch = Vec::new();
        let mut flushed = Vec::new();
        let deadline = Instant::now() + GATHER;
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Item::Chunk(chunk)) => batch.push(chunk),
                Ok(Item::Flush(tell)) => {
                    flushed.push(tell);
                    break;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            next = queue.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        if !batch.is_empty() {
            let began = Instant::now();
            let stored = loop {
                if !until.holds() {
                    break Err("the lease is lost".to_string());
                }
                match ledger.append_output(session, &batch) {
                    Ok(()) => break Ok(()),
                    Err(_) if began.elapsed() < PATIENCE => {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    Err(e) => break Err(e.to_string()),
                }
            };
            if let Err(why) = stored {
                let bytes: usize = batch.iter().map(|c| c.text.len()).sum();
                failed(format!(
                    "{bytes} bytes of output are not in the ledger: {why}"
                ));
            }
        }
        for tell in flushed {
            let _ = tell.send(());
        }
    }
}
