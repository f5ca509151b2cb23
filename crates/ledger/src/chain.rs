//! The hash chain of a session: each entry's hash covers the one before it and the columns of the
//! entry that never change.
//!
//! It finds damage and casual edits. It cannot stop a program of the same user from writing the
//! whole file anew; only another container, or a head that was exported before, shows that.

use crate::{
    EntryMeta, LedgerError, SessionRow,
    engine::{Engine, Result},
};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What a chain covers of one entry.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    pub kind: &'a str,
    pub text: Option<&'a str>,
    pub tool: Option<&'a str>,
    pub params: Option<&'a str>,
    pub call: Option<&'a str>,
    pub exit_code: Option<i64>,
    pub duration_ms: Option<i64>,
    pub timed_out: bool,
    pub omitted_bytes: i64,
    pub meta: Option<&'a str>,
    pub at: &'a str,
    pub effect: Option<&'a str>,
    pub original_hash: Option<&'a str>,
}

impl Link<'_> {
    /// The hash of this entry after `previous`, hex.
    pub(crate) fn hash(&self, previous: &str) -> String {
        let mut fields = vec![
            json!(previous),
            json!(self.kind),
            json!(self.text),
            json!(self.tool),
            json!(self.params),
            json!(self.call),
            json!(self.exit_code),
            json!(self.duration_ms),
            json!(self.timed_out),
            json!(self.omitted_bytes),
            json!(self.meta),
            json!(self.at),
        ];
        // Columns that are younger than chains are: where they say nothing, the hash is that of old.
        let mut younger = vec![self.effect, self.original_hash];
        while younger.last().is_some_and(Option::is_none) {
            younger.pop();
        }
        fields.extend(younger.into_iter().map(|column| json!(column)));
        digest(&Value::from(fields).to_string())
    }
}

/// What the first entry of a session links to.
pub(crate) fn genesis(
    session: &str,
    ticket: Option<i64>,
    started: &str,
    model: Option<&str>,
) -> String {
    digest(&json!([session, ticket, started, model]).to_string())
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// What `audit verify` found in one session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    pub session: String,
    /// Entries that were checked.
    pub entries: u64,
    pub verdict: Verdict,
    /// Columns of the session that do not say what its last entry, which the chain covers, says.
    pub session_differs: Vec<&'static str>,
    /// Rows of results whose stored output is not the one that was hashed when the command ended:
    /// changed since, or never stored whole.
    pub outputs_differ: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Every entry fits, and the last is the one the session ended with.
    Intact { head: String },
    /// Every entry fits, but the session has no end: entries cut off at the tail would not show.
    Unfinished { head: String },
    /// The entry `row` does not fit what comes before it: it, or one before it, was changed,
    /// added or removed.
    Broken { row: i64 },
    /// All entries fit, but the last is not the one the session ended with.
    Truncated { expected: String, found: String },
    /// Written without a chain, by the reference system.
    Uncovered,
}

/// Calls `f` with each entry of a session, in order, until it says stop.
fn for_each_link(
    conn: &Connection,
    session: &str,
    mut f: impl FnMut(i64, &Link<'_>, Option<&str>) -> bool,
) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT id, entry_type, raw_content, tool_name, tool_params, call_id, exit_code, duration_ms,
           timed_out, omitted_bytes, meta, timestamp, hash, effect, original_hash
         FROM agent_log_entries WHERE session_id = ?1 ORDER BY id",
    )?;
    let mut rows = statement.query([session])?;
    while let Some(r) = rows.next()? {
        let text = |i: usize| r.get_ref(i).and_then(|v| Ok(v.as_str_or_null()?));
        let link = Link {
            kind: text(1)?.unwrap_or_default(),
            text: text(2)?,
            tool: text(3)?,
            params: text(4)?,
            call: text(5)?,
            exit_code: r.get(6)?,
            duration_ms: r.get(7)?,
            timed_out: r.get::<_, Option<bool>>(8)?.unwrap_or(false),
            omitted_bytes: r.get::<_, Option<i64>>(9)?.unwrap_or(0),
            meta: text(10)?,
            at: text(11)?.unwrap_or_default(),
            effect: text(13)?,
            original_hash: text(14)?,
        };
        if !f(r.get(0)?, &link, text(12)?) {
            break;
        }
    }
    Ok(())
}

