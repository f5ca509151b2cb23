//! Writes down what people decide, one after the other, by a thread of its own: a ledger that is
//! locked for a while keeps nobody from looking on.

use crate::app::{event::Event, request::Write};
use agent_lab::control::person;
use operator_ledger::Ledger;
use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
};
use tokio::sync::mpsc;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Clerk(Sender<Write>);

impl Clerk {
    pub fn start(ledger: PathBuf, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (sender, orders) = channel();
        std::thread::Builder::new()
            .name("clerk".into())
            .spawn(move || serve(&ledger, &orders, &events))?;
        Ok(Self(sender))
    }

    pub fn write(&self, write: Write) {
        let _ = self.0.send(write);
    }
}

fn serve(path: &Path, orders: &Receiver<Write>, events: &mpsc::Sender<Event>) {
    while let Ok(write) = orders.recv() {
        // Opened anew each time: it may have been replaced, and people decide seldom.
        let done = Ledger::open(path)
            .and_then(|mut ledger| carry_out(&mut ledger, &write, &person()))
            .map_err(|e| e.to_string());
        if events.blocking_send(Event::Written(write, done)).is_err() {
            return;
        }
    }
}

/// Returns what to say of it.
fn carry_out(ledger: &mut Ledger, write: &Write, by: &str) -> operator_ledger::Result<String> {
    Ok(match write {
        Write::Command { session, control } => {
            ledger.send_command(session, control, by)?;
            "Left in the ledger; its agent takes it from there.".into()
        }
        Write::Resolve(id) if ledger.resolve_by_person(*id, by)? => {
            format!("#{id} is resolved, by {by}.")
        }
        Write::Resolve(id) => format!("#{id} was resolved already."),
        Write::Hold { ticket, held } => match (ledger.set_held(*ticket, *held, by)?, held) {
            (true, true) => format!("#{ticket} is held: no agent takes it."),
            (true, false) => format!("#{ticket} is open to agents again."),
            (false, true) => format!("#{ticket} was held already."),
            (false, false) => format!("#{ticket} was not held."),
        },
        Write::Reopen(id) if ledger.reopen_by_person(*id, by)? => {
            format!("#{id} is open again, for agents to take.")
        }
        Write::Reopen(id) => format!("#{id} is open already."),
    })
}
