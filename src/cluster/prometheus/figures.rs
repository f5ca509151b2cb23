//! What Prometheus knows of each store: the queries of TiKV's own dashboards, joined to PD's stores.
//!
//! NaN, an empty answer and a sample that is too old are unknown, never zero. It judges nothing but
//! that.

use super::{Filter, Found, HttpError, Labels, Prometheus, Series, number};
use crate::cluster::{
    join::{Target, join},
    rates::{ASKED, INTERNAL, NOT_REFUSED},
    snapshot::{Store, Traffic},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Scrapes apart by so much, where Prometheus does not say: its own default is a minute, that of
/// TiKV's configuration fifteen seconds.
const SCRAPE: Duration = Duration::from_secs(15);
/// A rate needs some scrapes in its window.
const SCRAPES_IN_WINDOW: u32 = 4;
/// How often scrape intervals are asked for.
const LEARN_AGAIN: Duration = Duration::from_secs(60);
/// Over which samples are counted where nobody says how far apart they are.
const SPACING: u64 = 300;
/// The label, of ours alone, of series that count requests.
const COUNTED: &str = "operator_counted";

/// How far scrapes are apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Scrapes {
    /// By instance and job.
    known: HashMap<(String, String), Duration>,
    learnt: Option<Instant>,
}

impl Scrapes {
    /// Of a target; of one that nobody speaks of, what is usual of the others.
    fn of(&self, target: &Target) -> Duration {
        let key = (target.instance().to_owned(), target.label("job").to_owned());
        let same = self.known.get(&key).or_else(|| {
            let of_job = |(_, job): &&(String, String)| *job == key.1;
            let jobs = self.known.keys().filter(of_job);
            jobs.filter_map(|key| self.known.get(key)).max()
        });
        same.copied().unwrap_or(SCRAPE)
    }
}

/// The targets of some stores, and over which time their rates are taken.
struct Joined {
    stores: Vec<Result<Target, String>>,
    window: u64,
}

impl Prometheus {
    /// The traffic of each of some stores, in their order. `window`: of the rates; longer if scrapes
    /// are further apart.
    pub(crate) async fn traffic(
        &mut self,
        stores: &[Store],
        window: Duration,
    ) -> Result<Vec<Result<Traffic, String>>, HttpError> {
        let joined = self.join(stores, window).await?;
        let filter = self.filter.as_ref();
        let (calls, latency, refused) = tokio::try_join!(
            self.instant(calls(joined.window, filter)),
            self.instant(latency(joined.window, filter)),
            self.instant(refused(joined.window, filter)),
        )?;
        let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
        let traffic = joined.stores.into_iter().map(|target| {
            let target = target?;
            // Ahead: the clock there is. Then nothing is known of its age.
            let age = now - target.at;
            if age > self.limit(&target) {
                return Err(format!("the newest sample there is {age:.0} s old"));
            }
            let of = |values: &HashMap<String, f64>| values.get(target.instance()).copied();
            match of(&calls) {
                Some(calls) => Ok(Traffic::of(calls, of(&refused), of(&latency))),
                None if target.counted => Err("too few samples there for a rate".to_owned()),
                // It has served nothing yet.
                None => Ok(Traffic::of(0.0, Some(0.0), None)),
            }
        });
        Ok(traffic.collect())
    }

