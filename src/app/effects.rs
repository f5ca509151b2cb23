//! Does what `update` asked for: the hands of the dashboard.

use super::{
    config::{Config, Role},
    event::{Child, Effect, Event, Frontend},
    sources::{LedgerReader, Observer},
};
use crate::supervisor::{self, Handle, Mailbox};
use std::{io, sync::Arc};
use tokio::sync::{Notify, mpsc};

#[derive(Debug)]
pub struct Hands {
    children: Vec<(Child, Handle)>,
    ledger: LedgerReader,
    _observer: Observer,
}

/// What the main loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Nothing,
    Redraw,
    Exit(u8),
}

impl Hands {
    /// Starts children and sources. Call it on the main thread: children are tied to it.
    pub fn start(
        config: &Config,
        bell: &Arc<Notify>,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let mut children = Vec::new();
        for (child, role) in [
            (Child::Monitor, &config.monitor),
            (Child::Agent, &config.agent),
        ] {
            if let Role::Run(spec) = role {
                let mailbox = Mailbox::new(bell.clone());
                children.push((child, supervisor::start(spec.clone(), mailbox)));
            }
        }
        Ok(Self {
            children,
            ledger: LedgerReader::start(config.ledger.clone(), events.clone())?,
            _observer: Observer::start(&config.pd, events.clone()),
        })
    }

    /// What children said since the last call, child by child.
    pub fn heard(&self) -> impl Iterator<Item = Event> + '_ {
        self.children.iter().filter_map(|(child, handle)| {
            let items = handle.mailbox().drain();
            (!items.is_empty()).then_some(Event::Child(*child, items))
        })
    }

    pub fn execute<F: Frontend>(&mut self, effect: Effect, front: &mut F) -> io::Result<After> {
        match effect {
            Effect::Control(child, control) => {
                if let Some(handle) = self.child(child) {
                    handle.control(control);
                }
            }
            Effect::Restart(child) => {
                if let Some(handle) = self.child(child) {
                    handle.restart();
                }
            }
            Effect::StopAll => self.children.iter().for_each(|(_, handle)| handle.stop()),
            Effect::KillAll => self.children.iter().for_each(|(_, handle)| handle.kill()),
            Effect::LoadTicket(id) => self.ledger.load(id),
            Effect::Copy(text) => front.copy(&text),
            Effect::Bell => front.bell(),
            Effect::Suspend => {
                front.suspend();
                // The whole job, so that the shell sees it stop even when it was started by
                // `cargo run` or a script.
                let _ = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
                front.resume()?;
                return Ok(After::Redraw);
            }
            Effect::Redraw => {
                front.resume()?;
                return Ok(After::Redraw);
            }
            Effect::Exit(code) => return Ok(After::Exit(code)),
        }
        Ok(After::Nothing)
    }

    fn child(&self, child: Child) -> Option<&Handle> {
        self.children
            .iter()
            .find(|(c, _)| *c == child)
            .map(|(_, handle)| handle)
    }
}
