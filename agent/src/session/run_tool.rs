//! Runs one call that may run, and makes of its end what the model and the record are told.

use super::{Halt, Session, SessionContext, running};
use crate::{
    emit::Emitter,
    output_log::OutputLog,
    prompt,
    tools::{
        call::{Call, Request, Tool},
        collect::{Collected, Collector},
        shell::{self, Output},
    },
};
use jiff::Timestamp;
use operator_ledger::{
    EntryMeta, OutputChunk, SideCost,
    event::{Kind, Level, Stream},
};
use serde_json::json;
use std::{
    ops::Range,
    time::{Duration, Instant},
};

/// A piece of a page on its way to screen and ledger.
const PIECE: usize = 16 * 1024;

/// A call that ran.
#[derive(Debug, Default)]
pub(super) struct ToolRun {
    /// What the model is told.
    pub text: String,
    pub is_error: bool,
    pub exit_code: Option<i32>,
    pub duration: Duration,
    pub timed_out: bool,
    /// Bytes of its output that are not in the ledger.
    pub unrecorded: u64,
    pub meta: Option<EntryMeta>,
    /// The same for the same result, whatever differs every time.
    pub fingerprint: String,
    pub interrupted_by: Option<String>,
    /// What people should know beside it.
    pub notices: Vec<String>,
}

impl Session<'_> {
    pub(super) async fn run_tool(
        &mut self,
        call: &Call,
        request: &Request<'_>,
    ) -> Result<ToolRun, Halt> {
        match request.tool {
            Tool::Shell => self.shell(call, request).await,
            Tool::WebFetch | Tool::WebSearch => self.web(call, request).await,
        }
    }

    async fn shell(&mut self, call: &Call, request: &Request<'_>) -> Result<ToolRun, Halt> {
        // The time of the ticket leaves some for the closing turn.
        let limit = request
            .limit
            .min(self.time_left().await?.max(Duration::from_secs(1)));
        let from = self.chunks;
        let mut collector = Collector::new();
        let mut interrupted_by = None;
        let outcome = {
            let mut output = Live {
                emitter: &self.context.emitter,
                session: &self.writer.id,
                call: &call.id,
                log: &self.output,
                seq: &mut self.chunks,
            };
            let (lost, stop) = (
                self.lease_keeper.until_lost(),
                self.context.stop.until_asked(),
            );
            let (inbox, who) = (&mut *self.inbox, &mut interrupted_by);
            let end = async {
                tokio::select! {
                    _ = lost => {}
                    _ = stop => {}
                    by = inbox.interrupt() => *who = Some(by),
                }
            };
            let running = self.shell.start(request.input, limit);
            running.wait(&mut collector, &mut output, end).await
        };
        let mut outcome = outcome.unwrap_or_else(|e| shell::Outcome {
            failed: Some(format!("it could not be started: {e}")),
            ..shell::Outcome::default()
        });
        self.note_left(&call.id, &mut outcome.left).await?;
        let collected = collector.finish(outcome.file.clone());
        let meta = EntryMeta {
            signal: outcome.signal.map(i64::from),
            interrupted: Some(outcome.interrupted),
            interrupted_by: interrupted_by.clone(),
            background: Some(json!(outcome.left)),
            ..meta_of(&collected, from..self.chunks)
        };
        let fingerprint = format!(
            "{:?} {:?} {:?} {}",
            outcome.exit_code, outcome.signal, outcome.failed, collected.digest
        );
        Ok(ToolRun {
            // What was printed went through it already, but in pieces: a slow one may have been cut
            // in a secret.
            text: (self.context.redactor).apply(&prompt::result(&outcome, &collected.text)),
            is_error: false,
            exit_code: outcome.exit_code,
            duration: outcome.duration,
            timed_out: outcome.timed_out,
            unrecorded: collected.unrecorded,
            meta: Some(meta),
            fingerprint,
            interrupted_by,
            notices: (outcome.renewed.into_iter())
                .chain(running::notices(&outcome.left))
                .collect(),
        })
    }

    async fn web(&mut self, call: &Call, request: &Request<'_>) -> Result<ToolRun, Halt> {
        let began = Instant::now();
        let context = self.context;
        let mut reservation = None;
        if let (Tool::WebSearch, Some(search)) = (request.tool, &context.search) {
            reservation = match self.set_aside_beside(search.most()).await? {
                Ok(reservation) => reservation,
                Err(why) => return Ok(failed(began, &context.redactor.apply(&why))),
            };
        }
        let mut interrupted_by = None;
        let asked = look(context, request);
        let seen = tokio::select! {
            loss = self.lease_keeper.until_lost() => return Err(Halt::Lost(loss)),
            why = context.stop.until_asked() => return Err(Halt::Stopped(why)),
            by = self.inbox.interrupt() => {
                interrupted_by = Some(by);
                // What it would have cost stays set aside: it may have been spent.
                reservation = None;
                Seen::nothing("interrupted: ended from outside")
            }
            seen = asked => seen,
        };
        if let (Some(reservation), Some(search)) = (reservation, &context.search) {
            let paid = SideCost {
                what: "web_search",
                model: search.model().into(),
                tokens: seen.used.0,
                usd: seen.used.1,
            };
            self.write(|ledger, session| {
                ledger.settle_beside(reservation, &session.id, paid.clone())
            })
            .await?;
        }
        let (head, text) = match seen.text {
            Ok(both) => both,
            Err(why) => {
                return Ok(ToolRun {
                    interrupted_by,
                    ..failed(began, &context.redactor.apply(&why))
                });
            }
        };
        let text = context.redactor.apply(&text);
        let from = self.chunks;
        let mut collector = Collector::new();
        let mut output = Live {
            emitter: &context.emitter,
            session: &self.writer.id,
            call: &call.id,
            log: &self.output,
            seq: &mut self.chunks,
        };
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE));
            let record = collector.push(piece);
            output.text(Stream::Stdout, piece, record);
            rest = more;
        }
        let file = if collector.is_cut() {
            self.shell.keep(&text).await
        } else {
            None
        };
        let collected = collector.finish(file);
        Ok(ToolRun {
            text: prompt::from_the_web(&context.redactor.apply(&head), &collected.text),
            is_error: false,
            exit_code: Some(i32::from(!seen.good)),
            duration: began.elapsed(),
            unrecorded: collected.unrecorded,
            meta: Some(meta_of(&collected, from..self.chunks)),
            fingerprint: format!("{head} {}", collected.digest),
            ..ToolRun::default()
        })
    }
}

