//! One ticket, one conversation: what the model says and runs, recorded as it happens, until the
//! ticket is proven, escalated or given back.
//!
//! Does not choose tickets ([`crate::work`]) and does not know which model it talks to. Every row
//! that must exist before something happens is durable before it happens.

mod actions;
mod allowance;
mod calls;
mod compaction;
mod dialogue;
mod ending;
mod escalation;
mod finish;
mod gate;
mod gauge;
mod incident;
mod loops;
mod opening;
mod proof;
mod record;
mod run_tool;
mod running;
mod screen;
mod turn;

use crate::{
    budget::Budget,
    cell::Door,
    control::{ControlInbox, Message, Stop},
    emit::Emitter,
    lease_keeper::{LeaseKeeper, Loss},
    model::{Conversation, Model, ModelError, Stop as Why, Turn, catalog::Facts},
    output_log::OutputLog,
    prompt::{self, Place},
    redact::Redactor,
    steering::Steering,
    summaries::Summaries,
    tools::{
        call::{Ids, calls},
        shell::Shell,
        web_fetch::Fetcher,
        web_search::Search,
    },
};
use actions::Actions;
use allowance::Allowed;
use dialogue::Dialogue;
use gauge::Gauge;
use loops::Loops;
use operator_ledger::{
    AgentLedger, Claim, EntryKind, EntryMeta, Holder, LedgerError, NewEntry, SessionWriter,
    Stopwatch, Ticket,
    event::{Kind, Level, Mode, Outcome},
    usage::Usage,
};
use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, Instant},
};

pub use ending::Ended;
pub use opening::title;
pub use proof::FAILURES_ALLOWED;

/// Empty, cut or unfinished turns in a row before the session is escalated.
const MAX_ODD_TURNS: u32 = 5;

/// What all sessions of an agent share.
#[derive(Debug)]
pub struct SessionContext {
    pub ledger: AgentLedger,
    /// Another way to it, behind the work: for what may be late, whatever that has to wait for.
    pub behind: AgentLedger,
    /// Another way to it, on which nothing takes long: for renewals, and for looking what is new.
    pub watch: AgentLedger,
    /// OPERATOR_HOME: the key of the record is there.
    pub home: PathBuf,
    pub emitter: Emitter,
    pub stop: Stop,
    pub redactor: Redactor,
    pub holder: Holder,
    pub place: Place,
    /// The way into the cell, where commands run.
    pub door: Door,
    pub mode: Mode,
    pub lease: Duration,
    pub facts: Facts,
    pub effort: Option<String>,
    /// Tokens of one turn.
    pub max_tokens: u32,
    pub budget: Budget,
    pub fetcher: Fetcher,
    pub search: Option<Search>,
    pub summaries: Option<Summaries>,
}

/// Why a session cannot go on.
#[derive(Debug)]
enum Halt {
    /// The lease is lost: nothing more may be written.
    Lost(Loss),
    /// The agent is to end.
    Stopped(String),
    /// The ledger cannot be written, so nothing may be run.
    Ledger(LedgerError),
    Model(ModelError),
}

