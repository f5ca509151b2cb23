//! Looks things up, one after the other, by a thread of its own: in the ledger, and in the logs of
//! a lab. What is asked for is bounded, so an answer is never long in coming.

use super::{
    detail::{self, Detail},
    event::Event,
    ledger_file::LedgerFile,
};
use crate::{
    history::{Page, Which, output::Output},
    lab,
    transcript::Needle,
};
use agent_lab::ledger::{Ledger, LedgerError, ListedSession};
use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
};
use tokio::sync::mpsc;

/// Sessions of a list that are read at a time.
pub const SESSIONS: usize = 200;
/// Lines of a node's log.
const LOG_LINES: usize = 500;

/// What is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    Ticket(i64),
    /// Sessions older than this row; None: the newest.
    Sessions(Option<i64>),
    /// The session an unambiguous beginning of its id names.
    Session(String),
    Page {
        session: String,
        which: Which,
    },
    /// The nearest page after or before an entry that holds this.
    Find {
        session: String,
        needle: Needle,
        from: i64,
        forward: bool,
    },
    Output {
        session: String,
        call: String,
    },
    /// The end of a node's log, where the lab in this folder has one.
    Log {
        lab: PathBuf,
        node: String,
    },
}

/// What was found, or why not.
#[derive(Debug, Clone)]
pub enum Found {
    Ticket(Box<Detail>),
    Sessions(Option<i64>, Result<Vec<ListedSession>, String>),
    Session(Result<String, String>),
    Page(Which, Result<Box<Page>, String>),
    Match {
        session: String,
        forward: bool,
        /// None: there is none.
        page: Result<Option<Box<Page>>, String>,
    },
    Output {
        call: String,
        output: Result<Box<Output>, String>,
    },
    Log {
        node: String,
        text: Result<String, String>,
    },
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Archive(Sender<Read>);

impl Archive {
    pub fn start(ledger: PathBuf, events: mpsc::Sender<Event>) -> std::io::Result<Self> {
        let (sender, reads) = channel();
        std::thread::Builder::new()
            .name("archive".into())
            .spawn(move || serve(LedgerFile::new(ledger), &reads, &events))?;
        Ok(Self(sender))
    }

    pub fn read(&self, read: Read) {
        let _ = self.0.send(read);
    }
}

fn serve(mut file: LedgerFile, reads: &Receiver<Read>, events: &mpsc::Sender<Event>) {
    while let Ok(read) = reads.recv() {
        let found = match read {
            Read::Log { lab, node } => {
                let text = lab::Client::new(&lab).logs(&node, LOG_LINES);
                Found::Log {
                    node,
                    text: text.map_err(|e| e.to_string()),
                }
            }
            read => look_up(read, file.ledger()),
        };
        if events.blocking_send(Event::Found(found)).is_err() {
            return;
        }
    }
}

fn look_up(read: Read, ledger: Result<&Ledger, LedgerError>) -> Found {
    let ledger = ledger.map_err(|e| e.to_string());
    let with = |work: &dyn Fn(&Ledger) -> Result<Page, LedgerError>| {
        let ledger = ledger.clone()?;
        work(ledger).map(Box::new).map_err(|e| e.to_string())
    };
    match read {
        Read::Ticket(id) => Found::Ticket(Box::new(detail::read(id, ledger))),
        Read::Sessions(before) => Found::Sessions(
            before,
            ledger.and_then(|l| l.session_list(before, SESSIONS).map_err(|e| e.to_string())),
        ),
        Read::Session(prefix) => {
            Found::Session(ledger.and_then(|l| l.find_session(&prefix).map_err(|e| e.to_string())))
        }
        Read::Page { session, which } => {
            let page = with(&|ledger| Page::read(ledger, &session, &which));
            Found::Page(which, page)
        }
        Read::Find {
            session,
            needle,
            from,
            forward,
        } => {
            let page = ledger.and_then(|ledger| {
                Page::find(ledger, &session, &needle, from, forward)
                    .map(|page| page.map(Box::new))
                    .map_err(|e| e.to_string())
            });
            Found::Match {
                session,
                forward,
                page,
            }
        }
        Read::Output { session, call } => Found::Output {
            output: ledger.and_then(|ledger| {
                Output::read(ledger, &session, &call)
                    .map(Box::new)
                    .map_err(|e| e.to_string())
            }),
            call,
        },
        // A log is in no ledger.
        Read::Log { node, .. } => Found::Log {
            node,
            text: Ok(String::new()),
        },
    }
}
