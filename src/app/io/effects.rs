//! Carries out what `update` asked for.

use crate::{
    app::{
        event::{Effect, Event, Frontend},
        io::{
            follower::Follower,
            lab::{LabHandle, Order},
            ledger_writer::LedgerWriter,
            lookup_worker::LookupWorker,
            monitor_look::MonitorLooks,
            sources::{LedgerReader, Observer},
        },
        model::{
            child::Child,
            config::{Config, MakeChildren, Role},
        },
    },
    cluster::Options,
    supervisor::{self, Handle, Mailbox, Spec},
};
use std::{io, path::PathBuf, sync::Arc};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, mpsc},
};

pub(crate) struct EffectRunner {
    children: Vec<(Child, Handle)>,
    /// None: nothing is live.
    ledger: Option<LedgerReader>,
    looks: Arc<MonitorLooks>,
    lookups: LookupWorker,
    clerk: LedgerWriter,
    follower: Option<Follower>,
    path: PathBuf,
    observer: Option<Observer>,
    lab: Option<LabHandle>,
    populate: Option<MakeChildren>,
    bell: Arc<Notify>,
    events: mpsc::Sender<Event>,
    /// Where sources are at work.
    back: Runtime,
}

/// What the main loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    Redraw,
    Exit(u8),
}

impl EffectRunner {
    /// Starts children and sources. Call it on the main thread: children are tied to it.
    pub(crate) fn start(
        config: Config,
        bell: Arc<Notify>,
        events: mpsc::Sender<Event>,
        back: Runtime,
    ) -> io::Result<Self> {
        let live = config.replay.is_none();
        let looks = Arc::new(MonitorLooks::default());
        let reader = || LedgerReader::start(config.ledger.clone(), looks.clone(), events.clone());
        let mut runner = Self {
            children: Vec::new(),
            ledger: live.then(reader).transpose()?,
            looks: looks.clone(),
            lookups: LookupWorker::start(
                config.ledger.clone(),
                config.lab,
                back.clone(),
                events.clone(),
            )?,
            clerk: LedgerWriter::start(config.ledger.clone(), &back, events.clone()),
            follower: None,
            path: config.ledger,
            observer: None,
            lab: None,
            populate: None,
            bell,
            events,
            back: back.clone(),
        };
        for (child, role) in [
            (Child::Monitor, config.monitor),
            (Child::Agent, config.agent),
        ] {
            if let Role::Run(spec) = role {
                runner.start_child(child, spec);
            }
        }
        let _there = back.enter();
        if let Some(demo) = config.demo {
            runner.lab = Some(LabHandle::bring_up(
                demo.lab,
                runner.path.clone(),
                runner.events.clone(),
            ));
            runner.populate = Some(demo.children);
        } else if live {
            let look = config.look;
            runner.observer = Some(Observer::start(look, &runner.looks, runner.events.clone()));
        }
        Ok(runner)
    }

    /// Ends all that reads the ledger here, and waits until it is closed. Nobody may listen to their
    /// events any more.
    pub(crate) fn close(self) {
        let mut ends = vec![self.lookups.end()];
        ends.extend(self.ledger.map(LedgerReader::end));
        ends.extend(self.follower.map(Follower::end));
        for ended in ends {
            ended.wait();
        }
    }

    fn start_child(&mut self, child: Child, spec: Spec) {
        let mailbox = Mailbox::new(self.bell.clone());
        self.children
            .push((child, supervisor::start(spec, mailbox)));
    }

    /// The lab is up: its monitor, its agent, and our own eyes.
    fn populate(&mut self) {
        let Some(lab) = &self.lab else { return };
        if let (Some((info, launch)), Some(make)) = (lab.info.get(), self.populate.take()) {
            let pd = info.pd_endpoints.join(",");
            let children = make(info, launch);
            if let Role::Run(spec) = children.monitor {
                self.start_child(Child::Monitor, spec);
            }
            self.start_child(Child::Agent, children.agent);
            let _there = self.back.enter();
            let look = Options::new(&pd);
            self.observer = Some(Observer::start(look, &self.looks, self.events.clone()));
        }
    }

    fn order(&self, order: Order) {
        if let Some(lab) = &self.lab {
            lab.order(order);
        }
    }

    /// What children said since the last call, child by child.
    pub(crate) fn child_events(&self) -> impl Iterator<Item = Event> + '_ {
        self.children.iter().filter_map(|(child, handle)| {
            let items = handle.mailbox().drain();
            (!items.is_empty()).then_some(Event::Child(*child, items))
        })
    }

    pub(crate) fn execute<F: Frontend>(
        &mut self,
        effect: Effect,
        front: &mut F,
    ) -> io::Result<After> {
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
            Effect::Populate => self.populate(),
            Effect::Inject { fault, node } => self.order(Order::Inject { fault, node }),
            Effect::SetLoad(load) => self.order(Order::SetLoad(load)),
            Effect::TearDownLab => self.order(Order::TearDown),
            Effect::ReadLog { node } => self.lookups.read_log(node),
            Effect::Read(read) => self.lookups.read(read),
            Effect::Write(write) => self.clerk.write(write),
            Effect::Follow(session) => {
                self.follower = match session {
                    Some(id) => Some(Follower::start(
                        self.path.clone(),
                        &id,
                        self.events.clone(),
                    )?),
                    None => None,
                };
            }
            Effect::Copy(text) => front.copy(&text),
            Effect::Bell => front.bell(),
            Effect::Title(text) => front.title(&text),
            Effect::Mouse(on) => front.mouse(on),
            Effect::Suspend => {
                front.suspend();
                // The whole job, so that the shell sees it stop even when it was started by
                // `cargo run` or a script.
                let _ = rustix::process::kill_current_process_group(rustix::process::Signal::STOP);
                return Ok(again(front));
            }
            Effect::Redraw => return Ok(again(front)),
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

/// Takes the terminal again. One that is gone, which the kernel tells by a continue, too, is told of
/// by what draws or reads.
fn again<F: Frontend>(front: &mut F) -> After {
    let _ = front.resume();
    After::Redraw
}
