//! `audit list`: sessions, one a line.

use crate::{
    cli::{out, table},
    span,
};
use operator_ledger::Reader;

pub(super) fn run(limit: usize, json: bool, ledger: &Reader) -> color_eyre::Result<()> {
    let sessions = ledger.sessions(limit).wait()?;
    if json {
        out::json(&sessions)?;
        return Ok(());
    }
    if sessions.is_empty() {
        outln!("No sessions.")?;
        return Ok(());
    }
    let rows: Vec<[String; 9]> = sessions
        .iter()
        .map(|s| {
            let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".into());
            [
                s.session_id.clone(),
                s.ticket_id.map_or_else(|| "-".into(), |t| format!("#{t}")),
                s.status.to_string(),
                s.resolution
                    .as_ref()
                    .map_or_else(|| "-".into(), ToString::to_string),
                text(&s.model),
                match (s.started_at, s.ended_at) {
                    (Some(a), Some(b)) => span::exact(span::between(a, b)),
                    _ => "-".into(),
                },
                s.usage.turns.map_or_else(|| "-".into(), |n| n.to_string()),
                s.usage
                    .cost_usd
                    .map_or_else(|| "?".into(), |usd| format!("{usd:.2}")),
                text(&s.outcome_summary),
            ]
        })
        .collect();
    table::print(
        [
            "SESSION", "TICKET", "OUTCOME", "PROOF", "MODEL", "TOOK", "TURNS", "USD", "SUMMARY",
        ],
        &rows,
    )?;
    Ok(())
}
