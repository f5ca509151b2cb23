//! What a cluster serves, over time: as bars in little room, as charts with axes where there is more.

use crate::{
    app::model::state::State,
    ui::{
        chart::{self, History},
        format::{millis, rate},
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

/// Throughput and latency over time, one below the other.
pub(super) fn with_axes(frame: &mut Frame, area: Rect, state: &State, theme: Theme) {
    let half = (area.height / 2).min(10);
    let values = |history: &VecDeque<Option<f64>>| history.iter().copied().collect::<Vec<_>>();
    let (ops, p99) = (values(&state.cluster.ops), values(&state.cluster.p99));
    let charts = [
        History {
            title: "requests a second",
            values: &ops,
            unit: rate,
        },
        History {
            title: "p99 latency",
            values: &p99,
            unit: millis,
        },
    ];
    for (n, history) in (0..).zip(&charts) {
        let area = Rect {
            y: area.y + n * half,
            height: half,
            ..area
        };
        chart::draw(frame, area, history, theme);
    }
}

/// Throughput and latency: numbers with units beside their history, higher where there is room.
pub(super) fn bars(
    state: &State,
    columns: usize,
    room: u16,
    theme: Theme,
    text: &mut Vec<Line<'static>>,
) {
    const LABEL: usize = 7;
    const VALUE: usize = 10;
    let traffic = state
        .cluster
        .snapshot
        .as_ref()
        .and_then(|s| state.cluster.current(&s.traffic, state.now));
    let ops = traffic.and_then(|t| t.ops_per_s);
    let p99 = traffic.and_then(|t| t.p99_ms);
    // A percentile of nothing is nothing, and not unknown.
    let idle = ops.is_some_and(|ops| ops < 0.05);
    let p99 = if idle {
        Some("no load".into())
    } else {
        p99.map(millis)
    };
    let rows = usize::from(((room - 1) / 2).clamp(1, 4));
    if room > 2 {
        text.push(Line::default());
    }
    let charts = [
        ("ops/s", &state.cluster.ops, ops.map(rate)),
        ("p99", &state.cluster.p99, p99),
    ];
    for (label, history, value) in charts {
        let wide = columns.saturating_sub(LABEL + VALUE);
        let bars = spark(history.iter(), wide, rows);
        let (value, role) = value.map_or(("?".to_owned(), Role::Unknown), |value| {
            (value, Role::Strong)
        });
        for (n, bar) in bars.into_iter().enumerate() {
            let last = n + 1 == rows;
            let start = vec![
                Span::styled(
                    left(if last { label } else { "" }, LABEL),
                    theme.style(Role::Dim),
                ),
                Span::styled(bar, theme.style(Role::Accent)),
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
