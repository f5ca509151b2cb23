//! From the counters of a store to its traffic: rates and the 99th percentile over a window.
//!
//! Keeps the scrapes of the window; does not fetch them.

use super::{exposition, snapshot::Traffic};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// Histogram of request durations, by type; what TiKV's own dashboards use.
const DURATION: &str = "tikv_grpc_msg_duration_seconds";
const FAILED: &str = "tikv_grpc_msg_fail_total";
/// What the storage below answered, by type and status.
const ENGINE: &str = "tikv_storage_engine_async_request_total";
const STARTED: &str = "process_start_time_seconds";
/// Calls of stores to each other, and of those who tidy up: nobody waits for them.
pub(super) const INTERNAL: [&str; 2] = ["kv_gc", "check_leader"];
/// Statuses of [`ENGINE`] that are no refusal: `all` is the sum of the others.
pub(super) const NOT_REFUSED: [&str; 2] = ["all", "success"];
/// Types of [`ENGINE`] that somebody's request stands behind.
pub(super) const ASKED: [&str; 2] = ["write", "snapshot"];

/// What one scrape says of requests: cumulative counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counters {
    /// Requests that were answered, be it by a refusal.
    calls: f64,
    failed: f64,
    refused: f64,
    /// Cumulative counts by upper bound in seconds, as bits so that they sort and compare. None:
    /// one of them is no number.
    buckets: Option<BTreeMap<u64, f64>>,
    /// When the process began, where it says so.
    started: Option<f64>,
}

impl Counters {
    /// Sums over what is asked from outside. A store that has served nothing yet has none of these
    /// metrics: its sums are zero. None: these are not the metrics of a store.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut is_store = false;
        let mut out = Self::default();
        let mut buckets = Some(BTreeMap::<u64, f64>::new());
        for s in exposition::samples(text) {
            is_store |= s.name.starts_with("tikv_");
            let kind = s.label("type").unwrap_or_default();
            let one_of = |list: &[&str], text: &str| list.contains(&text);
            match s.name {
                STARTED => out.started = Some(s.value),
                FAILED if !one_of(&INTERNAL, kind) => out.failed += s.value,
                ENGINE if one_of(&ASKED, kind) => {
                    if !one_of(&NOT_REFUSED, s.label("status").unwrap_or_default()) {
                        out.refused += s.value;
                    }
                }
                _ if one_of(&INTERNAL, kind) => {}
                name => match name.strip_prefix(DURATION) {
                    Some("_count") => out.calls += s.value,
                    Some("_bucket") => {
                        let bound: Option<f64> = s.label("le").and_then(|le| le.parse().ok());
                        match (bound.filter(|b| *b >= 0.0), &mut buckets) {
                            _ if !s.value.is_finite() => buckets = None,
                            (Some(bound), Some(all)) => {
                                *all.entry(bound.to_bits()).or_default() += s.value;
                            }
                            _ => {}
                        }
                    }
                    _ => {}
                },
            }
        }
        out.buckets = buckets;
        is_store.then_some(out)
    }

    /// Whether these come from the process that `earlier` came from.
    fn follows(&self, earlier: &Self) -> bool {
        let same = match (self.started, earlier.started) {
            (Some(a), Some(b)) => (a - b).abs() < 1.0,
            _ => true,
        };
        let falls = self.calls < earlier.calls || self.refused < earlier.refused;
        same && !falls
    }
}

/// The scrapes of one store within the window.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<(Instant, Counters)>);

