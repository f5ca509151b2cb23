//! One ticket, one conversation: what the model says and runs, recorded as it happens, until the
//! ticket is proven, escalated or given back.
//!
//! Does not choose tickets ([`crate::work`]) and does not know which model it talks to. Every row
//! that must exist before something happens is durable before it happens.

mod calls;
mod ending;
mod proof;
mod screen;

use crate::{
    control::{Desk, Stop},
    emit::Emitter,
    event::{Kind, Level, Mode, Outcome},
    leash::Leash,
    ledger::{
        Claim, EntryKind, Holder, Ledger, LedgerError, NewEntry, NewSession, SessionWriter, Ticket,
        UsageTotals,
    },
    model::{Block, Conversation, Model, ModelError, Stop as Why, Turn, Usage},
    output_log::OutputLog,
    price::Price,
    prompt::{self, Earlier, Place},
    redact::Redactor,
    summarize,
    tools::{
        environment::{RunFolder, Surroundings, environment},
        shell::Shell,
    },
};
use screen::Screen;
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub use ending::Ended;
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

impl<'a> Session<'a> {
    fn begin(
        setting: &'a Setting,
        claim: Claim,
        model: &str,
        desk: &'a mut Desk,
    ) -> Result<Self, LedgerError> {
        let Claim {
            ticket,
            lease,
            recovered,
        } = claim;
        let leash = Leash::hold(&setting.ledger, lease.clone(), setting.lease)?;
        let mut ledger = Ledger::open(&setting.ledger)?;
        let earlier = earlier_sessions(&ledger, ticket.id)?;
        let siblings = ledger.siblings(&ticket)?;
        let writer = ledger.begin_session(&NewSession {
            lease: &lease,
            model,
            mode: setting.mode,
            cluster_id: ticket.cluster_id.as_deref(),
            holder: &setting.holder,
        })?;
        let environment = environment(
            std::env::vars_os(),
            &setting.folder,
            &setting.around,
            &writer.id,
        );
        let start = std::env::home_dir()
            .filter(|h| h.is_dir())
            .unwrap_or_else(|| "/".into());
        let shell = Shell::new(
            setting.executable.clone(),
            environment,
            start,
            setting.folder.path(),
            setting.redactor.clone(),
        )
        .map_err(|e| LedgerError::Refused(format!("cannot prepare a shell: {e}")))?;
        let (emitter, id) = (setting.emitter.clone(), writer.id.clone());
        let output = OutputLog::start(
            &setting.ledger,
            writer.id.clone(),
            leash.until(),
            move |why| {
                emitter.notice(Some(&id), Level::Warn, why);
            },
        )?;
        let mut session = Self {
            setting,
            ledger,
            writer,
            ticket,
            leash,
            desk,
            shell,
            output,
            conversation: Conversation::new(prompt::system(&setting.place)),
            usage: Usage::default(),
            began: Instant::now(),
        };
        session.emit(Kind::SessionStart {
            ticket: session.ticket.id,
            title: title(&session.ticket),
        });
        if let Some(recovered) = recovered {
            session.notice(
                Level::Warn,
                &format!(
                    "session {recovered} ended without a word; this one goes on from its record"
                ),
            );
        }
        let text = setting
            .redactor
            .apply(&prompt::ticket(&session.ticket, &siblings, &earlier));
        let system = session.conversation.system.clone();
        session.ledger.append(
            &mut session.writer,
            &NewEntry {
                summary: Some("system prompt"),
                ..NewEntry::new(EntryKind::System, &system)
            },
        )?;
        let short = summarize::extract(&session.ticket.message);
        session.ledger.append(
            &mut session.writer,
            &NewEntry {
                summary: Some(&short),
                ..NewEntry::new(EntryKind::Ticket, &text)
            },
        )?;
        session.conversation.say(&text);
        Ok(session)
    }

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
            let Some(turn) = self.turn(model).await? else {
                self.wait_for_words().await?;
                continue;
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

    /// One turn of the model. None: a person interrupted it.
    async fn turn(&mut self, model: &mut dyn Model) -> Result<Option<Turn>, Halt> {
        self.check()?;
        let mut screen = Screen::new(
            self.setting.emitter.clone(),
            self.writer.id.clone(),
            self.setting.redactor.clone(),
        );
        let turn = tokio::select! {
            why = self.leash.until_lost() => Err(Halt::Lost(why)),
            why = self.setting.stop.until_asked() => Err(Halt::Stopped(why)),
            () = self.desk.interrupt() => Ok(None),
            turn = model.turn(&self.conversation, &mut screen) =>
                turn.map(Some).map_err(Halt::Model),
        };
        let retries = screen.close();
        if matches!(turn, Ok(_) | Err(Halt::Model(_))) {
            for retry in retries {
                self.record(&NewEntry::new(EntryKind::Retry, &retry))?;
            }
        }
        turn
    }

    /// Writes what a turn said and cost; returns its text.
    fn record_turn(&mut self, model: &str, turn: &Turn) -> Result<String, Halt> {
        let mut said = String::new();
        for block in &turn.content {
            let (kind, text) = match Block::of(block) {
                Block::Text(text) => {
                    said.push_str(text);
                    (EntryKind::Reasoning, text)
                }
                Block::Thinking(text) => (EntryKind::Thinking, text),
                _ => continue,
            };
            if text.trim().is_empty() {
                continue;
            }
            let text = self.setting.redactor.apply(text);
            let summary = summarize::extract(&text);
            self.record(&NewEntry {
                summary: Some(&summary),
                ..NewEntry::new(kind, &text)
            })?;
        }
        self.usage.add(turn.usage);
        if turn.usage != Usage::default() || turn.request.is_some() {
            let meta = serde_json::json!({
                "model": model,
                "request": turn.request,
                "stop": format!("{:?}", turn.stop),
                "input": turn.usage.input,
                "output": turn.usage.output,
                "cache_read": turn.usage.cache_read,
                "cache_write": turn.usage.cache_write,
            });
            let text = format!("{} in, {} out", turn.usage.input, turn.usage.output);
            self.record(&NewEntry {
                meta: Some(&meta),
                ..NewEntry::new(EntryKind::Usage, &text)
            })?;
        }
        let totals = self.totals();
        self.ledger.session_usage(&self.writer, &totals)?;
        self.emit(Kind::Usage {
            input: self.usage.input,
            output: self.usage.output,
            cache_read: self.usage.cache_read,
            cache_write: self.usage.cache_write,
            cost_usd: totals.cost_usd,
        });
        Ok(said)
    }

    fn totals(&self) -> UsageTotals {
        UsageTotals {
            input: Some(self.usage.input),
            output: Some(self.usage.output),
            cache_read: Some(self.usage.cache_read),
            cache_write: Some(self.usage.cache_write),
            cost_usd: self.setting.price.map(|p| p.of(&self.usage)),
        }
    }

    /// Why no further turn may be paid for.
    fn spent(&self) -> Option<String> {
        match self.setting.price {
            Some(price) => {
                let (cost, cap) = (price.of(&self.usage), self.setting.spend_cap_usd);
                (cost > cap)
                    .then(|| format!("spent {cost:.2} of {cap:.2} US dollars for a session"))
            }
            None => {
                let u = &self.usage;
                let tokens = u.input + u.output + u.cache_read + u.cache_write;
                (tokens > MOST_TOKENS)
                    .then(|| format!("used {tokens} tokens, whose price is not known"))
            }
        }
    }

    /// After an interrupt: the session rests until a person says something.
    async fn wait_for_words(&mut self) -> Result<(), Halt> {
        self.record_notice(
            Level::Warn,
            "interrupted by a person; waiting for a message to go on",
        )?;
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
        let messages = self.desk.take_messages();
        for text in &messages {
            let text = self.setting.redactor.apply(text);
            self.record(&NewEntry::new(EntryKind::Message, &text))?;
            self.notice(Level::Info, &format!("message to the agent: {text}"));
        }
        Ok(messages)
    }

    /// Stops what must not go on.
    fn check(&self) -> Result<(), Halt> {
        if let Some(why) = self.leash.lost() {
            return Err(Halt::Lost(why));
        }
        match self.setting.stop.asked() {
            Some(why) => Err(Halt::Stopped(why)),
            None => Ok(()),
        }
    }

    /// Appends an entry. A ledger that is locked for a while is waited for, as long as the lease
    /// holds.
    fn record(&mut self, entry: &NewEntry<'_>) -> Result<i64, Halt> {
        let mut told = false;
        loop {
            match self.ledger.append(&mut self.writer, entry) {
                Err(LedgerError::Busy)
                    if self.setting.stop.asked().is_none() && self.leash.until().holds() =>
                {
                    if !std::mem::replace(&mut told, true) {
                        self.notice(
                            Level::Warn,
                            "the ledger is locked; nothing runs until it can be written",
                        );
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    fn record_notice(&mut self, level: Level, text: &str) -> Result<(), Halt> {
        self.record(&NewEntry::new(EntryKind::Notice, text))?;
        self.notice(level, text);
        Ok(())
    }

    fn emit(&self, kind: Kind) {
        self.setting.emitter.emit_in(Some(&self.writer.id), kind);
    }

    fn notice(&self, level: Level, text: &str) {
        self.setting
            .emitter
            .notice(Some(&self.writer.id), level, text);
    }
}

/// What a ticket is called on screen.
pub fn title(ticket: &Ticket) -> String {
    match &ticket.store_id {
        Some(store) => format!("{} {store}", ticket.invariant),
        None if ticket.by_hand => summarize::command(&ticket.message),
        None => ticket.invariant.clone(),
    }
}

/// Sessions that worked on the ticket before, with what they ran.
fn earlier_sessions(ledger: &Ledger, ticket: i64) -> Result<Vec<Earlier>, LedgerError> {
    const SESSIONS: usize = 3;
    const ENTRIES: usize = 2000;
    const COMMANDS: usize = 40;
    let sessions = ledger.sessions_of_ticket(ticket)?;
    let skip = sessions.len().saturating_sub(SESSIONS);
    let mut earlier = Vec::new();
    for session in sessions.into_iter().skip(skip) {
        let mut commands: Vec<(Option<String>, String)> = Vec::new();
        for entry in ledger.entries(&session.session_id, 0, ENTRIES)? {
            match entry.entry_type.as_str() {
                "tool_call" => {
                    let params = entry.tool_params.as_ref();
                    let command = params.and_then(|p| p.get("command")?.as_str());
                    let text = command
                        .unwrap_or(&entry.content)
                        .chars()
                        .take(300)
                        .collect();
                    commands.push((entry.call_id, text));
                }
                "tool_result" => {
                    if let Some((_, line)) = commands
                        .iter_mut()
                        .rev()
                        .find(|(call, _)| *call == entry.call_id)
                    {
                        let end = match entry.exit_code {
                            Some(code) => format!("exit {code}"),
                            None => "ended without an exit code".into(),
                        };
                        *line = format!("{line} -> {end}");
                    }
                }
                _ => {}
            }
        }
        let skip = commands.len().saturating_sub(COMMANDS);
        let commands = commands
            .into_iter()
            .skip(skip)
            .map(|(_, c)| {
                if c.contains(" -> ") {
                    c
                } else {
                    format!("{c} -> no result was recorded")
                }
            })
            .collect();
        earlier.push(Earlier { session, commands });
    }
    Ok(earlier)
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
