//! One clock for this process and the children it measures: nanoseconds of CLOCK_MONOTONIC.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// An earlier moment on the same clock.
pub(crate) fn at(moment: Instant) -> u64 {
    now() - u64::try_from(moment.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn between(from: u64, to: u64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

/// The value below which `percent` of `times` are.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let index = (times.len() * percent).div_ceil(100).max(1) - 1;
    times.get(index).copied().unwrap_or_default()
}
