//! Whether a call may run: in `autonomous` always; else only single, simple, read-only commands by
//! themselves, and in `propose` whatever a person approves. The model is never asked.

use super::{Halt, Session};
use crate::{
    control::Decision,
    prompt,
    tools::{
        call::{Call, Request, Tool},
        read_only,
    },
};
use operator_ledger::{
    EntryKind, EntryMeta, NewEntry,
    event::{Kind, Mode},
};

/// Why a call does not run.
pub(super) struct Denied {
    pub why: String,
    /// A person did not decide, but interrupted.
    pub interrupted_by: Option<String>,
}

impl Session<'_> {
    /// `Some`: why it may not.
    pub(super) async fn gate(
        &mut self,
        call: &Call,
        request: &Request<'_>,
    ) -> Result<Option<Denied>, Halt> {
        let mode = self.context.mode;
        let reads = request.tool == Tool::Shell && read_only::is_read_only(request.input);
        if mode == Mode::Autonomous || reads {
            return Ok(None);
        }
        let Decision {
            approved,
            interrupt,
            by,
            why,
        } = if mode == Mode::Observe {
            Decision {
                approved: false,
                interrupt: false,
                by: "mode observe".into(),
                why: "only commands known to change nothing run in this mode".into(),
            }
        } else {
            self.propose(call).await?
        };
        let why = self.context.redactor.apply(&why);
        let word = if approved { "approved" } else { "rejected" };
        let meta = EntryMeta {
            approved: Some(approved),
            by: Some(by.clone()),
            why: Some(why.clone()),
            ..EntryMeta::default()
        };
        self.record(NewEntry {
            call: Some(call.id.clone()),
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Decision, format!("{word} by {by}: {why}"))
        })
        .await?;
        self.emit(Kind::Decision {
            call: call.id.clone(),
            approved,
            by: by.clone(),
            why: why.clone(),
        });
        Ok((!approved).then(|| Denied {
            why: format!("{}{by}: {why}", prompt::REJECTED),
            interrupted_by: interrupt.then_some(by),
        }))
    }

    /// Waits for a person, or for the end of the ticket's time.
    async fn propose(&mut self, call: &Call) -> Result<Decision, Halt> {
        let why = "in this mode a person approves what may change something";
        self.record(NewEntry {
            call: Some(call.id.clone()),
            ..NewEntry::new(EntryKind::Proposal, why)
        })
        .await?;
        self.emit(Kind::Proposal {
            call: call.id.clone(),
            why: why.into(),
        });
        let time_is_up = self.time_is_up().await?;
        tokio::select! {
            why = self.lease_keeper.until_lost() => Err(Halt::Lost(why)),
            why = self.context.stop.until_asked() => Err(Halt::Stopped(why)),
            decision = self.inbox.decision(&call.id) => Ok(decision),
            () = time_is_up => Ok(Decision {
                approved: false,
                interrupt: false,
                by: "the time limit".into(),
                why: "nobody decided before the time for the ticket was up".into(),
            }),
        }
    }
}
