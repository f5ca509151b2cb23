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

use super::listener::{Counts, ListenerState};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::{SignedDuration, Timestamp};
use minijinja::{
    Environment, context,
    value::{Serde, Value},
};
use operator_ledger::{
    Incident, LedgerError, MonitorLedger, Notification, NotificationKind, Severity, Stored,
    SystemId,
};
use reqwest::Url;
use serde::Deserialize;
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// How often the ledger is asked whether it changed.
const POLL: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const MIN_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(300);
/// What is older is not sent.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Wins over the file; an address of this kind is a secret.
pub const URL_VAR: &str = "OPERATOR_NOTIFY_URL";

const TEMPLATE: &str = r#"{"text": {{ text | tojson }}}"#;

/// Where to, of what, and how it looks.
pub struct Notify {
    url: Url,
    events: Vec<NotificationKind>,
    template: Environment<'static>,
    client: reqwest::Client,
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notify({})", host(&self.url))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    #[error("config.toml, [notify]: {0}")]
    Section(String),
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

/// `[notify]` of `config.toml`, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifySection {
    url: Option<String>,
    events: Option<Vec<NotificationKind>>,
    template: Option<String>,
}

impl Notify {
    /// `url` is that of the environment. None: nobody is to be told.
    pub fn new(file: NotifySection, url: Option<String>) -> Result<Option<Self>, NotifyError> {
        let Some(url) = url.filter(|u| !u.is_empty()).or(file.url) else {
            return Ok(None);
        };
        // Neither error repeats it: whoever has the address can write there.
        let url = Url::parse(&url).map_err(|e| NotifyError::Section(format!("url: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(NotifyError::Section("url: not an address over HTTP".into()));
        }
        let events = file
            .events
            .unwrap_or_else(|| NotificationKind::ALL.to_vec());
        let wrong = |e: &dyn fmt::Display| NotifyError::Section(format!("template: {e}"));
        let mut template = Environment::new();
        template
            .add_template_owned("body", file.template.unwrap_or_else(|| TEMPLATE.into()))
            .map_err(|e| wrong(&e))?;
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| NotifyError::Client(cause(&e)))?;
        let notify = Self {
            url,
            events,
            template,
            client,
        };
        // What is wrong with it is said now, and not when there is something to tell.
        notify.body(&example()).map_err(|e| wrong(&e))?;
        Ok(Some(notify))
    }

    /// What is sent: JSON, or an error that says why it is none.
    fn body(&self, notification: &Notification) -> Result<String, String> {
        let ticket = &notification.ticket;
        let body = self
            .template
            .get_template("body")
            .and_then(|template| {
                template.render(context! {
                    event => notification.kind.as_str(),
                    text => sentence(notification),
                    detail => &notification.detail,
                    at => notification.at.map(|at| at.to_string()),
                    // As `tickets show --json` prints it.
                    ticket => Value::from(Serde(ticket)),
                    // As `incidents list --json` prints it.
                    incident => Value::from(Serde(&notification.incident)),
                })
            })
            .map_err(|e| e.to_string())?;
        serde_json::from_str::<serde::de::IgnoredAny>(&body)
            .map_err(|e| format!("what it makes is not JSON: {e}"))?;
        Ok(body)
    }
}

/// One line for people.
fn sentence(notification: &Notification) -> String {
    let ticket = &notification.ticket;
    let subject = ticket.store_id.as_deref().unwrap_or("the cluster");
    let what = format!("ticket #{}: {} on {subject}", ticket.id, ticket.invariant);
    let head = match ticket.incident_id {
        Some(incident) => format!("Incident #{incident}, {what}"),
        None => what,
    };
    match notification.kind {
        NotificationKind::Opened => format!("[{}] {head}: {}", ticket.severity, ticket.message),
        NotificationKind::Escalated => format!("{head} needs a person: {}", notification.detail),
        NotificationKind::Proven => format!("{head} is repaired, {}", notification.detail),
        NotificationKind::Approval => format!(
            "{head}: a command waits for approval: {}",
            notification.detail
        ),
    }
}

fn example() -> Notification {
    use operator_ledger::{NotificationCursor, Ticket};
    Notification {
        kind: NotificationKind::Opened,
        at: None,
        detail: String::new(),
        incident: Some(Incident {
            id: 1,
            tickets: 1,
            ..Incident::default()
        }),
        told: NotificationCursor::default(),
        ticket: Ticket {
            id: 1,
            incident_id: Some(1),
            violation_key: "store_down:1".into(),
            invariant: "store_down".into(),
            store_id: Some("1".into()),
            message: "\"quoted\"".into(),
            severity: Stored::Known(Severity::Critical),
            ..Ticket::default()
        },
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// Delivers until it is dropped. `warn` hears once of each new trouble.
pub async fn run(
    notify: Notify,
    ledger: PathBuf,
    listener: Arc<ListenerState>,
    mut warn: impl FnMut(String),
) {
    let mut notifier = Notifier {
        notify,
        counts: listener.counts.clone(),
        trouble: None,
        waits: waits(MIN_WAIT),
    };
    let mut open: Option<MonitorLedger> = None;
    loop {
        tokio::time::sleep(POLL).await;
        let Some(cluster) = listener.cluster() else {
            continue;
        };
        if open.is_none() {
            open = MonitorLedger::open_existing(&ledger).await.ok();
        }
        let Some(ledger) = &open else { continue };
        if let Err(e) = notifier.deliver(ledger, &cluster, &mut warn).await {
            notifier.trouble(format!("cannot read what there is to tell: {e}"), &mut warn);
            open = None;
        }
    }
}

struct Notifier {
    notify: Notify,
    counts: Counts,
    /// The trouble that was reported last.
    trouble: Option<String>,
    waits: ExponentialBackoff,
}

/// From one try to the next.
fn waits(first: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(MAX_WAIT)
        .without_max_times()
        .build()
}

impl Notifier {
    /// Sends what is new, one after the other.
    async fn deliver(
        &mut self,
        ledger: &MonitorLedger,
        cluster: &SystemId,
        warn: &mut impl FnMut(String),
    ) -> Result<(), LedgerError> {
        if !ledger.changed().await? {
            return Ok(());
        }
        let Some(mut cursor) = ledger.told(cluster).await? else {
            // Nothing that was before somebody asked to be told.
            let now = ledger.told_by_now().await?;
            return ledger.set_told(cluster, now).await;
        };
        loop {
            let (notifications, upto) = ledger.news(cluster, cursor).await?;
            for notification in notifications {
                if self.is_wanted(&notification) {
                    self.send(&notification, warn).await;
                }
                ledger.set_told(cluster, notification.told).await?;
            }
            if upto == cursor {
                return Ok(());
            }
            ledger.set_told(cluster, upto).await?;
            cursor = upto;
        }
    }

    fn is_wanted(&self, notification: &Notification) -> bool {
        let old = notification
            .at
            .is_some_and(|at| Timestamp::now().duration_since(at) > MAX_AGE);
        self.notify.events.contains(&notification.kind) && !old
    }

    /// Returns when it is delivered, refused for good, or no news any more.
    async fn send(&mut self, notification: &Notification, warn: &mut impl FnMut(String)) {
        let body = match self.notify.body(notification) {
            Ok(body) => body,
            Err(why) => {
                self.counts.sent("given_up");
                return self.trouble(format!("the template: {why}"), warn);
            }
        };
        loop {
            let request = self
                .notify
                .client
                .post(self.notify.url.clone())
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body.clone());
            let place = host(&self.notify.url).to_owned();
            let why = match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    self.counts.sent("delivered");
                    (self.trouble, self.waits) = (None, waits(MIN_WAIT));
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
            tokio::time::sleep(self.waits.next().unwrap_or(MAX_WAIT)).await;
            if !self.is_wanted(notification) {
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
