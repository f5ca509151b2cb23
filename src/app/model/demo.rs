//! The demo as the dashboard knows it: where the walk is, and what has become of its lab.

use crate::demo::{Injected, Walkthrough};
use jiff::Timestamp;
use operator_lab::Progress;
use std::time::Instant;

/// What became of the lab of the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabNews {
    Progress(Progress),
    /// The lab is up. `pd` are its endpoints, separated by commas.
    Ready {
        pd: String,
        /// Where the monitor is, if it is not one of our children.
        monitor: Option<String>,
    },
    /// It will not come up.
    Failed(String),
    Injected {
        kind: String,
        node: String,
        at: Timestamp,
    },
    /// An action of the walk could not be done.
    ActionFailed(String),
    /// The lab was up and is gone, though nobody asked for that here.
    Ended(String),
    /// The lab is gone, or left running as was asked.
    Gone,
}

#[derive(Debug)]
pub struct Demo {
    pub walk: Walkthrough,
    /// How far the lab is on its way up. None: it is not started, or it is up.
    pub progress: Option<Progress>,
    pub ready: bool,
    /// The stage has to be struck before the program ends.
    pub standing: bool,
    pub injected: Option<Injected>,
    /// The newest ticket when the fault was asked for.
    pub newest: i64,
}

impl Demo {
    pub fn new(walk: Walkthrough) -> Self {
        Self {
            walk,
            progress: None,
            ready: false,
            standing: true,
            injected: None,
            newest: 0,
        }
    }

    pub fn back(&mut self) {
        self.walk.back();
    }

    /// Whether there is a chapter before and one after the one that is read.
    pub fn can_go(&self, now: Instant) -> (bool, bool) {
        let view = self.walk.view(now);
        (
            view.index > 0,
            view.index + 1 < view.total && (self.ready || view.rereading),
        )
    }
}
