//! What an outage cost, from looks at the cluster: throughput, p99, requests refused, operations that
//! were not served, time above the limit. Pure; what is read for it is in `read`, how it is said in
//! `words`.
//!
//! A figure says how far it can be believed. What nobody saw is never counted as well: it makes a
//! bound of the figure.

mod baseline;
mod look;
pub mod read;
pub mod words;

pub use baseline::Baseline;
use jiff::{SignedDuration, Timestamp};
pub use look::{Look, Seen};
use serde::Serialize;

/// Throughput below this share of the usual is less than usual.
const LESS: f64 = 0.9;
/// An outage is seen some time after it began: so long before, figures that were bad already belong
/// to it.
const UNSEEN: SignedDuration = SignedDuration::from_secs(120);
/// Two looks this many times further apart than usual have a gap between them.
const GAP: f64 = 3.0;

/// How far a figure can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    Exact,
    /// Counted from rates.
    About,
    /// A part of it is unknown.
    AtLeast,
    AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    pub value: f64,
    pub is: Trust,
}

impl Figure {
    fn new(value: f64, is: Trust) -> Self {
        Self { value, is }
    }
}

/// What an outage cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Impact {
    /// When the first figure was worse than usual, or the outage was seen.
    pub from: Timestamp,
    pub to: Timestamp,
    /// Seconds of it of which nothing, or not all, is known.
    pub unknown_s: f64,
    /// None: there was too little to compare with.
    pub baseline: Option<Baseline>,
    /// The least that succeeded in a second.
    pub lowest_ops_per_s: Option<Figure>,
    /// That, compared with the usual, in percent: below zero where it was less.
    pub lowest_percent: Option<Figure>,
    pub worst_p99_ms: Option<Figure>,
    /// Seconds in which p99 was above its limit, and the limit.
    pub above_limit_s: Option<Figure>,
    pub p99_limit_ms: Option<f64>,
    /// Requests that were refused or failed.
    pub refused: Option<Figure>,
    /// Operations that usually would have succeeded.
    pub lost_operations: Option<Figure>,
}

/// A look, and the seconds it stands for.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    look: &'a Look,
    seconds: f64,
}

