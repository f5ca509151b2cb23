//! The timeline of a replay: what the cluster served, what was broken and for how long, what was done
//! about it, and the verdict, one above the other; and where the replay is.

use super::{
    format::{lasting, millis, rate},
    marks::{sign, weight},
    spark::spark,
    text::{left, lines, panel, right, shorten},
    theme::{Role, Theme},
};
use crate::{
    app::model::{
        replay::Replay,
        state::State,
        tickets::{DisplayState, display_state},
    },
    history::{
        Incident,
        incident::{Mark, What},
    },
};
use jiff::{SignedDuration, Timestamp};
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

/// Columns before the track.
const LABEL: usize = 8;
/// Columns after it.
const VALUE: usize = 9;

/// Columns of a time of day, and some between it and the next.
const TIME: usize = 11;
/// Seconds between two of them.
const STEPS: [i64; 16] = [
    1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 10_800, 43_200,
];

/// Rows it would like on a screen so high, its frame included.
pub(super) fn rows(replay: &Replay, height: u16) -> u16 {
    let tickets = replay
        .incident
        .as_ref()
        .map_or(1, |i| i.tickets.len().max(1));
    let tickets = u16::try_from(tickets).unwrap_or(1);
    match height {
        0..16 => 0,
        16..30 => 8,
        // Measures get two rows each, then three.
        30..44 => 9 + tickets.min(3),
        _ => 11 + tickets.min(6),
    }
}

/// Returns where the track is: a click on it goes there.
pub(super) fn draw(
    frame: &mut Frame,
    area: Rect,
    state: &State,
    replay: &Replay,
    theme: Theme,
) -> Rect {
    let Some(incident) = replay.incident.as_ref().filter(|_| area.height > 3) else {
        return Rect::default();
    };
    let right_title = times(state, replay, theme);
    let inner = panel(frame, area, title(replay, theme), right_title, true, theme);
    let columns = usize::from(inner.width)
        .saturating_sub(LABEL + VALUE)
        .max(1);
    let track = Track {
        incident,
        columns,
        theme,
        now: replay.clock.shown(),
    };
    let mut text = vec![caption(replay, usize::from(inner.width), theme)];
    // Caption, marks and times; what is left is for measures and tickets.
    let room = usize::from(inner.height).saturating_sub(3);
    let tickets = incident.tickets.len().min(room.saturating_sub(2)).max(1);
    let high = (room.saturating_sub(tickets) / 2).clamp(1, 3);
    text.extend(track.measure("ops/s", high, |m| m.ops_per_s, rate));
    text.extend(track.measure("p99", high, |m| m.p99_ms, millis));
    text.extend(track.tickets(tickets));
    text.push(track.marks());
    text.push(track.times(state));
    text.truncate(usize::from(inner.height));
    lines(frame, inner, text);
    let area = Rect {
        x: inner.x + LABEL as u16,
        width: columns as u16,
        y: inner.y + 1,
        height: inner.height.saturating_sub(1),
    };
    // Where it is, through all rows.
    let at = track.column(replay.clock.shown());
    let here = Rect {
        x: area.x + at as u16,
        width: 1,
        ..area
    };
    frame
        .buffer_mut()
        .set_style(here, theme.style(Role::Selected));
    area
}

fn title(replay: &Replay, theme: Theme) -> Vec<Span<'static>> {
    let clock = &replay.clock;
    let (glyph, role) = if clock.playing() {
        ("▶", Role::Accent)
    } else {
        ("‖", Role::Warn)
    };
    vec![
        Span::raw("Replay "),
        Span::styled(format!("{glyph} {}x", clock.speed()), theme.style(role)),
        Span::styled(
            format!(" · session {}", replay.session),
            theme.style(Role::Dim),
        ),
    ]
}

fn times(state: &State, replay: &Replay, theme: Theme) -> Vec<Span<'static>> {
    let clock = &replay.clock;
    let into = clock.shown().duration_since(clock.from);
    let whole = clock.to.duration_since(clock.from);
    let day = clock.shown().to_zoned(state.zone.clone());
    let day = day.strftime("%Y-%m-%d %H:%M:%S").to_string();
    vec![
        Span::styled(lasting(into), theme.style(Role::Strong)),
        Span::styled(
            format!(" of {} · {day}", lasting(whole)),
            theme.style(Role::Dim),
        ),
    ]
}

