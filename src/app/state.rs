//! Everything the dashboard knows at one moment. `update` changes it, a front end draws it.

use super::{
    agent::Agent, cluster::Cluster, config::Config, config::Role, demo::Demo, detail::Detail,
    event::Child, tickets::Tickets,
};
use crate::{
    demo::Walkthrough,
    transcript::{Doc, Size},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    Cluster,
    Tickets,
    Chapter,
    #[default]
    Agent,
}

/// Sizes of what was last drawn, so that scrolling knows what a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Geometry {
    pub agent: Size,
    pub overlay: Size,
    /// Rows of the tickets pane.
    pub tickets: u16,
}

/// What covers the middle of the screen.
#[derive(Debug, Clone)]
pub enum Overlay {
    Help(Doc),
    Ticket {
        id: i64,
        detail: Option<Box<Detail>>,
        doc: Doc,
    },
    Confirm(Question),
}

/// A question that `y` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    Quit,
    Interrupt,
    Restart(Child),
}

/// A line being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub kind: PromptKind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    Search,
    Message,
}

/// The dashboard is ending.
#[derive(Debug, Clone)]
pub struct Quitting {
    pub code: u8,
    pub since: Timestamp,
    /// Children not known to be gone.
    pub waiting: Vec<Child>,
}

#[derive(Debug)]
pub struct State {
    pub now: Timestamp,
    /// The same moment on a clock that does not jump.
    pub tick: Instant,
    /// For times of day.
    pub zone: TimeZone,
    pub started: Timestamp,
    pub subject: String,
    pub place: String,
    pub cluster: Cluster,
    pub tickets: Tickets,
    pub agent: Agent,
    pub monitor: Monitor,
    pub demo: Option<Demo>,
    pub focus: Pane,
    pub overlays: Vec<Overlay>,
    pub prompt: Option<Prompt>,
    pub quitting: Option<Quitting>,
    /// A short word to the person, and when it was said.
    pub toast: Option<(String, Timestamp)>,
    pub geometry: Geometry,
    pub no_wrap: bool,
    /// Why the dashboard ends, if it is not a person's wish: for stderr.
    pub failure: Option<String>,
}

/// The monitor as a child; what it found is in the ledger.
#[derive(Debug)]
pub struct Monitor {
    pub process: Process,
    pub last_line: Option<String>,
}

/// A child as its supervisor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// Not started, and why.
    Off(String),
    Starting,
    Running {
        pid: u32,
        since: Timestamp,
    },
    Exited {
        how: String,
        at: Timestamp,
    },
    Restarting {
        how: String,
        at: Timestamp,
    },
    GaveUp {
        why: String,
        stderr: Vec<String>,
        at: Timestamp,
    },
    Stopped,
}

impl Process {
    pub fn new(role: &Role) -> Self {
        match role {
            Role::Run(_) => Self::Starting,
            Role::Off(why) => Self::Off(why.clone()),
        }
    }

    /// Whether a supervisor task exists for it that has not said [`Self::Stopped`].
    pub fn supervised(&self) -> bool {
        !matches!(self, Self::Off(_) | Self::Stopped)
    }

    pub fn running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

impl State {
    /// `walk` is the demo's, if this is one.
    pub fn new(config: &Config, walk: Option<Walkthrough>, now: Timestamp) -> Self {
        Self {
            now,
            tick: Instant::now(),
            zone: TimeZone::system(),
            started: now,
            subject: config.subject.clone(),
            place: config.place.clone(),
            cluster: Cluster::new(config.pd.clone()),
            tickets: Tickets::new(config.ledger.clone()),
            agent: Agent::new(Process::new(&config.agent), now),
            monitor: Monitor {
                process: Process::new(&config.monitor),
                last_line: None,
            },
            demo: walk.map(Demo::new),
            focus: Pane::default(),
            overlays: Vec::new(),
            prompt: None,
            quitting: None,
            toast: None,
            geometry: Geometry::default(),
            no_wrap: false,
            failure: None,
        }
    }

    pub fn process_mut(&mut self, child: Child) -> &mut Process {
        match child {
            Child::Agent => &mut self.agent.process,
            Child::Monitor => &mut self.monitor.process,
        }
    }

    pub fn process(&self, child: Child) -> &Process {
        match child {
            Child::Agent => &self.agent.process,
            Child::Monitor => &self.monitor.process,
        }
    }

    pub fn say(&mut self, text: impl Into<String>) {
        self.toast = Some((text.into(), self.now));
    }

    /// Time since, never negative.
    pub fn since(&self, at: Timestamp) -> SignedDuration {
        self.now.duration_since(at).max(SignedDuration::ZERO)
    }

    /// Panes that exist, in the order Tab goes through them.
    pub fn panes(&self) -> Vec<Pane> {
        match self.demo {
            Some(_) => vec![Pane::Cluster, Pane::Tickets, Pane::Chapter, Pane::Agent],
            None => vec![Pane::Cluster, Pane::Tickets, Pane::Agent],
        }
    }
}
