//! Secrets out of text, once, where it enters: our own credentials exactly, and what the rules in
//! `redact/rules.toml` say looks like one. The value alone goes, never the syntax around it.
//!
//! Hex keys of regions, hashes and ids are no secrets and stay. Escape sequences are for the cleaner,
//! before this.

mod judge;
mod line;
mod lines;
mod names;
mod own;
mod places;
mod rules;
mod stream;
mod value;

pub use stream::RedactStream;

use aho_corasick::AhoCorasick;
use std::sync::Arc;

/// What to hide. Cheap to clone.
#[derive(Clone, Default)]
pub struct Redactor {
    own: Option<Arc<AhoCorasick>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Redactor({} own)",
            if self.own.is_some() {
                "with"
            } else {
                "without"
            }
        )
    }
}

impl Redactor {
    /// Hides `own` exactly, beside what the rules find. Shorter than eight characters is ignored:
    /// it would hide ordinary words.
    pub fn new(own: impl IntoIterator<Item = String>) -> Self {
        let own: Vec<String> = own
            .into_iter()
            .filter(|s| s.len() >= own::SHORTEST)
            .collect();
        Self {
            own: own::finder(&own).map(Arc::new),
        }
    }

    /// A whole text, secrets hidden.
    pub fn apply(&self, text: &str) -> String {
        whole(RedactStream::new(self.clone()), text)
    }

    /// A command, secrets hidden: nothing that a shell would act on is taken for one.
    pub fn command(&self, text: &str) -> String {
        whole(RedactStream::of_command(self.clone()), text)
    }
}

fn whole(mut stream: RedactStream, text: &str) -> String {
    let mut out = stream.push(text);
    out.push_str(&stream.finish());
    out
}

#[cfg(test)]
mod tests;
