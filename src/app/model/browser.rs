//! The list of sessions: what agents did before, newest first, read as far as it is looked at.

use super::rows::clean_session;
use crate::{
    app::request::SESSIONS,
    transcript::{Needle, clean::clean_text},
};
use agent_lab::session::title;
use operator_ledger::ListedSession;

#[derive(Debug, Default)]
pub struct Browser {
    pub sessions: Vec<ListedSession>,
    /// Titles of their tickets.
    pub titles: Vec<String>,
    pub selected: usize,
    /// There are no older ones.
    pub end: bool,
    pub loading: bool,
    pub error: Option<String>,
}

impl Browser {
    pub fn take(&mut self, before: Option<i64>, found: Result<Vec<ListedSession>, String>) {
        self.loading = false;
        let found = match found {
            Ok(found) => found,
            Err(why) => {
                self.error = Some(why);
                return;
            }
        };
        self.error = None;
        let at = self.current().map(|s| s.row);
        if before.is_none() {
            // Read anew: the reader stays on the same session.
            self.sessions.clear();
            self.titles.clear();
        } else if before != self.sessions.last().map(|s| s.row) {
            return;
        }
        self.end = found.len() < SESSIONS;
        for mut session in found {
            clean_session(&mut session.session);
            let mut name = session.ticket.as_ref().map_or_else(String::new, title);
            clean_text(&mut name);
            self.titles.push(name);
            self.sessions.push(session);
        }
        if let Some(row) = at
            && let Some(index) = self.sessions.iter().position(|s| s.row == row)
        {
            self.selected = index;
        }
    }

    pub fn current(&self) -> Option<&ListedSession> {
        self.sessions.get(self.selected)
    }

    pub fn step(&mut self, rows: isize) {
        let last = self.sessions.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(rows).min(last);
    }

    /// The first in sight in so many rows.
    pub fn top(&self, rows: u16) -> usize {
        self.selected
            .saturating_sub(usize::from(rows).saturating_sub(1))
    }

    /// Chooses what is in a row of so many.
    pub fn select_row(&mut self, row: usize, rows: u16) {
        let index = self.top(rows) + row;
        if index < self.sessions.len() {
            self.selected = index;
        }
    }

    /// The row before which to read on, if the reader is near the end of what is here.
    pub fn next_request(&mut self) -> Option<i64> {
        let near = self.selected + SESSIONS / 2 > self.sessions.len();
        let row = self
            .sessions
            .last()
            .filter(|_| near && !self.end && !self.loading)?
            .row;
        self.loading = true;
        Some(row)
    }

    /// To the next session that is found, or the one before. False: there is none here.
    pub fn find(&mut self, needle: &Needle, forward: bool) -> bool {
        let hit = |index: &usize| {
            let session = &self.sessions[*index].session;
            let id = session
                .ticket_id
                .map_or(String::new(), |id| format!("#{id}"));
            let summary = session.outcome_summary.as_deref().unwrap_or_default();
            [
                session.session_id.as_str(),
                session.status.as_str(),
                &id,
                &self.titles[*index],
                summary,
            ]
            .iter()
            .any(|text| needle.is_in(text))
        };
        let found = if forward {
            (self.selected + 1..self.sessions.len()).find(hit)
        } else {
            (0..self.selected.min(self.sessions.len())).rev().find(hit)
        };
        self.selected = found.unwrap_or(self.selected);
        found.is_some()
    }
}