    /// The traffic of stores from `from` to `to`, by their ids: a value each `step`, None where
    /// nothing is known.
    pub(crate) async fn history(
        &mut self,
        stores: &[Store],
        from: Timestamp,
        to: Timestamp,
        step: Duration,
        window: Duration,
    ) -> Result<HashMap<u64, Vec<Traffic>>, HttpError> {
        let joined = self.join(stores, window).await?;
        let filter = self.filter.as_ref();
        let (calls, latency, refused) = tokio::try_join!(
            self.range(calls(joined.window, filter), from, to, step),
            self.range(latency(joined.window, filter), from, to, step),
            self.range(refused(joined.window, filter), from, to, step),
        )?;
        let slot = |at: Timestamp| {
            let steps = at.duration_since(from).as_secs_f64() / step.as_secs_f64();
            steps.round().max(0.0) as usize
        };
        let slots = |all: &HashMap<String, Series>, instance: &str| -> HashMap<usize, f64> {
            let series = all.get(instance).into_iter().flatten();
            series.map(|(at, value)| (slot(*at), *value)).collect()
        };
        let mut out = HashMap::new();
        for (store, target) in stores.iter().zip(&joined.stores) {
            let Ok(target) = target else { continue };
            let of = |all| slots(all, target.instance());
            let (calls, latency, refused) = (of(&calls), of(&latency), of(&refused));
            let value = |at: usize| match calls.get(&at) {
                Some(calls) => {
                    Traffic::of(*calls, refused.get(&at).copied(), latency.get(&at).copied())
                }
                None => Traffic::default(),
            };
            out.insert(store.id, (0..=slot(to)).map(value).collect());
        }
        Ok(out)
    }

    /// Who scrapes which store.
    async fn join(&mut self, stores: &[Store], wanted: Duration) -> Result<Joined, HttpError> {
        self.learn().await;
        let answer = self.query(&seen(self.filter.as_ref())).await?;
        let targets = self.targets(answer);
        let filter = self.filter.as_ref().map(ToString::to_string);
        let joined = join(stores, &targets, filter.as_deref());
        let stores: Vec<Result<Target, String>> = joined
            .into_iter()
            .map(|joined| joined.map(|n| targets[n].clone()))
            .collect();
        let scrapes = stores.iter().flatten().map(|t| self.scrapes.of(t));
        let least = scrapes.max().unwrap_or(SCRAPE) * SCRAPES_IN_WINDOW;
        let window = wanted.max(least).as_secs().max(1);
        Ok(Joined { stores, window })
    }

    /// Each target once. One that is no longer scraped hides none that is in its place.
    fn targets(&self, answer: Vec<Found>) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        for Found {
            metric: mut labels,
            value,
            ..
        } in answer
        {
            let Some(at) = value.and_then(|(_, text)| number(&text)) else {
                continue;
            };
            let counted = labels.remove(COUNTED).is_some();
            match targets.iter_mut().find(|t| t.labels == labels) {
                Some(known) => {
                    known.at = known.at.max(at);
                    known.counted |= counted;
                }
                None => targets.push(Target {
                    labels,
                    at,
                    counted,
                }),
            }
        }
        let newest = |instance: &str| {
            let same = targets.iter().filter(|t| t.instance() == instance);
            same.map(|t| t.at).fold(f64::MIN, f64::max)
        };
        let keep: Vec<bool> = targets
            .iter()
            .map(|t| newest(t.instance()) - t.at <= self.limit(t))
            .collect();
        let mut keep = keep.into_iter();
        targets.retain(|_| keep.next().unwrap_or(true));
        targets
    }

    /// A sample older than this is no news, seconds.
    fn limit(&self, target: &Target) -> f64 {
        self.scrapes.of(target).as_secs_f64() * 2.0 + 5.0
    }

    /// How far scrapes are apart, as Prometheus is set, or as its samples are where it does not
    /// say. What was known is kept where nobody answers.
    async fn learn(&mut self) {
        if self
            .scrapes
            .learnt
            .is_some_and(|at| at.elapsed() < LEARN_AGAIN)
        {
            return;
        }
        let mut known = self.configured().await.unwrap_or_default();
        if known.is_empty() {
            known = self.spaced().await.unwrap_or_default();
        }
        if !known.is_empty() {
            self.scrapes.known = known;
            self.scrapes.learnt = Some(Instant::now());
        }
    }

    async fn configured(&self) -> Result<HashMap<(String, String), Duration>, HttpError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            active_targets: Vec<Active>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Active {
            #[serde(default)]
            labels: Labels,
            #[serde(default)]
            scrape_interval: String,
        }
        let data: Data = self.get("targets", &[("state", "active")]).await?;
        let intervals = data.active_targets.into_iter().filter_map(|target| {
            let length: SignedDuration = target.scrape_interval.parse().ok()?;
            let length = Duration::try_from(length).ok().filter(|d| !d.is_zero())?;
            Some((key(&target.labels), length))
        });
        Ok(longest(intervals))
    }

    async fn spaced(&self) -> Result<HashMap<(String, String), Duration>, HttpError> {
        let rest = Filter::rest(self.filter.as_ref());
        let counted = format!(
            "count_over_time(tikv_raftstore_region_count{{type=\"leader\"{rest}}}[{SPACING}s])"
        );
        let answer = self.query(&counted).await?;
        let spacings = answer.into_iter().filter_map(|found| {
            let samples = number(&found.value.as_ref()?.1).filter(|n| *n >= 2.0)?;
            let apart = Duration::from_secs_f64((SPACING as f64 / samples).max(1.0));
            Some((key(&found.metric), apart))
        });
        Ok(longest(spacings))
    }
}

