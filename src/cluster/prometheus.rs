//! Prometheus as the source of what stores count: the queries of TiKV's own dashboards, joined to
//! PD's stores by their status address.
//!
//! NaN, an empty answer and a sample that is too old are unknown, never zero. It judges nothing but
//! that. Facts: HTTP API of Prometheus 2 and 3 (`/api/v1`).

mod rules;

use super::{
    http::{self, Http, HttpError},
    snapshot::Traffic,
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Url};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

pub use rules::AlertRule;

/// Labels of a series or an alert.
pub type Labels = BTreeMap<String, String>;

/// Scrapes apart by so much, where Prometheus does not say: its own default is a minute, that of
/// TiKV's configuration fifteen seconds.
const SCRAPE: Duration = Duration::from_secs(15);
/// A rate needs some scrapes in its window.
const SCRAPES_IN_WINDOW: u32 = 4;
/// How often the scrape interval is asked for.
const LEARN_AGAIN: Duration = Duration::from_secs(60);

/// One Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus {
    http: Http,
    url: Url,
    user: Option<(String, Option<String>)>,
    scrape: Duration,
    learnt: Option<Instant>,
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
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Vec<Found>,
}

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
        let text = url.trim();
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let wrong = |why: String| UrlError {
            // A password may be in it.
            text: text.rsplit('@').next().unwrap_or_default().to_owned(),
            why,
        };
        let mut url = Url::parse(&full).map_err(|e| wrong(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("not an address over HTTP".into()));
        }
        let user = (!url.username().is_empty())
            .then(|| (url.username().to_owned(), url.password().map(str::to_owned)));
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            http: Http::new(timeout, url.scheme() == "https").map_err(|e| wrong(e.to_string()))?,
            url,
            user,
            scrape: SCRAPE,
            learnt: None,
        })
    }

    /// Where it is, without a password.
    pub fn place(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The traffic of each store, by the address that is scraped.
    ///
    /// `window`: of the rates; longer if scrapes are further apart.
    pub async fn traffic(
        &mut self,
        window: Duration,
    ) -> Result<HashMap<String, Result<Traffic, String>>, HttpError> {
        self.learn().await;
        let window = self.window(window);
        let (ops, p99, errors, seen) = tokio::try_join!(
            self.instant(ops(window)),
            self.instant(p99(window)),
            self.instant(errors(window)),
            self.instant(
                "max by (instance) (timestamp(tikv_grpc_msg_duration_seconds_count))".into()
            ),
        )?;
        let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
        let limit = self.scrape.as_secs_f64() * 2.0 + 5.0;
        let traffic = |instance: &str, at: f64| {
            // Ahead: the clock there is. Then nothing is known of its age.
            let age = now - at;
            if age > limit {
                return Err(format!("the newest sample there is {age:.0} s old"));
            }
            let of = |values: &HashMap<String, f64>| values.get(instance).copied();
            let Some(ops_per_s) = of(&ops) else {
                return Err("too few samples there for a rate".to_owned());
            };
            Ok(Traffic {
                ops_per_s: Some(ops_per_s),
                p99_ms: of(&p99).map(|s| s * 1000.0),
                errors_per_s: of(&errors),
            })
        };
        Ok(seen
            .iter()
            .map(|(instance, at)| (instance.clone(), traffic(instance, *at)))
            .collect())
    }

    /// The traffic of each store from `from` to `to`, by the address that is scraped: a value each
    /// `step`, None where nothing is known.
    pub async fn history(
        &mut self,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
        window: Duration,
    ) -> Result<HashMap<String, Vec<Traffic>>, HttpError> {
        self.learn().await;
        let window = self.window(window);
        let (ops, p99) = tokio::try_join!(
            self.range(ops(window), from, to, step),
            self.range(p99(window), from, to, step),
        )?;
        let steps = to.duration_since(from).as_secs_f64() / step.as_secs_f64();
        let mut out = HashMap::new();
        for (instance, series) in &ops {
            let mut values = vec![Traffic::default(); steps as usize + 1];
            let index = |at: Timestamp| {
                let steps = at.duration_since(from).as_secs_f64() / step.as_secs_f64();
                steps.round().max(0.0) as usize
            };
            for (at, value) in series {
                if let Some(slot) = values.get_mut(index(*at)) {
                    slot.ops_per_s = Some(*value);
                }
            }
            for (at, value) in p99.get(instance).into_iter().flatten() {
                if let Some(slot) = values.get_mut(index(*at)) {
                    slot.p99_ms = Some(*value * 1000.0);
                }
            }
            out.insert(instance.clone(), values);
        }
        Ok(out)
    }

    /// How far the scrapes of stores are apart. What it was is kept where nobody says.
    async fn learn(&mut self) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            active_targets: Vec<Target>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Target {
            #[serde(default)]
            labels: Labels,
            #[serde(default)]
            scrape_interval: String,
        }
        if self.learnt.is_some_and(|at| at.elapsed() < LEARN_AGAIN) {
            return;
        }
        let Ok(data) = self.get::<Data>("targets", &[("state", "active")]).await else {
            return;
        };
        self.learnt = Some(Instant::now());
        let stores = data
            .active_targets
            .iter()
            .filter(|t| t.labels.get("job").is_some_and(|job| job.contains("tikv")));
        let intervals = stores.filter_map(|t| {
            let length: SignedDuration = t.scrape_interval.parse().ok()?;
            Duration::try_from(length).ok()
        });
        if let Some(longest) = intervals.max().filter(|d| !d.is_zero()) {
            self.scrape = longest;
        }
    }

    fn window(&self, wanted: Duration) -> u64 {
        let least = self.scrape * SCRAPES_IN_WINDOW;
        wanted.max(least).as_secs().max(1)
    }

    /// Values by instance. What is not a number is left out.
    async fn instant(&self, query: String) -> Result<HashMap<String, f64>, HttpError> {
        let answer: Answer = self.get("query", &[("query", &query)]).await?;
        let values = answer.result.iter().filter_map(|found| {
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
        let mut request = self.http.request(Method::GET, &url).query(query);
        if let Some((name, password)) = &self.user {
            request = request.basic_auth(name, password.as_ref());
        }
        let text = http::ask(request, &url).await?;
        let body = |why: String| HttpError::Body {
            url: url.clone(),
            why,
        };
        let envelope: Envelope<T> = serde_json::from_str(&text).map_err(|e| body(e.to_string()))?;
        match envelope.data {
            Some(data) if envelope.status == "success" => Ok(data),
            _ => Err(body(envelope.error.unwrap_or_else(|| "no data".into()))),
        }
    }
}

const REQUESTS: &str = "tikv_grpc_msg_duration_seconds";

fn ops(window: u64) -> String {
    format!("sum by (instance) (rate({REQUESTS}_count{{type!=\"kv_gc\"}}[{window}s]))")
}

fn p99(window: u64) -> String {
    format!(
        "histogram_quantile(0.99, sum by (le, instance) (rate({REQUESTS}_bucket{{type!=\"kv_gc\"}}[{window}s])))"
    )
}

/// A store that has never failed has no such counter: that its requests are counted, and no
/// failure is among them, is a zero that somebody has seen.
fn errors(window: u64) -> String {
    format!(
        "sum by (instance) (rate(tikv_grpc_msg_fail_total{{type!=\"kv_gc\"}}[{window}s])) or 0 * {}",
        ops(window)
    )
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
