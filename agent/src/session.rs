//! One ticket, one conversation: what the model says and runs, recorded as it happens, until the
//! ticket is proven, escalated or given back.
//!
//! Does not choose tickets ([`crate::work`]) and does not know which model it talks to. Every row
//! that must exist before something happens is durable before it happens.

mod calls;
mod ending;
mod opening;
mod proof;
mod record;
mod screen;

use crate::{
    control::{Desk, Stop, Words},
    emit::Emitter,
    event::{Level, Mode, Outcome},
    leash::Leash,
    ledger::{Claim, EntryKind, Holder, Ledger, LedgerError, NewEntry, SessionWriter, Ticket},
    model::{Conversation, Model, ModelError, Stop as Why, Turn, Usage},
    output_log::OutputLog,
    price::Price,
    prompt::{self, Place},
    redact::Redactor,
    steering::Steering,
    tools::{
        environment::{RunFolder, Surroundings},
        shell::Shell,
    },
};
use screen::Screen;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub use ending::Ended;
pub use opening::title;
pub use proof::FAILURES_ALLOWED;

/// Turns a session may take before it is escalated.
const MOST_TURNS: u32 = 120;
/// Empty, cut or unfinished turns in a row before the session is escalated.
const MOST_ODD_TURNS: u32 = 5;
/// Tokens a session may take where nobody knows what they cost.
const MOST_TOKENS: u64 = 3_000_000;

/// What all sessions of an agent share.
#[derive(Debug)]
pub struct Setting {
    pub ledger: PathBuf,
    pub emitter: Emitter,
    pub stop: Stop,
    pub redactor: Redactor,
    pub holder: Holder,
    pub place: Place,
    pub around: Surroundings,
    pub folder: RunFolder,
    /// What a runner is started from.
    pub executable: PathBuf,
    /// Whether what a killed runner leaves is this process's to end.
    pub adopts: bool,
    pub mode: Mode,
    pub lease: Duration,
    /// None: what this model costs is not known.
    pub price: Option<Price>,
    /// US dollars a session may cost. With an unknown price, tokens stand in.
    pub spend_cap_usd: f64,
}

/// Why a session cannot go on.
#[derive(Debug)]
enum Halt {
    /// The lease is lost: nothing more may be written.
    Lost(String),
    /// The agent is to end.
    Stopped(String),
    /// The ledger cannot be written, so nothing may be run.
    Ledger(LedgerError),
    Model(ModelError),
}

impl From<LedgerError> for Halt {
    fn from(e: LedgerError) -> Self {
        match e {
            LedgerError::Fenced { why, .. } => Self::Lost(why),
            e => Self::Ledger(e),
        }
    }
}

/// How the work on a ticket came to its end.
#[derive(Debug)]
enum Verdict {
    Proven {
        claim: String,
        detail: String,
    },
    /// `diagnosis` is what was found, `why` in a few words why a person must go on.
    Escalate {
        diagnosis: String,
        why: String,
    },
}

struct Session<'a> {
    setting: &'a Setting,
    ledger: Ledger,
    writer: SessionWriter,
    ticket: Ticket,
    leash: Leash,
    desk: &'a mut Desk,
    shell: Shell,
    output: OutputLog,
    /// Takes commands from the ledger to the desk, as long as the session lasts.
    _steering: Steering,
    conversation: Conversation,
    usage: Usage,
    began: Instant,
}

/// Works on a claimed ticket to the end.
pub async fn run(
    setting: &Setting,
    claim: Claim,
    model: &mut dyn Model,
    desk: &mut Desk,
) -> Result<(Outcome, Ended), LedgerError> {
    let mut session = Session::begin(setting, claim, model.name(), desk)?;
    let verdict = session.work(model).await;
    session.shell.close().await;
    Ok(session.end(verdict))
}

