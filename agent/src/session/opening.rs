//! How a session begins: lease, shell, first entries, and the words the model is given.

use super::{
    Session, SessionContext, actions::Actions, dialogue::Dialogue, gauge::Gauge, loops::Loops,
};
use crate::{
    control::ControlInbox,
    lease_keeper::LeaseKeeper,
    model::Conversation,
    output_log::OutputLog,
    prompt::{self, Earlier},
    steering::Steering,
    summarize,
    tools::{self, call::Ids, shell::Shell},
};
use operator_ledger::{
    BudgetMeta, Claim, EntryKind, EntryMeta, LedgerError, NewEntry, NewSession, Reader, Stopwatch,
    Ticket,
    event::{Kind, Level},
    spoken,
    usage::Usage,
};
use serde_json::json;
use std::{collections::VecDeque, time::Instant};

impl<'a> Session<'a> {
    pub(super) async fn begin(
        context: &'a SessionContext,
        claim: Claim,
        model: &str,
        inbox: &'a mut ControlInbox,
    ) -> Result<Self, LedgerError> {
        let Claim {
            ticket,
            others,
            lease,
            recovered,
        } = claim;
        let incident = lease.incident;
        let lease_keeper =
            LeaseKeeper::hold(context.watch.clone(), lease.clone(), context.lease).await?;
        let ledger = context.ledger.clone();
        let earlier = earlier_sessions(&ledger, ticket.id).await?;
        let report = ledger.incident_report(incident).await?;
        let report = report.ok_or(LedgerError::NoIncident(incident))?;
        let writer = ledger
            .begin_session(NewSession {
                lease: lease.clone(),
                ticket: ticket.id,
                model: model.to_owned(),
                mode: context.mode,
                cluster_id: ticket.cluster_id.clone(),
                holder: context.holder.clone(),
            })
            .await?;
        let mut shell = Shell::new(context.door.clone(), &writer.id, context.redactor.clone());
        shell.right = Some(lease_keeper.until());
        let id = writer.id.clone();
        let (emitter, session) = (context.emitter.clone(), id.clone());
        let output = OutputLog::start(
            context.behind.clone(),
            id.clone(),
            lease_keeper.until(),
            move |why| {
                emitter.notice(Some(&session), Level::Warn, why);
            },
        );
        let steering = Steering::follow(
            context.watch.clone(),
            id.clone(),
            lease.clone(),
            inbox.door(),
            context.stop.clone(),
            lease_keeper.alarm(),
        );
        let mut session = Self {
            context,
            ledger,
            writer,
            known: std::iter::once(&ticket)
                .chain(&others)
                .map(|t| t.id)
                .collect(),
            ticket,
            incident,
            lease_keeper,
            inbox,
            shell,
            output,
            _steering: steering,
            chunks: 0,
            conversation: Conversation::new(
                prompt::system(&context.place),
                tools::definitions(context.search.is_some()),
            ),
            opening: String::new(),
            actions: Actions::default(),
            ids: Ids::default(),
            words: VecDeque::new(),
            loops: Loops::default(),
            dialogue: Dialogue::default(),
            odd: 0,
            refuted: 0,
            gauge: Gauge::default(),
            turns: 0,
            usage: Usage::default(),
            cost: context.facts.price.map(|_| 0.0),
            ended_jobs: Vec::new(),
            broken: 0,
            room: context.max_tokens,
            began: Instant::now(),
            lasts: Stopwatch::start(),
        };
        session.emit(Kind::SessionStart {
            ticket: session.ticket.id,
            incident: Some(incident),
            title: context.redactor.apply(&title(&session.ticket)),
        });
        if let Some(recovered) = recovered {
            session.notice(
                Level::Warn,
                &format!(
                    "session {recovered} ended without a word; this one goes on from its record"
                ),
            );
        }
        let text =
            context
                .redactor
                .apply(&prompt::ticket(&session.ticket, &others, &report, &earlier));
        let system = session.conversation.system().to_string();
        let meta = EntryMeta {
            tools: Some(json!(session.conversation.tools())),
            max_tokens: Some(context.max_tokens.into()),
            effort: context.effort.clone(),
            budget: Some(BudgetMeta {
                turns: context.budget.turns,
                tokens: context.budget.tokens,
                usd: context.budget.usd,
                seconds: context.budget.wall.as_secs(),
                usd_per_day: context.budget.usd_per_day,
            }),
            ..EntryMeta::default()
        };
        let entry = NewEntry {
            summary: Some("system prompt".into()),
            meta: Some(meta),
            ..NewEntry::new(EntryKind::System, system)
        };
        session.ledger.append(&session.writer, entry).await?;
        let short = summarize::extract(&session.ticket.message);
        let entry = NewEntry {
            summary: Some(short),
            ..NewEntry::new(EntryKind::Ticket, text.as_str())
        };
        session.ledger.append(&session.writer, entry).await?;
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
async fn earlier_sessions(ledger: &Reader, ticket: i64) -> Result<Vec<Earlier>, LedgerError> {
    const SESSIONS: usize = 3;
    const ENTRIES: usize = 2000;
    const COMMANDS: usize = 40;
    let sessions = ledger.sessions_of_ticket(ticket).await?;
    let skip = sessions.len().saturating_sub(SESSIONS);
    let mut earlier = Vec::new();
    for session in sessions.into_iter().skip(skip) {
        let mut commands: Vec<(Option<String>, String)> = Vec::new();
        for entry in ledger.entries(&session.session_id, 0, ENTRIES).await? {
            match entry.entry_type.known() {
                Some(EntryKind::ToolCall) => {
                    let text = spoken(entry.tool(), entry.input());
                    let text = text.chars().take(300).collect();
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
