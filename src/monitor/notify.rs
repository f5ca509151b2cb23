//! Tells people elsewhere: a ticket opened, escalated or proven, a command that waits for approval,
//! sent as JSON to a webhook, Slack's and those like it among them. The `[notify]` part of
//! `config.toml`.
//!
//! ```toml
//! [notify]
//! url = "https://hooks.example.com/services/..."   # or OPERATOR_NOTIFY_URL
//! events = ["opened", "escalated", "proven", "approval"]
//! template = '{"text": {{ text | tojson }}}'
//! ```
//!
//! Reads the ledger, and keeps there how far it has told. What cannot be sent is tried again, ever
//! more slowly; the monitor never waits for it. After a day it is old news and left out.

use super::listener::{Counts, Door};
use jiff::{SignedDuration, Timestamp};
use minijinja::{
    Environment, context,
    value::{Serde, Value},
};
use operator_ledger::{Ledger, LedgerError, News, NewsKind, Severity, Stored};
use reqwest::Url;
use serde::Deserialize;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// How often the ledger is asked whether it changed.
const POLL: Duration = Duration::from_secs(1);
/// Of one request.
const LIMIT: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What is older is no news.
const OLD: SignedDuration = SignedDuration::from_hours(24);

/// Wins over the file; an address of this kind is a secret.
pub const URL_VAR: &str = "OPERATOR_NOTIFY_URL";

const TEMPLATE: &str = r#"{"text": {{ text | tojson }}}"#;

/// Where to, of what, and how it looks.
pub struct Notify {
    url: Url,
    events: Vec<NewsKind>,
    template: Environment<'static>,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notify({})", host(&self.url))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("config.toml, [notify]: {0}")]
pub struct NotifyError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    url: Option<String>,
    events: Option<Vec<String>>,
    template: Option<String>,
}

