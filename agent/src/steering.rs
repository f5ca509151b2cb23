//! Commands that people leave in the ledger, on their way to the inbox: how an agent is steered by
//! somebody who did not start it.
//!
//! Does not carry them out: to the session they are the same as control lines on stdin.

use crate::{
    control::Stop,
    lease_keeper::{Alarm, Loss},
};
use operator_ledger::{AgentLedger, Lease, LedgerError, event::Control};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How often the ledger is looked at. A look at an unchanged file costs microseconds.
const LOOK: Duration = Duration::from_millis(250);

/// The task that looks; dropping this ends it.
#[derive(Debug)]
pub struct Steering {
    _stop: oneshot::Sender<()>,
}

impl Steering {
    /// Takes the commands to `session` from now on, as long as `lease` holds, and rings when it is
    /// taken away. Needs a runtime.
    pub fn follow(
        ledger: AgentLedger,
        session: String,
        lease: Lease,
        inbox: mpsc::Sender<Control>,
        stop: Stop,
        alarm: Alarm,
    ) -> Self {
        let (keep, mut stopped) = oneshot::channel();
        tokio::spawn(async move {
            let mut again = true;
            loop {
                tokio::select! {
                    _ = &mut stopped => return,
                    () = tokio::time::sleep(LOOK) => {}
                }
                let changed = ledger.changed().await.unwrap_or(true);
                if !std::mem::take(&mut again) && !changed {
                    continue;
                }
                let there = ledger.check_lease(&lease).await;
                let taken = match there {
                    Ok(()) => ledger.take_commands(&lease, &session).await,
                    Err(e) => Err(e),
                };
                match taken {
                    Ok(commands) => {
                        for command in commands {
                            if command == Control::Shutdown {
                                stop.ask("asked to shut down");
                            } else {
                                let _ = inbox.try_send(command);
                            }
                        }
                    }
                    Err(LedgerError::Fenced { why, by_person, .. }) => {
                        alarm.ring(Loss { why, by_person });
                        return;
                    }
                    // Locked, or out of order for a while: what waits there stays.
                    Err(_) => again = true,
                }
            }
        });
        Self { _stop: keep }
    }
}
