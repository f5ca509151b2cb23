//! The whole of what the dashboard knows: what is live, and an incident that may be played back over
//! it. Nothing below asks whether there is a replay.

use super::{
    clock::Clock,
    config::Config,
    pane::{Drawn, Geometry},
    replay::Replay,
    state::State,
};
use crate::demo::Walkthrough;
use jiff::Timestamp;
use std::time::Instant;

#[derive(Debug)]
pub struct App {
    pub live: State,
    pub replay: Option<Box<Replay>>,
}

impl App {
    /// `walk` is the demo's, if this is one.
    pub fn new(config: &Config, walk: Option<Walkthrough>, now: Timestamp) -> Self {
        let live = State::new(config, walk, now);
        let replay = config.replay.as_ref().map(|(session, speed)| {
            let mut replay = Replay::new(session, &live, true);
            replay.clock = Clock::new(now, now, *speed);
            Box::new(replay)
        });
        Self { live, replay }
    }

    /// Time as the main loop reads it.
    pub fn set_time(&mut self, now: Timestamp, tick: Instant) {
        self.live.set_time(now, tick);
        if let Some(replay) = &mut self.replay {
            replay.set_time(tick);
        }
    }

    /// What was drawn last.
    pub fn set_geometry(&mut self, drawn: Drawn) {
        self.live.geometry = drawn.live;
        if let Some(replay) = &mut self.replay {
            let (stage, track): (Geometry, _) = drawn.replay.unwrap_or_default();
            replay.stage.geometry = stage;
            replay.track = track;
        }
    }

    /// The replay, while it is in front: nothing of the live dashboard lies over it.
    pub fn in_front(&self) -> Option<&Replay> {
        self.replay
            .as_deref()
            .filter(|_| self.live.overlays.is_empty())
    }

    /// What a person sees and reads in: what is live, or the stage of a replay over it.
    pub fn visible(&self) -> &State {
        self.in_front().map_or(&self.live, |replay| &replay.stage)
    }

    pub fn visible_mut(&mut self) -> &mut State {
        match &mut self.replay {
            Some(replay) if self.live.overlays.is_empty() => &mut replay.stage,
            _ => &mut self.live,
        }
    }
}
