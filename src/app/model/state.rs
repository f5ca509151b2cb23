//! Everything the dashboard knows at one moment. `update` changes it, a front end draws it.

use crate::{
    app::model::{
        agent::Agent,
        approvals::Approvals,
        attention::Attention,
        child::Child,
        cluster::Cluster,
        config::Config,
        demo::Demo,
        other::Other,
        overlay::Overlay,
        palette::Palette,
        pane::{Geometry, Pane},
        process::Process,
        prompt::Prompt,
        record::Record,
        tickets::Tickets,
    },
    demo::Walkthrough,
    transcript::Needle,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::{collections::VecDeque, time::Instant};

/// The dashboard is ending.
#[derive(Debug, Clone)]
pub struct Quitting {
    pub code: u8,
    pub since: Instant,
    /// Children not known to be gone.
    pub waiting: Vec<Child>,
}

/// How things are shown, as a person chose.
#[derive(Debug, Clone, Copy, Default)]
pub struct ViewOptions {
    pub palette: Palette,
    /// Long lines are cut at the edge.
    pub no_wrap: bool,
    /// The focused pane has the screen to itself.
    pub zoom: bool,
    pub mouse: bool,
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
    /// The stores are a lab's: their logs are in reach.
    pub lab: bool,
    pub cluster: Cluster,
    pub tickets: Tickets,
    pub agent: Agent,
    /// Somebody else's agent, followed through the ledger.
    pub other: Option<Other>,
    /// An earlier session, in the agent's pane.
    pub record: Option<Record>,
    pub approvals: Approvals,
    pub monitor: Monitor,
    pub demo: Option<Demo>,
    /// This is the stage of a replay: there is nobody to steer.
    pub replayed: bool,
    pub focus: Pane,
    pub overlays: Vec<Overlay>,
    pub prompt: Option<Prompt>,
    /// Lines entered before, newest first.
    pub history: VecDeque<String>,
    /// `y` was pressed: the next key says what is copied.
    pub copying: bool,
    /// What is searched for, in whatever is read.
    pub needle: Option<Needle>,
    pub attention: Attention,
    pub quitting: Option<Quitting>,
    /// A short word to the person, and when it was said.
    pub toast: Option<(String, Instant)>,
    pub geometry: Geometry,
    pub view_options: ViewOptions,
    /// Why the dashboard ends, if it is not a person's wish: for stderr.
    pub failure: Option<String>,
}

/// The monitor as a child; what it found is in the ledger.
#[derive(Debug)]
pub struct Monitor {
    pub process: Process,
    pub last_line: Option<String>,
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
            lab: config.lab.is_some(),
            cluster: Cluster::new(config.look.pd.join(",")),
            tickets: Tickets::new(config.ledger.clone()),
            agent: Agent::of(&config.agent, now),
            other: None,
            record: None,
            approvals: Approvals::default(),
            monitor: Monitor {
                process: Process::new(&config.monitor),
                last_line: None,
            },
            demo: walk.map(Demo::new),
            replayed: false,
            focus: Pane::default(),
            overlays: Vec::new(),
            prompt: None,
            history: VecDeque::new(),
            copying: false,
            needle: None,
            attention: Attention::default(),
            quitting: None,
            toast: None,
            geometry: Geometry::default(),
            view_options: ViewOptions {
                palette: config.palette,
                ..ViewOptions::default()
            },
            failure: None,
        }
    }

    /// Time as the main loop reads it.
    pub fn set_time(&mut self, now: Timestamp, tick: Instant) {
        self.now = now;
        self.tick = tick;
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

    /// The agent whose pane it is: ours, or the one that is followed.
    pub fn shown(&self) -> &Agent {
        self.other.as_ref().map_or(&self.agent, |o| &o.agent)
    }

    pub fn shown_mut(&mut self) -> &mut Agent {
        match &mut self.other {
            Some(other) => &mut other.agent,
            None => &mut self.agent,
        }
    }

    pub fn say(&mut self, text: impl Into<String>) {
        self.toast = Some((text.into(), self.tick));
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
