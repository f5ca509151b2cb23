//! The demo as the dashboard shows it: the chapter, and what it waits for.

use super::event::Effect;
use std::time::Duration;

/// A chapter as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChapterView {
    /// From 0.
    pub index: usize,
    pub total: usize,
    pub title: String,
    /// Narration, Markdown.
    pub body: String,
    pub waiting_for: Option<String>,
    pub elapsed: Duration,
    pub limit: Option<Duration>,
    pub done: bool,
    /// Until the chapter acts.
    pub countdown: Option<Duration>,
    pub can_advance: bool,
}

#[derive(Debug, Default)]
pub struct Demo {
    pub view: ChapterView,
    /// While the stage is being set: what is done now.
    pub progress: Option<String>,
}

impl Demo {
    pub fn next(&mut self) -> Vec<Effect> {
        Vec::new()
    }

    pub fn back(&mut self) {}
}
