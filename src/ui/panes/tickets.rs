//! The tickets pane: what is broken, whether somebody works on it, and whether to believe it.

use crate::{
    app::model::{
        pane::Pane,
        process::Process,
        state::State,
        tickets::{DisplayState, Fate, display_state},
    },
    monitor::Invariant,
    ui::{
        format::{age, lasting},
        pane_name,
        panes::agent::starting,
        row::mark,
        text::{between, both_ends, lines, panel, paragraph, shorten, width},
        theme::{Role, Theme},
    },
};
use operator_ledger::{Lost, Ticket};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

/// Columns in which a subject can still be told from others.
const SUBJECT: usize = 7;

/// Returns where the tickets are.
pub(crate) fn draw(frame: &mut Frame, area: Rect, state: &State, theme: Theme) -> Rect {
    if area.is_empty() {
        return area;
    }
    let focused = state.focus == Pane::Tickets;
    let title = vec![Span::raw(pane_name(Pane::Tickets))];
    // Inside the corners, beside the title, each with a space around.
    let room = usize::from(area.width).saturating_sub(width(&title) + 9);
    let right = title_right(state, room, theme);
    let inner = panel(frame, area, title, right, focused, theme);
    if inner.is_empty() {
        return inner;
    }
    let columns = usize::from(inner.width);
    let tickets = state.tickets.list();
    if tickets.is_empty() {
        lines(frame, inner, nothing(state, columns, theme));
        return inner;
    }
    let height = usize::from(inner.height);
    let at = state.tickets.index().unwrap_or(0);
    let top = state.tickets.top(inner.height);
    let rows = tickets
        .iter()
        .skip(top)
        .take(height)
        .map(|t| {
            row(
                state,
                t,
                Some(t.id) == state.tickets.selected,
                columns,
                theme,
            )
        })
        .collect();
    lines(frame, inner, rows);
    if focused {
        mark(frame, inner, at - top, theme);
    }
    inner
}

/// How many, in so much room, and whether that is to be believed.
fn title_right(state: &State, room: usize, theme: Theme) -> Vec<Span<'static>> {
    let unknown = |text: String| vec![Span::styled(text, theme.style(Role::Unknown))];
    let Some(view) = &state.tickets.view else {
        return unknown("? not read yet".into());
    };
    if view.error.is_some() {
        return unknown("? unreadable".into());
    }
    if view.missing {
        return unknown("? no ledger".into());
    }
    if let Some(since) = state.tickets.stale(state.now) {
        return unknown(format!("? stale {}", age(since)));
    }
    let role = if view.open > 0 { Role::Warn } else { Role::Dim };
    let mut spans = vec![Span::styled(
        format!("{} open", view.open),
        theme.style(role),
    )];
    if !state.tickets.monitored(state.now) {
        spans.insert(0, Span::styled("? ", theme.style(Role::Unknown)));
    }
    let done = format!(" · {} done", view.done);
    if width(&spans) + done.width() <= room {
        spans.push(Span::styled(done, theme.style(Role::Dim)));
    }
    spans
}

/// No tickets: that is good news only if somebody looks.
fn nothing(state: &State, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let path = state.tickets.path.display();
    let tickets = &state.tickets;
    let mut text = Vec::new();
    let (said, role) = match &tickets.view {
        None => (format!("? Reading {path} …"), Role::Unknown),
        Some(view) if view.fate == Fate::Lost(Lost::Gone) => (
            format!(
                "✗ The ledger {path} is gone: it was moved or deleted. Who had it open records \
                 nothing and starts nothing. Put it back, or start Operator again for a new one."
            ),
            Role::Bad,
        ),
        Some(view) => match (&view.error, view.missing) {
            (Some(error), _) => (format!("? Cannot read the ledger: {error}"), Role::Unknown),
            (None, true) => (
                format!("? No ledger at {path}. The monitor makes it."),
                Role::Unknown,
            ),
            (None, false) => match tickets.monitor_age(state.now) {
                Some(seen) if tickets.monitored(state.now) => match healthy(view) {
                    Ok(()) if !view.in_grace.is_empty() => (
                        format!(
                            "No tickets yet. The monitor last looked {} ago and saw:",
                            age(seen)
                        ),
                        Role::Plain,
                    ),
                    Ok(()) => (
                        format!(
                            "No tickets. The monitor last looked {} ago and found nothing wrong.",
                            age(seen)
                        ),
                        Role::Plain,
                    ),
                    Err(why) => (
                        format!("? No tickets, but the monitor cannot see: {why}"),
                        Role::Unknown,
                    ),
                },
                Some(seen) => (
                    format!(
                        "? No tickets, but the monitor has been silent for {}.",
                        age(seen)
                    ),
                    Role::Unknown,
                ),
                None => (
                    "? No tickets, and no monitor has looked yet.".into(),
                    Role::Unknown,
                ),
            },
        },
    };
    text.extend(paragraph(&said, columns, theme.style(role)));
    if tickets.monitored(state.now) {
        for seen in tickets.view.iter().flat_map(|view| &view.in_grace) {
            let lasts = lasting(state.since(seen.since));
            let said = format!("! {}, for {lasts}", seen.message);
            text.extend(paragraph(&said, columns, theme.style(Role::Warn)));
        }
    }
    let process = match &state.monitor.process {
        Process::Off(_) if starting(state) => Some("The monitor starts when the lab is up.".into()),
        Process::Off(why) => Some(format!("No monitor is run from here: {why}")),
        Process::GaveUp { why, .. } => {
            Some(format!("The monitor does not run: {why}. R restarts it."))
        }
        Process::Restarting { how, .. } => {
            Some(format!("The monitor ended ({how}) and is restarted."))
        }
        _ => None,
    };
    if let Some(process) = process {
        text.push(Line::default());
        text.extend(paragraph(&process, columns, theme.style(Role::Dim)));
    }
    text
}

