//! With what PD, stores and Prometheus are asked: as an agent asks for its cluster's id.

use super::http::HttpError;
pub use agent_lab::access::{Access, AccessError, Whose};

impl From<AccessError> for HttpError {
    fn from(why: AccessError) -> Self {
        Self::Client(why.to_string())
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
