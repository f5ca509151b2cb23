//! What becomes of the output of one call: head and tail for the model, and the part that goes to
//! the ledger counted and hashed.
//!
//! Takes clean, redacted text; stores nothing itself. All of it is in a file of the cell.

use super::capture::{Capture, FOR_MODEL};
use crate::runner::protocol::Filed;
use sha2::{Digest, Sha256};

/// Bytes of one call's output that go to the ledger; the rest is counted.
pub const RECORDED: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub struct Collector {
    capture: Capture,
    recorded: usize,
    unrecorded: u64,
    digest: Sha256,
}

/// The output of a call that is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// In order of arrival, without its middle when it was long.
    pub text: String,
    /// Bytes the model is not shown.
    pub omitted: u64,
    /// Bytes past [`RECORDED`].
    pub unrecorded: u64,
    /// Where all of it is, if the model is not shown all.
    pub place: Option<Filed>,
    /// SHA-256 of what goes to the ledger, hex.
    pub digest: String,
}

impl Collector {
    pub fn new() -> Self {
        Self {
            capture: Capture::new(FOR_MODEL),
            recorded: 0,
            unrecorded: 0,
            digest: Sha256::new(),
        }
    }

    /// Takes a piece in. True: the ledger takes it too.
    pub fn push(&mut self, text: &str) -> bool {
        self.capture.push(text);
        let record = self.recorded + text.len() <= RECORDED;
        if record {
            self.recorded += text.len();
            self.digest.update(text.as_bytes());
        } else {
            // Nothing after a gap.
            self.recorded = RECORDED;
            self.unrecorded += text.len() as u64;
        }
        record
    }

    /// Whether the model is not shown all.
    pub fn is_cut(&self) -> bool {
        self.capture.omitted() > 0
    }

    /// The end of the output. `file`: where all of it is, which matters if the model is not shown all.
    pub fn finish(self, file: Option<Filed>) -> Collected {
        let place = file.filter(|_| self.capture.omitted() > 0);
        let whole = match &place {
            None => String::new(),
            Some(Filed { path, missing: 0 }) => {
                format!("; the whole output is in {}", path.display())
            }
            Some(Filed { path, missing }) => format!(
                "; the output but for its last {missing} bytes is in {}",
                path.display()
            ),
        };
        Collected {
            text: self.capture.text(&whole),
            omitted: self.capture.omitted(),
            unrecorded: self.unrecorded,
            place,
            digest: hex::encode(self.digest.finalize()),
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filed() -> Filed {
        Filed {
            path: "/tmp/1.txt".into(),
            missing: 0,
        }
    }

    #[test]
    fn long_output_names_its_file_and_short_output_needs_none() {
        let mut short = Collector::new();
        assert!(short.push("one\n") && short.push("two\n"));
        let short = short.finish(Some(filed()));
        assert_eq!((short.text.as_str(), short.place), ("one\ntwo\n", None));

        let mut long = Collector::new();
        let mut all = String::new();
        for n in 0..20_000 {
            let line = format!("line {n}\n");
            long.push(&line);
            all.push_str(&line);
        }
        let long = long.finish(Some(filed()));
        assert_eq!(long.place, Some(filed()));
        assert!(long.text.len() < 40_000 && long.text.starts_with("line 0\n"));
        assert!(long.text.ends_with("line 19999\n"));
        let said = "; the whole output is in /tmp/1.txt ...]";
        assert!(long.text.contains(said), "{said}");
        assert_eq!(long.digest, hex::encode(Sha256::digest(all.as_bytes())));
    }

    #[test]
    fn nothing_is_recorded_after_a_gap() {
        let mut huge = Collector::new();
        assert!(huge.push(&"x".repeat(RECORDED - 1)));
        assert!(!huge.push("yy"));
        assert!(!huge.push("z"));
        assert_eq!(huge.finish(None).unrecorded, 3);
    }
}