impl From<LedgerError> for Halt {
    fn from(e: LedgerError) -> Self {
        match e {
            LedgerError::Fenced { why, by_person, .. } => Self::Lost(Loss { why, by_person }),
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
    /// Claimed, and gone by the word of another system.
    External {
        claim: String,
        detail: String,
    },
    /// Nothing is wrong, by the word of the monitor too: it closes the ticket.
    Released {
        said: String,
        detail: String,
    },
    /// `diagnosis` is what was found, `why` in a few words why a person must go on.
    Escalate {
        diagnosis: String,
        why: String,
        /// Another session would end no better: only a person can go on.
        final_: bool,
    },
}

impl Verdict {
    fn escalate(diagnosis: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Escalate {
            diagnosis: diagnosis.into(),
            why: why.into(),
            final_: false,
        }
    }
}

/// What came of asking the model.
enum TurnOutcome {
    /// And what tries that broke off before it had used.
    Turn(Turn, Usage),
    /// This person interrupted it.
    Interrupted(String),
    /// The conversation does not fit any more, and why.
    TooLong(String),
    /// It broke off, was paid for, and may be asked for again.
    BrokeOff,
    /// The time of the ticket is up.
    OutOfTime,
}

struct Session<'a> {
    context: &'a SessionContext,
    ledger: AgentLedger,
    writer: SessionWriter,
    /// The worst of its incident, with which it began.
    ticket: Ticket,
    incident: i64,
    /// Tickets of the incident that the model knows of.
    known: Vec<i64>,
    lease_keeper: LeaseKeeper,
    inbox: &'a mut ControlInbox,
    shell: Shell,
    output: OutputLog,
    /// Chunks of output so far.
    chunks: u64,
    /// Takes commands from the ledger to the inbox, as long as the session lasts.
    _steering: Steering,
    conversation: Conversation,
    /// What the conversation began with; it stays in it whatever else is dropped.
    opening: String,
    actions: Actions,
    /// Of its calls.
    ids: Ids,
    /// The model's own words, the newest at the end.
    words: VecDeque<String>,
    loops: Loops,
    dialogue: Dialogue,
    /// Turns in a row of which nothing came.
    odd: u32,
    /// Times that the monitor did not bear the model out.
    refuted: u32,
    gauge: Gauge,
    turns: u64,
    usage: Usage,
    /// US dollars of the turns so far; None if the price is not known.
    cost: Option<f64>,
    /// Jobs that were ended, which the model has not heard of yet.
    ended_jobs: Vec<String>,
    /// Turns in a row that broke off.
    broken: u32,
    /// Tokens the next turn may have.
    room: u32,
    began: Instant,
    /// The same, time in which the machine slept included.
    lasts: Stopwatch,
}

/// Works on a claimed ticket to the end.
pub async fn run(
    context: &SessionContext,
    claim: Claim,
    model: &mut dyn Model,
    inbox: &mut ControlInbox,
) -> Result<(Outcome, Ended), LedgerError> {
    let mut session = Session::begin(context, claim, model.name(), inbox).await?;
    let verdict = session.work(model).await;
    session.end_jobs().await;
    session.shell.leave().await;
    Ok(session.end(verdict).await)
}

impl Session<'_> {
    /// Turn after turn, until the ticket is proven or must be given up.
    async fn work(&mut self, model: &mut dyn Model) -> Result<Verdict, Halt> {
        loop {
            // A person may have said something that helps.
            if self.odd > MAX_ODD_TURNS && !self.hear().await? {
                let why = format!("the model gave no usable turn {} times in a row", self.odd);
                return Ok(Verdict::escalate(self.left_to_say(), why));
            }
            let allowance = match self.allow().await? {
                Allowed::Turn(allowance) => allowance,
                Allowed::Close(closing) => return self.close(model, closing).await,
            };
            let limit = self.time_left().await?;
            let (turn, wasted) = match self.turn(model, allowance, limit).await? {
                TurnOutcome::Turn(turn, wasted) => (turn, wasted),
                TurnOutcome::BrokeOff | TurnOutcome::OutOfTime => continue,
                TurnOutcome::Interrupted(by) => {
                    self.wait_for_words(&by).await?;
                    continue;
                }
                TurnOutcome::TooLong(why) => {
                    self.odd += 1;
                    self.compact(&why).await?;
                    continue;
                }
            };
            let said = self
                .record_turn(model.name(), &turn, wasted, allowance)
                .await?;
            let calls = calls(&turn.content, &mut self.ids);
            let mut turn = turn;
            if turn.stop == Why::MaxTokens {
                turn::drop_cut_thinking(&mut turn.content);
            }
            // Blocks go back as they came, but an empty turn would be refused.
            if !turn.content.is_empty() {
                self.conversation.assistant(turn.content);
            }
            self.odd += 1;
            match turn.stop {
                Why::Refusal(why) => {
                    let why = format!("the model declined to go on: {why}");
                    return Ok(Verdict::escalate(self.left_to_say(), why));
                }
                Why::ContextFull => {
                    self.refuse_calls(&calls, prompt::NOT_RUN_CUT).await?;
                    self.compact("the conversation filled the model's context")
                        .await?;
                    continue;
                }
                Why::Pause => continue,
                Why::MaxTokens => {
                    self.refuse_calls(&calls, prompt::NOT_RUN_CUT).await?;
                    self.room = self.room.saturating_mul(2).min(self.context.facts.output);
                    self.tell(prompt::CUT_OFF).await?;
                    continue;
                }
                Why::Other(ref reason) => {
                    let text = format!("the turn ended for a reason that is not known: {reason}");
                    self.record_notice(Level::Warn, &text).await?;
                    self.refuse_calls(&calls, prompt::NOT_RUN_UNKNOWN).await?;
                    self.tell(prompt::UNFINISHED).await?;
                    continue;
                }
                Why::EndTurn | Why::ToolUse => {}
            }
            if !calls.is_empty() {
                if let Some(verdict) = self.run_calls(&said, &calls).await? {
                    return Ok(verdict);
                }
                continue;
            }
            if said.trim().is_empty() {
                self.tell(prompt::NOTHING_SAID).await?;
                continue;
            }
            // What its model did not end may be half of what it wanted to say.
            if turn.stop != Why::EndTurn {
                self.tell(prompt::UNFINISHED).await?;
                continue;
            }
            if let Some(verdict) = self.text_alone(&said).await? {
                return Ok(verdict);
            }
        }
    }