impl Window {
    /// Adds a scrape and returns the traffic between the oldest in `length` and it. None until
    /// there are two, or when the store restarted and its counters began anew.
    pub(super) fn add(
        &mut self,
        at: Instant,
        counters: Counters,
        length: Duration,
    ) -> Option<Traffic> {
        if self
            .0
            .back()
            .is_some_and(|(_, last)| !counters.follows(last))
        {
            self.0.clear();
        }
        // One scrape older than the window is kept, so that the window is always covered.
        while self.0.len() > 1 && at.duration_since(self.0[1].0) >= length {
            self.0.pop_front();
        }
        self.0.push_back((at, counters));
        let (first_at, first) = self.0.front()?;
        let (_, last) = self.0.back()?;
        let seconds = at.duration_since(*first_at).as_secs_f64();
        if seconds < 0.2 {
            return None;
        }
        let rate = |of: fn(&Counters) -> f64| {
            let counted = of(last) - of(first);
            // `max` would make zero of what is no number.
            counted.is_finite().then(|| counted.max(0.0) / seconds)
        };
        let Some(calls) = rate(|c| c.calls) else {
            return Some(Traffic::default());
        };
        let latency = difference(last, first).and_then(|d| quantile(0.99, &d));
        Some(Traffic::of(
            calls,
            // A request that fails in both places is one.
            most(rate(|c| c.failed), rate(|c| c.refused)),
            latency,
        ))
    }
}

impl Traffic {
    /// From requests answered a second, those of them that were refused, and seconds.
    pub(super) fn of(calls: f64, refused: Option<f64>, latency: Option<f64>) -> Self {
        // What is refused beyond the calls was asked by the store itself.
        let refused = refused.map(|refused| refused.min(calls));
        let ops = calls - refused.unwrap_or(0.0);
        // How long a refusal takes is not how long a request takes.
        let served = ops > calls * 0.001 || refused.is_none_or(|refused| refused <= 0.0);
        Self {
            ops_per_s: Some(ops),
            p99_ms: latency.filter(|_| served).map(|s| s * 1000.0),
            refused_per_s: refused,
        }
    }
}

