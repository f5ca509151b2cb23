//! The webhook of Alertmanager, in every version that it has had, and Grafana's, which is the same
//! but for more fields: read one alert at a time, so that tens of thousands take no more memory than
//! a few.
//!
//! Labels stay as they came: they are what an alert is told by. Lines for people are cleaned here.
//! An alert that cannot be used is set aside and said; the others of its notification are taken.
//! Source of the formats: documentation of `webhook_config`, and of Grafana's webhook notifier.

mod alert;
mod body;

use crate::monitor::config::AlertRules;
use body::Head;
use operator_ledger::AlertNotice;
use std::io::{self, Read, Seek, SeekFrom};

/// Alerts that are handed on at once.
const CHUNK: usize = 500;

/// Reasons that are kept of alerts that were set aside.
const REASONS: usize = 5;

/// What a notification held, besides the alerts that were handed on.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Alerts that its sender left out (`max_alerts`).
    pub left_out: u64,
    /// Alerts that mean nothing by themselves, by settings.
    pub ignored: u64,
    /// Alerts that could not be used.
    pub set_aside: u64,
    /// Why, of the first of them.
    pub why: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError<E> {
    /// It is no notification. Nothing of it was handed on.
    #[error("not a notification: {0}")]
    Malformed(String),
    #[error("the notification cannot be kept: {0}")]
    Storage(io::Error),
    /// Whoever takes the alerts could not.
    #[error(transparent)]
    Taking(E),
}

/// Reads a notification whole before it hands on the first alert of it.
pub(super) fn read<E>(
    mut body: impl Read + Seek,
    rules: &AlertRules,
    mut take: impl FnMut(Vec<AlertNotice>) -> Result<(), E>,
) -> Result<Told, ReadError<E>> {
    let head = Head::read(buffered(&mut body)?).map_err(ReadError::Malformed)?;
    let mut told = Told {
        left_out: head.truncated,
        ..Told::default()
    };
    let mut chunk = Vec::new();
    let mut failed = None;
    let mut number = 0_u64;
    let passed = body::each(buffered(&mut body)?, |value| {
        match alert::notice(value, &head, rules) {
            Ok(notice) if rules.is_ignored(&notice.name) => told.ignored += 1,
            Ok(notice) => chunk.push(notice),
            Err(why) => {
                told.set_aside += 1;
                if told.why.len() < REASONS {
                    told.why.push(format!("alerts[{number}]: {why}"));
                }
            }
        }
        number += 1;
        if chunk.len() < CHUNK {
            return true;
        }
        failed = take(std::mem::take(&mut chunk)).err();
        failed.is_none()
    });
    if let Some(why) = failed {
        return Err(ReadError::Taking(why));
    }
    passed.map_err(ReadError::Malformed)?;
    if !chunk.is_empty() {
        take(chunk).map_err(ReadError::Taking)?;
    }
    Ok(told)
}

/// From its beginning.
fn buffered<E, R: Read + Seek>(body: &mut R) -> Result<io::BufReader<&mut R>, ReadError<E>> {
    body.seek(SeekFrom::Start(0)).map_err(ReadError::Storage)?;
    Ok(io::BufReader::with_capacity(64 << 10, body))
}

#[cfg(test)]
#[path = "alertmanager/tests.rs"]
mod tests;