/// `looks`: in order, from ten minutes before. `leave_out`: other outages, in which nothing was usual.
pub fn impact(
    mut looks: Vec<Look>,
    (from, to): (Timestamp, Timestamp),
    leave_out: &[(Timestamp, Timestamp)],
) -> Option<Impact> {
    look::settle(&mut looks);
    let looks = looks.as_slice();
    let usual = spacing(looks);
    let outside = |at: Timestamp| !leave_out.iter().any(|(from, to)| *from <= at && at <= *to);
    let before = |upto: Timestamp| -> Vec<Piece<'_>> {
        let outside = |piece: &Piece<'_>| outside(piece.look.at);
        pieces(looks, upto - baseline::LENGTH, upto, usual)
            .into_iter()
            .filter(outside)
            .collect()
    };
    let first = Baseline::of(&before(from - UNSEEN)).map(|usual| usual.ops_per_s);
    let first = first.or_else(|| {
        let all = before(from);
        baseline::median(all.iter().filter_map(|p| p.look.whole_ops()).collect())
    });
    let from = first.map_or(from, |usual_ops| began(looks, from, usual_ops, usual));
    let baseline = Baseline::of(&before(from));
    let during = pieces(looks, from, to, usual);
    if during.is_empty() {
        return None;
    }
    let lasted = to.duration_since(from).as_secs_f64();
    let seconds = |which: fn(&Look) -> bool| -> f64 {
        let of = during.iter().filter(|piece| which(piece.look));
        of.map(|piece| piece.seconds).sum()
    };
    let whole_s = seconds(|look| look.whole_ops().is_some());
    // Less than a look's time is no gap.
    let all_known = |known: f64| lasted - known <= usual * GAP;
    let sure = all_known(whole_s);
    let bound = |bound| if sure { Trust::Exact } else { bound };
    let lowest = during
        .iter()
        .filter_map(|p| p.look.whole_ops())
        .reduce(f64::min);
    let worst = during.iter().filter_map(|p| p.look.p99_ms).reduce(f64::max);
    // The limit may have been another later. What is said is the last one; each look has its own.
    let p99_limit_ms = during.iter().rev().find_map(|p| p.look.p99_limit_ms);
    let above = p99_limit_ms.map(|_| {
        let above = during.iter().filter(|p| p.look.is_slow());
        // The sum of none of them is a minus nothing.
        above.map(|p| p.seconds).sum::<f64>().abs()
    });
    let sum = |rate: &dyn Fn(&Look) -> Option<f64>| -> f64 {
        let parts = during.iter();
        parts.filter_map(|p| Some(rate(p.look)? * p.seconds)).sum()
    };
    let refused_known = all_known(seconds(|look| look.seen == Seen::All));
    let refusals = during.iter().any(|p| p.look.refused_per_s.is_some());
    let counted = |known: bool| if known { Trust::About } else { Trust::AtLeast };
    let lost = baseline.map(|usual| {
        sum(&|look| {
            let ops = look.whole_ops()?;
            (ops < usual.ops_per_s * LESS).then_some(usual.ops_per_s - ops)
        })
    });
    let percent = lowest
        .zip(baseline)
        .filter(|(_, usual)| usual.ops_per_s > 0.0);
    Some(Impact {
        from,
        to,
        unknown_s: if sure {
            0.0
        } else {
            (lasted - whole_s).max(0.0)
        },
        baseline,
        lowest_ops_per_s: lowest.map(|ops| Figure::new(ops, bound(Trust::AtMost))),
        lowest_percent: percent.map(|(ops, usual)| {
            Figure::new((ops / usual.ops_per_s - 1.0) * 100.0, bound(Trust::AtMost))
        }),
        worst_p99_ms: worst.map(|p99| Figure::new(p99, bound(Trust::AtLeast))),
        above_limit_s: above
            .map(|s| Figure::new(s, if sure { Trust::About } else { Trust::AtLeast })),
        p99_limit_ms,
        refused: refusals.then(|| Figure::new(sum(&|l| l.refused_per_s), counted(refused_known))),
        lost_operations: lost.map(|lost| Figure::new(lost, counted(sure))),
    })
}

/// Seconds between two looks, usually.
fn spacing(looks: &[Look]) -> f64 {
    let apart = looks
        .windows(2)
        .map(|two| two[1].at.duration_since(two[0].at).as_secs_f64());
    baseline::median(apart.filter(|s| *s > 0.0).collect()).unwrap_or(1.0)
}

/// Looks of a stretch of time. Each stands for the time since the one before it, as far as that is
/// not longer than usual.
fn pieces(looks: &[Look], from: Timestamp, to: Timestamp, usual: f64) -> Vec<Piece<'_>> {
    let first = looks.partition_point(|look| look.at <= from);
    let mut before = first.checked_sub(1).map(|n| looks[n].at);
    let within = looks[first..].iter().take_while(|look| look.at <= to);
    within
        .map(|look| {
            let since = before.replace(look.at).map_or(from, |at| at.max(from));
            let apart = look.at.duration_since(since).as_secs_f64();
            let seconds = if apart > usual * GAP { usual } else { apart };
            Piece { look, seconds }
        })
        .collect()
}

/// When figures got worse, without a gap, before the outage was seen.
fn began(looks: &[Look], seen: Timestamp, usual_ops: f64, spacing: f64) -> Timestamp {
    let mut began = seen;
    for look in looks.iter().rev().skip_while(|look| look.at > seen) {
        let apart = began.duration_since(look.at).as_secs_f64();
        let worse = look.ops_per_s.is_some_and(|ops| ops < usual_ops * LESS);
        if !worse || apart > spacing * GAP || seen.duration_since(look.at) > UNSEEN {
            break;
        }
        began = look.at;
    }
    // The look that was the first to see it saw what had happened since the one before it.
    match looks.iter().rev().find(|look| look.at < began) {
        Some(look) if began < seen => look.at.max(seen - UNSEEN),
        _ => began,
    }
}

#[cfg(test)]
#[path = "impact/tests.rs"]
mod tests;
