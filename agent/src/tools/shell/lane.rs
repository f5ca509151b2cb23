//! The streams of a command on their way from bytes to clean, redacted text, and where that goes.

use crate::{
    redact::{RedactStream, Redactor},
    tools::collect::Collector,
};
use operator_ledger::{clean::Cleaner, event::Stream};
use std::time::Duration;

/// Where a command's output goes as it comes, already clean and redacted.
pub trait Output {
    /// `record`: whether the ledger takes it too.
    fn text(&mut self, stream: Stream, text: &str, record: bool);

    /// The cell has not answered for so long.
    fn silent(&mut self, _since: Duration) {}
}

/// One stream of the command on its way to text.
pub(super) struct Lane {
    pub stream: Stream,
    cleaner: Cleaner,
    pub redact: RedactStream,
    pub open: bool,
}

impl Lane {
    pub(super) fn new(stream: Stream, redactor: &Redactor) -> Self {
        Self {
            stream,
            cleaner: Cleaner::default(),
            redact: RedactStream::new(redactor.clone()),
            open: true,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> String {
        let text = self.cleaner.push(bytes);
        self.redact.push(&text)
    }

    pub(super) fn finish(&mut self) -> String {
        let last = self.cleaner.finish();
        let mut out = self.redact.push(&last);
        out.push_str(&self.redact.finish());
        out
    }
}

pub(super) struct Sink<'a, O> {
    pub collector: &'a mut Collector,
    pub output: &'a mut O,
}

impl<O: Output> Sink<'_, O> {
    pub(super) fn lane(&mut self, lane: &mut Lane, bytes: &[u8]) {
        let text = if bytes.is_empty() {
            lane.open = false;
            lane.finish()
        } else {
            lane.take(bytes)
        };
        self.text(lane.stream, &text);
    }

    pub(super) fn text(&mut self, stream: Stream, text: &str) {
        if !text.is_empty() {
            let record = self.collector.push(text);
            self.output.text(stream, text, record);
        }
    }
}
