//! Prometheus, and what answers as it does: Thanos, Mimir, VictoriaMetrics. Its HTTP API (`/api/v1`,
//! of Prometheus 2 and 3), and what of it is a fact.
//!
//! An answer that says of itself that it is partial is none. What is asked about stores is in
//! `figures`.

mod figures;
mod filter;

use self::figures::Scrapes;
pub use self::filter::Filter;
use super::{
    access::{Access, Whose},
    http::{self, Http, HttpError},
};
use jiff::Timestamp;
use operator_ledger::endpoints;
use reqwest::{Method, Url};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Labels of a series or an alert.
pub type Labels = BTreeMap<String, String>;

/// One Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus {
    http: Http,
    place: String,
    /// Which series are of the cluster that is watched; all, where nobody says.
    filter: Option<Filter>,
    scrapes: Scrapes,
}

/// What Prometheus says of a rule that alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    pub name: String,
    /// Whether its last evaluation went well.
    pub healthy: bool,
    pub evaluated: Option<Timestamp>,
    /// Seconds between evaluations of its group.
    pub interval: f64,
    /// Labels of those that are pending or firing.
    pub active: Vec<Labels>,
}

/// One series of a range query.
type Series = Vec<(Timestamp, f64)>;

#[derive(Debug, thiserror::Error)]
#[error("the address of Prometheus, {text}: {why}; it looks like http://host:9090")]
pub struct UrlError {
    text: String,
    why: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    error: Option<String>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Vec<Found>,
}

/// A remark on the query, and not on the answer.
const REMARK: &str = "PromQL info";

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    metric: Labels,
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Found {
    fn instance(&self) -> String {
        self.metric.get("instance").cloned().unwrap_or_default()
    }
}

impl Prometheus {
    /// `url` as people write it: `http://` left out or not, with a path prefix, a user and a password.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, UrlError> {
        Self::with(url, timeout, Access::default(), None)
    }

    /// The same, with all that it is asked with.
    pub fn with(
        url: &str,
        timeout: Duration,
        mut access: Access,
        filter: Option<Filter>,
    ) -> Result<Self, UrlError> {
        access.whose = Whose::Prometheus;
        let text = url.trim();
        let wrong = |why: String| UrlError {
            // A password may be in it.
            text: text.rsplit('@').next().unwrap_or_default().to_owned(),
            why,
        };
        let mut places = access.take_logins(endpoints::read(text)).into_iter();
        let (Some(place), None) = (places.next(), places.next()) else {
            return Err(wrong("not one address".into()));
        };
        let mut url = Url::parse(&place).map_err(|e| wrong(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("not an address over HTTP".into()));
        }
        url.set_query(None);
        url.set_fragment(None);
        let encrypted = url.scheme() == "https";
        Ok(Self {
            http: Http::new(timeout, access, encrypted).map_err(|e| wrong(e.to_string()))?,
            place: url.as_str().trim_end_matches('/').to_owned(),
            filter,
            scrapes: Scrapes::default(),
        })
    }

    /// Where it is, without a password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its rules that alert.
    pub async fn rules(&self) -> Result<Vec<AlertRule>, HttpError> {
        #[derive(Deserialize)]
        struct Data {
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            rules: Vec<Rule>,
            #[serde(default)]
            interval: f64,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Rule {
            name: String,
            #[serde(default)]
            health: String,
            last_evaluation: Option<Timestamp>,
            #[serde(default)]
            alerts: Vec<Active>,
        }
        #[derive(Deserialize)]
        struct Active {
            labels: Labels,
        }
        let data: Data = self.get("rules", &[("type", "alert")]).await?;
        let rules = data.groups.into_iter().flat_map(|group| {
            let interval = group.interval;
            group.rules.into_iter().map(move |rule| AlertRule {
                name: rule.name,
                healthy: rule.health == "ok",
                // The zero of Go: never.
                evaluated: rule.last_evaluation.filter(|at| at.as_second() > 0),
                interval,
                active: rule.alerts.into_iter().map(|a| a.labels).collect(),
            })
        });
        Ok(rules.collect())
    }

    /// When its process began.
    pub async fn started(&self) -> Result<Timestamp, HttpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            start_time: Timestamp,
        }
        Ok(self
            .get::<Data>("status/runtimeinfo", &[])
            .await?
            .start_time)
    }

    async fn query(&self, query: &str) -> Result<Vec<Found>, HttpError> {
        let answer: Answer = self.get("query", &[("query", query)]).await?;
        Ok(answer.result)
    }

    /// Values by instance. What is not a number is left out.
    async fn instant(&self, query: String) -> Result<HashMap<String, f64>, HttpError> {
        let found = self.query(&query).await?;
        let values = found.iter().filter_map(|found| {
            let value = number(&found.value.as_ref()?.1)?;
            Some((found.instance(), value))
        });
        Ok(values.collect())
    }

    async fn range(
        &self,
        query: String,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Result<HashMap<String, Series>, HttpError> {
        let seconds = |t: Timestamp| format!("{:.3}", t.as_millisecond() as f64 / 1000.0);
        let answer: Answer = self
            .get(
                "query_range",
                &[
                    ("query", &query),
                    ("start", &seconds(from)),
                    ("end", &seconds(to)),
                    ("step", &step.as_secs_f64().to_string()),
                ],
            )
            .await?;
        let series = answer.result.iter().map(|found| {
            let values = found.values.iter().filter_map(|(at, text)| {
                let at = Timestamp::from_millisecond((at * 1000.0) as i64).ok()?;
                Some((at, number(text)?))
            });
            (found.instance(), values.collect())
        });
        Ok(series.collect())
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, HttpError> {
        let url = format!("{}/api/v1/{path}", self.place());
        let request = self.http.request(Method::GET, &url)?.query(query);
        let text = self.http.ask(request, &url).await?;
        let body = |why: String| HttpError::Body {
            url: url.clone(),
            why,
        };
        let envelope: Envelope<T> = serde_json::from_str(&text).map_err(|e| body(e.to_string()))?;
        let warnings = envelope.warnings.into_iter().flatten();
        let mut warnings = warnings.filter(|warning| !warning.starts_with(REMARK));
        if let Some(why) = warnings.next() {
            let why = http::printable(&why);
            return Err(HttpError::Partial { url, why });
        }
        match envelope.data {
            Some(data) if envelope.status == "success" => Ok(data),
            _ => Err(body(envelope.error.unwrap_or_else(|| "no data".into()))),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
