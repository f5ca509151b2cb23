//! What becomes of the output of one call: head and tail for the model, all of it in a file when
//! that is not all, and the part that goes to the ledger counted and hashed.
//!
//! Takes clean, redacted text; stores nothing in the ledger itself.

use super::{
    capture::{Capture, FOR_MODEL},
    output_file::{OutputFile, Place},
};
use sha2::{Digest, Sha256};

/// Bytes of one call's output that go to the ledger; the rest is counted.
pub const RECORDED: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub struct Collector {
    capture: Capture,
    file: OutputFile,
    filing: bool,
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
    pub place: Option<Place>,
    /// SHA-256 of what goes to the ledger, hex.
    pub digest: String,
}

impl Collector {
    pub fn new(file: OutputFile) -> Self {
        Self {
            capture: Capture::new(FOR_MODEL),
            file,
            filing: false,
            recorded: 0,
            unrecorded: 0,
            digest: Sha256::new(),
        }
    }

    /// Takes a piece in. True: the ledger takes it too.
    pub fn push(&mut self, text: &str) -> bool {
        if !self.filing && self.capture.would_omit(text) {
            self.filing = true;
            self.file.write(&self.capture.text(""));
        }
        if self.filing {
            self.file.write(text);
        }
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

    /// The end of the output. The file comes back: its size counts against the session's.
    pub fn finish(self) -> (Collected, OutputFile) {
        let place = self.file.place();
        let whole = match &place {
            None => String::new(),
            Some(Place { path, missing: 0 }) => {
                format!("; the whole output is in {}", path.display())
            }
            Some(Place { path, missing }) => format!(
                "; the output but for its last {missing} bytes is in {}",
                path.display()
            ),
        };
        let collected = Collected {
            text: self.capture.text(&whole),
            omitted: self.capture.omitted(),
            unrecorded: self.unrecorded,
            place,
            digest: hex::encode(self.digest.finalize()),
        };
        (collected, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::output_file::OutputFiles;

    #[test]
    fn long_output_is_whole_in_a_file_and_short_output_makes_none() {
        let home = tempfile::tempdir().unwrap();
        let mut files = OutputFiles::new(home.path(), "s");
        let mut short = Collector::new(files.begin());
        assert!(short.push("one\n") && short.push("two\n"));
        let (short, _) = short.finish();
        assert_eq!((short.text.as_str(), short.place), ("one\ntwo\n", None));
        assert!(!home.path().join("output").exists());

        let mut long = Collector::new(files.begin());
        let mut all = String::new();
        for n in 0..20_000 {
            let line = format!("line {n}\n");
            long.push(&line);
            all.push_str(&line);
        }
        let (long, _) = long.finish();
        let place = long.place.unwrap();
        assert_eq!(std::fs::read_to_string(&place.path).unwrap(), all);
        assert!(long.text.len() < 40_000 && long.text.starts_with("line 0\n"));
        assert!(long.text.ends_with("line 19999\n"));
        let said = format!("; the whole output is in {} ...]", place.path.display());
        assert!(long.text.contains(&said), "{said}");
        assert_eq!(long.digest, hex::encode(Sha256::digest(all.as_bytes())));
    }

    #[test]
    fn nothing_is_recorded_after_a_gap() {
        let home = tempfile::tempdir().unwrap();
        let mut huge = Collector::new(OutputFiles::new(home.path(), "s").begin());
        assert!(huge.push(&"x".repeat(RECORDED - 1)));
        assert!(!huge.push("yy"));
        assert!(!huge.push("z"));
        assert_eq!(huge.finish().0.unrecorded, 3);
    }
}
