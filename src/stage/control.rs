//! What can be done to a lab, whichever it is: the embedded one, through its keeper, or the one in
//! Docker Compose, through the Docker API. Nothing above this file asks which.

use crate::stage::compose::DockerError;
use agent_lab::runner::environment::LAB as LAB_VAR;
use futures_util::{future::BoxFuture, stream::BoxStream};
use operator_lab::{
    Client, ClientError, NodeStatus,
    load::rate::{self, RateError},
};
use operator_ledger::home::HomeError;
use std::{fmt::Debug, time::Duration};

/// How often a log that is followed is read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Pieces of a log as they come.
pub type Lines = BoxStream<'static, Result<Vec<u8>, ControlError>>;

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Embedded(#[from] ClientError),
    #[error(transparent)]
    Load(#[from] RateError),
    #[error(transparent)]
    Compose(#[from] DockerError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("{LAB_VAR} is {0}; it is embedded or compose")]
    Unknown(String),
}

/// What is done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    /// It is asked to end (TERM), and ended if it does not (KILL).
    Stop,
    /// It is ended at once (KILL).
    Kill,
    /// It is frozen.
    Pause,
    Resume,
}

impl Verb {
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// The word for what has been done.
    pub fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Kill => "killed",
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

/// Control of a lab that is up.
pub trait Control: Debug + Send + Sync {
    /// All nodes and how they are.
    fn ps(&self) -> BoxFuture<'_, Result<Vec<NodeStatus>, ControlError>>;

    fn act<'a>(&'a self, verb: Verb, node: &'a str) -> BoxFuture<'a, Result<(), ControlError>>;

    /// Sets the load, in operations a second: `None` is the lab's own default, zero is off.
    /// Returns what is now asked for.
    fn load(&self, rate: Option<u32>) -> BoxFuture<'_, Result<u32, ControlError>>;

    /// The last lines of a node's log.
    fn logs<'a>(
        &'a self,
        node: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<String, ControlError>>;

    /// The last lines of a node's log, and what is added to it.
    fn follow<'a>(
        &'a self,
        node: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<Lines, ControlError>>;
}

impl Control for Client {
    fn ps(&self) -> BoxFuture<'_, Result<Vec<NodeStatus>, ControlError>> {
        Box::pin(async move { Ok(Client::ps(self).await?) })
    }

    fn act<'a>(&'a self, verb: Verb, node: &'a str) -> BoxFuture<'a, Result<(), ControlError>> {
        Box::pin(async move {
            match verb {
                Verb::Start => self.start(node).await?,
                Verb::Stop => self.stop(node).await?,
                Verb::Kill => self.kill(node).await?,
                Verb::Pause => self.pause(node).await?,
                Verb::Resume => self.resume(node).await?,
            }
            Ok(())
        })
    }

    fn load(&self, rate: Option<u32>) -> BoxFuture<'_, Result<u32, ControlError>> {
        Box::pin(async move { Ok(rate::set(self.dir(), rate).await?) })
    }

    fn logs<'a>(
        &'a self,
        node: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<String, ControlError>> {
        Box::pin(async move { Ok(Client::logs(self, node, lines)?) })
    }

    fn follow<'a>(
        &'a self,
        node: &'a str,
        lines: usize,
    ) -> BoxFuture<'a, Result<Lines, ControlError>> {
        Box::pin(async move {
            let follower = Client::follow(self, node)?;
            let first = Client::logs(self, node, lines)?.into_bytes();
            let lines: Lines = Box::pin(futures_util::stream::unfold(
                (Some(first), follower),
                |(first, mut follower)| async move {
                    if let Some(first) = first {
                        return Some((Ok(first), (None, follower)));
                    }
                    loop {
                        tokio::time::sleep(POLL_INTERVAL).await;
                        match follower.read() {
                            Ok(new) if new.is_empty() => {}
                            Ok(new) => return Some((Ok(new), (None, follower))),
                            Err(source) => {
                                let error = ClientError::Io {
                                    what: "the log".into(),
                                    source,
                                };
                                return Some((Err(error.into()), (None, follower)));
                            }
                        }
                    }
                },
            ));
            Ok(lines)
        })
    }
}