fn key(labels: &Labels) -> (String, String) {
    let label = |name| labels.get(name).cloned().unwrap_or_default();
    (label("instance"), label("job"))
}

fn longest(
    all: impl Iterator<Item = ((String, String), Duration)>,
) -> HashMap<(String, String), Duration> {
    let mut out: HashMap<(String, String), Duration> = HashMap::new();
    for (key, length) in all {
        let known = out.entry(key).or_default();
        *known = length.max(*known);
    }
    out
}

const CALLS: &str = "tikv_grpc_msg_duration_seconds";

fn asked(filter: Option<&Filter>) -> String {
    format!("type!~\"{}\"{}", INTERNAL.join("|"), Filter::rest(filter))
}

/// Who is scraped, and when: once by what every store has, once more by what counts requests, which
/// is there from the first request on.
fn seen(filter: Option<&Filter>) -> String {
    let (asked, rest) = (asked(filter), Filter::rest(filter));
    format!(
        "label_replace(max without (type, priority) (timestamp({CALLS}_count{{{asked}}})), \"{COUNTED}\", \"1\", \"\", \"\") \
         or max without (type) (timestamp(tikv_raftstore_region_count{{type=~\"leader|region\"{rest}}}))"
    )
}

fn calls(window: u64, filter: Option<&Filter>) -> String {
    let asked = asked(filter);
    format!("sum by (instance) (rate({CALLS}_count{{{asked}}}[{window}s]))")
}

fn latency(window: u64, filter: Option<&Filter>) -> String {
    let asked = asked(filter);
    format!(
        "histogram_quantile(0.99, sum by (le, instance) (rate({CALLS}_bucket{{{asked}}}[{window}s])))"
    )
}

/// Calls that failed or requests that the storage below refused, whichever is more: what counts in
/// both is one. A store that has never refused has no such counter: that its requests are counted,
/// and no refusal is among them, is a zero that somebody has seen.
fn refused(window: u64, filter: Option<&Filter>) -> String {
    let (of_calls, rest) = (asked(filter), Filter::rest(filter));
    let (types, others) = (ASKED.join("|"), NOT_REFUSED.join("|"));
    let marked = |rate: String, mark: &str| {
        format!("label_replace(sum by (instance) ({rate}), \"of\", \"{mark}\", \"\", \"\")")
    };
    let failed = format!("rate(tikv_grpc_msg_fail_total{{{of_calls}}}[{window}s])");
    let storage = format!(
        "rate(tikv_storage_engine_async_request_total{{type=~\"{types}\",status!~\"{others}\"{rest}}}[{window}s])"
    );
    format!(
        "max by (instance) ({} or {}) or 0 * {}",
        marked(failed, "calls"),
        marked(storage, "storage"),
        calls(window, filter)
    )
}
