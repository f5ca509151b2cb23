//! How sessions say that they end: what was found, done and checked, in fields. The agent's word,
//! append-only; it proves nothing, and changes no ticket.

use crate::{
    EntryKind, EntryMeta, NewEntry, SessionWriter, Stored, claim,
    clock::{self, parse_time},
    engine::{Engine, Result},
    entries,
    ledger_chain::{self, Link},
    sessions::note_time,
    stored::words,
};
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// What it is called as a tool, and in the record.
pub const FINISH: &str = "finish";

/// What a session says of its ticket.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FinishOutcome {
    /// It repaired it: the only one that is a claim, and asks for proof.
    Repaired,
    /// There is nothing to repair, and nothing was changed.
    NothingWrong,
    /// A person must go on.
    Escalate,
}

/// How sure it is of the cause.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

words!(FinishOutcome, Confidence);

impl FinishOutcome {
    /// For people: whose word it is shows in it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Repaired => "says it is repaired",
            Self::NothingWrong => "says nothing is wrong",
            Self::Escalate => "hands it to a person",
        }
    }
}

/// The end of a session in its own words. What was not said is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    pub outcome: Stored<FinishOutcome>,
    #[serde(default)]
    pub cause: String,
    /// Ids of the calls that showed it.
    #[serde(default)]
    pub evidence: Vec<String>,
    #[serde(default)]
    pub actions: String,
    #[serde(default)]
    pub checked: String,
    #[serde(default)]
    pub next: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Stored<Confidence>>,
}

impl Finish {
    /// Handed to a person in free words, which say what is known.
    pub fn escalated(words: impl Into<String>) -> Self {
        Self {
            outcome: Stored::Known(FinishOutcome::Escalate),
            cause: words.into(),
            evidence: Vec::new(),
            actions: String::new(),
            checked: String::new(),
            next: String::new(),
            confidence: None,
        }
    }

    /// What it says of the ticket, for people.
    pub fn headline(&self) -> &str {
        match self.outcome.known() {
            Some(known) => known.in_words(),
            None => self.outcome.as_str(),
        }
    }

    /// What it says besides, field by field, under the names that people read.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let confidence = self.confidence.as_ref().map_or("", Stored::as_str);
        let mut fields = vec![
            ("cause", self.cause.clone()),
            ("actions", self.actions.clone()),
            ("checked", self.checked.clone()),
            ("next", self.next.clone()),
            ("confidence", confidence.to_owned()),
            ("evidence", self.evidence.join(", ")),
        ];
        fields.retain(|(_, text)| !text.trim().is_empty());
        fields
    }

    /// What was found, and the rest field by field, as one text.
    pub fn in_words(&self) -> String {
        let rest = self.fields();
        let rest = rest.iter().filter(|(name, _)| *name != "cause");
        let mut lines = vec![self.cause.trim().to_owned()];
        lines.extend(rest.map(|(name, text)| format!("{name}: {}", text.trim())));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    /// All of it as an entry of the session tells it.
    fn told(&self) -> String {
        let fields = self.fields();
        let fields = fields
            .iter()
            .map(|(name, text)| format!("\n{name}: {}", text.trim()));
        format!("{}{}", self.headline(), fields.collect::<String>())
    }
}

/// One row of `finishes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishRow {
    pub id: i64,
    pub session_id: String,
    pub ticket_id: i64,
    /// The call it came by. None: it was said in a text.
    pub call_id: Option<String>,
    #[serde(flatten)]
    pub finish: Finish,
    pub at: Option<Timestamp>,
}

/// The call that a finish came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishCall {
    pub id: String,
    /// What its server calls it.
    pub server_call: String,
}

impl Engine {
    /// Its row, its entry in the session and its link in the ledger's chain, all or none.
    pub(crate) fn finish(
        &mut self,
        session: &SessionWriter,
        finish: &Finish,
        call: Option<&FinishCall>,
    ) -> Result<i64> {
        let id = call.map(|call| call.id.clone());
        let meta = call.map(|call| EntryMeta {
            server_call: Some(call.server_call.clone()),
            ..EntryMeta::default()
        });
        let mut head = session.head();
        let ticket = session.ticket;
        let (row, next) = self.write(|tx| {
            claim::hold(tx, &session.lease)?;
            note_time(tx, session)?;
            let entry = NewEntry {
                tool: Some(FINISH.to_owned()),
                params: Some(json!(finish)),
                call: id.clone(),
                meta,
                ..NewEntry::new(EntryKind::Finish, finish.told())
            };
            let (_, next) = entries::insert(tx, &session.id, &head, &entry)?;
            tx.execute(
                "INSERT INTO finishes (session_id, ticket_id, call_id, outcome, cause, evidence,
                   actions, checked, next, confidence, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![
                    session.id,
                    ticket,
                    id,
                    finish.outcome,
                    finish.cause,
                    json!(finish.evidence).to_string(),
                    finish.actions,
                    finish.checked,
                    finish.next,
                    finish.confidence,
                    clock::stamp()
                ],
            )?;
            let row = tx.last_insert_rowid();
            let words = json!({
                "session": session.id,
                "ticket": ticket,
                "outcome": finish.outcome,
                "sha256": digest(finish),
            });
            ledger_chain::link(tx, Link::Finish, &row.to_string(), &words)?;
            Ok((row, next))
        })?;
        *head = next;
        Ok(row)
    }

    pub(crate) fn finishes(&self, ticket: i64) -> Result<Vec<FinishRow>> {
        let rows = self
            .conn
            .prepare_cached(
                "SELECT f.* FROM finishes f JOIN tickets t ON t.id = f.ticket_id
                 WHERE t.incident_id = (SELECT incident_id FROM tickets WHERE id = ?1)
                 ORDER BY f.id DESC",
            )?
            .query_map([ticket], finish_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    pub(crate) fn finishes_of_session(&self, session: &str) -> Result<Vec<FinishRow>> {
        let rows = self
            .conn
            .prepare_cached("SELECT * FROM finishes WHERE session_id = ?1 ORDER BY id DESC")?
            .query_map([session], finish_from_row)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

pub(crate) fn finish_from_row(r: &Row<'_>) -> rusqlite::Result<FinishRow> {
    let (evidence, at): (String, String) = (r.get("evidence")?, r.get("at")?);
    Ok(FinishRow {
        id: r.get("id")?,
        session_id: r.get("session_id")?,
        ticket_id: r.get("ticket_id")?,
        call_id: r.get("call_id")?,
        finish: Finish {
            outcome: r.get("outcome")?,
            cause: r.get("cause")?,
            evidence: serde_json::from_str(&evidence).unwrap_or_default(),
            actions: r.get("actions")?,
            checked: r.get("checked")?,
            next: r.get("next")?,
            confidence: r.get("confidence")?,
        },
        at: parse_time(&at),
    })
}

/// What the ledger's chain keeps of its words, which are in the session's own.
pub(crate) fn digest(finish: &Finish) -> String {
    hex::encode(Sha256::digest(json!(finish).to_string().as_bytes()))
}
