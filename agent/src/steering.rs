//! Commands that people leave in the ledger, on their way to the inbox: how an agent is steered by
//! somebody who did not start it.
//!
//! Does not carry them out: to the session they are the same as control lines on stdin.

use crate::control::Stop;
use operator_ledger::{Lease, Ledger, LedgerError, Result, event::Control};
use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    time::Duration,
};
use tokio::sync::mpsc;

/// How often the ledger is looked at. A look at an unchanged file costs microseconds.
const LOOK: Duration = Duration::from_millis(250);

/// The thread that looks; dropping this ends it.
#[derive(Debug)]
pub struct Steering {
    _stop: Sender<()>,
}

impl Steering {
    /// Takes the commands to `session` from now on, as long as `lease` holds.
    pub fn follow(
        ledger: &Path,
        session: String,
        lease: Lease,
        inbox: mpsc::Sender<Control>,
        stop: Stop,
    ) -> Result<Self> {
        let mut ledger = Ledger::open(ledger)?;
        let (keep, stopped) = channel();
        std::thread::Builder::new()
            .name("steering".into())
            .spawn(move || {
                let mut again = false;
                while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    let changed = ledger.changed().unwrap_or(true);
                    if !std::mem::take(&mut again) && !changed {
                        continue;
                    }
                    match ledger.take_commands(&lease, &session) {
                        Ok(commands) => {
                            for command in commands {
                                if command == Control::Shutdown {
                                    stop.ask("asked to shut down");
                                } else {
                                    let _ = inbox.try_send(command);
                                }
                            }
                        }
                        Err(LedgerError::Fenced { .. }) => return,
                        // Locked, or out of order for a while: what waits there stays.
                        Err(_) => again = true,
                    }
                }
            })
            .map_err(|e| LedgerError::Refused(format!("cannot start a thread: {e}")))?;
        Ok(Self { _stop: keep })
    }
}
