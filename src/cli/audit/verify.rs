//! `audit verify`: recomputes hash chains; says what is damaged, and what it cannot tell.

use crate::cli::{CliResult, out};
use operator_ledger::{ChainReport, Reader, Verdict, clean::one_line};
use std::process::ExitCode;

/// What no check of the file itself can show.
pub(super) const CANNOT: &str = "This finds damage and casual edits of entries, of outputs and of how \
sessions ended. Not covered are short forms, costs, tickets and what happened to them. And it cannot \
show that somebody with write access rewrote the whole file; only a head that was kept elsewhere can.";

pub(super) fn run(session: Option<String>, json: bool, ledger: &Reader) -> CliResult {
    let ids = match session {
        Some(prefix) => vec![ledger.find_session(&prefix).wait()?],
        None => ledger
            .sessions(usize::MAX)
            .wait()?
            .into_iter()
            .map(|s| s.session_id)
            .collect(),
    };
    let mut reports = Vec::new();
    let (mut bad, mut differ) = (0, 0);
    for id in &ids {
        let report = ledger.verify_session(id).wait()?;
        bad += usize::from(is_broken(&report));
        differ +=
            usize::from(!report.outputs_differ.is_empty() || !report.session_differs.is_empty());
        if !json {
            outln!(
                "{}  {} entries  {}",
                one_line(id),
                report.entries,
                in_words(&report)
            )?;
        }
        reports.push(report);
    }
    if json {
        out::json(&reports)?;
    } else {
        outln!(
            "{bad} of {} sessions checked have a broken chain, {differ} something that differs from it.",
            reports.len()
        )?;
        outln!("{CANNOT}")?;
    }
    Ok(if bad + differ == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_broken(report: &ChainReport) -> bool {
    matches!(
        report.verdict,
        Verdict::Broken { .. } | Verdict::Truncated { .. }
    )
}

/// What was found, in one line.
pub(super) fn in_words(report: &ChainReport) -> String {
    let mut text = match &report.verdict {
        Verdict::Intact { head } => format!("intact, head {}", &head[..16.min(head.len())]),
        Verdict::Unfinished { .. } => {
            "fits, but the session has no end: missing last entries would not show".to_owned()
        }
        Verdict::Broken { row } => {
            format!("BROKEN at row {row}: it, or one before it, was changed")
        }
        Verdict::Truncated { .. } => "BROKEN: last entries are missing or were added".to_owned(),
        Verdict::Uncovered => "not covered: recorded without a hash chain".to_owned(),
    };
    if !report.session_differs.is_empty() {
        text.push_str(&format!(
            "; the session's {} is not what its last entry says",
            report.session_differs.join(", ")
        ));
    }
    if let Some(first) = report.outputs_differ.first() {
        text.push_str(&format!(
            "; the stored output of row {first}{} is not what the command printed: it was changed, \
             or never stored whole",
            match report.outputs_differ.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            }
        ));
    }
    text
}
