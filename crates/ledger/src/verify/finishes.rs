//! Whether the ends that sessions said are the ones that the ledger's chain knows.

use super::told::Told;
use crate::{
    Finding,
    engine::{Engine, Result},
    finishes::{digest, finish_from_row},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Engine {
    pub(super) fn judge_finishes(&self, told: &Told, findings: &mut Vec<Finding>) -> Result<()> {
        let mut rows = self.conn.prepare("SELECT * FROM finishes")?;
        let mut found: BTreeMap<i64, Value> = rows
            .query_map([], |r| {
                let row = finish_from_row(r)?;
                let words = json!({
                    "session": row.session_id,
                    "ticket": row.ticket_id,
                    "outcome": row.finish.outcome,
                    "sha256": digest(&row.finish),
                });
                Ok((row.id, words))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (finish, words) in &told.finishes {
            let finish = *finish;
            match found.remove(&finish) {
                None if told.is_pruned("finishes", finish) => {}
                None => findings.push(Finding::FinishMissing { finish }),
                Some(is) if is == *words => {}
                Some(_) => findings.push(Finding::FinishDiffers { finish }),
            }
        }
        let added = found.into_keys().filter(|id| *id > told.before("finishes"));
        findings.extend(added.map(|finish| Finding::FinishAdded { finish }));
        Ok(())
    }
}
