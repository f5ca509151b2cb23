//! What can be shown about a whole ledger: damage, rows and sessions that are missing or were added
//! by somebody else, what its tables hold that does not follow from its chain, objects that are not
//! ours.
//!
//! It cannot show that a program with write access wrote the whole file anew, chain included; only a
//! head that was kept elsewhere shows that.

use crate::{
    ChainReport, Verdict,
    engine::{Engine, Failure, Result},
    ledger_chain::{self, Adoption, Link, NUMBERED, Pruned, Rows},
    schema,
};
use rusqlite::{ErrorCode, params};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

/// Something in a ledger that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The engine's own check says so.
    Damaged {
        detail: String,
    },
    /// A row of the ledger's chain does not fit the one before it.
    ChainBroken {
        row: i64,
    },
    /// The ledger's chain does not begin, or not end, where it did.
    ChainCut,
    SessionMissing {
        session: String,
    },
    SessionAdded {
        session: String,
    },
    /// Its own chain does not end with the head that the ledger's chain has.
    HeadDiffers {
        session: String,
    },
    SessionBroken {
        session: String,
    },
    EventMissing {
        event: i64,
        ticket: i64,
    },
    EventDiffers {
        event: i64,
        ticket: i64,
    },
    EventAdded {
        event: i64,
        ticket: i64,
    },
    /// Its state is not what the last thing that happened to it made of it.
    TicketDiffers {
        ticket: i64,
    },
    /// Said to be proven, and no check of the monitor found it so for long enough.
    Unproven {
        ticket: i64,
    },
    WordMissing {
        command: i64,
    },
    WordDiffers {
        command: i64,
    },
    WordAdded {
        command: i64,
    },
    RowsMissing {
        table: String,
        first: i64,
        last: i64,
    },
    /// Of rows that were there before there was a chain.
    FewerRows {
        table: String,
        had: i64,
        has: i64,
    },
    UnknownObject {
        object: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { detail } => write!(f, "the file is damaged: {detail}"),
            Self::ChainBroken { row } => write!(
                f,
                "the chain of the ledger is broken at row {row}: it, or one before it, was changed"
            ),
            Self::ChainCut => f.write_str("the chain of the ledger lacks its beginning or its end"),
            Self::SessionMissing { session } => write!(f, "session {session} is missing"),
            Self::SessionAdded { session } => {
                write!(f, "session {session} was added: no agent of ours began it")
            }
            Self::HeadDiffers { session } => write!(
                f,
                "session {session} does not end as it did: rows of it were changed, added or removed"
            ),
            Self::SessionBroken { session } => {
                write!(f, "session {session} differs from its own chain")
            }
            Self::EventMissing { event, ticket } => {
                write!(f, "event {event} of ticket #{ticket} is missing")
            }
            Self::EventDiffers { event, ticket } => {
                write!(f, "event {event} of ticket #{ticket} was changed")
            }
            Self::EventAdded { event, ticket } => write!(
                f,
                "event {event} of ticket #{ticket} was added: none of our programs wrote it"
            ),
            Self::TicketDiffers { ticket } => write!(
                f,
                "ticket #{ticket} is not in the state that its last event left it in"
            ),
            Self::Unproven { ticket } => write!(
                f,
                "ticket #{ticket} is said to be proven, and no check of the monitor proved it"
            ),
            Self::WordMissing { command } => {
                write!(f, "what a person told an agent, row {command}, is missing")
            }
            Self::WordDiffers { command } => {
                write!(f, "what a person told an agent, row {command}, was changed")
            }
            Self::WordAdded { command } => write!(
                f,
                "what a person is said to have told an agent, row {command}, was added"
            ),
            Self::RowsMissing { table, first, last } if first == last => {
                write!(f, "row {first} of {table} is missing")
            }
            Self::RowsMissing { table, first, last } => {
                write!(f, "rows {first} to {last} of {table} are missing")
            }
            Self::FewerRows { table, had, has } => write!(
                f,
                "{table} has {has} of the {had} rows that it had before there was a chain"
            ),
            Self::UnknownObject { object } => write!(
                f,
                "the file holds what Operator did not make, or not so: {object}"
            ),
        }
    }
}

/// What was found in a whole ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    pub findings: Vec<Finding>,
    pub sessions: Vec<ChainReport>,
    /// The newest row of the ledger's chain, and its hash.
    pub head: Option<(i64, String)>,
    /// Sessions that were taken away by a prune.
    pub pruned: usize,
    /// What is not ours and was there before there was a chain.
    pub foreign: Vec<String>,
}

