//! What can be shown about a whole ledger: damage, rows and sessions that are missing or were added
//! by somebody else, what its tables hold that does not follow from its chain, objects that are not
//! ours.
//!
//! It cannot show that a program with write access wrote the whole file anew, chain included; only a
//! head that was kept elsewhere shows that.

mod finishes;
mod told;

use crate::{
    ChainReport, Finding, Verdict,
    engine::{Engine, Failure, Result},
    ledger_chain::{self, NUMBERED, Rows},
    schema,
};
use rusqlite::{ErrorCode, params};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use told::Told;

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

/// Tables whose rows are told in the chain one by one: the number they are told by, and what of them.
const TOLD: [(&str, &str); 5] = [
    (
        "incident_events",
        "id, json_object('incident', incident_id, 'kind', kind, 'ticket', ticket_id,
           'session', session_id, 'by', by, 'why', why, 'at', at)",
    ),
    ("holds", "id, json_object('by', by, 'why', why, 'at', at)"),
    ("hold_ends", "hold_id, json_object('by', by, 'at', at)"),
    (
        "orders",
        "id, json_object('incident', incident_id, 'by', by, 'text', text, 'at', at)",
    ),
    ("order_ends", "order_id, json_object('by', by, 'at', at)"),
];

fn ended(table: &str) -> &str {
    match table {
        "hold_ends" => "holds",
        "order_ends" => "orders",
        other => other,
    }
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
        self.judge_finishes(&told, &mut findings)?;
        for (table, columns) in TOLD {
            self.judge_told(&told, table, columns, &mut findings)?;
        }
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

    /// Rows that each have one of the chain, by the number that is told of them.
    fn judge_told(
        &self,
        told: &Told,
        table: &'static str,
        columns: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let mut rows = self
            .conn
            .prepare(&format!("SELECT {columns} FROM {table}"))?;
        let mut found: BTreeMap<i64, Value> = rows
            .query_map([], |r| {
                let words: String = r.get(1)?;
                Ok((r.get(0)?, serde_json::from_str(&words).unwrap_or_default()))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for ((of, row), words) in &told.rows {
            if *of != table {
                continue;
            }
            let (table, row) = (table.to_owned(), *row);
            match found.remove(&row) {
                // The end of something goes with it, and is told by its number.
                None if told.is_pruned(ended(&table), row) => {}
                None => findings.push(Finding::RowsMissing {
                    table,
                    first: row,
                    last: row,
                }),
                Some(Value::Object(has)) if has.iter().all(|(k, v)| words.get(k) == Some(v)) => {}
                Some(_) => findings.push(Finding::RowDiffers { table, row }),
            }
        }
        let table = table.to_owned();
        findings.extend(found.into_keys().map(|row| Finding::RowAdded {
            table: table.clone(),
            row,
        }));
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
        let mut verdicts = self.conn.prepare(
            "SELECT v.id, CASE WHEN v.state IN ('proven', 'external') THEN d.state ELSE v.state END
                 FROM verdicts d JOIN verifications v ON v.id = d.verification_id
                 WHERE d.ticket_id = ?1
                 UNION SELECT id, state FROM verifications v WHERE ticket_id = ?1
                   AND NOT EXISTS (SELECT 1 FROM verdicts d WHERE d.verification_id = v.id)",
        )?;
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
