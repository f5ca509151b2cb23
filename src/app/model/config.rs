//! What a dashboard is started with.

use crate::{
    app::model::palette::Palette,
    cluster::Options,
    demo::Walkthrough,
    stage::{control::Control, running_lab::Launch},
    supervisor::Spec,
};
use operator_lab::{LabInfo, UpOptions};
use std::{path::PathBuf, sync::Arc};

/// One of the dashboard's children.
#[derive(Debug, Clone)]
pub enum Role {
    Run(Spec),
    /// Not started; for people, why.
    Off(String),
}

#[derive(Debug)]
pub struct Config {
    /// What is watched, for the header: `tikv`.
    pub subject: String,
    /// Where it is, for the header: `embedded lab`, or PD's address.
    pub place: String,
    /// Where the cluster is, and how it is looked at.
    pub look: Options,
    pub ledger: PathBuf,
    /// The lab whose nodes are watched, if it is one: their logs are there.
    pub lab: Option<Arc<dyn Control>>,
    pub palette: Palette,
    /// In a demo the children come with the lab; these are then `Off`.
    pub agent: Role,
    pub monitor: Role,
    /// A session to be played back, at this speed, in place of what is live.
    pub replay: Option<(String, f64)>,
    pub demo: Option<DemoConfig>,
}

impl Config {
    /// Whether a monitor or an agent is started here.
    pub fn has_children(&self) -> bool {
        let runs = |role: &Role| matches!(role, Role::Run(_));
        self.demo.is_some() || runs(&self.agent) || runs(&self.monitor)
    }
}

/// Says, once the lab is up, who watches it.
pub type MakeChildren = Box<dyn FnOnce(&LabInfo, &Launch) -> DemoChildren + Send>;

/// A demo: its walk, its lab, and the children that watch it.
pub struct DemoConfig {
    /// Taken out by the dashboard when it starts.
    pub walk: Option<Walkthrough>,
    /// With a lifeline the lab ends with the dashboard; without one it is left running.
    pub lab: UpOptions,
    /// The agent and the monitor of a lab, once it is known where that is.
    pub children: MakeChildren,
}

/// What is started when the demo's lab is up.
#[derive(Debug)]
pub struct DemoChildren {
    pub agent: Spec,
    pub monitor: Role,
}

impl std::fmt::Debug for DemoConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DemoConfig")
            .field("lab", &self.lab)
            .finish_non_exhaustive()
    }
}
