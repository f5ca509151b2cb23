//! What the mouse does, while it is on: the wheel scrolls what is under it, a click focuses a pane and
//! chooses in it, a click on what is chosen opens it.

use crate::{
    app::{
        event::Effect,
        model::{app::App, overlay::Overlay, pane::Pane, state::State},
        update::{
            open,
            reading::{self, Move},
            replay,
        },
    },
    transcript::doc::Scrollable,
};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

/// Rows a notch of the wheel goes.
const NOTCH: isize = 3;

pub(super) fn on_mouse(app: &mut App, mouse: MouseEvent) -> Vec<Effect> {
    if app.in_front().is_some() {
        return on_replay(app, mouse);
    }
    on_panes(&mut app.live, mouse)
}

fn on_panes(state: &mut State, mouse: MouseEvent) -> Vec<Effect> {
    let at = Position::new(mouse.column, mouse.row);
    match mouse.kind {
        MouseEventKind::ScrollUp => wheel(state, at, -NOTCH),
        MouseEventKind::ScrollDown => wheel(state, at, NOTCH),
        MouseEventKind::Down(MouseButton::Left) => {
            state.attention.answered();
            click(state, at)
        }
        _ => Vec::new(),
    }
}

/// On the timeline it sets the time, by a click or by dragging; on the stage it is as ever.
fn on_replay(app: &mut App, mouse: MouseEvent) -> Vec<Effect> {
    let Some(replay) = &mut app.replay else {
        return Vec::new();
    };
    let track = replay.track;
    let button = matches!(
        mouse.kind,
        MouseEventKind::Down(MouseButton::Left) | MouseEventKind::Drag(MouseButton::Left)
    );
    let on_it = (track.y..track.y + track.height).contains(&mouse.row);
    if button && on_it && !track.is_empty() {
        let into = f64::from(mouse.column.saturating_sub(track.x));
        replay.seek_share(into / f64::from(track.width));
        return replay::step(app);
    }
    replay::on_stage(app, |stage| on_panes(stage, mouse))
}

fn wheel(state: &mut State, at: Position, rows: isize) -> Vec<Effect> {
    if !state.overlays.is_empty() {
        return reading::go(state, Move::Page(rows));
    }
    match pane_at(state, at) {
        Some((pane, _)) => reading::go_in(state, pane, Move::Page(rows)),
        None => Vec::new(),
    }
}

/// The pane under the mouse, and the row in it, counted in what it lists.
fn pane_at(state: &State, at: Position) -> Option<(Pane, usize)> {
    let areas = state.geometry.areas;
    [
        (Pane::Cluster, areas.cluster, areas.stores),
        (Pane::Tickets, areas.tickets, areas.list),
        (Pane::Chapter, areas.chapter, areas.chapter),
        (Pane::Agent, areas.agent, areas.lines),
    ]
    .into_iter()
    .find(|(_, pane, _)| pane.contains(at))
    .map(|(pane, _, rows)| (pane, usize::from(at.y.saturating_sub(rows.y))))
}

/// With the frame.
fn around(area: Rect) -> Rect {
    if area.is_empty() {
        return area;
    }
    Rect {
        x: area.x.saturating_sub(1),
        y: area.y.saturating_sub(1),
        width: area.width + 2,
        height: area.height + 2,
    }
}

fn click(state: &mut State, at: Position) -> Vec<Effect> {
    if !state.overlays.is_empty() {
        return click_overlay(state, at);
    }
    let Some((pane, row)) = pane_at(state, at) else {
        return Vec::new();
    };
    let again = state.focus == pane;
    state.focus = pane;
    match pane {
        Pane::Tickets => {
            let before = state.tickets.selected;
            state.tickets.select_row(row, state.geometry.tickets);
            if again && state.tickets.selected == before {
                return open::open(state);
            }
        }
        Pane::Cluster => {
            let before = state.cluster.selected().map(|s| s.id);
            let rows = usize::from(state.geometry.areas.stores.height);
            state.cluster.select_row(row, rows);
            if again && state.cluster.selected().map(|s| s.id) == before {
                return open::open(state);
            }
        }
        Pane::Agent => {
            let size = state.geometry.agent;
            if let Some(record) = &mut state.record {
                record.doc.select_row(row, size);
            } else if again || !state.shown().view.following() {
                let agent = state.shown_mut();
                if let Some(doc) = agent.view.pause(&agent.ring, size) {
                    doc.select_row(row, size);
                }
            }
        }
        Pane::Chapter => {}
    }
    Vec::new()
}

fn click_overlay(state: &mut State, at: Position) -> Vec<Effect> {
    let (area, size) = (state.geometry.areas.overlay, state.geometry.overlay);
    let inside = around(area).contains(at);
    let row = usize::from(at.y.saturating_sub(area.y));
    match state.overlays.last_mut() {
        // A question is answered by a key, not by a click that went astray.
        Some(Overlay::Confirm(_) | Overlay::Approval(_)) => {}
        Some(_) if !inside => drop(state.overlays.pop()),
        Some(Overlay::Sessions(browser)) => {
            let before = browser.selected;
            browser.select_row(row, size.height);
            if browser.selected == before {
                return open::open(state);
            }
        }
        Some(overlay) => {
            if let Some(doc) = overlay.reader() {
                doc.select_row(row, size);
            }
        }
        None => {}
    }
    Vec::new()
}