impl Session<'_> {
    /// Turn after turn, until the ticket is proven or must be given up.
    async fn work(&mut self, model: &mut dyn Model) -> Result<Verdict, Halt> {
        let (mut turns, mut odd, mut failures) = (0, 0, 0);
        loop {
            turns += 1;
            if turns > MOST_TURNS || odd > MOST_ODD_TURNS {
                let why = if odd > MOST_ODD_TURNS {
                    format!("the model gave no usable turn {odd} times in a row")
                } else {
                    format!("{MOST_TURNS} turns did not do it")
                };
                return Ok(Verdict::Escalate {
                    diagnosis: why.clone(),
                    why,
                });
            }
            if let Some(why) = self.spent() {
                return Ok(Verdict::Escalate {
                    diagnosis: why.clone(),
                    why,
                });
            }
            let turn = match self.turn(model).await? {
                Ok(turn) => turn,
                Err(by) => {
                    self.wait_for_words(&by).await?;
                    continue;
                }
            };
            let said = self.record_turn(model.name(), &turn)?;
            let calls = calls::of(&turn.content);
            // Blocks go back as they came, but an empty turn would be refused.
            if !turn.content.is_empty() {
                self.conversation.assistant(turn.content.clone());
            }
            odd += 1;
            match turn.stop {
                Why::Refusal(why) => {
                    let why = format!("the model declined to go on: {why}");
                    return Ok(Verdict::Escalate {
                        diagnosis: why.clone(),
                        why,
                    });
                }
                Why::ContextFull => {
                    let why = "the conversation no longer fits the model".to_string();
                    return Ok(Verdict::Escalate {
                        diagnosis: said,
                        why,
                    });
                }
                Why::Pause => continue,
                Why::MaxTokens => {
                    self.refuse_calls(&calls, prompt::NOT_RUN_CUT)?;
                    self.conversation.say(prompt::CUT_OFF);
                    continue;
                }
                _ => {}
            }
            if !calls.is_empty() {
                odd = 0;
                self.run_calls(&calls).await?;
                continue;
            }
            if said.trim().is_empty() {
                self.conversation.say(prompt::NOTHING_SAID);
                continue;
            }
            let words = self.take_messages()?;
            if !words.is_empty() {
                self.conversation.say(&words.join("\n\n"));
                continue;
            }
            if let Some(found) = said.trim().strip_prefix(prompt::ESCALATE) {
                return Ok(Verdict::Escalate {
                    diagnosis: found.trim().to_string(),
                    why: "the agent hands it to a person".into(),
                });
            }
            match self.prove(&said).await? {
                proof::Proof::Proven(detail) => {
                    return Ok(Verdict::Proven {
                        claim: said,
                        detail,
                    });
                }
                proof::Proof::Failed(detail) if failures < FAILURES_ALLOWED => {
                    failures += 1;
                    odd = 0;
                    let words = prompt::still_violated(&detail);
                    self.record(&NewEntry::new(EntryKind::Message, &words))?;
                    self.conversation.say(&words);
                }
                proof::Proof::Failed(detail) => {
                    return Ok(Verdict::Escalate {
                        diagnosis: format!("{said}\n\nThe monitor: {detail}"),
                        why: format!("claimed {} times, and still violated", failures + 1),
                    });
                }
                proof::Proof::Unverifiable(detail) => {
                    return Ok(Verdict::Escalate {
                        diagnosis: said,
                        why: format!("claimed, could not be verified: {detail}"),
                    });
                }
            }
        }
    }

    /// One turn of the model. `Err`: who interrupted it.
    async fn turn(&mut self, model: &mut dyn Model) -> Result<Result<Turn, String>, Halt> {
        self.check()?;
        let mut screen = Screen::new(
            self.setting.emitter.clone(),
            self.writer.id.clone(),
            self.setting.redactor.clone(),
        );
        let turn = tokio::select! {
            why = self.leash.until_lost() => Err(Halt::Lost(why)),
            why = self.setting.stop.until_asked() => Err(Halt::Stopped(why)),
            by = self.desk.interrupt() => Ok(Err(by)),
            turn = model.turn(&self.conversation, &mut screen) =>
                turn.map(Ok).map_err(Halt::Model),
        };
        let retries = screen.close();
        if matches!(turn, Ok(_) | Err(Halt::Model(_))) {
            for retry in retries {
                self.record(&NewEntry::new(EntryKind::Retry, &retry))?;
            }
        }
        turn
    }

    /// Why no further turn may be paid for.
    fn spent(&self) -> Option<String> {
        let Some(price) = self.setting.price else {
            let u = &self.usage;
            let tokens = u.input + u.output + u.cache_read + u.cache_write;
            return (tokens > MOST_TOKENS)
                .then(|| format!("used {tokens} tokens, whose price is not known"));
        };
        let (cost, cap) = (price.of(&self.usage), self.setting.spend_cap_usd);
        (cost > cap).then(|| format!("spent {cost:.2} of {cap:.2} US dollars for a session"))
    }

    /// After an interrupt: the session rests until a person says something.
    async fn wait_for_words(&mut self, by: &str) -> Result<(), Halt> {
        let text = format!("interrupted by {by}; waiting for a message to go on");
        self.record_notice(Level::Warn, &text)?;
        tokio::select! {
            why = self.leash.until_lost() => return Err(Halt::Lost(why)),
            why = self.setting.stop.until_asked() => return Err(Halt::Stopped(why)),
            () = self.desk.message() => {}
        }
        let words = self.take_messages()?;
        self.conversation.say(&words.join("\n\n"));
        Ok(())
    }

    /// Words of a person that came meanwhile, recorded.
    fn take_messages(&mut self) -> Result<Vec<String>, Halt> {
        let mut messages = Vec::new();
        for Words { text, by } in self.desk.take_messages() {
            let shown = self.setting.redactor.apply(&text);
            let meta = serde_json::json!({ "by": by });
            self.record(&NewEntry {
                meta: Some(&meta),
                ..NewEntry::new(EntryKind::Message, &shown)
            })?;
            self.notice(Level::Info, &format!("message of {by}: {shown}"));
            messages.push(text);
        }
        Ok(messages)
    }

    /// Stops what must not go on.
    fn check(&self) -> Result<(), Halt> {
        if let Some(why) = self.leash.lost() {
            return Err(Halt::Lost(why));
        }
        self.setting
            .stop
            .asked()
            .map_or(Ok(()), |why| Err(Halt::Stopped(why)))
    }
}

/// The word for the end of a session on the wire and in the ledger.
fn outcome_of(verdict: &Result<Verdict, Halt>) -> Outcome {
    match verdict {
        Ok(Verdict::Proven { .. }) => Outcome::Resolved,
        Ok(Verdict::Escalate { .. })
        | Err(Halt::Model(ModelError::Hopeless(_) | ModelError::Refused(_))) => Outcome::Escalated,
        Err(Halt::Stopped(_)) => Outcome::Interrupted,
        Err(Halt::Lost(_) | Halt::Ledger(_) | Halt::Model(_)) => Outcome::Failed,
    }
}