/// The larger of what is known.
fn most(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

fn difference(last: &Counters, first: &Counters) -> Option<Vec<(f64, f64)>> {
    let (last, first) = (last.buckets.as_ref()?, first.buckets.as_ref()?);
    let between = last.iter().map(|(bound, count)| {
        let before = first.get(bound).copied().unwrap_or(0.0);
        (f64::from_bits(*bound), (count - before).max(0.0))
    });
    Some(between.collect())
}

/// Prometheus' `histogram_quantile`: linear within the bucket; the lower bound of the last one.
/// `buckets` are (upper bound, cumulative count), rising. None without observations.
fn quantile(q: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let total = buckets.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = q * total;
    let mut lower = (0.0, 0.0);
    for &(bound, count) in buckets {
        if count >= rank {
            if bound.is_infinite() {
                return Some(lower.0);
            }
            let share = (rank - lower.1) / (count - lower.1).max(f64::MIN_POSITIVE);
            return Some(lower.0 + (bound - lower.0) * share.clamp(0.0, 1.0));
        }
        lower = (bound, count);
    }
    Some(lower.0)
}

/// Traffic of all stores together: sums, and the worst 99th percentile. None if none is known.
pub fn total<'a>(stores: impl Iterator<Item = &'a Traffic>) -> Option<Traffic> {
    let add = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
    stores.fold(None, |sum: Option<Traffic>, t| {
        let sum = sum.unwrap_or_default();
        Some(Traffic {
            ops_per_s: add(sum.ops_per_s, t.ops_per_s),
            refused_per_s: add(sum.refused_per_s, t.refused_per_s),
            p99_ms: most(sum.p99_ms, t.p99_ms),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(get: [u32; 3], errors: u32) -> String {
        let [fast, slow, all] = get;
        format!(
            "tikv_grpc_msg_duration_seconds_bucket{{type=\"raw_get\",le=\"0.01\"}} {fast}\n\
             tikv_grpc_msg_duration_seconds_bucket{{type=\"raw_get\",le=\"0.1\"}} {slow}\n\
             tikv_grpc_msg_duration_seconds_bucket{{type=\"raw_get\",le=\"+Inf\"}} {all}\n\
             tikv_grpc_msg_duration_seconds_count{{type=\"raw_get\"}} {all}\n\
             tikv_grpc_msg_duration_seconds_count{{type=\"kv_gc\"}} 1000000\n\
             tikv_grpc_msg_fail_total{{type=\"raw_get\"}} {errors}\n"
        )
    }

    #[test]
    fn rates_and_percentile_come_from_the_window_alone() {
        let mut w = Window::default();
        let t = Instant::now();
        let length = Duration::from_secs(10);
        assert_eq!(
            w.add(
                t,
                Counters::read(&text([100, 100, 100], 0)).unwrap(),
                length
            ),
            None
        );
        let later = Counters::read(&text([100, 200, 200], 5)).unwrap();
        let traffic = w.add(t + Duration::from_secs(5), later, length).unwrap();
        assert_eq!(traffic.ops_per_s, Some(19.0));
        assert_eq!(traffic.refused_per_s, Some(1.0));
        assert_eq!(traffic.refused_share(), Some(0.05));
        assert!((traffic.p99_ms.unwrap() - 99.1).abs() < 0.01);
    }

    #[test]
    fn no_traffic_has_no_percentile_and_a_restart_begins_anew() {
        let mut w = Window::default();
        let t = Instant::now();
        let length = Duration::from_secs(10);
        let same = || Counters::read(&text([100, 100, 100], 0)).unwrap();
        w.add(t, same(), length);
        let quiet = w.add(t + Duration::from_secs(2), same(), length).unwrap();
        assert_eq!((quiet.ops_per_s, quiet.p99_ms), (Some(0.0), None));
        let restarted = Counters::read(&text([3, 3, 3], 0)).unwrap();
        assert_eq!(w.add(t + Duration::from_secs(4), restarted, length), None);
    }

    #[test]
    fn the_window_forgets() {
        let mut w = Window::default();
        let t = Instant::now();
        for i in 0..100u32 {
            let c = Counters::read(&text([i, i, i], 0)).unwrap();
            w.add(
                t + Duration::from_secs(u64::from(i)),
                c,
                Duration::from_secs(10),
            );
        }
        assert!(w.0.len() <= 12, "{}", w.0.len());
    }

    #[test]
    fn other_texts_have_no_counters() {
        assert_eq!(Counters::read("up 1\n"), None);
        assert_eq!(Counters::read("<html>404</html>"), None);
    }

    /// What ten seconds made of a store's metrics.
    fn in_ten_seconds(first: &str, last: &str) -> Option<Traffic> {
        let mut w = Window::default();
        let (t, length) = (Instant::now(), Duration::from_secs(10));
        assert_eq!(w.add(t, Counters::read(first).unwrap(), length), None);
        w.add(t + length, Counters::read(last).unwrap(), length)
    }

    /// So many reads that took up to 10 ms, and what the storage below said of them.
    fn reads(calls: u32, failed: u32, engine: &[(&str, &str, u32)]) -> String {
        let mut text = format!(
            "tikv_grpc_msg_duration_seconds_bucket{{type=\"kv_get\",priority=\"unknown\",le=\"0.01\"}} {calls}\n\
             tikv_grpc_msg_duration_seconds_bucket{{type=\"kv_get\",priority=\"unknown\",le=\"+Inf\"}} {calls}\n\
             tikv_grpc_msg_duration_seconds_count{{type=\"kv_get\",priority=\"unknown\"}} {calls}\n\
             tikv_grpc_msg_duration_seconds_count{{type=\"check_leader\",priority=\"unknown\"}} {}\n\
             tikv_grpc_msg_fail_total{{type=\"kv_get\"}} {failed}\n",
            calls * 7
        );
        for (kind, status, count) in engine {
            text += &format!(
                "tikv_storage_engine_async_request_total{{status=\"{status}\",type=\"{kind}\"}} {count}\n"
            );
        }
        text
    }

    #[test]
    fn an_outage_is_no_busy_store() {
        let first = reads(4_000, 0, &[("snapshot", "success", 4_000)]);
        let last = reads(
            6_200,
            20,
            &[
                ("snapshot", "success", 4_000),
                ("snapshot", "all", 6_230),
                ("snapshot", "err_not_leader", 2_100),
                ("write", "err_stale_command", 130),
            ],
        );
        let traffic = in_ten_seconds(&first, &last).unwrap();
        assert_eq!(
            traffic,
            Traffic {
                ops_per_s: Some(0.0),
                p99_ms: None,
                refused_per_s: Some(220.0)
            }
        );
        assert_eq!(traffic.refused_share(), Some(1.0));
    }

    #[test]
    fn a_request_that_fails_twice_is_one() {
        let engine = [("write", "err_timeout", 100), ("write", "all", 100)];
        let last = reads(1_000, 100, &engine);
        let traffic = in_ten_seconds(&reads(0, 0, &[]), &last).unwrap();
        assert_eq!(traffic.ops_per_s, Some(90.0));
        assert_eq!(traffic.refused_per_s, Some(10.0));
        assert_eq!(traffic.refused_share(), Some(0.1));
        assert!(traffic.p99_ms.is_some());
        // Other types are no requests of anybody's.
        let other = reads(1_000, 0, &[("exotic", "err_timeout", 100)]);
        let traffic = in_ten_seconds(&reads(0, 0, &[]), &other).unwrap();
        assert_eq!(traffic.refused_per_s, Some(0.0));
    }

    #[test]
    fn a_store_that_has_served_nothing_yet_is_idle() {
        let new = "tikv_raftstore_region_count{type=\"leader\"} 0\n\
            tikv_grpc_msg_duration_seconds_count{type=\"check_leader\"} 9\n";
        let idle = in_ten_seconds(new, new).unwrap();
        assert_eq!((idle.ops_per_s, idle.refused_per_s), (Some(0.0), Some(0.0)));
        assert_eq!((idle.p99_ms, idle.refused_share()), (None, None));
        // Its first requests count from zero.
        let served = in_ten_seconds(new, &reads(50, 0, &[])).unwrap();
        assert_eq!(served.ops_per_s, Some(5.0));
    }

    #[test]
    fn what_is_no_number_makes_no_figure() {
        let text = reads(100, 0, &[]);
        let bucket = text.replace("le=\"0.01\"} 100", "le=\"0.01\"} NaN");
        let traffic = in_ten_seconds(&reads(0, 0, &[]), &bucket).unwrap();
        assert_eq!((traffic.ops_per_s, traffic.p99_ms), (Some(10.0), None));
        let count = text.replace("priority=\"unknown\"} 100", "priority=\"unknown\"} NaN");
        let traffic = in_ten_seconds(&reads(0, 0, &[]), &count).unwrap();
        assert_eq!(traffic, Traffic::default());
    }

    #[test]
    fn a_restart_is_seen_by_its_start_though_the_counts_rise() {
        let before = "process_start_time_seconds 1000\n".to_owned() + &reads(10, 0, &[]);
        let after = "process_start_time_seconds 2000\n".to_owned() + &reads(500, 0, &[]);
        assert_eq!(in_ten_seconds(&before, &after), None);
    }

    #[test]
    fn the_total_is_a_sum_with_the_worst_percentile() {
        let a = Traffic {
            ops_per_s: Some(1.0),
            p99_ms: Some(4.0),
            refused_per_s: None,
        };
        let b = Traffic {
            ops_per_s: Some(2.0),
            p99_ms: Some(9.0),
            refused_per_s: Some(1.0),
        };
        let sum = total([a, b].iter()).unwrap();
        assert_eq!(
            (sum.ops_per_s, sum.p99_ms, sum.refused_per_s),
            (Some(3.0), Some(9.0), Some(1.0))
        );
        assert_eq!(total(std::iter::empty()), None);
    }
}
