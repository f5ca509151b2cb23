//! What was usual before an outage: medians of the last ten minutes, after the load's last change.
//!
//! Nobody tells of a load that it was changed: half a minute in which it was another says so.

use super::Piece;
use jiff::SignedDuration;
use serde::Serialize;

/// What is looked at before an outage.
pub(super) const LENGTH: SignedDuration = SignedDuration::from_mins(10);
/// Less than so many seconds is nothing to compare with.
const LEAST: f64 = 30.0;
/// Over so many a load is of one size.
const BLOCK: f64 = 10.0;
/// So many of another size in a row are another load; fewer are chance.
const CHANGED: usize = 3;
/// Of another size by more than this it is another load.
const ANOTHER: f64 = 0.3;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Baseline {
    pub ops_per_s: f64,
    pub p99_ms: Option<f64>,
    /// Seconds that it is the median of.
    pub seconds: f64,
}

impl Baseline {
    /// Of looks in order, up to the outage. Those that did not see all that serves tell nothing.
    pub(super) fn of(before: &[Piece<'_>]) -> Option<Self> {
        let whole: Vec<&Piece<'_>> = before
            .iter()
            .filter(|p| p.look.whole_ops().is_some())
            .collect();
        let mut blocks: Vec<Vec<&Piece<'_>>> = Vec::new();
        let mut filled = BLOCK;
        for piece in whole.into_iter().rev() {
            if filled >= BLOCK {
                blocks.push(Vec::new());
                filled = 0.0;
            }
            filled += piece.seconds;
            if let Some(block) = blocks.last_mut() {
                block.push(piece);
            }
        }
        // The oldest is too short to tell a size.
        if filled < BLOCK {
            blocks.pop();
        }
        let asked =
            |p: &&Piece<'_>| p.look.ops_per_s.unwrap_or(0.0) + p.look.refused_per_s.unwrap_or(0.0);
        let size = |block: &[&Piece<'_>]| median(block.iter().map(asked).collect()).unwrap_or(0.0);
        let last = size(blocks.first()?);
        let mut usual: Vec<&Piece<'_>> = Vec::new();
        let mut others = 0;
        for block in &blocks {
            if (size(block) - last).abs() <= last * ANOTHER {
                usual.extend(block);
                others = 0;
            } else {
                others += 1;
            }
            if others == CHANGED {
                break;
            }
        }
        let seconds = usual.iter().map(|p| p.seconds).sum();
        if seconds < LEAST {
            return None;
        }
        Some(Self {
            ops_per_s: median(usual.iter().filter_map(|p| p.look.ops_per_s).collect())?,
            p99_ms: median(usual.iter().filter_map(|p| p.look.p99_ms).collect()),
            seconds,
        })
    }
}

/// None: of nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