/// What happened last.
fn caption(replay: &Replay, columns: usize, theme: Theme) -> Line<'static> {
    if let Some(why) = &replay.error {
        let text = shorten(&format!("? {why}"), columns);
        return Line::styled(text, theme.style(Role::Unknown));
    }
    let Some(mark) = replay.last_mark() else {
        return Line::styled("before anything happened", theme.style(Role::Dim));
    };
    let (glyph, role) = sign(mark.what);
    let ago = replay.clock.shown().duration_since(mark.at);
    let text = format!("{glyph} {} ago  {}", lasting(ago), mark.text);
    Line::styled(shorten(&text, columns), theme.style(role))
}

struct Track<'a> {
    incident: &'a Incident,
    columns: usize,
    theme: Theme,
    now: Timestamp,
}

impl Track<'_> {
    fn column(&self, at: Timestamp) -> usize {
        let whole = self
            .incident
            .to
            .duration_since(self.incident.from)
            .as_secs_f64();
        let into = at.duration_since(self.incident.from).as_secs_f64();
        let column = (into / whole.max(0.001) * self.columns as f64).floor();
        (column.max(0.0) as usize).min(self.columns - 1)
    }

    /// The time at the end of a column.
    fn time(&self, column: usize) -> Timestamp {
        let whole = self
            .incident
            .to
            .duration_since(self.incident.from)
            .as_secs_f64();
        let into = whole * (column + 1) as f64 / self.columns as f64;
        self.incident.from + SignedDuration::from_secs_f64(into)
    }

    fn row(
        &self,
        label: &str,
        track: Vec<Span<'static>>,
        value: &str,
        role: Role,
    ) -> Line<'static> {
        let mut spans = vec![Span::styled(
            left(label, LABEL),
            self.theme.style(Role::Dim),
        )];
        spans.extend(track);
        spans.push(Span::styled(right(value, VALUE), self.theme.style(role)));
        Line::from(spans)
    }

    /// A history as bars, its value now beside it. What was not measured is a gap.
    fn measure(
        &self,
        label: &str,
        high: usize,
        of: impl Fn(&operator_ledger::Measured) -> Option<f64>,
        unit: fn(f64) -> String,
    ) -> Vec<Line<'static>> {
        let mut sums = vec![(0.0, 0u32); self.columns];
        for measured in &self.incident.measured {
            if let Some(value) = of(measured).filter(|v| v.is_finite()) {
                let (sum, count) = &mut sums[self.column(measured.at)];
                *sum += value;
                *count += 1;
            }
        }
        let mut values: Vec<Option<f64>> = sums
            .iter()
            .map(|(sum, count)| (*count > 0).then(|| sum / f64::from(*count)))
            .collect();
        self.bridge(&mut values);
        let looked = self.incident.measured.partition_point(|m| m.at <= self.now);
        let now = looked
            .checked_sub(1)
            .and_then(|n| of(&self.incident.measured[n]));
        let (value, role) =
            now.map_or(("?".to_owned(), Role::Unknown), |v| (unit(v), Role::Strong));
        let bars = spark(values.iter(), self.columns, high);
        let last = bars.len() - 1;
        bars.into_iter()
            .enumerate()
            .map(|(n, bar)| {
                let track = vec![Span::styled(bar, self.theme.style(Role::Accent))];
                if n == last {
                    self.row(label, track, &value, role)
                } else {
                    self.row("", track, "", Role::Plain)
                }
            })
            .collect()
    }

    /// Columns narrower than the time between two looks are no gaps.
    fn bridge(&self, values: &mut [Option<f64>]) {
        let measured = &self.incident.measured;
        let (Some(first), Some(last)) = (measured.first(), measured.last()) else {
            return;
        };
        let looks = (measured.len() - 1).max(1) as f64;
        let apart = last.at.duration_since(first.at).as_secs_f64() / looks;
        let whole = self
            .incident
            .to
            .duration_since(self.incident.from)
            .as_secs_f64();
        let columns = (2.5 * apart / whole.max(0.001) * self.columns as f64).ceil() as usize;
        let mut held = None;
        let mut since = 0;
        for value in values {
            match value {
                Some(known) => (held, since) = (Some(*known), 0),
                None if since < columns => {
                    since += 1;
                    *value = held;
                }
                None => {}
            }
        }
    }

    /// A row a ticket: how it stood in each column.
    fn tickets(&self, rows: usize) -> Vec<Line<'static>> {
        // The one that was worked on first.
        let mut told: Vec<_> = self.incident.tickets.iter().collect();
        told.sort_by_key(|t| {
            (
                Some(t.ticket.id) != self.incident.session.ticket_id,
                t.ticket.id,
            )
        });
        let mut text: Vec<Line<'static>> = told
            .into_iter()
            .take(rows)
            .map(|told| {
                let mut cells: Vec<(char, Style)> = Vec::with_capacity(self.columns);
                let mut changes: Vec<_> = told.changes().collect();
                changes.sort_unstable();
                let (mut before, mut behind) = (None, 0);
                for column in 0..self.columns {
                    let at = self.time(column);
                    let now_behind = changes.partition_point(|change| *change <= at);
                    // A ticket is worked out only where it changed since the column before.
                    let looks = if column > 0 && now_behind == behind {
                        before
                    } else {
                        told.at(at).map(|t| display_state(&t))
                    };
                    let changed = looks != before;
                    cells.push(self.cell(looks, changed));
                    (before, behind) = (looks, now_behind);
                }
                let now = told.at(self.now).map(|t| display_state(&t));
                let (_, word, role) =
                    now.map_or((' ', "", Role::Dim), super::panes::tickets::words);
                self.row(&format!("#{}", told.ticket.id), join(cells), word, role)
            })
            .collect();
        if text.is_empty() {
            text.push(self.row(
                "tickets",
                vec![" ".repeat(self.columns).into()],
                "",
                Role::Dim,
            ));
        }
        text
    }

    fn cell(&self, looks: Option<DisplayState>, changed: bool) -> (char, Style) {
        let Some(looks) = looks else {
            return (' ', Style::new());
        };
        let (glyph, _, role) = super::panes::tickets::words(looks);
        let (glyph, line) = match looks {
            DisplayState::Open
            | DisplayState::Held
            | DisplayState::NeedsPerson
            | DisplayState::Escalated => (glyph, '─'),
            DisplayState::Working => (sign(What::Taken).0, '━'),
            DisplayState::Claimed => (glyph, '~'),
            _ => (glyph, ' '),
        };
        (if changed { glyph } else { line }, self.theme.style(role))
    }

    /// What was done, and what happened.
    fn marks(&self) -> Line<'static> {
        let mut best: Vec<Option<&Mark>> = vec![None; self.columns];
        for mark in &self.incident.marks {
            let place = &mut best[self.column(mark.at)];
            if place.is_none_or(|other| weight(mark.what) >= weight(other.what)) {
                *place = Some(mark);
            }
        }
        let cells = best.into_iter().map(|mark| match mark {
            Some(mark) => {
                let (glyph, role) = sign(mark.what);
                (glyph, self.theme.style(role))
            }
            None => (' ', Style::new()),
        });
        let count = self
            .incident
            .marks
            .iter()
            .filter(|m| m.what == What::Command);
        let done = count.filter(|m| m.at <= self.now).count();
        self.row(
            "events",
            join(cells.collect()),
            &format!("{done} run"),
            Role::Dim,
        )
    }

    /// Round times of day along the track, as many as there is room for.
    fn times(&self, state: &State) -> Line<'static> {
        let (from, to) = (self.incident.from, self.incident.to);
        let whole = to.duration_since(from).as_secs_f64();
        let least = whole * TIME as f64 / self.columns as f64;
        let step = STEPS.into_iter().find(|step| *step as f64 >= least);
        let step = step.unwrap_or(STEPS[STEPS.len() - 1]);
        // Round where the reader is.
        let offset = i64::from(state.zone.to_offset(from).seconds());
        let first = (from.as_second() + offset).div_euclid(step) * step - offset;
        let mut text = String::new();
        let times = (first..=to.as_second()).step_by(step as usize);
        for at in times.filter_map(|s| Timestamp::from_second(s).ok()) {
            let column = self.column(at);
            let label = format!("╵{}", at.to_zoned(state.zone.clone()).strftime("%H:%M:%S"));
            if at >= from && column + label.width() <= self.columns {
                text = left(&text, column) + &label;
            }
        }
        let text = left(&text, self.columns);
        let track = vec![Span::styled(text, self.theme.style(Role::Dim))];
        self.row("", track, "", Role::Dim)
    }
}

/// Cells that look alike as one span.
fn join(cells: Vec<(char, Style)>) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (glyph, style) in cells {
        match spans.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push(glyph),
            _ => spans.push(Span::styled(glyph.to_string(), style)),
        }
    }
    spans
}