impl Engine {
    pub(crate) fn verify_session(&self, session: &str) -> Result<ChainReport> {
        let row = self
            .session(session)?
            .ok_or_else(|| LedgerError::NoSession(session.into()))?;
        let raw_start: String = self.conn.query_row(
            "SELECT started_at FROM agent_sessions WHERE session_id = ?1",
            [session],
            |r| r.get(0),
        )?;
        let mut head = genesis(session, row.ticket_id, &raw_start, row.model.as_deref());
        let mut entries = 0;
        let mut broken = None;
        // Only the reference names no model.
        let mut covered = row.head_hash.is_some() || row.model.is_some();
        for_each_link(&self.conn, session, |id, link, hash| {
            let Some(hash) = hash else {
                // A row without a hash belongs to no chain; among rows with one it is foreign.
                if covered {
                    broken = Some(id);
                }
                entries += 1;
                return !covered;
            };
            covered = true;
            entries += 1;
            head = link.hash(&head);
            if head != hash {
                broken = Some(id);
            }
            broken.is_none()
        })?;
        let session_differs = self.session_that_differs(&row)?;
        let verdict = match (broken, row.head_hash) {
            (Some(row), _) => Verdict::Broken { row },
            (None, Some(expected)) if expected == head => Verdict::Intact { head },
            (None, Some(expected)) => Verdict::Truncated {
                expected,
                found: head,
            },
            (None, None) if covered || row.model.is_some() => Verdict::Unfinished { head },
            (None, None) => Verdict::Uncovered,
        };
        Ok(ChainReport {
            session: session.to_owned(),
            entries,
            verdict,
            session_differs,
            outputs_differ: self.outputs_that_differ(session)?,
        })
    }

    fn session_that_differs(&self, row: &SessionRow) -> Result<Vec<&'static str>> {
        let end: Option<(Option<String>, Option<String>)> = self
            .conn
            .prepare_cached(
                "SELECT raw_content, meta FROM agent_log_entries
                 WHERE session_id = ?1 AND entry_type = 'end' ORDER BY id DESC LIMIT 1",
            )?
            .query_row([&row.session_id], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let Some((summary, Some(meta))) = end else {
            return Ok(Vec::new());
        };
        let meta = EntryMeta::read(&meta).unwrap_or_default();
        let mut differ = Vec::new();
        if meta
            .outcome
            .is_none_or(|o| o.as_str() != row.status.as_str())
        {
            differ.push("status");
        }
        if summary != row.outcome_summary {
            differ.push("outcome_summary");
        }
        // Not in sessions that are older than this.
        if meta.resolution.is_some_and(|r| r != row.resolution) {
            differ.push("resolution");
        }
        Ok(differ)
    }

    /// The hash of an output, and which chunks it is in, are in the meta data of its result, which
    /// the chain covers.
    fn outputs_that_differ(&self, session: &str) -> Result<Vec<i64>> {
        let mut results = self.conn.prepare_cached(
            "SELECT id, call_id, meta ->> 'output_sha256', meta ->> 'output_from', meta ->> 'output_to'
             FROM agent_log_entries WHERE session_id = ?1 AND entry_type = 'tool_result'
               AND CASE WHEN json_valid(meta) THEN meta ->> 'output_to' END IS NOT NULL
             ORDER BY id",
        )?;
        let mut chunks = self.conn.prepare_cached(
            "SELECT text FROM session_output
             WHERE session_id = ?1 AND call_id = ?2 AND seq >= ?3 AND seq < ?4 ORDER BY seq",
        )?;
        let mut differ = Vec::new();
        let mut rows = results.query([session])?;
        while let Some(r) = rows.next()? {
            let (row, expected): (i64, Option<String>) = (r.get(0)?, r.get(2)?);
            let call: Option<String> = r.get(1)?;
            let (from, to): (Option<i64>, Option<i64>) = (r.get(3)?, r.get(4)?);
            let mut hash = Sha256::new();
            let mut found = chunks.query(params![session, call, from, to])?;
            while let Some(chunk) = found.next()? {
                hash.update(chunk.get_ref(0)?.as_str().unwrap_or_default());
            }
            if expected != Some(hex::encode(hash.finalize())) {
                differ.push(row);
            }
        }
        Ok(differ)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_column_that_came_later_changes_the_hash_only_of_rows_that_have_it() {
        let link = |effect, original_hash| Link {
            kind: "tool_call",
            text: None,
            tool: Some("shell"),
            params: Some("{}"),
            call: Some("c"),
            exit_code: None,
            duration_ms: None,
            timed_out: false,
            omitted_bytes: 0,
            meta: None,
            at: "2026-01-30T10:11:12.345Z",
            effect,
            original_hash,
        };
        // As it was hashed before there was such a column.
        let old = r#"["head","tool_call",null,"shell","{}","c",null,null,false,0,null,"2026-01-30T10:11:12.345Z"]"#;
        assert_eq!(link(None, None).hash("head"), digest(old));
        let with_effect = old.replace(']', r#","reads"]"#);
        assert_eq!(link(Some("reads"), None).hash("head"), digest(&with_effect));
        let words = [None, Some("reads"), Some("changes")];
        let hashes: HashSet<_> = words
            .iter()
            .flat_map(|effect| words.map(|original| link(*effect, original).hash("head")))
            .collect();
        assert_eq!(hashes.len(), 9, "each is another");
    }
}
