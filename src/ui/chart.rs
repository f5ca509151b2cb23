//! A history as a chart with axes: values up the side with their unit, time along the bottom. What is
//! not known is a gap.

use super::{
    format::lasting,
    theme::{Role, Theme},
};
use jiff::SignedDuration;
use ratatui::{
    Frame,
    layout::Rect,
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType},
};

/// One history: a value a second, the newest last.
pub(super) struct History<'a> {
    pub title: &'a str,
    pub values: &'a [Option<f64>],
    /// A value with its unit.
    pub unit: fn(f64) -> String,
}

pub(super) fn draw(frame: &mut Frame, area: Rect, history: &History<'_>, theme: Theme) {
    if area.width < 16 || area.height < 4 {
        return;
    }
    let runs = runs(history.values);
    let most = history.values.iter().flatten().copied().fold(0.0, f64::max);
    let top = top(most);
    let length = history.values.len().max(2) as f64 - 1.0;
    let dim = theme.style(Role::Dim);
    let sets = runs
        .iter()
        .map(|run| {
            Dataset::default()
                .marker(Marker::Braille)
                .graph_type(GraphType::Line)
                .style(theme.style(Role::Accent))
                .data(run)
        })
        .collect();
    let begin = format!("-{}", lasting(SignedDuration::from_secs(length as i64)));
    let label = |text: String| Line::from(Span::styled(text, dim));
    let now = history.values.last().copied().flatten();
    let (now, role) = now.map_or(("?".into(), Role::Unknown), |v| {
        ((history.unit)(v), Role::Strong)
    });
    let title = Line::from(vec![
        Span::styled(format!("{} ", history.title), dim),
        Span::styled(now, theme.style(role)),
    ]);
    let chart = Chart::new(sets)
        .block(Block::new().title_top(title))
        .x_axis(
            Axis::default()
                .bounds([-length, 0.0])
                .style(dim)
                .labels([label(begin), label("now".into())]),
        )
        .y_axis(
            Axis::default()
                .bounds([0.0, top])
                .style(dim)
                .labels([label("0".into()), label((history.unit)(top))]),
        );
    frame.render_widget(chart, area);
}

/// The values in unbroken runs, each with its time before now.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (n, value) in values.iter().enumerate() {
        let at = n as f64 + 1.0 - values.len() as f64;
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((at, *value)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// The end of an axis for values up to `most`: round, and a little above them.
fn top(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let unit = 10f64.powf(most.log10().floor());
    let ends = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0];
    let above = ends.into_iter().map(|end| end * unit);
    above.fold(f64::INFINITY, |top, end| {
        if end > most * 1.02 { top.min(end) } else { top }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_breaks_the_line() {
        let values = [Some(1.0), Some(2.0), None, None, Some(3.0)];
        let expected = vec![vec![(-4.0, 1.0), (-3.0, 2.0)], vec![(0.0, 3.0)]];
        assert_eq!(runs(&values), expected);
        assert!(runs(&[None, None]).is_empty());
    }

    #[test]
    fn an_axis_ends_at_a_round_number_above_the_values() {
        let ends =
            [0.0, 0.37, 4.0, 15.3, 172.0, 999.0, 1000.0].map(|most| format!("{}", top(most)));
        assert_eq!(ends, ["1", "0.4", "5", "20", "200", "2000", "2000"]);
    }
}
