//! Looks things up in the ledger, one after the other, by a thread of its own. What is asked for is
//! bounded, so an answer is never long in coming. Logs of a lab's nodes, which may be long in coming,
//! are read beside it, by tasks that give up.

use crate::{
    app::{
        event::{Event, Response},
        io::{ended::Ended, ledger_file::LedgerFile},
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
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

/// Lines of a node's log.
const LOG_LINES: usize = 500;

/// A lab answers by then, or its log is not to be had.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that wait. Each view has one under way at most, so this is never reached.
const MAX_WAITING: usize = 256;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct LookupWorker {
    requests: SyncSender<Request>,
    lab: Option<Arc<dyn Control>>,
    background: Handle,
    events: mpsc::Sender<Event>,
    ended: Ended,
}

impl LookupWorker {
    /// Tells it to end.
    pub(super) fn end(self) -> Ended {
        self.ended
    }

    /// `lab` is the one whose nodes are watched, if any; it is asked on `background`.
    pub(super) fn start(
        ledger: PathBuf,
        lab: Option<Arc<dyn Control>>,
        background: Handle,
        events: mpsc::Sender<Event>,
    ) -> std::io::Result<Self> {
        let (requests, waiting) = sync_channel(MAX_WAITING);
        let answers = events.clone();
        let (ends, ended) = Ended::new();
        std::thread::Builder::new()
            .name("lookups".into())
            .spawn(move || {
                serve(LedgerFile::new(ledger), &waiting, &answers);
                drop(ends);
            })?;
        Ok(Self {
            requests,
            lab,
            background,
            events,
            ended,
        })
    }

    pub(super) fn read(&self, request: Request) {
        let _ = self.requests.try_send(request);
    }

    /// The end of the log of a lab's node.
    pub(super) fn read_log(&self, node: String) {
        let (lab, events) = (self.lab.clone(), self.events.clone());
        self.background.spawn(async move {
            let text = match &lab {
                Some(lab) => log_of(lab.as_ref(), &node).await,
                None => Err("there is no lab here".into()),
            };
            let _ = events
                .send(Event::Found(Response::Log { node, text }))
                .await;
        });
    }
}

async fn log_of(lab: &dyn Control, node: &str) -> Result<String, String> {
    match timeout(LOG_TIMEOUT, lab.logs(node, LOG_LINES)).await {
        Ok(log) => log.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer in {} s", LOG_TIMEOUT.as_secs())),
    }
}

fn serve(mut file: LedgerFile, requests: &Receiver<Request>, events: &mpsc::Sender<Event>) {
    // The one that is played back.
    let mut incident: Option<Incident> = None;
    while let Ok(request) = requests.recv() {
        let found = match request {
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
            Request::Ticket(id) => {
                let ledger = file.ledger().map_err(|e| e.to_string());
                Response::Ticket(Box::new(detail(id, ledger)))
            }
            Request::Sessions(before) => Response::Sessions(
                before,
                with(file.ledger(), |l| l.session_list(before, SESSIONS).wait()),
            ),
            Request::Session(prefix) => {
                Response::Session(with(file.ledger(), |l| l.find_session(&prefix).wait()))
            }
            Request::Page { session, which } => {
                let page = with(file.ledger(), |l| Page::read(l, &session, &which));
                Response::Page(which, page.map(Box::new))
            }
            Request::Find {
                session,
                needle,
                from,
                forward,
            } => {
                let page = with(file.ledger(), |l| {
                    Page::find(l, &session, &needle, from, forward)
                });
                Response::Match {
                    session,
                    forward,
                    page: page.map(|page| page.map(Box::new)),
                }
            }
            Request::Output { session, call } => {
                let output = with(file.ledger(), |l| Output::read(l, &session, &call));
                Response::Output {
                    call,
                    output: output.map(Box::new),
                }
            }
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
    detail.finishes = ledger.finishes(detail.id).wait()?;
    Ok(())
}