/// What the chain says there was and happened.
#[derive(Default)]
struct Told {
    adoption: Adoption,
    /// Sessions, and the head each ended with.
    sessions: BTreeMap<String, Option<String>>,
    /// By the row of each, as it was written.
    events: BTreeMap<i64, Value>,
    verdicts: BTreeMap<i64, Value>,
    words: BTreeMap<i64, Value>,
    pruned: Vec<Pruned>,
}

/// What events leave of a ticket.
#[derive(Clone, Copy)]
struct State<'a> {
    status: &'a str,
    resolution: Resolution<'a>,
}

#[derive(Clone, Copy)]
enum Resolution<'a> {
    Known(Option<&'a str>),
    /// It was resolved before there was a chain.
    NotTold,
}

impl<'a> State<'a> {
    fn after(event: &'a Value, before: Option<Self>) -> Self {
        let status = event["to"].as_str().unwrap_or_default();
        let resolution = match (status, event["resolution"].as_str()) {
            ("resolved", None) => before.map_or(Resolution::NotTold, |b| b.resolution),
            (_, said) => Resolution::Known(said),
        };
        Self { status, resolution }
    }
}

impl Engine {
    pub(crate) fn verify_ledger(&mut self) -> Result<LedgerReport> {
        let found = self.findings();
        match found {
            Err(Failure::Sqlite(e))
                if matches!(
                    e.sqlite_error_code(),
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                ) =>
            {
                Ok(LedgerReport {
                    findings: vec![Finding::Damaged {
                        detail: e.to_string(),
                    }],
                    sessions: Vec::new(),
                    head: None,
                    pruned: 0,
                    foreign: Vec::new(),
                })
            }
            other => other,
        }
    }

    fn findings(&self) -> Result<LedgerReport> {
        let mut findings = self.damage()?;
        let told = self.chain_told(&mut findings)?;
        let mut sessions = Vec::new();
        for session in self.sessions(usize::MAX)? {
            sessions.push(self.verify_session(&session.session_id)?);
        }
        judge_sessions(&told, &sessions, &mut findings);
        self.judge_events(&told, &mut findings)?;
        self.judge_words(&told, &mut findings)?;
        self.judge_tickets(&told, &mut findings)?;
        self.judge_rows(&told, &mut findings)?;
        for object in schema::unknown_objects(&self.conn)? {
            if !told.adoption.objects.contains(&object) {
                findings.push(Finding::UnknownObject { object });
            }
        }
        Ok(LedgerReport {
            findings,
            sessions,
            head: self.chain_head()?,
            pruned: told.pruned.iter().map(|p| p.sessions.len()).sum(),
            foreign: told.adoption.objects,
        })
    }

    fn damage(&self) -> Result<Vec<Finding>> {
        let mut check = self.conn.prepare("PRAGMA integrity_check(20)")?;
        let said = check.query_map([], |r| r.get::<_, String>(0))?;
        let mut damage = Vec::new();
        for line in said {
            let detail = line?;
            if detail != "ok" {
                damage.push(Finding::Damaged { detail });
            }
        }
        Ok(damage)
    }

    /// Reads the chain and recomputes it.
    fn chain_told(&self, findings: &mut Vec<Finding>) -> Result<Told> {
        let mut told = Told::default();
        let mut rows = self
            .conn
            .prepare("SELECT id, kind, subject, detail, at, hash FROM ledger_chain ORDER BY id")?;
        let mut rows = rows.query([])?;
        let (mut head, mut last) = (String::new(), 0);
        let mut whole = true;
        while let Some(r) = rows.next()? {
            let id: i64 = r.get(0)?;
            let text = |i: usize| r.get::<_, String>(i);
            let (kind, subject, detail) = (text(1)?, text(2)?, text(3)?);
            let expected = ledger_chain::hash(&head, &kind, &subject, &detail, &text(4)?);
            if whole && (expected != text(5)? || id != last + 1) {
                findings.push(Finding::ChainBroken { row: id });
                whole = false;
            }
            (head, last) = (text(5)?, id);
            told.take(&kind, subject, &detail);
        }
        let written: i64 = self.conn.query_row(
            "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'ledger_chain'",
            [],
            |r| r.get(0),
        )?;
        if last == 0 || written != last {
            findings.push(Finding::ChainCut);
        }
        Ok(told)
    }

