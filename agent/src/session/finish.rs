//! How the model ends its work: its `finish` is written down, and then judged. Only `repaired` is a
//! claim; `nothing_wrong` ends the work only where the monitor sees nothing wrong either.

use super::{
    Halt, Session, Verdict,
    proof::{FAILURES_ALLOWED, Proof},
};
use crate::{
    prompt,
    tools::{call::Call, finish},
};
use operator_ledger::{FINISH, Finish, FinishCall, FinishOutcome, Reading, Status, event::Kind};
use std::time::{Duration, Instant};

/// How often the ledger is asked what the monitor sees.
const POLL: Duration = Duration::from_millis(200);
/// A monitor that lives and sees neither that all is well nor that it is not for so long cannot say.
const MAX_LOOK: Duration = Duration::from_secs(30);
/// Bytes of free words that are handed over, and of the list of actions.
const MAX_WORDS: usize = 16 * 1024;
const MAX_ACTIONS: usize = 4 * 1024;

/// What came of a finish.
pub(super) enum Judged {
    /// It could not be taken, and why.
    Faulty(String),
    /// The monitor does not bear it out. What was said, and what the monitor sees.
    Refuted {
        said: String,
        detail: String,
    },
    Over(Verdict),
}

/// What the monitor says of a ticket with which nothing is said to be wrong.
enum Look {
    Clear(String),
    Violated(String),
    /// Nobody can say, and why.
    Unknown(String),
}

pub(super) fn is_finish(call: &Call) -> bool {
    call.name == FINISH
}

