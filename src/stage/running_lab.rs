//! A lab that is up, as the demo needs it: where it is, how its agent is started, how it is broken
//! and ended.

use crate::stage::{
    compose::{self, Compose},
    control::{Control, ControlError},
    error::StageError,
    which::{Which, pd, which},
};
use agent_lab::cell::Cell;
use operator_lab::{Lab, LabError, LabInfo, Progress, UpOptions, timing::MONITOR_LIMITS, up};
use operator_process::executable;
use std::ffi::OsString;

/// How the processes around a lab are started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What starts an agent; its own arguments follow.
    pub agent: Vec<OsString>,
    /// Where its commands run, if nobody says otherwise.
    pub cell: Cell,
    pub monitor: Monitor,
}

/// Who watches the lab.
#[derive(Debug, Clone)]
pub enum Monitor {
    /// One is started with the dashboard, with these arguments.
    Start(Vec<OsString>),
    /// One is there already; the text says where.
    There(String),
}

/// A lab that is up.
#[derive(Debug)]
pub struct RunningLab {
    pub info: LabInfo,
    pub launch: Launch,
    lab: Held,
}

#[derive(Debug)]
enum Held {
    Embedded(Box<Lab>),
    Compose(Compose),
}

/// Brings the lab up, or waits until it is.
pub async fn bring_up(
    options: &UpOptions,
    progress: impl FnMut(Progress),
) -> Result<RunningLab, StageError> {
    if which()? == Which::Embedded {
        let lab = up(options, progress).await?;
        return Ok(RunningLab {
            info: lab.info.clone(),
            launch: Launch::embedded(),
            lab: Held::Embedded(Box::new(lab)),
        });
    }
    let compose = Compose::from_env().map_err(ControlError::from)?;
    if let Some(rate) = options.load {
        compose.load(Some(rate)).await?;
    }
    let pd_endpoints = pd()?;
    let cluster_id = compose::up::up(&compose, &pd_endpoints.join(","), progress).await?;
    Ok(RunningLab {
        info: LabInfo {
            cluster_id,
            pd_endpoints,
            load_metrics: String::new(),
            nodes: Vec::new(),
        },
        launch: Launch::compose(),
        lab: Held::Compose(compose),
    })
}

impl Launch {
    /// How they are started around the lab that this process is about.
    pub fn here() -> Result<Self, ControlError> {
        Ok(match which()? {
            Which::Embedded => Self::embedded(),
            Which::Compose => Self::compose(),
        })
    }

    fn compose() -> Self {
        // The agent is on this side; its hands are in the container.
        let arguments = ["agent", "--lab-kind", "compose"];
        Self {
            agent: [executable().into_os_string()]
                .into_iter()
                .chain(arguments.map(OsString::from))
                .collect(),
            cell: Cell::Docker("agent".into()),
            monitor: Monitor::There("it runs in a container of its own".into()),
        }
    }

    /// Around the embedded lab everything is this very executable.
    pub fn embedded() -> Self {
        Self {
            agent: vec![executable().into(), "agent".into()],
            cell: Cell::Host,
            monitor: Monitor::Start(MONITOR_LIMITS.map(OsString::from).to_vec()),
        }
    }
}

impl RunningLab {
    pub fn control(&self) -> &dyn Control {
        match &self.lab {
            Held::Embedded(lab) => lab.client(),
            Held::Compose(compose) => compose,
        }
    }

    /// Waits until the lab has ended by itself. Returns how.
    pub async fn ended(&mut self) -> String {
        match &mut self.lab {
            Held::Embedded(lab) => lab.ended().await,
            Held::Compose(_) => std::future::pending().await,
        }
    }

    /// Ends the lab and waits until it is gone, if it is ours to end; with `keep` it runs on.
    pub async fn tear_down(self, keep: bool) -> Result<(), StageError> {
        match self.lab {
            Held::Embedded(lab) if keep => lab.leave(),
            Held::Embedded(lab) => lab.down().await.map_err(LabError::from)?,
            // Compose ends what it started; only the load that the demo asked for goes.
            Held::Compose(compose) if !keep => {
                compose.load(Some(0)).await?;
            }
            Held::Compose(_) => {}
        }
        Ok(())
    }
}