fn healthy(view: &crate::app::model::tickets::LedgerView) -> Result<(), String> {
    match &view.heartbeat {
        Some(beat) if !beat.ok => Err(beat.detail.clone()),
        _ => Ok(()),
    }
}

/// Glyph, word and look of a ticket's state.
pub(crate) fn words(look: DisplayState) -> (char, &'static str, Role) {
    match look {
        DisplayState::Open => ('!', "open", Role::Bad),
        DisplayState::Held => ('‖', "held", Role::Warn),
        DisplayState::Working => ('!', "working", Role::Warn),
        DisplayState::Claimed => ('~', "claimed", Role::Claimed),
        DisplayState::Escalated => ('↑', "escalated", Role::Bad),
        DisplayState::NeedsPerson => ('↑', "needs you", Role::Bad),
        DisplayState::Proven => ('✓', "proven", Role::Ok),
        DisplayState::Cleared => ('·', "cleared", Role::Dim),
        DisplayState::ByPerson => ('·', "by hand", Role::Dim),
        DisplayState::External => ('·', "external", Role::Dim),
        DisplayState::Done => ('·', "resolved", Role::Dim),
    }
}

fn row(
    state: &State,
    ticket: &Ticket,
    selected: bool,
    columns: usize,
    theme: Theme,
) -> Line<'static> {
    let look = display_state(ticket);
    let (glyph, word, role) = words(look);
    let mark = if selected { "> " } else { "  " };
    let mut start = vec![
        Span::raw(format!("{mark}#{} ", ticket.id)),
        Span::styled(format!("{glyph} "), theme.style(role)),
    ];
    let flaps = if ticket.flaps > 0 {
        format!(" x{}", ticket.flaps + 1)
    } else {
        String::new()
    };
    let time = format!(" {:>5}", time(state, ticket));
    let fixed = width(&start) + word.width() + flaps.width() + 1;
    // In little room the short name comes first, then the age goes.
    let whole = name(state, ticket);
    let room = columns.saturating_sub(fixed + time.width());
    let (name, time) = if whole.width() <= room {
        (whole, time)
    } else {
        let short = short_name(state, ticket, columns.saturating_sub(fixed));
        if short.width() <= room {
            (short, time)
        } else {
            (short, String::new())
        }
    };
    let room = columns.saturating_sub(fixed + time.width());
    let rest = room.saturating_sub(name.width() + 2);
    start.push(Span::raw(shorten(&name, room)));
    if rest >= 16 {
        let message = format!("  {}", shorten(&ticket.message, rest));
        start.push(Span::styled(message, theme.style(Role::Dim)));
    }
    let end = vec![
        Span::styled(word, theme.style(role)),
        Span::raw(flaps + &time),
    ];
    between(start, end, columns)
}

/// How long it has been broken, or how long ago it ended.
fn time(state: &State, ticket: &Ticket) -> String {
    let open = ticket.resolved_at.is_none();
    let at = if open {
        ticket.first_seen_at
    } else {
        ticket.resolved_at
    };
    match at.map(|at| state.since(at)) {
        None => "?".into(),
        Some(since) if open && since.as_hours() == 0 => lasting(since),
        Some(since) => age(since),
    }
}

/// A name for narrow panes, what it is about first: a long subject gives up its middle, so that what
/// is wrong with it can still be read.
fn short_name(state: &State, ticket: &Ticket, room: usize) -> String {
    if ticket.by_hand {
        return ticket.message.clone();
    }
    let subject = subject(state, ticket);
    let known = ticket.invariant.parse::<Invariant>();
    let what = known.map_or(ticket.invariant.as_str(), |i| i.facts().title);
    match subject {
        Some(subject) => {
            let room = room.saturating_sub(what.width() + 1).max(SUBJECT);
            format!("{} {what}", both_ends(&subject, room))
        }
        None => what.to_owned(),
    }
}

/// What is broken, and where, by the names people use.
pub(crate) fn name(state: &State, ticket: &Ticket) -> String {
    if ticket.by_hand {
        return ticket.message.clone();
    }
    match subject(state, ticket) {
        Some(subject) => format!("{} {subject}", ticket.invariant),
        None => ticket.invariant.clone(),
    }
}

/// The store it is about, by the name people use.
fn subject(state: &State, ticket: &Ticket) -> Option<String> {
    let store = ticket.store_id.as_ref()?;
    let stores = state
        .cluster
        .snapshot
        .as_ref()
        .and_then(|s| s.stores.value.as_ref());
    let named = stores
        .into_iter()
        .flatten()
        .find(|s| s.id.to_string() == *store);
    Some(named.map_or(store, |s| &s.name).clone())
}