impl Session<'_> {
    /// Takes a finish at its word as far as that goes.
    pub(super) async fn judge(&mut self, call: &Call) -> Result<Judged, Halt> {
        self.check()?;
        let said = match finish::read(&call.input, |name| self.actions.call(name)) {
            Ok(said) => self.redacted(said),
            Err(why) => return Ok(Judged::Faulty(why)),
        };
        let call = FinishCall {
            id: call.id.clone(),
            server_call: self.context.redactor.apply(&call.shown_server_id()),
        };
        self.write_finish(&said, Some(&call)).await?;
        self.odd = 0;
        Ok(match said.outcome.known() {
            Some(FinishOutcome::Repaired) => self.claim(said).await?,
            Some(FinishOutcome::NothingWrong) => self.nothing_wrong(said).await?,
            Some(FinishOutcome::Escalate) | None => {
                let words = said.in_words();
                Judged::Over(Verdict::escalate(words, "the agent hands it to a person"))
            }
        })
    }

    async fn claim(&mut self, said: Finish) -> Result<Judged, Halt> {
        let words = said.in_words();
        Ok(match self.prove(&words).await? {
            Proof::Proven(detail) => Judged::Over(Verdict::Proven {
                claim: said.cause,
                detail,
            }),
            Proof::External(detail) => Judged::Over(Verdict::External {
                claim: said.cause,
                detail,
            }),
            // What joined meanwhile is no more repaired than what the monitor still sees.
            Proof::Failed(detail) | Proof::Withdrawn(detail) => {
                self.refute(words, detail, "claimed")
            }
            Proof::Unverifiable(detail) => {
                let why = format!("claimed, could not be verified: {detail}");
                Judged::Over(Verdict::escalate(words, why))
            }
        })
    }

    /// It is no claim: there is nothing to prove. But what the monitor still sees is not over, and
    /// what nobody can see is for a person.
    async fn nothing_wrong(&mut self, said: Finish) -> Result<Judged, Halt> {
        let words = said.in_words();
        Ok(match self.look().await? {
            Look::Clear(detail) => Judged::Over(Verdict::Released {
                said: said.cause,
                detail,
            }),
            Look::Violated(detail) => self.refute(words, detail, "said that nothing is wrong"),
            Look::Unknown(why) => {
                let why = format!("found nothing wrong, and the monitor cannot say: {why}");
                Judged::Over(Verdict::escalate(words, why))
            }
        })
    }

    fn refute(&mut self, said: String, detail: String, how: &str) -> Judged {
        self.refuted += 1;
        if self.refuted <= FAILURES_ALLOWED {
            return Judged::Refuted { said, detail };
        }
        let why = format!("{how}, and not borne out; it was told so {FAILURES_ALLOWED} times");
        Judged::Over(Verdict::escalate(
            format!("{said}\n\nThe monitor: {detail}"),
            why,
        ))
    }

    /// What the monitor sees on data that is younger than now.
    async fn look(&mut self) -> Result<Look, Halt> {
        let began = Instant::now();
        let mut last = "it has not looked since".to_owned();
        loop {
            let waited = began.elapsed();
            let mut tickets = self.ledger.tickets_of_incident(self.incident).await?;
            tickets.retain(|t| t.status != Status::Resolved && !t.held && !t.by_hand);
            if tickets.is_empty() {
                let why = "nothing is left of it that it could look at";
                return Ok(Look::Unknown(why.into()));
            }
            let (mut clear, count) = (Vec::new(), tickets.len());
            for ticket in tickets {
                if let Some(seen) = self.ledger.sighting(ticket.id).await?
                    && seen.age < waited
                {
                    match seen.reading {
                        Reading::Clear => clear.push(seen.detail),
                        Reading::Violated => return Ok(Look::Violated(seen.detail)),
                        Reading::Unknown => last = seen.detail,
                    }
                }
            }
            if clear.len() == count {
                return Ok(Look::Clear(clear.join("; ")));
            }
            if let Some(why) = self.monitor_is_silent().await? {
                return Ok(Look::Unknown(why));
            }
            if waited > MAX_LOOK {
                return Ok(Look::Unknown(last));
            }
            tokio::select! {
                loss = self.lease_keeper.until_lost() => return Err(Halt::Lost(loss)),
                why = self.context.stop.until_asked() => return Err(Halt::Stopped(why)),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// What the model is told of a finish that the monitor does not bear out.
    pub(super) fn still_violated(&mut self, detail: &str) -> String {
        let ended = std::mem::take(&mut self.ended_jobs);
        prompt::still_violated(detail, &ended)
    }

    /// The last turn of a budget: it may finish, or say what it knows. What it says is not asked
    /// about again.
    pub(super) async fn close_with(
        &mut self,
        said: &str,
        calls: &[Call],
        why: &str,
    ) -> Result<Verdict, Halt> {
        let (finishes, others): (Vec<&Call>, Vec<&Call>) =
            calls.iter().partition(|call| is_finish(call));
        for call in &others {
            self.refuse(call, prompt::NOT_RUN_CLOSING).await?;
        }
        if let Some(call) = finishes.last() {
            match self.judge(call).await? {
                Judged::Over(Verdict::Escalate {
                    diagnosis,
                    why: how,
                    ..
                }) => return Ok(Verdict::escalate(diagnosis, format!("{why}; {how}"))),
                Judged::Over(verdict) => return Ok(verdict),
                Judged::Refuted { said, detail } => {
                    let diagnosis = format!("{said}\n\nThe monitor: {detail}");
                    return Ok(Verdict::escalate(
                        diagnosis,
                        format!("{why}; still violated"),
                    ));
                }
                Judged::Faulty(fault) => {
                    self.refuse(call, &fault).await?;
                }
            }
        }
        let words = super::escalation::escalation(said);
        match words
            .as_deref()
            .or(Some(said))
            .filter(|w| !w.trim().is_empty())
        {
            // Words beside a call are of what it was about to do.
            Some(words) if others.is_empty() => self.hand_over(words, why).await,
            _ => Ok(Verdict::escalate(self.left_to_say(), why)),
        }
    }

    /// Hands the ticket to a person in the model's own free words.
    pub(super) async fn hand_over(&mut self, words: &str, why: &str) -> Result<Verdict, Halt> {
        let end = words.floor_char_boundary(MAX_WORDS);
        let cut = if end < words.len() { " [...]" } else { "" };
        let said = self.redacted(Finish::escalated(format!("{}{cut}", words[..end].trim())));
        self.write_finish(&said, None).await?;
        Ok(Verdict::escalate(said.in_words(), why))
    }

    /// For a person, where the model did not say what it found: its last words, and what it did.
    pub(super) fn left_to_say(&self) -> String {
        let words = match self.words.back().map(|words| words.trim()) {
            Some(words) => {
                let end = words.floor_char_boundary(MAX_WORDS);
                format!(
                    "it did not say what it found. Its last words: {}",
                    &words[..end]
                )
            }
            None => "it said nothing".to_owned(),
        };
        match self.actions.list(MAX_ACTIONS) {
            list if list.is_empty() => format!("{words}\nIt ran nothing."),
            list => format!("{words}\nWhat it did:\n{}", list.trim_end()),
        }
    }

    fn redacted(&self, mut said: Finish) -> Finish {
        let redactor = &self.context.redactor;
        for text in [
            &mut said.cause,
            &mut said.actions,
            &mut said.checked,
            &mut said.next,
        ] {
            *text = redactor.apply(text);
        }
        said
    }

    /// Durable when it returns; shown after.
    async fn write_finish(&mut self, said: &Finish, call: Option<&FinishCall>) -> Result<(), Halt> {
        self.write(|ledger, session| ledger.finish(session, said, call))
            .await?;
        self.emit(Kind::Finish(said.clone()));
        Ok(())
    }
}