    fn judge_events(&self, told: &Told, findings: &mut Vec<Finding>) -> Result<()> {
        let mut rows = self.conn.prepare(
            "SELECT id, ticket_id, json_object('ticket', ticket_id, 'kind', kind, 'from', from_status,
               'to', to_status, 'resolution', resolution, 'by', by, 'why', why, 'at', at)
             FROM ticket_events",
        )?;
        let found: BTreeMap<i64, (i64, String)> = rows
            .query_map([], |r| Ok((r.get(0)?, (r.get(1)?, r.get(2)?))))?
            .collect::<rusqlite::Result<_>>()?;
        for (event, words) in &told.events {
            let ticket = words["ticket"].as_i64().unwrap_or_default();
            match found.get(event) {
                None if told.is_pruned("ticket_events", *event) => {}
                None => findings.push(Finding::EventMissing {
                    event: *event,
                    ticket,
                }),
                Some((_, is)) if serde_json::from_str::<Value>(is).ok().as_ref() == Some(words) => {
                }
                Some(_) => findings.push(Finding::EventDiffers {
                    event: *event,
                    ticket,
                }),
            }
        }
        let before = told.before("ticket_events");
        for (event, (ticket, _)) in found {
            if event > before && !told.events.contains_key(&event) {
                findings.push(Finding::EventAdded { event, ticket });
            }
        }
        Ok(())
    }

    fn judge_words(&self, told: &Told, findings: &mut Vec<Finding>) -> Result<()> {
        let mut rows = self
            .conn
            .prepare("SELECT id, session_id, by, command FROM commands")?;
        let mut found: BTreeMap<i64, Value> = rows
            .query_map([], |r| {
                let text = |i: usize| r.get::<_, String>(i);
                let words =
                    serde_json::json!({ "session": text(1)?, "by": text(2)?, "command": text(3)? });
                Ok((r.get(0)?, words))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (command, words) in &told.words {
            let command = *command;
            match found.remove(&command) {
                None if told.is_pruned("commands", command) => {}
                None => findings.push(Finding::WordMissing { command }),
                Some(is) if is == *words => {}
                Some(_) => findings.push(Finding::WordDiffers { command }),
            }
        }
        let added = found.into_keys().filter(|id| *id > told.before("commands"));
        findings.extend(added.map(|command| Finding::WordAdded { command }));
        Ok(())
    }

    /// A ticket is what its last event made of it, and proven only by a verdict.
    fn judge_tickets(&self, told: &Told, findings: &mut Vec<Finding>) -> Result<()> {
        let mut last: HashMap<i64, State<'_>> = HashMap::new();
        for words in told.events.values() {
            let ticket = words["ticket"].as_i64().unwrap_or_default();
            let before = last.get(&ticket).copied();
            last.insert(ticket, State::after(words, before));
        }
        let mut verdicts = self
            .conn
            .prepare("SELECT id, state FROM verifications WHERE ticket_id = ?1")?;
        let mut rows = self
            .conn
            .prepare("SELECT id, status, resolution FROM tickets ORDER BY id")?;
        let mut rows = rows.query([])?;
        while let Some(r) = rows.next()? {
            let ticket: i64 = r.get(0)?;
            let status: String = r.get(1)?;
            let resolution: Option<String> = r.get(2)?;
            let Some(state) = last.get(&ticket) else {
                if ticket > told.before("tickets") {
                    findings.push(Finding::TicketDiffers { ticket });
                }
                continue;
            };
            let resolution = resolution.as_deref();
            let told_so = match state.resolution {
                Resolution::Known(told) => told == resolution,
                Resolution::NotTold => true,
            };
            if state.status != status || !told_so {
                findings.push(Finding::TicketDiffers { ticket });
            }
            // Proven before there was a chain: nothing says what the monitor saw.
            let before = matches!(state.resolution, Resolution::NotTold);
            if resolution != Some("proven") || before {
                continue;
            }
            let proven = verdicts
                .query_map([ticket], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, String)>>>()?
                .into_iter()
                .any(|(id, state)| state == "proven" && told.proves(id, ticket));
            if !proven {
                findings.push(Finding::Unproven { ticket });
            }
        }
        Ok(())
    }

    fn judge_rows(&self, told: &Told, findings: &mut Vec<Finding>) -> Result<()> {
        for table in NUMBERED {
            let Rows { count, last } = told.adoption.tables.get(table).copied().unwrap_or_default();
            let has: i64 = self.conn.query_row(
                &format!("SELECT count(*) FROM {table} WHERE id <= ?1"),
                [last],
                |r| r.get(0),
            )?;
            let had = count - told.pruned_of(table, last);
            if has < had {
                findings.push(Finding::FewerRows {
                    table: table.to_owned(),
                    had,
                    has,
                });
            }
            let written: i64 = self.conn.query_row(
                &format!(
                    "SELECT max(coalesce((SELECT max(id) FROM {table}), 0), coalesce(
                       (SELECT seq FROM sqlite_sequence WHERE name = ?1), 0))"
                ),
                [table],
                |r| r.get(0),
            )?;
            let mut gaps = self.conn.prepare(&format!(
                "SELECT before + 1, id - 1 FROM (
                   SELECT id, lag(id, 1, ?1) OVER (ORDER BY id) AS before FROM (
                     SELECT id FROM {table} WHERE id > ?1 UNION SELECT ?2 + 1))
                 WHERE id > before + 1"
            ))?;
            let gaps = gaps
                .query_map(params![last, written], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
            for (first, last) in gaps {
                for (first, last) in told.less_pruned(table, first, last) {
                    findings.push(Finding::RowsMissing {
                        table: table.to_owned(),
                        first,
                        last,
                    });
                }
            }
        }
        Ok(())
    }
}