    /// After an interrupt: the session rests until a person says something, or its time is up.
    async fn wait_for_words(&mut self, by: &str) -> Result<(), Halt> {
        let text = format!("interrupted by {by}; waiting for a message to go on");
        let text = self.context.redactor.apply(&text);
        let meta = EntryMeta {
            waits: Some(true),
            ..EntryMeta::default()
        };
        self.record(NewEntry {
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Notice, text.as_str())
        })
        .await?;
        self.emit(Kind::Notice {
            level: Level::Warn,
            text,
            dropped: 0,
            waits: true,
        });
        let time_is_up = self.time_is_up().await?;
        tokio::select! {
            loss = self.lease_keeper.until_lost() => return Err(Halt::Lost(loss)),
            why = self.context.stop.until_asked() => return Err(Halt::Stopped(why)),
            () = self.inbox.message() => {}
            () = time_is_up => return Ok(()),
        }
        self.hear().await?;
        Ok(())
    }

    /// Words of a person that came meanwhile, recorded, as the model is given them.
    async fn take_messages(&mut self) -> Result<Vec<String>, Halt> {
        let mut messages = Vec::new();
        for Message { text, by } in self.inbox.take_messages() {
            let shown = self.context.redactor.apply(&text);
            let meta = EntryMeta {
                by: Some(by.clone()),
                ..EntryMeta::default()
            };
            self.record(NewEntry {
                meta: Some(meta),
                ..NewEntry::new(EntryKind::Message, &shown)
            })
            .await?;
            self.write(|ledger, session| ledger.hear(session, &shown, &text, &by))
                .await?;
            self.notice(Level::Info, &format!("message of {by}: {shown}"));
            messages.push(prompt::from_person(&by, &text));
        }
        Ok(messages)
    }

    /// Words of ours for the model, recorded.
    async fn tell(&mut self, text: &str) -> Result<(), Halt> {
        let meta = EntryMeta {
            by: Some("agent_lab".into()),
            ..EntryMeta::default()
        };
        self.record(NewEntry {
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Message, text)
        })
        .await?;
        self.say(text);
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.gauge.add(text.len());
        self.conversation.say(text);
    }

    /// Stops what must not go on.
    fn check(&self) -> Result<(), Halt> {
        if let Some(loss) = self.lease_keeper.lost() {
            return Err(Halt::Lost(loss));
        }
        self.context
            .stop
            .asked()
            .map_or(Ok(()), |why| Err(Halt::Stopped(why)))
    }

    /// How long the session lasts already, time in which the machine slept included.
    fn lasted(&self) -> Duration {
        self.lasts.elapsed()
    }
}
