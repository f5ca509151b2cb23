//! What a cluster serves, over time: as bars in little room, as charts with axes where there is more.

use crate::{
    app::model::state::State,
    cluster::Traffic,
    ui::{
        chart::{self, History},
        format::{millis, percent, rate},
        spark::spark,
        text::{between, left},
        theme::{Role, Theme},
    },
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use std::collections::VecDeque;

/// Refusals, throughput and latency over time, one below the other.
pub(super) fn with_axes(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let values = |history: &VecDeque<Option<f64>>| history.iter().copied().collect::<Vec<_>>();
    let cluster = &state.cluster;
    let (refused, ops, p99) = (
        values(&cluster.refused),
        values(&cluster.ops),
        values(&cluster.p99),
    );
    let mut charts = vec![
        History {
            title: "requests served a second",
            values: &ops,
            unit: rate,
        },
        History {
            title: "p99 latency",
            values: &p99,
            unit: millis,
        },
    ];
    if any_refused(state) {
        let history = History {
            title: "requests refused a second",
            values: &refused,
            unit: rate,
        };
        charts.insert(0, history);
    }
    let height = (area.height / charts.len() as u16).min(10);
    for (n, history) in (0..).zip(&charts) {
        let area = Rect {
            y: area.y + n * height,
            height,
            ..area
        };
        chart::draw(frame, area, history, theme);
    }
}

/// Whether any request was refused in the time that the charts show.
fn any_refused(state: &State) -> bool {
    let values = state.cluster.refused.iter().flatten();
    values.copied().any(|refused| refused >= LEAST)
}

/// A second; less reads as none.
const LEAST: f64 = 0.05;

/// Refusals, throughput and latency: numbers with units beside their history, higher where there
/// is room. What users feel comes first.
pub(super) fn bars(
    state: &State,
    columns: usize,
    room: u16,
    theme: Theme,
    text: &mut Vec<Line<'static>>,
) {
    let refusing = any_refused(state);
    let (label_wide, value_wide) = if refusing { (8, 13) } else { (7, 10) };
    let traffic = state.cluster.traffic(state.now);
    let ops = traffic.and_then(|t| t.ops_per_s);
    let p99 = traffic.and_then(|t| t.p99_ms);
    // A percentile of nothing is nothing, and not unknown.
    let idle = ops.is_some_and(|ops| ops < LEAST);
    let p99 = match (p99, traffic.and_then(refused)) {
        (Some(p99), _) => Some(millis(p99)),
        (None, Some(_)) => Some("none served".into()),
        (None, None) => idle.then(|| "no load".into()),
    };
    let mut charts = vec![
        ("ops/s", &state.cluster.ops, ops.map(rate)),
        ("p99", &state.cluster.p99, p99),
    ];
    if refusing {
        let value = match traffic {
            Some(traffic) => refused(traffic).map(|(share, a_second)| {
                format!("{} {}/s", percent_of_some(share), rate(a_second))
            }),
            None => None,
        };
        let none = traffic.and_then(|t| t.refused_per_s).map(|_| "0/s".into());
        charts.insert(0, ("refused", &state.cluster.refused, value.or(none)));
    }
    // In the least room latency gives way to refusals.
    charts.truncate(usize::from(room.max(2)));
    let lines = if room > charts.len() as u16 {
        room - 1
    } else {
        room
    };
    let rows = usize::from(lines / charts.len() as u16).clamp(1, 4);
    if usize::from(room) > charts.len() {
        text.push(Line::default());
    }
    for (label, history, value) in charts {
        let wide = columns.saturating_sub(label_wide + value_wide);
        let bars = spark(history.iter(), wide, rows);
        let bad = label == "refused";
        let (value, role) = match value {
            None => ("?".to_owned(), Role::Unknown),
            Some(value) if bad && value != "0/s" => (value, Role::Bad),
            Some(value) => (value, Role::Strong),
        };
        for (n, bar) in bars.into_iter().enumerate() {
            let last = n + 1 == rows;
            let start = vec![
                Span::styled(
                    left(if last { label } else { "" }, label_wide),
                    theme.style(Role::Dim),
                ),
                Span::styled(bar, theme.style(if bad { Role::Bad } else { Role::Accent })),
            ];
            let end = if last {
                vec![Span::styled(value.clone(), theme.style(role))]
            } else {
                Vec::new()
            };
            text.push(between(start, end, columns));
        }
    }
}

/// Share and rate of what is refused, if anything is.
pub(crate) fn refused(traffic: &Traffic) -> Option<(f64, f64)> {
    let a_second = traffic.refused_per_s.filter(|refused| *refused >= LEAST)?;
    Some((traffic.refused_share()?, a_second))
}

/// A share that is not nothing, as percent.
pub(crate) fn percent_of_some(share: f64) -> String {
    if share < 0.01 {
        "<1%".into()
    } else {
        // What is not all does not read as all.
        percent(if share < 1.0 { share.min(0.99) } else { share })
    }
}
