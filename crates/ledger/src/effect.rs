//! What a command does to what it runs on, as far as its text tells. How that is judged is the
//! agent's; here it is a word of the record and of events.

use crate::stored::words;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// In the order of how bad it is: of several parts the worst counts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    EnumIter,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Effect {
    Reads,
    /// Not understood, or not known.
    Unknown,
    Changes,
}

words!(Effect);
