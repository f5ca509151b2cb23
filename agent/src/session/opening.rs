//! How a session begins: lease, shell, first entries, and the words the model is given.

use super::{Session, Setting, actions::Actions, gauge::Gauge, loops::Loops};
use crate::{
    control::Desk,
    leash::Leash,
    model::Conversation,
    output_log::OutputLog,
    prompt::{self, Earlier},
    steering::Steering,
    summarize,
    tools::{self, environment::environment, output_file::OutputFiles, shell::Shell},
};
use operator_ledger::{
    BudgetMeta, Claim, EntryKind, EntryMeta, Ledger, LedgerError, Mono, NewEntry, NewSession,
    Ticket,
    event::{Kind, Level},
    usage::Usage,
};
use serde_json::json;
use std::{collections::VecDeque, time::Instant};

impl<'a> Session<'a> {
    pub(super) fn begin(
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
        let mut shell = Shell::new(
            setting.executable.clone(),
            environment,
            start,
            setting.folder.path(),
            setting.redactor.clone(),
        )
        .map_err(|e| LedgerError::Refused(format!("cannot prepare a shell: {e}")))?;
        shell.adopts = setting.adopts;
        let id = writer.id.clone();
        let (emitter, session) = (setting.emitter.clone(), id.clone());
        let output = OutputLog::start(&setting.ledger, id.clone(), leash.until(), move |why| {
            emitter.notice(Some(&session), Level::Warn, why);
        })?;
        let steering = Steering::follow(
            &setting.ledger,
            id.clone(),
            lease.clone(),
            desk.door(),
            setting.stop.clone(),
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
            _steering: steering,
            files: OutputFiles::new(&setting.home, &id),
            chunks: 0,
            conversation: Conversation::new(
                prompt::system(&setting.place),
                tools::definitions(setting.search.is_some()),
            ),
            opening: String::new(),
            actions: Actions::default(),
            words: VecDeque::new(),
            loops: Loops::default(),
            gauge: Gauge::default(),
            turns: 0,
            usage: Usage::default(),
            cost: setting.facts.price.map(|_| 0.0),
            broken: 0,
            room: setting.max_tokens,
            began: Instant::now(),
            began_ms: Mono::now().ms,
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
        let system = session.conversation.system().to_string();
        let meta = EntryMeta {
            tools: Some(json!(session.conversation.tools())),
            max_tokens: Some(setting.max_tokens.into()),
            effort: setting.effort.clone(),
            budget: Some(BudgetMeta {
                turns: setting.budget.turns,
                tokens: setting.budget.tokens,
                usd: setting.budget.usd,
                seconds: setting.budget.wall.as_secs(),
                usd_per_day: setting.budget.usd_per_day,
            }),
            ..EntryMeta::default()
        };
        session.ledger.append(
            &mut session.writer,
            &NewEntry {
                summary: Some("system prompt"),
                meta: Some(&meta),
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
        session.say(&text);
        session.opening = text;
        Ok(session)
    }
}

/// What a ticket is called on screen.
pub fn title(ticket: &Ticket) -> String {
    match ticket.subject_name.as_ref().or(ticket.store_id.as_ref()) {
        Some(name) => format!("{} {name}", ticket.invariant),
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
            match entry.entry_type.known() {
                Some(EntryKind::ToolCall) => {
                    let params = entry.tool_params.as_ref();
                    let command = params.and_then(|p| p.get("command")?.as_str());
                    let text = command
                        .unwrap_or(&entry.content)
                        .chars()
                        .take(300)
                        .collect();
                    commands.push((entry.call_id, text));
                }
                Some(EntryKind::ToolResult) => {
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
