//! Output of commands on its way to the ledger, behind the work: a task stores it in batches. A slow
//! disk delays the record of the output, never the command.

use crate::lease_keeper::Until;
use operator_ledger::{AgentLedger, LedgerError, OutputChunk};
use std::time::Duration;
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::{Instant, sleep, timeout, timeout_at},
};

/// How long chunks are gathered before they are stored.
const GATHER: Duration = Duration::from_millis(100);
/// How long a locked ledger is asked again.
const PATIENCE: Duration = Duration::from_secs(20);

enum Item {
    Chunk(OutputChunk),
    /// Everything before this is to be stored; then the sender is told.
    Flush(oneshot::Sender<()>),
}

/// Handle to the storing task of one session.
#[derive(Debug)]
pub struct OutputLog {
    items: UnboundedSender<Item>,
}

impl OutputLog {
    /// `until`: nothing is stored once the lease is lost. `failed` is called with each batch that
    /// could not be stored. Needs a runtime.
    pub fn start(
        ledger: AgentLedger,
        session: String,
        until: Until,
        failed: impl Fn(String) + Send + 'static,
    ) -> Self {
        let (items, queue) = unbounded_channel();
        tokio::spawn(store(ledger, session, until, queue, failed));
        Self { items }
    }

    /// Never waits. The caller bounds how much one command may send.
    pub fn push(&self, chunk: OutputChunk) {
        let _ = self.items.send(Item::Chunk(chunk));
    }

    /// Waits until everything so far is stored, at most `limit`.
    pub async fn flush(&self, limit: Duration) {
        let (tell, told) = oneshot::channel();
        if self.items.send(Item::Flush(tell)).is_ok() {
            let _ = timeout(limit, told).await;
        }
    }
}

async fn store(
    ledger: AgentLedger,
    session: String,
    until: Until,
    mut queue: UnboundedReceiver<Item>,
    failed: impl Fn(String),
) {
    while let Some(first) = queue.recv().await {
        let mut batch = Vec::new();
        let mut flushed = None;
        let deadline = Instant::now() + GATHER;
        let mut next = Some(first);
        loop {
            match next {
                Some(Item::Chunk(chunk)) => batch.push(chunk),
                Some(Item::Flush(tell)) => {
                    flushed = Some(tell);
                    break;
                }
                None => break,
            }
            next = timeout_at(deadline, queue.recv()).await.ok().flatten();
        }
        if !batch.is_empty() {
            let began = Instant::now();
            let stored = loop {
                if !until.holds() {
                    break Err("the lease is lost".to_string());
                }
                match ledger.append_output(&session, &batch).await {
                    Ok(()) => break Ok(()),
                    Err(e @ LedgerError::Lost { .. }) => break Err(e.to_string()),
                    Err(_) if began.elapsed() < PATIENCE => {
                        sleep(Duration::from_millis(100)).await;
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
        if let Some(tell) = flushed {
            let _ = tell.send(());
        }
    }
}