/// What was seen on the web.
struct Seen {
    /// What it is, and what it says. The error is for the model.
    text: Result<(String, String), String>,
    /// Whether it is what was asked for.
    good: bool,
    /// Tokens and US dollars.
    used: (u64, f64),
}

impl Seen {
    fn nothing(why: impl Into<String>) -> Self {
        Self {
            text: Err(why.into()),
            good: false,
            used: (0, 0.0),
        }
    }
}

async fn look(context: &SessionContext, request: &Request<'_>) -> Seen {
    match (request.tool, &context.search) {
        (Tool::WebFetch, _) => match context.fetcher.fetch(request.input).await {
            Ok(page) => {
                let cut = if page.cut { ", its beginning" } else { "" };
                let head = format!(
                    "{} answered {}: {}, {} bytes{cut}",
                    page.url,
                    page.answer(),
                    page.kind,
                    page.bytes
                );
                Seen {
                    text: Ok((head, page.text)),
                    good: page.status < 400,
                    used: (0, 0.0),
                }
            }
            Err(why) => Seen::nothing(why),
        },
        (_, Some(search)) => {
            let found = search.search(request.input).await;
            let head = format!("the web was searched for: {}", request.input.trim());
            Seen {
                good: found.text.is_ok(),
                text: found.text.map(|text| (head, text)),
                used: (found.usage.tokens(), found.usd),
            }
        }
        (_, None) => Seen::nothing("there is nothing to search the web with"),
    }
}

/// A call that came to nothing.
fn failed(began: Instant, why: &str) -> ToolRun {
    ToolRun {
        text: why.to_string(),
        fingerprint: why.to_string(),
        is_error: true,
        exit_code: Some(1),
        duration: began.elapsed(),
        ..ToolRun::default()
    }
}

/// What the record says of an output: which chunks it is in, and more.
fn meta_of(collected: &Collected, chunks: Range<u64>) -> EntryMeta {
    let place = collected.place.as_ref();
    EntryMeta {
        not_shown_to_model: Some(collected.omitted),
        output_from: Some(chunks.start),
        output_to: Some(chunks.end),
        output_sha256: Some(collected.digest.clone()),
        file: place.map(|p| p.path.display().to_string()),
        missing_in_file: place.map(|p| p.missing),
        ..EntryMeta::default()
    }
}

/// Output as it comes: to the screen, and behind the work to the ledger.
struct Live<'a> {
    emitter: &'a Emitter,
    session: &'a str,
    call: &'a str,
    log: &'a OutputLog,
    /// Rises through the whole session.
    seq: &'a mut u64,
}

impl Output for Live<'_> {
    fn text(&mut self, stream: Stream, text: &str, record: bool) {
        if record {
            self.log.push(OutputChunk {
                call: self.call.into(),
                seq: *self.seq,
                stream,
                text: text.into(),
                at: Timestamp::now(),
            });
            *self.seq += 1;
        }
        self.emitter.emit_in(
            Some(self.session),
            Kind::ToolOutput {
                call: self.call.into(),
                stream,
                text: text.into(),
            },
        );
    }

    fn silent(&mut self, since: Duration) {
        let text = format!(
            "the cell has not answered for {} s; the command is given up after its time limit",
            since.as_secs()
        );
        self.emitter.notice(Some(self.session), Level::Warn, text);
    }
}
