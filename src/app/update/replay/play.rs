//! Feeds the stage: what was read comes to it when its time has come.

use crate::{
    app::{
        event::{Effect, Response},
        model::{
            agent::Agent,
            app::App,
            clock::Clock,
            cluster::Cluster,
            process::Process,
            replay::{Asked, Replay},
            tickets::{Fate, LedgerView},
        },
        request::Request,
        update::replay::act_on,
    },
    history::{
        Incident,
        scene::{Item, Moment, Stretch},
    },
    transcript::clean::clean,
};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{Heartbeat, Status, SystemId};
use std::time::{Duration, Instant};

/// Read ahead at least this much of the time of the replay.
const AHEAD: SignedDuration = SignedDuration::from_secs(20);

/// Opens a replay over what is live.
pub(crate) fn open(app: &mut App, session: &str) -> Vec<Effect> {
    app.live.overlays.clear();
    app.replay = Some(Box::new(Replay::new(session, &app.live, false)));
    step(app)
}

/// Lets happen what has come due, and asks for what is needed next.
pub(crate) fn step(app: &mut App) -> Vec<Effect> {
    let tick = app.live.tick;
    let Some(replay) = &mut app.replay else {
        return Vec::new();
    };
    replay.set_time(tick);
    let now = replay.stage.now;
    while replay.queue.front().is_some_and(|(at, _)| *at <= now) {
        if let Some((at, item)) = replay.queue.pop_front() {
            replay.happen(at, item);
        }
    }
    replay.stage.cluster.judge(now);
    replay.stage.tickets.looked = Some(now);
    replay
        .next_request()
        .map(Effect::Read)
        .into_iter()
        .collect()
}

/// Something that was asked for has come. What is not for a replay is given back.
pub(crate) fn found(app: &mut App, found: Response) -> Result<Vec<Effect>, Response> {
    let tick = app.live.tick;
    let Some(replay) = &mut app.replay else {
        return Err(found);
    };
    match found {
        Response::Incident(session, incident) if session == replay.session => match incident {
            Ok(incident) => {
                replay.begin(incident, tick);
                // What a person asked for before it was there.
                let early = std::mem::take(&mut replay.early);
                for (command, argument) in early {
                    act_on(app, command, &argument);
                }
            }
            Err(why) => replay.error = Some(why),
        },
        Response::Moment(session, moment) if session == replay.session => match moment {
            Ok(moment) => replay.stand(&moment, tick),
            Err(why) => replay.error = Some(why),
        },
        Response::Stretch(session, stretch) if session == replay.session => match stretch {
            Ok(stretch) => replay.take(*stretch),
            Err(why) => replay.error = Some(why),
        },
        Response::Incident(..) | Response::Moment(..) | Response::Stretch(..) => {}
        other => return Err(other),
    }
    Ok(step(app))
}

impl Replay {
    fn begin(&mut self, incident: Box<Incident>, tick: Instant) {
        let speed = self.clock.speed();
        self.clock = Clock::new(incident.from, incident.to, speed);
        self.clock.play(tick);
        self.asked = Asked::Nothing;
        self.read_to = Timestamp::MIN;
        self.incident = Some(incident);
    }

    /// What to read next.
    fn next_request(&mut self) -> Option<Request> {
        let session = self.session.clone();
        let Some(incident) = &self.incident else {
            if self.asked != Asked::Not {
                return None;
            }
            self.asked = Asked::Incident;
            return Some(Request::Incident(session));
        };
        if self.asked != Asked::Nothing || self.error.is_some() {
            return None;
        }
        let at = self.clock.shown();
        if at > self.read_to || at < self.stage.started {
            self.asked = Asked::Moment(at);
            return Some(Request::Moment { session, at });
        }
        let ahead = SignedDuration::try_from(Duration::from_secs_f64(4.0 * self.clock.speed()));
        let ahead = ahead.unwrap_or(AHEAD).max(AHEAD);
        if self.read_to >= incident.to || self.read_to > at + ahead {
            return None;
        }
        self.asked = Asked::Stretch;
        Some(Request::Stretch {
            session,
            from: self.read_to,
            to: (self.read_to + 2 * ahead).min(incident.to),
        })
    }

