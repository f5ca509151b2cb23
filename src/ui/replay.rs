//! A replay on the screen: the panes of its stage, and below them the timeline.

use super::{
    Theme, footer, header,
    layout::Layout,
    overlays, panes,
    text::{lines, panel, paragraph},
    theme::Role,
    timeline, want,
};
use crate::app::model::{
    app::App,
    pane::{Areas, Geometry},
    replay::Replay,
};
use operator_ledger::clean::one_line;
use ratatui::{Frame, layout::Rect, text::Span};

/// Returns the sizes of the stage, and where the timeline is.
pub(super) fn draw(
    frame: &mut Frame,
    app: &App,
    replay: &Replay,
    theme: Theme,
) -> (Geometry, Rect) {
    let area = frame.area();
    let strip = timeline::rows(replay, area.height);
    let upper = Rect {
        height: area.height - strip,
        ..area
    };
    let stage = &replay.stage;
    let Some(layout) = Layout::new(upper, want(stage, upper)) else {
        super::tiny(frame, stage, theme, area);
        return (Geometry::default(), Rect::default());
    };
    let bottom = Rect {
        y: area.y + area.height - 1,
        ..layout.footer
    };
    let strip = Rect {
        y: layout.footer.y,
        height: strip,
        ..area
    };
    header::draw(frame, layout.header, stage, theme);
    if replay.incident.is_none() {
        waiting(frame, layout.body, replay, theme);
        footer::draw(frame, bottom, app, theme);
        return (Geometry::default(), Rect::default());
    }
    let stores = panes::cluster::draw(frame, layout.cluster, stage, theme);
    let list = panes::tickets::draw(frame, layout.tickets, stage, theme);
    let (agent, read) = panes::agent::draw(frame, layout.agent, stage, theme);
    let track = timeline::draw(frame, strip, stage, replay, theme);
    let (overlay, over) = overlays::draw(frame, layout.body, stage, theme);
    footer::draw(frame, bottom, app, theme);
    footer::draw_offers(frame, layout.body, app, theme);
    let geometry = Geometry {
        agent,
        overlay,
        tickets: list.height,
        areas: Areas {
            cluster: layout.cluster,
            tickets: layout.tickets,
            chapter: Rect::default(),
            agent: layout.agent,
            stores,
            list,
            lines: read,
            overlay: over,
        },
    };
    (geometry, track)
}

fn waiting(frame: &mut Frame, area: Rect, replay: &Replay, theme: Theme) {
    let title = vec![Span::raw(format!(
        "Replay of session {}",
        one_line(&replay.session)
    ))];
    let inner = panel(frame, area, title, Vec::new(), true, theme);
    let (text, role) = match &replay.error {
        Some(why) => (format!("? It cannot be played back: {why}"), Role::Unknown),
        None => (
            "Reading from the ledger what was going on …".into(),
            Role::Dim,
        ),
    };
    let text = paragraph(&text, usize::from(inner.width), theme.style(role));
    lines(frame, inner, text);
}
