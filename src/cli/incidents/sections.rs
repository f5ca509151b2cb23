//! What is told of an incident wherever it is told of on paper: what people held and ordered, what it
//! cost, and what the monitor saw change.

use crate::history::{account::Account, changes::words, impact};
use jiff::Timestamp;
use operator_ledger::{HoldRow, OrderRow, clean::one_line};
use std::io::{Result, Write};

pub fn write(out: &mut impl Write, account: &Account) -> Result<()> {
    let report = &account.report;
    if !report.holds.is_empty() {
        writeln!(out, "\nHeld")?;
        for hold in &report.holds {
            writeln!(out, "  {}", held(hold))?;
        }
    }
    if !report.orders.is_empty() {
        writeln!(out, "\nWhat people told agents")?;
        for order in &report.orders {
            writeln!(out, "  {}", said(order))?;
        }
    }
    writeln!(out, "\nImpact")?;
    match &account.impact {
        Some(impact) => {
            for (name, text) in impact::words::words(impact) {
                writeln!(out, "  {name:<11} {text}")?;
            }
        }
        None => writeln!(out, "  unknown: nothing was sampled then")?,
    }
    if !account.observed_changes.is_empty() {
        writeln!(out, "\nWhat the monitor saw change, whoever changed it")?;
        for change in &account.observed_changes {
            let text = words(change);
            writeln!(out, "  {}  {}", time(Some(change.at)), one_line(&text))?;
        }
    }
    Ok(())
}

fn held(hold: &HoldRow) -> String {
    let why = match hold.why.as_str() {
        "" => String::new(),
        why => format!(": {}", one_line(why)),
    };
    let ended = ended("let go", hold.ended_by.as_deref(), hold.ended_at);
    let (what, by) = (one_line(&hold.words()), one_line(&hold.by));
    format!("{}  {what} by {by}{why}{ended}", time(hold.at))
}

fn said(order: &OrderRow) -> String {
    let back = ended("taken back", order.ended_by.as_deref(), order.ended_at);
    format!(
        "{}  {}  {}: {}{back}",
        order.id,
        time(order.at),
        one_line(&order.by),
        one_line(&order.text)
    )
}

fn ended(how: &str, by: Option<&str>, at: Option<Timestamp>) -> String {
    by.map_or_else(String::new, |by| {
        format!("  ({how} by {} {})", one_line(by), time(at))
    })
}

pub fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |t| format!("{t:.0}"))
}
