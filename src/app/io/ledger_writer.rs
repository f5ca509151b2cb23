//! Writes down what people decide, one after the other, by a task of its own: a ledger that is
//! locked for a while keeps nobody from looking on.

use crate::app::{event::Event, request::Write};
use agent_lab::control::person;
use operator_ledger::PersonLedger;
use std::path::{Path, PathBuf};
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

/// The task; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct LedgerWriter(UnboundedSender<Write>);

impl LedgerWriter {
    /// Works on `back`.
    pub(super) fn start(ledger: PathBuf, back: &Handle, events: mpsc::Sender<Event>) -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        back.spawn(serve(ledger, orders, events));
        Self(sender)
    }

    pub(super) fn write(&self, write: Write) {
        let _ = self.0.send(write);
    }
}

async fn serve(path: PathBuf, mut orders: UnboundedReceiver<Write>, events: mpsc::Sender<Event>) {
    while let Some(write) = orders.recv().await {
        let done = carry_out(&path, &write, &person()).await;
        let done = done.map_err(|e| e.to_string());
        if events.send(Event::Written(write, done)).await.is_err() {
            return;
        }
    }
}

/// Returns what to say of it.
async fn carry_out(path: &Path, write: &Write, by: &str) -> operator_ledger::Result<String> {
    // Opened anew each time: it may have been replaced, and people decide seldom.
    let ledger = PersonLedger::open_existing(path).await?;
    Ok(match write {
        Write::Command { session, control } => {
            ledger.send_command(session, control, by).await?;
            "Left in the ledger; its agent takes it from there.".into()
        }
        Write::Resolve(id) if ledger.resolve_by_person(*id, by).await? => {
            format!("#{id} is resolved, by {by}.")
        }
        Write::Resolve(id) => format!("#{id} was resolved already."),
        Write::Hold { ticket, held } => match (ledger.set_held(*ticket, *held, by).await?, held) {
            (true, true) => format!("#{ticket} is held: no agent takes it."),
            (true, false) => format!("#{ticket} is open to agents again."),
            (false, true) => format!("#{ticket} was held already."),
            (false, false) => format!("#{ticket} was not held."),
        },
        Write::Reopen(id) if ledger.reopen_by_person(*id, by).await? => {
            format!("#{id} is open again, for agents to take.")
        }
        Write::Reopen(id) => format!("#{id} is open already."),
    })
}
