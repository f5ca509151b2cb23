//! An earlier session as far as it was read, by pages, never as a whole.

use super::rows::clean_session;
use crate::{
    app::request::Request,
    history::{Page, Which, page::entry_of},
    transcript::{Doc, Line, Needle, Size, doc::Scrollable},
};
use jiff::Timestamp;
use operator_ledger::{SessionRow, SessionStatus};
use std::collections::{BTreeMap, VecDeque};

/// Entries kept; what is further away is read again.
const KEPT: usize = 400;
/// Rows from an end of what is kept at which more is asked for.
pub const NEAR: usize = 40;

#[derive(Debug)]
pub struct Record {
    pub session: String,
    /// None: not read yet.
    pub row: Option<SessionRow>,
    pub doc: Doc,
    /// Entries the lines are of, and when they were made.
    pub entries: VecDeque<(i64, Option<Timestamp>)>,
    /// Entries that begin a call.
    calls: BTreeMap<i64, String>,
    /// First and last entry of the session.
    span: (i64, i64),
    /// A page is on its way.
    pub loading: bool,
    pub error: Option<String>,
    /// What the ledger is searched for.
    pub searching: Option<Needle>,
}

impl Record {
    pub fn new(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            row: None,
            doc: Doc::at_end([], true, Size::default()),
            entries: VecDeque::new(),
            calls: BTreeMap::new(),
            span: (0, 0),
            loading: true,
            error: None,
            searching: None,
        }
    }

    pub fn running(&self) -> bool {
        self.row
            .as_ref()
            .is_some_and(|r| r.status == SessionStatus::Running)
    }

    /// The call the reader is on: the last that began at their line or above.
    pub fn call(&self) -> Option<String> {
        let entry = entry_of(self.doc.current()?.id);
        let at = self.calls.range(..=entry).next_back();
        at.map(|(_, call)| call.clone())
    }

    /// When the line the reader is on was recorded.
    pub fn time(&self) -> Option<Timestamp> {
        let entry = entry_of(self.doc.current()?.id);
        let at = self.entries.iter().rfind(|(id, _)| *id <= entry);
        at.or(self.entries.front())?.1
    }

    /// How far into the session the reader is, 0 to 1.
    pub fn share(&self) -> Option<f64> {
        let entry = entry_of(self.doc.current()?.id).max(self.span.0);
        let (first, last) = self.span;
        (last > first).then(|| (entry - first) as f64 / (last - first) as f64)
    }

    pub fn at_first(&self) -> bool {
        self.entries
            .front()
            .is_none_or(|(id, _)| *id <= self.span.0)
    }

    pub fn at_last(&self) -> bool {
        self.entries.back().is_none_or(|(id, _)| *id >= self.span.1)
    }

    /// Takes a page in. `size` is that of the pane.
    pub fn take(&mut self, which: &Which, page: Page, size: Size) {
        self.loading = false;
        self.span = page.span;
        let mut row = page.session;
        clean_session(&mut row);
        self.row = Some(row);
        let mut lines: VecDeque<Line> = self.doc.raw().clone();
        let near = |ids: &VecDeque<(i64, Option<Timestamp>)>, id: i64, front: bool| {
            let end = if front { ids.front() } else { ids.back() };
            end.is_some_and(|e| e.0 == id)
        };
        match which {
            Which::Before(id) if near(&self.entries, *id, true) => {
                for entry in page.entries.into_iter().rev() {
                    self.entries.push_front(entry);
                }
                for line in page.lines.into_iter().rev() {
                    lines.push_front(line);
                }
                self.entries.truncate(KEPT);
            }
            Which::After(id) if near(&self.entries, *id, false) => {
                self.entries.extend(page.entries);
                lines.extend(page.lines);
                let over = self.entries.len().saturating_sub(KEPT);
                self.entries.drain(..over);
            }
            // One that was asked for before the reader went elsewhere.
            Which::Before(_) | Which::After(_) if !self.entries.is_empty() => return,
            _ => {
                self.calls = page.calls.into_iter().collect();
                self.entries = page.entries.into();
                self.doc = Doc::at_end(page.lines, self.doc.folded(), size);
                match (which, page.at) {
                    (_, Some(line)) => self.doc.go_to(line, size),
                    (Which::First, _) => self.doc.start(size),
                    _ => {}
                }
                return;
            }
        }
        if let (Some((first, _)), Some((last, _))) = (self.entries.front(), self.entries.back()) {
            // The session's first line is of no entry.
            let first = if self.at_first() { 0 } else { *first };
            lines.retain(|l| (first..=*last).contains(&entry_of(l.id)));
        }
        self.calls.extend(page.calls);
        if let (Some((first, _)), Some((last, _))) = (self.entries.front(), self.entries.back()) {
            self.calls.retain(|id, _| (first..=last).contains(&id));
        }
        self.doc.replace(lines, size);
    }

    /// A page in which something was found.
    pub fn take_match(&mut self, page: Page, size: Size) {
        self.searching = None;
        self.entries.clear();
        self.doc.fold(false, size);
        self.take(&Which::Last, page, size);
    }

    pub fn failed(&mut self, why: String) {
        self.loading = false;
        self.searching = None;
        self.error = Some(why);
    }

    /// What to read next, if the reader is near an end of what is here.
    pub fn next_request(&mut self, size: Size) -> Option<Which> {
        if self.loading {
            return None;
        }
        let which = if !self.at_first() && self.doc.near_start(NEAR, size) {
            Which::Before(self.entries.front()?.0)
        } else if !self.at_last() && self.doc.near_end(NEAR, size) {
            Which::After(self.entries.back()?.0)
        } else {
            return None;
        };
        self.loading = true;
        Some(which)
    }

    /// What to ask for, to read there.
    pub fn read(&mut self, which: Which) -> Request {
        self.loading = true;
        Request::Page {
            session: self.session.clone(),
            which,
        }
    }
}
