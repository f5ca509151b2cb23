//! Sparklines: the last values as bars, one column a value, any number of rows high. A value that
//! is not known is a gap marked as such, not a zero.

const HEADROOM: f64 = 1.25;

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Rows of text, topmost first. The newest value is at the right edge.
pub(super) fn spark<'a>(
    values: impl DoubleEndedIterator<Item = &'a Option<f64>>,
    columns: usize,
    rows: usize,
) -> Vec<String> {
    let mut shown: Vec<Option<f64>> = values.rev().take(columns).copied().collect();
    shown.reverse();
    // Some room above, so that a steady value does not look like a peak.
    let most = shown.iter().flatten().copied().fold(0.0, f64::max) * HEADROOM;
    let steps = rows * 8;
    let levels: Vec<Option<usize>> = shown
        .iter()
        .map(|value| {
            value.map(|v| {
                let share = if most > 0.0 { v.max(0.0) / most } else { 0.0 };
                // Something is never drawn as nothing.
                ((share * steps as f64).round() as usize).max(1)
            })
        })
        .collect();
    (0..rows)
        .rev()
        .map(|row| {
            let fill = " ".repeat(columns - levels.len());
            let bars = levels.iter().map(|level| match level {
                Some(level) => BARS[level.saturating_sub(row * 8).min(8)],
                None if row == 0 => '·',
                None => ' ',
            });
            fill.chars().chain(bars).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_values_and_unknown_is_not_zero() {
        let values = [Some(0.0), Some(4.0), None, Some(8.0)];
        assert_eq!(spark(values.iter(), 5, 1), [" ▁▃·▆"]);
        assert_eq!(spark(values.iter(), 4, 2), ["   ▅", "▁▆·█"]);
        assert_eq!(spark(values.iter(), 2, 1), ["·▆"]);
        assert_eq!(spark([None, None].iter(), 3, 1), [" ··"]);
        assert!(spark(values.iter(), 0, 1)[0].is_empty());
    }
}
