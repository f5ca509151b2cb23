//! An earlier session in the agent's pane: read from the ledger by pages, never as a whole.

use super::{archive::Read, event::Effect, state::State};
use crate::{
    history::{Page, Which, page::entry_of},
    transcript::{Doc, Line, Needle, Size, doc::Reads},
};
use jiff::Timestamp;
use operator_ledger::SessionRow;
use std::collections::{BTreeMap, VecDeque};

/// Entries kept; what is further away is read again.
const KEPT: usize = 400;
/// Rows from an end of what is kept at which more is asked for.
const NEAR: usize = 40;

#[derive(Debug)]
pub struct Record {
    pub session: String,
    /// None: not read yet.
    pub row: Option<SessionRow>,
    pub doc: Doc,
    /// Entries the lines are of, and when they were made.
    entries: VecDeque<(i64, Option<Timestamp>)>,
    /// Entries that begin a call.
    calls: BTreeMap<i64, String>,
    /// First and last entry of the session.
    span: (i64, i64),
    /// A page is on its way.
    loading: bool,
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
        self.row.as_ref().is_some_and(|r| r.status == "running")
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

    fn at_first(&self) -> bool {
        self.entries
            .front()
            .is_none_or(|(id, _)| *id <= self.span.0)
    }

    fn at_last(&self) -> bool {
        self.entries.back().is_none_or(|(id, _)| *id >= self.span.1)
    }

    /// Takes a page in. `size` is that of the pane.
    pub fn take(&mut self, which: &Which, page: Page, size: Size) {
        self.loading = false;
        self.span = page.span;
        self.row = Some(page.session);
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
    fn wanted(&mut self, size: Size) -> Option<Which> {
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

    fn read(&mut self, which: Which) -> Effect {
        self.loading = true;
        Effect::Read(Read::Page {
            session: self.session.clone(),
            which,
        })
    }
}

/// Opens a session in the agent's pane.
pub fn open(state: &mut State, session: &str, which: Which) -> Vec<Effect> {
    state.overlays.clear();
    state.focus = super::state::Pane::Agent;
    let mut record = Record::new(session);
    let read = record.read(which);
    state.record = Some(record);
    vec![read]
}

/// The reader moved, or the ledger has more: reads on where that is near.
pub fn read_on(state: &mut State) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    match record.wanted(size) {
        Some(which) => vec![record.read(which)],
        None => Vec::new(),
    }
}

/// To the first or the last line of the whole session.
pub fn ends(state: &mut State, first: bool) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    let here = if first {
        record.at_first()
    } else {
        record.at_last()
    };
    match (here, first) {
        (true, true) => record.doc.start(size),
        (true, false) => record.doc.end(size),
        (false, true) => return vec![record.read(Which::First)],
        (false, false) => return vec![record.read(Which::Last)],
    }
    Vec::new()
}

/// The ledger has changed: a session that still runs may have grown.
pub fn grown(state: &mut State) -> Vec<Effect> {
    let size = state.geometry.agent;
    let Some(record) = &mut state.record else {
        return Vec::new();
    };
    let growing = record.running() && record.at_last() && !record.loading;
    let Some((last, _)) = record.entries.back().filter(|_| growing).copied() else {
        return Vec::new();
    };
    if !record.doc.near_end(NEAR, size) {
        return Vec::new();
    }
    vec![record.read(Which::After(last))]
}

/// To the next place in the session that holds what is searched for: here, else in the ledger.
pub fn find(state: &mut State, forward: bool) -> Vec<Effect> {
    let size = state.geometry.agent;
    let (Some(record), Some(needle)) = (&mut state.record, state.needle.clone()) else {
        return Vec::new();
    };
    record.doc.fold(false, size);
    if record.doc.find(&needle, forward, size) {
        return read_on(state);
    }
    let edge = if forward {
        record.entries.back().filter(|_| !record.at_last())
    } else {
        record.entries.front().filter(|_| !record.at_first())
    };
    let Some((from, _)) = edge.copied() else {
        let way = if forward { "below" } else { "above" };
        state.say(format!("No further match {way}."));
        return Vec::new();
    };
    record.searching = Some(needle.clone());
    vec![Effect::Read(Read::Find {
        session: record.session.clone(),
        needle,
        from,
        forward,
    })]
}
