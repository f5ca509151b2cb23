//! Looks things up, one after the other, by a thread of its own: in the ledger, and in the logs of
//! a lab. What is asked for is bounded, so an answer is never long in coming.

use crate::{
    app::{
        event::{Event, Found},
        io::ledger_file::LedgerFile,
        model::detail::Detail,
        request::{Read, SESSIONS},
    },
    history::{
        Incident, Page,
        output::Output,
        scene::{Moment, Stretch},
    },
    stage::control::Control,
};
use operator_ledger::{LedgerError, Reader};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};
use tokio::{runtime::Handle, sync::mpsc};

/// Lines of a node's log.
const LOG_LINES: usize = 500;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Archive(Sender<Read>);

impl Archive {
    /// `lab` is the one whose nodes are watched, if any; it is asked on `back`.
    pub fn start(
        ledger: PathBuf,
        lab: Option<Arc<dyn Control>>,
        back: Handle,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (sender, reads) = channel();
        std::thread::Builder::new()
            .name("archive".into())
            .spawn(move || {
                let log = |node: &str| match &lab {
                    Some(lab) => back
                        .block_on(lab.logs(node, LOG_LINES))
                        .map_err(|e| e.to_string()),
                    None => Err("there is no lab here".into()),
                };
                serve(LedgerFile::new(ledger), log, &reads, &events);
            })?;
        Ok(Self(sender))
    }

    pub fn read(&self, read: Read) {
        let _ = self.0.send(read);
    }
}

fn serve(
    mut file: LedgerFile,
    log: impl Fn(&str) -> Result<String, String>,
    reads: &Receiver<Read>,
    events: &mpsc::Sender<Event>,
) {
    // The one that is played back.
    let mut incident: Option<Incident> = None;
    while let Ok(read) = reads.recv() {
        let found = match read {
            Read::Incident(session) => {
                let found = with(file.ledger(), |l| Incident::read(l, &session));
                incident = found.clone().ok();
                Found::Incident(session, found.map(Box::new))
            }
            Read::Moment { session, at } => {
                let of = incident
                    .as_ref()
                    .filter(|i| i.session.session_id == session);
                let found = of.map_or(Err(GONE.into()), |incident| {
                    with(file.ledger(), |l| Moment::read(l, incident, at)).map(Box::new)
                });
                Found::Moment(session, found)
            }
            Read::Stretch { session, from, to } => {
                let of = incident
                    .as_ref()
                    .filter(|i| i.session.session_id == session);
                let found = of.map_or(Err(GONE.into()), |incident| {
                    with(file.ledger(), |l| Stretch::read(l, incident, from, to)).map(Box::new)
                });
                Found::Stretch(session, found)
            }
            Read::Log { node } => Found::Log {
                text: log(&node),
                node,
            },
            read => look_up(read, file.ledger()),
        };
        if events.blocking_send(Event::Found(found)).is_err() {
            return;
        }
    }
}

const GONE: &str = "another session is played back";

fn with<T>(
    ledger: Result<&Reader, LedgerError>,
    work: impl FnOnce(&Reader) -> Result<T, LedgerError>,
) -> Result<T, String> {
    ledger.and_then(work).map_err(|e| e.to_string())
}

fn look_up(read: Read, ledger: Result<&Reader, LedgerError>) -> Found {
    match read {
        Read::Ticket(id) => {
            let ledger = ledger.map_err(|e| e.to_string());
            Found::Ticket(Box::new(detail(id, ledger)))
        }
        Read::Sessions(before) => Found::Sessions(
            before,
            with(ledger, |l| l.session_list(before, SESSIONS).wait()),
        ),
        Read::Session(prefix) => Found::Session(with(ledger, |l| l.find_session(&prefix).wait())),
        Read::Page { session, which } => {
            let page = with(ledger, |l| Page::read(l, &session, &which));
            Found::Page(which, page.map(Box::new))
        }
        Read::Find {
            session,
            needle,
            from,
            forward,
        } => {
            let page = with(ledger, |l| Page::find(l, &session, &needle, from, forward));
            Found::Match {
                session,
                forward,
                page: page.map(|page| page.map(Box::new)),
            }
        }
        Read::Output { session, call } => {
            let output = with(ledger, |l| Output::read(l, &session, &call));
            Found::Output {
                call,
                output: output.map(Box::new),
            }
        }
        Read::Incident(_) | Read::Moment { .. } | Read::Stretch { .. } | Read::Log { .. } => {
            unreachable!("answered before")
        }
    }
}

/// Reads it all; what goes wrong is part of it.
fn detail(id: i64, ledger: Result<&Reader, String>) -> Detail {
    let mut found = Detail {
        id,
        ..Detail::default()
    };
    let filled = ledger.and_then(|ledger| fill(ledger, &mut found).map_err(|e| e.to_string()));
    if let Err(error) = filled {
        found.error = Some(error);
    } else if found.ticket.is_none() {
        found.error = Some(format!("ticket {id} is not in the ledger"));
    }
    found
}

fn fill(ledger: &Reader, detail: &mut Detail) -> Result<(), LedgerError> {
    detail.ticket = ledger.ticket(detail.id).wait()?;
    detail.events = ledger.ticket_events(detail.id).wait()?;
    detail.proofs = ledger.verifications(detail.id).wait()?;
    detail.sessions = ledger.sessions_of_ticket(detail.id).wait()?;
    Ok(())
}
