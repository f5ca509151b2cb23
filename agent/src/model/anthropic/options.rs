//! Where and how to ask a server that speaks the Messages API, and what of it is secret.

use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderName},
};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

pub const DEFAULT_BASE: &str = "https://api.anthropic.com";
/// Understood by every server that speaks this API.
const DEFAULT_VERSION: &str = "2023-06-01";
/// Tries of one turn where nobody says.
const TRIES: u32 = 8;
/// Words in the names of headers whose values are credentials.
const SECRET_HEADERS: [&str; 6] = ["auth", "key", "token", "secret", "cookie", "password"];

fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Credential {
    Key(SecretString),
    Token(SecretString),
    /// For servers that want none.
    None,
}

impl Credential {
    /// ANTHROPIC_API_KEY, else ANTHROPIC_AUTH_TOKEN, of an environment without empty variables.
    pub fn find(env: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(key) = env("ANTHROPIC_API_KEY") {
            return Self::Key(key.trim().into());
        }
        env("ANTHROPIC_AUTH_TOKEN").map_or(Self::None, |token| Self::Token(token.trim().into()))
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// For the redactor: what must never be stored or shown.
    pub fn secret(&self) -> Option<String> {
        match self {
            Self::Key(s) | Self::Token(s) => Some(s.expose_secret().to_string()),
            Self::None => None,
        }
    }

    pub(super) fn header(&self) -> Option<(HeaderName, String)> {
        match self {
            Self::Key(key) => Some((
                HeaderName::from_static("x-api-key"),
                key.expose_secret().into(),
            )),
            Self::Token(t) => Some((AUTHORIZATION, format!("Bearer {}", t.expose_secret()))),
            Self::None => None,
        }
    }
}

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct Options {
    pub credential: Credential,
    /// With a path prefix, if the server has one.
    pub base: String,
    pub version: String,
    pub betas: Option<String>,
    /// `Name: value` lines.
    pub headers: String,
    /// First wait before a retry; doubles.
    pub first_wait: Duration,
    /// Tries of one turn, the first included.
    pub tries: u32,
}

impl Options {
    /// For the server at `base`, as everybody has it.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            base: DEFAULT_BASE.into(),
            version: DEFAULT_VERSION.into(),
            betas: None,
            headers: String::new(),
            first_wait: Duration::from_millis(500),
            tries: TRIES,
        }
    }

    /// Whether this is the API of Anthropic itself: the only one known to have every part of it.
    pub fn is_original(&self) -> bool {
        self.base.trim_end_matches('/') == DEFAULT_BASE
    }

    /// Values that must never be stored or shown.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.credential.secret().into_iter().collect();
        for (name, value) in self.headers.lines().filter_map(|l| l.split_once(':')) {
            let name = name.to_ascii_lowercase();
            if SECRET_HEADERS.iter().any(|word| name.contains(word)) {
                // `Bearer` and its like are words for all to see.
                secrets.extend(value.split_whitespace().map(str::to_string));
            }
        }
        if let Ok(url) = Url::parse(&self.base)
            && let Some(password) = url.password()
        {
            secrets.push(percent_decoded(password));
            secrets.push(password.to_string());
        }
        secrets
    }
}
