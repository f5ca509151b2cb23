//! An impact in words, a line a figure.

use super::{Baseline, Figure, Impact, Trust};
use crate::span;
use std::time::Duration;

/// Names and figures. What is not known is not there, but for what nothing can be compared with.
pub fn words(impact: &Impact) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let baseline = impact.baseline.as_ref();
    if let Some(lowest) = impact.lowest_ops_per_s {
        let mut text = format!("{} at the lowest", figure(lowest, &rate));
        if let (Some(percent), Some(usual)) = (impact.lowest_percent, baseline) {
            text += &format!(", {}", compared(percent.value, usual));
        }
        lines.push(("throughput", text));
    }
    if let Some(worst) = impact.worst_p99_ms {
        let mut text = format!("{} at the worst", figure(worst, &millis));
        if let Some(usual) = baseline.and_then(|usual| usual.p99_ms) {
            text += &format!(", usually {}", millis(usual));
        }
        if let (Some(above), Some(limit)) = (impact.above_limit_s, impact.p99_limit_ms) {
            text += &format!("; above {} for {}", millis(limit), figure(above, &time));
        }
        lines.push(("p99", text));
    }
    if let Some(refused) = impact.refused {
        let text = figure(refused, &count);
        lines.push((
            "refused",
            format!("{text} requests refused or failed, each try of them counted"),
        ));
    }
    match impact.lost_operations {
        Some(lost) => {
            let text = figure(lost, &count);
            lines.push(("lost", format!("{text} operations fewer than usual")));
        }
        None => lines.push((
            "compared",
            "with nothing: less than 30 s of a usual load was seen before it".to_owned(),
        )),
    }
    if impact.unknown_s > 0.0 {
        let all = span::between(impact.from, impact.to);
        let text = format!("{} of {}", time(impact.unknown_s), span::exact(all));
        lines.push(("not seen", text));
    }
    lines
}

/// A figure with how far it can be believed.
fn figure(figure: Figure, number: &dyn Fn(f64) -> String) -> String {
    let number = number(figure.value);
    match figure.is {
        Trust::Exact => number,
        Trust::About => format!("≈ {number}"),
        Trust::AtLeast => format!("at least {number}"),
        Trust::AtMost => format!("at most {number}"),
    }
}

fn compared(percent: f64, usual: &Baseline) -> String {
    let sign = if percent < 0.0 { "−" } else { "+" };
    format!("{sign}{:.0} % of {}", percent.abs(), rate(usual.ops_per_s))
}

fn rate(value: f64) -> String {
    format!("{value:.0} ops/s")
}

fn millis(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.1} ms")
    } else {
        format!("{value:.0} ms")
    }
}

fn count(value: f64) -> String {
    format!("{value:.0}")
}

fn time(seconds: f64) -> String {
    span::exact(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
