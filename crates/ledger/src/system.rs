//! Which system something is about.

use serde::{Deserialize, Serialize};
use std::{convert::Infallible, fmt, str::FromStr};

/// The name of a watched system: what its own control plane calls it. Of a TiKV cluster, the id
/// that PD gives it; an address, while PD has not been asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SystemId(String);

impl SystemId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SystemId {
    type Err = Infallible;

    fn from_str(id: &str) -> Result<Self, Infallible> {
        Ok(Self::new(id))
    }
}

impl From<u64> for SystemId {
    fn from(id: u64) -> Self {
        Self(id.to_string())
    }
}