    /// A person wants to be at another time.
    pub fn seek(&mut self, at: Timestamp) {
        self.clock.set(at);
        // Whatever is on its way is of another time.
        self.queue.clear();
        self.read_to = Timestamp::MIN;
    }

    /// The stage as it stood at a moment.
    fn stand(&mut self, moment: &Moment, tick: Instant) {
        self.asked = Asked::Nothing;
        // The reader has gone elsewhere meanwhile: what they want now is asked for next.
        if moment.at != self.clock.shown() && self.read_to == Timestamp::MIN {
            return;
        }
        self.clock.set(moment.at);
        let stage = &mut self.stage;
        stage.started = moment.at;
        stage.set_time(moment.at, tick);
        stage.agent = Agent::new(Process::Replayed, moment.at);
        stage.agent.view.fold(false, stage.geometry.agent);
        stage.cluster = Cluster::new(String::new());
        self.queue.clear();
        self.read_to = moment.at;
        for (at, snapshot) in &moment.samples {
            self.stage.cluster.seen(snapshot.clone(), *at);
        }
        self.looks = moment.samples.len() as u64;
        for event in &moment.events {
            self.stage.agent.last_event_at = Some(event.at);
            self.stage.agent.apply_event(event, event.at);
        }
        let model = self.incident.as_ref().and_then(|i| i.session.model.clone());
        self.stage.agent.model = model.map(|model| clean(model.as_bytes()).0);
        self.tickets(moment.at);
    }

    fn take(&mut self, stretch: Stretch) {
        self.asked = Asked::Nothing;
        if stretch.from == self.read_to {
            self.queue.extend(stretch.items);
            self.read_to = stretch.to;
        }
    }

    fn happen(&mut self, at: Timestamp, item: Item) {
        match item {
            Item::Sample(snapshot) => {
                self.looks += 1;
                self.stage.cluster.seen(*snapshot, at);
                self.tickets(at);
            }
            Item::Said(event) => {
                self.stage.agent.last_event_at = Some(at);
                self.stage.agent.apply_event(&event, at);
            }
            Item::Tickets => self.tickets(at),
        }
    }

    /// Tickets, and when the monitor had looked, as the ledger had it at the time.
    fn tickets(&mut self, at: Timestamp) {
        let Some(incident) = &self.incident else {
            return;
        };
        let tickets = incident.tickets_at(at);
        let done = tickets
            .iter()
            .filter(|t| t.status == Status::Resolved)
            .count();
        let looked = incident.measured.partition_point(|m| m.at <= at);
        let last = looked.checked_sub(1).map(|n| incident.measured[n].at);
        let before = looked.checked_sub(2).map(|n| incident.measured[n].at);
        let interval = last
            .zip(before)
            .map(|(a, b)| a.duration_since(b).unsigned_abs());
        let snapshot = self.stage.cluster.snapshot.as_ref();
        let blind = snapshot.and_then(|s| s.stores.error.as_ref().map(ToString::to_string));
        let heartbeat = last.map(|last| Heartbeat {
            cluster_id: incident
                .session
                .cluster_id
                .clone()
                .unwrap_or_else(|| SystemId::new("")),
            age: at.duration_since(last).unsigned_abs(),
            at: Some(last),
            ok: blind.is_none(),
            detail: blind.unwrap_or_default(),
            interval: interval.unwrap_or(Duration::from_secs(1)),
            checks: self.looks,
        });
        self.stage.tickets.read(LedgerView {
            at,
            error: None,
            missing: false,
            fate: Fate::Same,
            open: (tickets.len() - done) as u64,
            done: done as u64,
            tickets,
            heartbeat,
            in_grace: Vec::new(),
            running: Vec::new(),
        });
    }
}
