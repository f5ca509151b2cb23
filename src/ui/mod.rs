//! Pure drawing: from [`App`] to cells. Changes nothing, reads no clock.
//!
//! `layout` says where, `theme` how it looks, `panes` and `overlays` what. `screen` is the
//! terminal front end that calls [`draw`].

mod chart;
mod footer;
mod format;
mod header;
pub mod layout;
mod marks;
mod overlays;
mod panes;
mod replay;
mod row;
mod screen;
mod spark;
mod text;
pub mod theme;
mod timeline;

#[cfg(test)]
mod tests;

pub use screen::Screen;
pub use theme::Theme;

use crate::app::model::{
    agent::Phase,
    app::App,
    pane::{Areas, Drawn, Geometry, Pane},
    state::State,
};
use layout::{Layout, Want};
use ratatui::{Frame, layout::Rect, text::Line};

/// Draws the whole screen; returns the sizes that scrolling needs.
pub fn draw(frame: &mut Frame, app: &App) -> Drawn {
    let state = &app.live;
    let theme = Theme::new(state.view_options.palette);
    let area = frame.area();
    if let Some(replay) = &app.replay {
        let stage = replay::draw(frame, app, replay, theme);
        let body = Layout::new(area, want(state, area)).map_or(area, |l| l.body);
        let (overlay, over) = overlays::draw(frame, body, state, theme);
        return Drawn {
            live: Geometry {
                overlay,
                areas: Areas {
                    overlay: over,
                    ..Areas::default()
                },
                ..Geometry::default()
            },
            replay: Some(stage),
        };
    }
    let Some(layout) = Layout::new(area, want(state, area)) else {
        tiny(frame, state, theme, area);
        return Drawn::default();
    };
    header::draw(frame, layout.header, state, theme);
    let stores = panes::cluster::draw(frame, layout.cluster, state, theme);
    let list = panes::tickets::draw(frame, layout.tickets, state, theme);
    panes::chapter::draw(frame, layout.chapter, state, theme);
    let (agent, lines) = panes::agent::draw(frame, layout.agent, state, theme);
    footer::draw(frame, layout.footer, app, theme);
    let (overlay, over) = overlays::draw(frame, layout.body, state, theme);
    footer::draw_offers(frame, layout.body, app, theme);
    let live = Geometry {
        agent,
        overlay,
        tickets: list.height,
        areas: Areas {
            cluster: layout.cluster,
            tickets: layout.tickets,
            chapter: layout.chapter,
            agent: layout.agent,
            stores,
            list,
            lines,
            overlay: over,
        },
    };
    Drawn { live, replay: None }
}

fn want(state: &State, area: Rect) -> Want {
    Want {
        cluster: panes::cluster::rows(state, area.height),
        chapter: state
            .demo
            .as_ref()
            .map(|_| panes::chapter::rows(state, area)),
        reading: state.focus == Pane::Chapter || !at_work(state),
        focus: state.focus,
        zoom: state.view_options.zoom,
    }
}

/// The agent has something to show.
fn at_work(state: &State) -> bool {
    state.record.is_some() || !matches!(state.shown().phase, Phase::Silent | Phase::Idle)
}

/// No room for panes: one line says how it stands.
fn tiny(frame: &mut Frame, state: &State, theme: Theme, area: Rect) {
    if area.is_empty() {
        return;
    }
    let rows = [header::overall(state, theme), header::agent(state, theme)];
    text::lines(frame, area, rows.map(Line::from).to_vec());
}

/// The name of a pane, for its title and the footer.
fn pane_name(pane: Pane) -> &'static str {
    match pane {
        Pane::Cluster => "Cluster",
        Pane::Tickets => "Tickets",
        Pane::Chapter => "Chapter",
        Pane::Agent => "Agent",
    }
}
