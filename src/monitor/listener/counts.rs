//! What came in from outside and went out to it, counted since this monitor began.

use super::alertmanager::Told;
use operator_ledger::Received;
use prometheus::{IntCounterVec, Opts, Registry};

#[derive(Debug, Clone)]
pub struct Counts {
    notifications: IntCounterVec,
    alerts: IntCounterVec,
    sent: IntCounterVec,
}

/// What became of a notification.
#[derive(Debug, Clone, Copy)]
pub enum Taken {
    Accepted,
    Malformed,
    TooLarge,
    Unauthorized,
    /// The ledger could not be written: it is sent again.
    Failed,
}

impl Taken {
    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Failed => "failed",
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        let counter = |name: &str, help: &str, label: &str, words: &[&str]| {
            // The names are ours and right.
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])
                .unwrap_or_else(|e| unreachable!("{e}"));
            for word in words {
                counter.with_label_values(&[word]);
            }
            counter
        };
        Self {
            notifications: counter(
                "operator_webhook_notifications_total",
                "Notifications of Alertmanager and its like, by what became of them.",
                "result",
                &[
                    "accepted",
                    "malformed",
                    "too_large",
                    "unauthorized",
                    "failed",
                ],
            ),
            alerts: counter(
                "operator_webhook_alerts_total",
                "Alerts in accepted notifications; left out are those that their sender did not send, set aside those that could not be used, ignored those that settings name.",
                "kind",
                &[
                    "fired",
                    "resolved",
                    "repeated",
                    "late",
                    "left_out",
                    "set_aside",
                    "ignored",
                ],
            ),
            sent: counter(
                "operator_notifications_sent_total",
                "Notifications sent out, by result: given up are those refused for good.",
                "result",
                &["delivered", "retried", "given_up"],
            ),
        }
    }
}

impl Counts {
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.notifications.clone()))?;
        registry.register(Box::new(self.alerts.clone()))?;
        registry.register(Box::new(self.sent.clone()))
    }

    pub fn taken(&self, what: Taken) {
        self.notifications.with_label_values(&[what.word()]).inc();
    }

    pub(super) fn received(&self, alerts: Received, told: &Told) {
        for (kind, n) in [
            ("fired", alerts.fired as u64),
            ("resolved", alerts.resolved as u64),
            ("repeated", alerts.repeated as u64),
            ("late", alerts.late as u64),
            ("left_out", told.left_out),
            ("set_aside", told.set_aside),
            ("ignored", told.ignored),
        ] {
            self.alerts.with_label_values(&[kind]).inc_by(n);
        }
    }

    /// `result`: `delivered`, `retried` or `given_up`.
    pub fn sent(&self, result: &str) {
        self.sent.with_label_values(&[result]).inc();
    }
}
