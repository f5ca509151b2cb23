//! Looks things up, one after the other, by a thread of its own: in the ledger, and in the logs of
//! a lab. What is asked for is bounded, so an answer is never long in coming.

use crate::{
    app::{
        event::{Event, Response},
        io::ledger_file::LedgerFile,
        model::detail::Detail,
        request::{Request, SESSIONS},
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
pub struct LookupWorker(Sender<Request>);

impl LookupWorker {
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

    pub fn read(&self, read: Request) {
        let _ = self.0.send(read);
    }
}

fn serve(
    mut file: LedgerFile,
    log: impl Fn(&str) -> Result<String, String>,
    reads: &Receiver<Request>,
    events: &mpsc::Sender<Event>,
) {
    // The one that is played back.
    let mut incident: Option<Incident> = None;
    while let Ok(read) = reads.recv() {
        let found = match read {
            Request::Incident(session) => {
                let found = with(file.ledger(), |l| Incident::read(l, &session));
                incident = found.clone().ok();
                Response::Incident(session, found.map(Box::new))
            }
            Request::Moment { session, at } => {
                let of = incident
                    .as_ref()
                    .filter(|i| i.session.session_id == session);
                let found = of.map_or(Err(GONE.into()), |incident| {
                    with(file.ledger(), |l| Moment::read(l, incident, at)).map(Box::new)
                });
                Response::Moment(session, found)
            }
            Request::Stretch { session, from, to } => {
                let of = incident
                    .as_ref()
                    .filter(|i| i.session.session_id == session);
                let found = of.map_or(Err(GONE.into()), |incident| {
                    with(file.ledger(), |l| Stretch::read(l, incident, from, to)).map(Box::new)
                });
                Response::Stretch(session, found)
            }
            Request::Log { node } => Response::Log {
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

fn look_up(read: Request, ledger: Result<&Reader, LedgerError>) -> Response {
    match read {
        Request::Ticket(id) => {
            let ledger = ledger.map_err(|e| e.to_string());
            Response::Ticket(Box::new(detail(id, ledger)))
        }
        Request::Sessions(before) => Response::Sessions(
            before,
            with(ledger, |l| l.session_list(before, SESSIONS).wait()),
        ),
        Request::Session(prefix) => {
            Response::Session(with(ledger, |l| l.find_session(&prefix).wait()))
        }
        Request::Page { session, which } => {
            let page = with(ledger, |l| Page::read(l, &session, &which));
            Response::Page(which, page.map(Box::new))
        }
        Request::Find {
            session,
            needle,
            from,
            forward,
        } => {
            let page = with(ledger, |l| Page::find(l, &session, &needle, from, forward));
            Response::Match {
                session,
                forward,
                page: page.map(|page| page.map(Box::new)),
            }
        }
        Request::Output { session, call } => {
            let output = with(ledger, |l| Output::read(l, &session, &call));
            Response::Output {
                call,
                output: output.map(Box::new),
            }
        }
        Request::Incident(_)
        | Request::Moment { .. }
        | Request::Stretch { .. }
        | Request::Log { .. } => {
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
