//! An incident that is played back: its stage, a [`State`] whose clock a person holds, and what is
//! known of what comes next.

use super::{
    clock::Clock,
    command::Command,
    config::{Config, Role},
    process::Process,
    state::State,
};
use crate::history::{Incident, incident::Mark, scene::Item};
use jiff::Timestamp;
use ratatui::layout::Rect;
use std::{collections::VecDeque, time::Instant};

#[derive(Debug)]
pub struct Replay {
    pub session: String,
    pub stage: State,
    pub clock: Clock,
    /// None: not read yet.
    pub incident: Option<Box<Incident>>,
    pub error: Option<String>,
    /// There is nothing behind it: closing it ends the program.
    pub alone: bool,
    /// What comes next, as far as it was read.
    pub queue: VecDeque<(Timestamp, Item)>,
    /// Up to when everything was read.
    pub read_to: Timestamp,
    pub asked: Asked,
    /// Where its timeline is on the screen.
    pub track: Rect,
    /// What a person asked for before there was anything to show.
    pub early: Vec<(Command, String)>,
    /// Looks of the monitor so far.
    pub looks: u64,
}

/// What the ledger was asked for and has not given yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing was asked yet.
    Not,
    Incident,
    Moment(Timestamp),
    Stretch,
    Nothing,
}

impl Replay {
    /// `like` is the state it is opened from.
    pub fn new(session: &str, like: &State, alone: bool) -> Self {
        let config = Config {
            subject: like.subject.clone(),
            place: "replay".into(),
            look: crate::cluster::Options::new(""),
            ledger: like.tickets.path.clone(),
            lab: None,
            palette: like.view_options.palette,
            agent: Role::Off(String::new()),
            monitor: Role::Off("this is a replay.".into()),
            replay: None,
            demo: None,
        };
        let mut stage = State::new(&config, None, like.now);
        stage.zone = like.zone.clone();
        stage.view_options = like.view_options;
        stage.agent.process = Process::Replayed;
        stage.monitor.process = Process::Replayed;
        stage.replayed = true;
        Self {
            session: session.to_owned(),
            stage,
            clock: Clock::new(like.now, like.now, 1.0),
            incident: None,
            error: None,
            alone,
            queue: VecDeque::new(),
            read_to: Timestamp::MIN,
            asked: Asked::Not,
            track: Rect::default(),
            early: Vec::new(),
            looks: 0,
        }
    }

    /// Time goes on, as far as what was read reaches.
    pub fn set_time(&mut self, tick: Instant) {
        let now = self.clock.now(tick, self.read_to);
        self.stage.set_time(now, tick);
    }

    /// What happened last, and when.
    pub fn last_mark(&self) -> Option<&Mark> {
        let marks = &self.incident.as_ref()?.marks;
        let next = marks.partition_point(|m| m.at <= self.clock.shown());
        marks.get(next.checked_sub(1)?)
    }

    /// When it wants to go on though nothing happens.
    pub fn due(&self, tick: Instant) -> Option<Instant> {
        self.clock.due(tick, self.queue.front().map(|(at, _)| *at))
    }
}
