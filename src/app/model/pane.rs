//! The panes, and where they were last drawn.

use crate::transcript::Size;
use ratatui::layout::Rect;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    Cluster,
    Tickets,
    Chapter,
    #[default]
    Agent,
}

/// Sizes of what was last drawn, so that scrolling knows what a page is, and the mouse what it is
/// on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Geometry {
    pub agent: Size,
    pub overlay: Size,
    /// Rows of the tickets pane.
    pub tickets: u16,
    pub areas: Areas,
}

/// What was drawn: of the live dashboard, and of a replay's stage with where its timeline is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawn {
    pub live: Geometry,
    pub replay: Option<(Geometry, Rect)>,
}

/// Where things are; empty where one is not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Areas {
    /// Panes with their frames.
    pub cluster: Rect,
    pub tickets: Rect,
    pub chapter: Rect,
    pub agent: Rect,
    /// Rows of stores, of tickets, of what is read in the agent's pane, of the topmost overlay.
    pub stores: Rect,
    pub list: Rect,
    pub lines: Rect,
    pub overlay: Rect,
}
