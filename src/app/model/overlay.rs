//! What covers the middle of the screen, the topmost last. The header stays in sight.

use crate::{
    app::model::{
        agent::Proposal,
        browser::Browser,
        child::Child,
        detail::{Detail, Text},
    },
    history::output::Output,
    transcript::{Doc, doc::Scrollable, long::Long},
};

#[derive(Debug)]
pub enum Overlay {
    Help(Doc),
    Ticket(TicketView),
    /// Everything one command printed.
    Output(OutputView),
    /// Earlier sessions.
    Sessions(Browser),
    /// One store.
    Store(StoreView),
    /// The children and what became of them.
    Processes,
    /// A command that waits for a person.
    Approval(ApprovalView),
    Confirm(Question),
}

#[derive(Debug)]
pub struct TicketView {
    pub id: i64,
    /// It is being read: what is asked for is asked for once.
    pub asked: bool,
    /// None: not read yet.
    pub detail: Option<Box<Detail>>,
    pub text: Text,
    pub doc: Doc,
}

#[derive(Debug)]
pub struct OutputView {
    pub session: String,
    pub call: String,
    pub asked: bool,
    /// What it was and how it ended. None: not read yet.
    pub output: Option<Result<Box<Output>, String>>,
    pub doc: Doc<Long>,
}

#[derive(Debug)]
pub struct StoreView {
    pub id: u64,
    pub name: String,
    pub asked: bool,
    /// The end of its log, where it is in reach.
    pub log: Option<Result<Doc, String>>,
}

/// One proposal: the answer is to what is shown, whatever else comes meanwhile.
#[derive(Debug)]
pub struct ApprovalView {
    pub proposal: Proposal,
    pub doc: Doc,
}

/// A question that `y` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Quit,
    Interrupt,
    Restart(Child),
    Resolve(i64),
}

impl Overlay {
    /// What is read in it, if that is a text.
    pub fn reader(&mut self) -> Option<&mut dyn Scrollable> {
        match self {
            Self::Help(doc) => Some(doc),
            Self::Ticket(view) => Some(&mut view.doc),
            Self::Output(view) => Some(&mut view.doc),
            Self::Store(view) => match &mut view.log {
                Some(Ok(log)) => Some(log),
                _ => None,
            },
            Self::Approval(view) => Some(&mut view.doc),
            Self::Sessions(_) | Self::Processes | Self::Confirm(_) => None,
        }
    }
}
