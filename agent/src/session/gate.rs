//! Whether a call may run: in `autonomous` always; else by itself only a command that is known to read,
//! and in `propose` whatever a person approves. What nobody can tell of is no look-up. The model is
//! never asked.

use super::{Halt, Session};
use crate::{
    control::Decision,
    prompt,
    tools::call::{Call, Request, Tool},
};
use operator_ledger::{
    Effect, EntryKind, EntryMeta, HoldScope, NewEntry, SystemId,
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
        effect: Effect,
    ) -> Result<Option<Denied>, Halt> {
        let mode = self.context.mode;
        // What leaves for the web reads there, and tells others of us.
        if request.tool == Tool::Shell && effect == Effect::Reads {
            return Ok(None);
        }
        let held = self.touches_held(request, effect).await?;
        if mode == Mode::Autonomous && held.is_none() {
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
            let why = held.unwrap_or_else(|| {
                "in this mode a person approves what may change something".to_owned()
            });
            self.propose(call, &why).await?
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

    /// Why a command must not run by itself: a person holds a thing that it names, or may mean where
    /// nobody can tell what it does. On a host this is a rule, and no wall: a command may call a thing
    /// by a name that nobody told us.
    async fn touches_held(
        &self,
        request: &Request<'_>,
        effect: Effect,
    ) -> Result<Option<String>, Halt> {
        if request.tool != Tool::Shell {
            return Ok(None);
        }
        let holds = self.ledger.holds().await?;
        let ours = self.ticket.cluster_id.as_ref();
        let of_ours =
            |system: Option<&SystemId>| system.is_none() || ours.is_none() || system == ours;
        for hold in &holds {
            let HoldScope::Thing { system, thing } = &hold.scope else {
                continue;
            };
            if !of_ours(system.as_ref()) {
                continue;
            }
            let mut names = hold.names.iter().chain([thing]);
            let how = if names.any(|name| names_it(request.input, name)) {
                "names"
            } else if effect == Effect::Unknown {
                "may touch"
            } else {
                continue;
            };
            let why = match hold.why.as_str() {
                "" => String::new(),
                why => format!(" ({why})"),
            };
            let (what, by) = (hold.words(), &hold.by);
            return Ok(Some(format!("it {how} {what}, which {by} holds{why}")));
        }
        Ok(None)
    }

    /// Waits for a person, or for the end of the ticket's time.
    async fn propose(&mut self, call: &Call, why: &str) -> Result<Decision, Halt> {
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
            loss = self.lease_keeper.until_lost() => Err(Halt::Lost(loss)),
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

/// Whether a command has a name in it as a word of its own.
fn names_it(command: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    !name.is_empty()
        && command.match_indices(name).any(|(at, found)| {
            let before = command[..at].chars().next_back();
            let after = command[at + found.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

#[cfg(test)]
mod tests {
    use super::names_it;

    #[test]
    fn a_name_is_found_as_a_word_and_not_within_one() {
        for command in [
            "operator-tui lab start tikv0",
            "docker start x-tikv0",
            "kill tikv0;",
        ] {
            assert!(names_it(command, "tikv0"), "{command}");
        }
        assert!(names_it("curl 127.0.0.1:20160/x", "127.0.0.1:20160"));
        for command in ["lab start tikv01", "lab start mytikv0", "lab ps"] {
            assert!(!names_it(command, "tikv0"), "{command}");
        }
    }
}
