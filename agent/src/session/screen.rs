//! A turn on its way to the screen: deltas redacted and sent on as they come.

use crate::{
    emit::Emitter,
    model::Sink,
    redact::{RedactStream, Redactor},
};
use operator_ledger::{event::Kind, usage::Usage};
use std::time::Duration;
use tokio::sync::mpsc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
}

pub(super) struct Screen {
    emitter: Emitter,
    session: String,
    redactor: Redactor,
    stream: RedactStream,
    open: Open,
    /// Retries in words, for the record.
    retries: mpsc::UnboundedSender<String>,
    /// What tries that broke off had used.
    used: Usage,
}

impl Screen {
    pub(super) fn new(
        emitter: Emitter,
        session: String,
        redactor: Redactor,
        retries: mpsc::UnboundedSender<String>,
    ) -> Self {
        Self {
            emitter,
            session,
            stream: RedactStream::new(redactor.clone()),
            redactor,
            open: Open::Nothing,
            retries,
            used: Usage::default(),
        }
    }

    /// Closes what is open; says what tries that broke off had used.
    pub(super) fn close(mut self) -> Usage {
        self.end_of_block();
        self.used
    }

    fn delta(&mut self, kind: Open, delta: &str) {
        if self.open != kind {
            self.end_of_block();
            self.open = kind;
        }
        let mut text = self.stream.push(delta);
        text.push_str(&self.stream.idle());
        if !text.is_empty() {
            self.send(text, false);
        }
    }

    fn send(&self, delta: String, end: bool) {
        let kind = match self.open {
            Open::Nothing => return,
            Open::Text => Kind::Text { delta, end },
            Open::Thinking => Kind::Thinking { delta, end },
        };
        self.emitter.emit_in(Some(&self.session), kind);
    }
}

impl Sink for Screen {
    fn text(&mut self, delta: &str) {
        self.delta(Open::Text, delta);
    }

    fn thinking(&mut self, delta: &str) {
        self.delta(Open::Thinking, delta);
    }

    fn end_of_block(&mut self) {
        let rest = self.stream.finish();
        self.send(rest, true);
        self.open = Open::Nothing;
    }

    fn retry(
        &mut self,
        status: Option<u16>,
        (attempt, of): (u32, u32),
        wait: Duration,
        reason: &str,
    ) {
        self.end_of_block();
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let reason = self.redactor.apply(&operator_ledger::clean::clean(reason));
        let _ = self.retries.send(operator_ledger::event::retry(
            status, &reason, attempt, of, wait_ms,
        ));
        self.emitter.emit_in(
            Some(&self.session),
            Kind::Retry {
                status,
                attempt,
                of,
                wait_ms,
                reason,
            },
        );
    }

    fn broken_off(&mut self, usage: Usage) {
        self.used.add(usage);
    }
}