fn judge_sessions(told: &Told, found: &[ChainReport], findings: &mut Vec<Finding>) {
    let reports: HashMap<&str, &ChainReport> =
        found.iter().map(|r| (r.session.as_str(), r)).collect();
    for (session, head) in &told.sessions {
        match reports.get(session.as_str()) {
            None => findings.push(Finding::SessionMissing {
                session: session.clone(),
            }),
            Some(report) => {
                if head.is_some() && report.head() != head.as_deref() {
                    findings.push(Finding::HeadDiffers {
                        session: session.clone(),
                    });
                }
            }
        }
    }
    for report in found {
        let session = report.session.clone();
        if !report.is_sound() {
            findings.push(Finding::SessionBroken {
                session: session.clone(),
            });
        }
        if !told.sessions.contains_key(&session) {
            findings.push(Finding::SessionAdded { session });
        }
    }
}

impl Told {
    fn take(&mut self, kind: &str, subject: String, detail: &str) {
        let Ok(kind) = kind.parse::<Link>() else {
            return;
        };
        let words: Value = serde_json::from_str(detail).unwrap_or_default();
        let row = subject.parse().unwrap_or_default();
        match kind {
            Link::Adoption => {
                self.adoption = serde_json::from_value(words).unwrap_or_default();
                self.sessions.extend(self.adoption.sessions.clone());
            }
            Link::SessionStart => {
                self.sessions.insert(subject, None);
            }
            Link::SessionEnd => {
                let head = words["head"].as_str().filter(|h| !h.is_empty());
                self.sessions.insert(subject, head.map(str::to_owned));
            }
            Link::TicketEvent => {
                self.events.insert(row, words);
            }
            Link::Verdict => {
                self.verdicts.insert(row, words);
            }
            Link::Decision => {
                self.words.insert(row, words);
            }
            Link::Prune => {
                let pruned: Pruned = serde_json::from_value(words).unwrap_or_default();
                for session in pruned.sessions.keys() {
                    self.sessions.remove(session);
                }
                self.pruned.push(pruned);
            }
        }
    }

    /// The last row of a table before there was a chain.
    fn before(&self, table: &str) -> i64 {
        self.adoption.tables.get(table).map_or(0, |rows| rows.last)
    }

    fn ranges<'a>(&'a self, table: &'a str) -> impl Iterator<Item = (i64, i64)> + 'a {
        let of = |pruned: &'a Pruned| pruned.tables.get(table).into_iter().flatten().copied();
        self.pruned.iter().flat_map(of)
    }

    fn is_pruned(&self, table: &str, row: i64) -> bool {
        self.ranges(table).any(|(a, b)| (a..=b).contains(&row))
    }

    /// Pruned rows of a table up to one.
    fn pruned_of(&self, table: &str, upto: i64) -> i64 {
        self.ranges(table)
            .map(|(a, b)| (b.min(upto) - a + 1).max(0))
            .sum()
    }

    /// What is left of a range of missing rows without those that were pruned.
    fn less_pruned(&self, table: &str, first: i64, last: i64) -> Vec<(i64, i64)> {
        let mut left = vec![(first, last)];
        for (a, b) in self.ranges(table) {
            left = left
                .into_iter()
                .flat_map(|(x, y)| [(x, y.min(a - 1)), (x.max(b + 1), y)])
                .filter(|(x, y)| x <= y)
                .collect();
            left.dedup();
        }
        left
    }

    fn proves(&self, verification: i64, ticket: i64) -> bool {
        self.verdicts.get(&verification).is_some_and(|words| {
            let ms = |name: &str| words[name].as_i64();
            words["state"] == "proven"
                && words["ticket"] == ticket
                && ms("held_ms")
                    .zip(ms("hold_ms"))
                    .is_some_and(|(held, hold)| held >= hold)
        })
    }
}

impl ChainReport {
    /// Whether nothing of it differs from its chain.
    pub fn is_sound(&self) -> bool {
        !matches!(
            self.verdict,
            Verdict::Broken { .. } | Verdict::Truncated { .. }
        ) && self.outputs_differ.is_empty()
            && self.session_differs.is_empty()
    }

    fn head(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Intact { head } | Verdict::Unfinished { head } => Some(head),
            Verdict::Truncated { found, .. } => Some(found),
            Verdict::Broken { .. } | Verdict::Uncovered => None,
        }
    }
}
