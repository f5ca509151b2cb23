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

/// What one scrape says of requests: cumulative counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counters {
    requests: f64,
    errors: f64,
    /// Cumulative counts by upper bound in seconds, as bits so that they sort and compare.
    buckets: BTreeMap<u64, f64>,
}

impl Counters {
    /// Sums over all request types but garbage collection. None: the text has no such metric.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut found = false;
        let mut out = Self::default();
        for s in exposition::samples(text) {
            if s.label("type") == Some("kv_gc") || !s.value.is_finite() {
                continue;
            }
            match s.name.strip_prefix(DURATION) {
                Some("_count") => {
                    found = true;
                    out.requests += s.value;
                }
                Some("_bucket") => {
                    let bound: Option<f64> = s.label("le").and_then(|le| le.parse().ok());
                    if let Some(bound) = bound.filter(|b| *b >= 0.0) {
                        *out.buckets.entry(bound.to_bits()).or_default() += s.value;
                    }
                }
                _ if s.name == FAILED => out.errors += s.value,
                _ => {}
            }
        }
        found.then_some(out)
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
            .is_some_and(|(_, last)| counters.requests < last.requests)
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
        Some(Traffic {
            ops_per_s: Some((last.requests - first.requests).max(0.0) / seconds),
            errors_per_s: Some((last.errors - first.errors).max(0.0) / seconds),
            p99_ms: quantile(0.99, &difference(last, first)).map(|s| s * 1000.0),
        })
    }
}

fn difference(last: &Counters, first: &Counters) -> Vec<(f64, f64)> {
    last.buckets
        .iter()
        .map(|(bound, count)| {
            let before = first.buckets.get(bound).copied().unwrap_or(0.0);
            (f64::from_bits(*bound), (count - before).max(0.0))
        })
        .collect()
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
            errors_per_s: add(sum.errors_per_s, t.errors_per_s),
            p99_ms: match (sum.p99_ms, t.p99_ms) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            },
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
        assert_eq!(traffic.ops_per_s, Some(20.0));
        assert_eq!(traffic.errors_per_s, Some(1.0));
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

    #[test]
    fn the_total_is_a_sum_with_the_worst_percentile() {
        let a = Traffic {
            ops_per_s: Some(1.0),
            p99_ms: Some(4.0),
            errors_per_s: None,
        };
        let b = Traffic {
            ops_per_s: Some(2.0),
            p99_ms: Some(9.0),
            errors_per_s: Some(1.0),
        };
        let sum = total([a, b].iter()).unwrap();
        assert_eq!(
            (sum.ops_per_s, sum.p99_ms, sum.errors_per_s),
            (Some(3.0), Some(9.0), Some(1.0))
        );
        assert_eq!(total(std::iter::empty()), None);
    }
}