impl Notify {
    /// Reads the `[notify]` table of the whole config file; `url` is that of the environment. None:
    /// nobody is to be told.
    pub fn from_table(
        table: &toml::Table,
        url: Option<String>,
    ) -> Result<Option<Self>, NotifyError> {
        let file: File = match table.get("notify") {
            Some(part) => part
                .clone()
                .try_into()
                .map_err(|e| NotifyError(e.to_string()))?,
            None => File {
                url: None,
                events: None,
                template: None,
            },
        };
        let Some(url) = url.filter(|u| !u.is_empty()).or(file.url) else {
            return Ok(None);
        };
        // Neither error repeats it: whoever has the address can write there.
        let url = Url::parse(&url).map_err(|e| NotifyError(format!("url: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(NotifyError("url: not an address over HTTP".into()));
        }
        let events = match file.events {
            None => NewsKind::ALL.to_vec(),
            Some(words) => words
                .iter()
                .map(|word| {
                    word.parse().map_err(|_| {
                        let all = NewsKind::ALL.map(NewsKind::as_str).join(", ");
                        NotifyError(format!("events: {word}: there are {all}"))
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        let wrong = |e: &dyn fmt::Display| NotifyError(format!("template: {e}"));
        let mut template = Environment::new();
        template
            .add_template_owned("body", file.template.unwrap_or_else(|| TEMPLATE.into()))
            .map_err(|e| wrong(&e))?;
        let notify = Self {
            url,
            events,
            template,
        };
        // What is wrong with it is said now, and not when there is something to tell.
        notify.body(&example()).map_err(|e| wrong(&e))?;
        Ok(Some(notify))
    }

    /// What is sent: JSON, or an error that says why it is none.
    fn body(&self, news: &News) -> Result<String, String> {
        let ticket = &news.ticket;
        let body = self
            .template
            .get_template("body")
            .and_then(|template| {
                template.render(context! {
                    event => news.kind.as_str(),
                    text => sentence(news),
                    detail => &news.detail,
                    at => news.at.map(|at| at.to_string()),
                    // As `tickets show --json` prints it.
                    ticket => Value::from(Serde(ticket)),
                })
            })
            .map_err(|e| e.to_string())?;
        serde_json::from_str::<serde::de::IgnoredAny>(&body)
            .map_err(|e| format!("what it makes is not JSON: {e}"))?;
        Ok(body)
    }
}

/// One line for people.
fn sentence(news: &News) -> String {
    let ticket = &news.ticket;
    let subject = ticket.store_id.as_deref().unwrap_or("the cluster");
    let head = format!("#{} {} on {subject}", ticket.id, ticket.invariant);
    match news.kind {
        NewsKind::Opened => format!("[{}] {head}: {}", ticket.severity, ticket.message),
        NewsKind::Escalated => format!("{head} needs a person: {}", news.detail),
        NewsKind::Proven => format!("{head} is repaired, {}", news.detail),
        NewsKind::Approval => format!("{head}: a command waits for approval: {}", news.detail),
    }
}

fn example() -> News {
    use operator_ledger::{Status, Ticket, Told};
    News {
        kind: NewsKind::Opened,
        at: None,
        detail: String::new(),
        told: Told::default(),
        ticket: Ticket {
            id: 1,
            violation_key: "store_down:1".into(),
            invariant: "store_down".into(),
            store_id: Some("1".into()),
            subject_name: None,
            status: Status::Open,
            held: false,
            batch_key: None,
            occurrence_count: 1,
            first_seen_at: None,
            last_seen_at: None,
            resolved_at: None,
            message: "\"quoted\"".into(),
            severity: Stored::Known(Severity::Critical),
            diagnosis: None,
            metric_snapshot: None,
            subject_context: None,
            created_at: None,
            updated_at: None,
            cluster_id: None,
            resolution: None,
            claimed: false,
            flaps: 0,
            attempts: 0,
            retry_at: None,
            needs_person: false,
            by_hand: false,
        },
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// Tells until it is dropped. `warn` is told once of each new trouble.
pub async fn run(notify: Notify, ledger: PathBuf, door: Arc<Door>, mut warn: impl FnMut(String)) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap_or_default();
    let mut teller = Teller {
        notify,
        client,
        counts: door.counts.clone(),
        trouble: None,
        wait: FIRST_WAIT,
    };
    let mut open: Option<Ledger> = None;
    loop {
        tokio::time::sleep(POLL).await;
        let Some(cluster) = door.cluster() else {
            continue;
        };
        if open.is_none() {
            open = Ledger::open(&ledger).ok();
        }
        let Some(ledger) = &mut open else { continue };
        if let Err(e) = teller.tell(ledger, &cluster, &mut warn).await {
            teller.trouble(format!("cannot read what there is to tell: {e}"), &mut warn);
            open = None;
        }
    }
}

struct Teller {
    notify: Notify,
    client: reqwest::Client,
    counts: Counts,
    /// What was told of last.
    trouble: Option<String>,
    wait: Duration,
}

impl Teller {
    /// Sends what is new, one after the other.
    async fn tell(
        &mut self,
        ledger: &mut Ledger,
        cluster: &str,
        warn: &mut impl FnMut(String),
    ) -> Result<(), LedgerError> {
        if !ledger.changed()? {
            return Ok(());
        }
        let Some(mut told) = ledger.told(cluster)? else {
            // Nothing that was before somebody asked to be told.
            let now = ledger.told_by_now()?;
            return ledger.set_told(cluster, now);
        };
        loop {
            let (news, upto) = ledger.news(cluster, told)?;
            for one in news {
                if self.is_wanted(&one) {
                    self.send(&one, warn).await;
                }
                ledger.set_told(cluster, one.told)?;
            }
            if upto == told {
                return Ok(());
            }
            ledger.set_told(cluster, upto)?;
            told = upto;
        }
    }

    fn is_wanted(&self, news: &News) -> bool {
        let old = news
            .at
            .is_some_and(|at| Timestamp::now().duration_since(at) > OLD);
        self.notify.events.contains(&news.kind) && !old
    }

    /// Returns when it is delivered, refused for good, or no news any more.
    async fn send(&mut self, news: &News, warn: &mut impl FnMut(String)) {
        let body = match self.notify.body(news) {
            Ok(body) => body,
            Err(why) => {
                self.counts.sent("given_up");
                return self.trouble(format!("the template: {why}"), warn);
            }
        };
        loop {
            let request = self
                .client
                .post(self.notify.url.clone())
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.clone());
            let place = host(&self.notify.url).to_owned();
            let why = match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    self.counts.sent("delivered");
                    (self.trouble, self.wait) = (None, FIRST_WAIT);
                    return;
                }
                Ok(answer) => {
                    let status = answer.status();
                    let again =
                        status.is_server_error() || [408, 425, 429].contains(&status.as_u16());
                    if !again {
                        self.counts.sent("given_up");
                        let text = format!("{place} refuses a notification: {status}");
                        return self.trouble(text, warn);
                    }
                    format!("{place} answers {status}")
                }
                // Its text has the address in it.
                Err(e) => format!("{place} cannot be reached: {}", cause(&e)),
            };
            self.counts.sent("retried");
            self.trouble(format!("{why}; tried again"), warn);
            tokio::time::sleep(self.wait).await;
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            if !self.is_wanted(news) {
                self.counts.sent("given_up");
                return;
            }
        }
    }

    fn trouble(&mut self, text: String, warn: &mut impl FnMut(String)) {
        if self.trouble.as_ref() != Some(&text) {
            warn(format!("notifications: {text}"));
            self.trouble = Some(text);
        }
    }
}

fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    let mut text = String::from("no connection");
    while let Some(inner) = cause.source() {
        cause = inner;
        text = cause.to_string();
    }
    text
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
