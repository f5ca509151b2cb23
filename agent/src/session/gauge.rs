//! How full the model's context is: what the server counted last, and an estimate of what came since.

use operator_ledger::usage::Usage;

/// Tokens of what stands before the first message: system prompt and tools.
const BEFORE: u64 = 2_500;

#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// Tokens of the conversation as the server counted them last.
    counted: u64,
    /// Bytes that came since.
    added: u64,
}

impl Gauge {
    pub(super) fn add(&mut self, bytes: usize) {
        self.added += bytes as u64;
    }

    /// After a turn of so many bytes.
    pub(super) fn turn(&mut self, usage: &Usage, bytes: usize) {
        if usage.tokens() > 0 {
            self.counted = usage.tokens();
            self.added = 0;
        } else {
            self.add(bytes);
        }
    }

    /// Tokens of the next prompt, rather too many than too few.
    pub(super) fn prompt(&self) -> u64 {
        self.counted.max(BEFORE) + self.added * 2 / 3
    }

    /// A conversation that begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}
