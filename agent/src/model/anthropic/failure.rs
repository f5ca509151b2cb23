//! What went wrong with a request, whether another try can help, and when.
//!
//! Decides by status, type and code; never by wording.

use crate::model::ModelError;
use jiff::Timestamp;
use operator_ledger::{clean, usage::Usage};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub status: Option<u16>,
    /// In the server's own words, where it had any.
    pub reason: String,
    pub retry: bool,
    /// As the server asked.
    pub wait: Option<Duration>,
    /// What the server had counted when it broke off.
    pub used: Usage,
    scope: Scope,
}

/// What a failure that stays concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everything,
    Conversation,
    /// The conversation, because there is so much of it.
    Length,
}

impl From<Failure> for ModelError {
    fn from(f: Failure) -> Self {
        match f.scope {
            _ if f.retry => Self::Unavailable(f.reason),
            Scope::Everything => Self::Hopeless(f.reason),
            Scope::Conversation => Self::Refused(f.reason),
            Scope::Length => Self::TooLong(f.reason),
        }
    }
}

impl Failure {
    /// Another try may help.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self {
            status: None,
            reason: reason.into(),
            retry: true,
            wait: None,
            used: Usage::default(),
            scope: Scope::Everything,
        }
    }

    pub fn network(e: reqwest::Error) -> Self {
        let what = if e.is_connect() {
            "the server cannot be reached"
        } else if e.is_timeout() {
            "the server is silent"
        } else {
            "the connection broke"
        };
        let retry = !e.is_builder();
        let e = e.without_url();
        Self {
            retry,
            ..Self::passing(format!("{what}: {}", crate::http::cause(&e)))
        }
    }

    /// An answer that is not a success.
    pub fn status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(str::trim)
        };
        let code = status.as_u16();
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &parsed["error"];
        let kind = error["type"].as_str().unwrap_or_default();
        let detail = error["details"]["error_code"].as_str().unwrap_or_default();
        let wait = wait(headers);
        let mut retry = matches!(code, 408 | 409 | 429) || code >= 500;
        match text("x-should-retry") {
            Some("true") => retry = true,
            Some("false") => retry = false,
            _ => {}
        }
        if detail == "enforced_spend_limit_reached" {
            retry = false;
        }
        let scope = match code {
            413 => Scope::Length,
            400 | 422 => Scope::Conversation,
            _ => Scope::Everything,
        };
        let said = match error["message"].as_str() {
            Some(message) => message.to_string(),
            None if status.is_redirection() => {
                let to = text("location").unwrap_or("somewhere else");
                format!(
                    "redirected to {to}; redirects are not followed, correct ANTHROPIC_BASE_URL"
                )
            }
            None => String::from_utf8_lossy(body).chars().take(200).collect(),
        };
        let name = if kind.is_empty() {
            status.canonical_reason().unwrap_or_default().to_string()
        } else {
            kind.to_string()
        };
        let reason = clean::clean(&format!("{code} {name}: {said}"));
        let reason = reason.trim().trim_end_matches(':').to_string();
        Self {
            status: Some(code),
            reason,
            retry,
            wait,
            used: Usage::default(),
            scope,
        }
    }

    /// An error in the middle of a stream.
    pub fn in_stream(data: &Value) -> Self {
        let error = &data["error"];
        let kind = error["type"].as_str().unwrap_or("error");
        let said = error["message"].as_str().unwrap_or_default();
        let stays = matches!(
            kind,
            "invalid_request_error"
                | "authentication_error"
                | "billing_error"
                | "permission_error"
                | "not_found_error"
                | "request_too_large"
        );
        let scope = match kind {
            "request_too_large" => Scope::Length,
            "invalid_request_error" => Scope::Conversation,
            _ => Scope::Everything,
        };
        Self {
            status: None,
            reason: clean::clean(&format!("{kind}: {said}")),
            retry: !stays,
            wait: None,
            used: Usage::default(),
            scope,
        }
    }
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::trim)
    };
    if let Some(ms) = text("retry-after-ms").and_then(|v| v.parse::<f64>().ok()) {
        return positive(ms / 1000.0);
    }
    let after = text("retry-after")?;
    if let Ok(seconds) = after.parse::<f64>() {
        return positive(seconds);
    }
    let date = jiff::fmt::rfc2822::parse(after).ok()?.timestamp();
    positive(date.duration_since(Timestamp::now()).as_secs_f64())
}

fn positive(seconds: f64) -> Option<Duration> {
    (seconds > 0.0)
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let headers = headers
            .iter()
            .map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap()))
            .collect();
        Failure::status(
            StatusCode::from_u16(code).unwrap(),
            &headers,
            body.as_bytes(),
        )
    }

    #[test]
    fn what_is_worth_a_retry() {
        for (code, retry) in [
            (400, false),
            (401, false),
            (402, false),
            (403, false),
            (404, false),
            (408, true),
            (409, true),
            (413, false),
            (429, true),
            (500, true),
            (502, true),
            (504, true),
            (529, true),
            (307, false),
        ] {
            assert_eq!(failure(code, &[], "").retry, retry, "{code}");
        }
        assert!(!failure(529, &[("x-should-retry", "false")], "").retry);
        assert!(failure(400, &[("x-should-retry", "true")], "").retry);
        let capped = r#"{"type":"error","error":{"type":"rate_limit_error","message":"monthly cap","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        let capped = failure(429, &[], capped);
        assert!(!capped.retry && capped.reason.contains("monthly cap"));
        assert!(matches!(ModelError::from(capped), ModelError::Hopeless(_)));
        assert!(matches!(
            ModelError::from(failure(400, &[], "")),
            ModelError::Refused(_)
        ));
        assert!(matches!(
            ModelError::from(failure(401, &[], "")),
            ModelError::Hopeless(_)
        ));
    }

    #[test]
    fn the_wait_the_server_asks_for() {
        let wait = |k: &'static str, v: &str| failure(429, &[(k, v)], "").wait;
        assert_eq!(
            wait("retry-after", "2.5"),
            Some(Duration::from_millis(2500))
        );
        assert_eq!(
            wait("retry-after-ms", "1500"),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(wait("retry-after", "0"), None);
        assert_eq!(wait("retry-after", "-1"), None);
        assert_eq!(wait("retry-after", "soon"), None);
        let date =
            jiff::fmt::rfc2822::to_string(&(jiff::Zoned::now() + Duration::from_secs(60))).unwrap();
        let seconds = wait("retry-after", &date).unwrap().as_secs();
        assert!((55..=60).contains(&seconds), "{seconds}");
    }
}
