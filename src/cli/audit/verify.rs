//! `audit verify` and `ledger verify`: recompute the chains; say what is damaged, missing or added, and
//! what nobody can tell from the file.

use crate::cli::{CliResult, out};
use operator_ledger::{ChainReport, Reader, Verdict, clean::one_line};
use std::{io, process::ExitCode};

/// What no check of the file itself can show.
pub(in crate::cli) const CANNOT: &str = "This finds damage; rows and sessions that are missing, were changed \
or were added; proofs that no check gave; and tables and triggers that are not Operator's. Not covered are \
short forms, costs, samples, alerts, and what tickets say of themselves. And it cannot show that somebody \
with write access rewrote the whole file, chains included; only a head that was kept elsewhere can.";

/// Findings that are listed; the others are counted.
const LISTED: usize = 40;

/// One session.
pub(super) fn session(prefix: &str, json: bool, ledger: &Reader) -> CliResult {
    let id = ledger.find_session(prefix).wait()?;
    let report = ledger.verify_session(&id).wait()?;
    if json {
        out::json(&report)?;
    } else {
        print(&report)?;
        outln!("{CANNOT}")?;
    }
    Ok(code(report.is_sound()))
}

/// All of it.
pub(in crate::cli) fn all(json: bool, ledger: &Reader) -> CliResult {
    let report = ledger.verify_ledger().wait()?;
    let sound = report.findings.is_empty();
    if json {
        out::json(&report)?;
        return Ok(code(sound));
    }
    for session in &report.sessions {
        print(session)?;
    }
    for finding in report.findings.iter().take(LISTED) {
        outln!("✗ {}", one_line(&finding.to_string()))?;
    }
    if let Some(more) = report.findings.len().checked_sub(LISTED + 1) {
        outln!("✗ and {} more; --json has all", more + 1)?;
    }
    for object in &report.foreign {
        outln!(
            "was in the file before Operator adopted it: {}",
            one_line(object)
        )?;
    }
    if report.pruned > 0 {
        outln!(
            "{} sessions were pruned, and the chain says so.",
            report.pruned
        )?;
    }
    let of = match report.sessions.len() {
        1 => "1 session".to_owned(),
        n => format!("{n} sessions"),
    };
    match report.findings.len() {
        0 => outln!(
            "{of}: nothing is damaged, missing, changed or added, as far as the file itself shows."
        )?,
        1 => outln!("{of}: 1 thing is not as it was written.")?,
        n => outln!("{of}: {n} things are not as they were written.")?,
    }
    if let Some((row, head)) = &report.head {
        outln!("Head of the ledger: row {row}, {head}")?;
    }
    outln!("{CANNOT}")?;
    Ok(code(sound))
}

fn code(sound: bool) -> ExitCode {
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(report: &ChainReport) -> io::Result<()> {
    outln!(
        "{}  {} entries  {}",
        one_line(&report.session),
        report.entries,
        in_words(report)
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
