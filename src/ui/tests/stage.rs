//! A dashboard in a test: states made by events alone, on a clock of its own.

use super::super::draw;
use crate::{
    app::{
        event::{Effect, Event},
        model::{
            app::App,
            child::Child,
            cluster::STALE,
            config::{Config, Role},
            palette::Palette,
            tickets::{Fate, LedgerView},
        },
        update,
    },
    cluster::{
        ClusterSnapshot, MemberState, Observed, PdMember, Regions, Store, StoreState, Traffic,
    },
    demo::{Options, Pace, Walkthrough, chapters},
    supervisor::{Fact, Item, Spec},
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use operator_ledger::{Heartbeat, InGrace, RunningSession, Status, SystemId, Ticket};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use std::{fmt::Write as _, time::Duration};

pub(super) const START: &str = "2026-01-30T14:00:00Z";

/// A dashboard and its clock.
pub(super) struct Stage {
    pub app: App,
    tick: std::time::Instant,
    begun: std::time::Instant,
    /// Bells and titles, as they came.
    pub calls: Vec<Effect>,
}

impl Stage {
    pub(super) fn new(demo: bool) -> Self {
        let run = |name| {
            Role::Run(Spec {
                name,
                ..Spec::default()
            })
        };
        let config = Config {
            subject: "tikv".into(),
            place: if demo {
                "embedded lab"
            } else {
                "http://10.0.0.1:2379"
            }
            .into(),
            look: crate::cluster::Options::new("http://10.0.0.1:2379"),
            ledger: "/home/kim/.operator/tickets.db".into(),
            lab: None,
            palette: Palette::Terminal,
            agent: run("agent"),
            monitor: run("monitor"),
            replay: None,
            demo: None,
        };
        let walk = demo.then(|| {
            let chapters = chapters::tikv().expect("the chapters we ship");
            let options = Options {
                pace: Pace::Person,
                fault: None,
                victim: "tikv1".into(),
                patience: 1,
            };
            Walkthrough::new(chapters, options)
        });
        let now: Timestamp = START.parse().unwrap();
        let mut app = App::new(&config, walk, now);
        app.live.zone = TimeZone::UTC;
        let begun = app.live.tick;
        Self {
            app,
            tick: begun,
            begun,
            calls: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        let start: Timestamp = START.parse().unwrap();
        start + SignedDuration::try_from(self.tick - self.begun).unwrap()
    }

    pub(super) fn at(&self, ago: i64) -> Timestamp {
        self.now() - SignedDuration::from_secs(ago)
    }

    /// What is to be done, bells and titles apart.
    pub(super) fn send(&mut self, event: Event) -> Vec<Effect> {
        let now = self.now();
        let effects = update(&mut self.app, event, now, self.tick);
        let call = |e: &Effect| matches!(e, Effect::Bell | Effect::Title(_));
        let (calls, effects) = effects.into_iter().partition(call);
        self.calls.extend::<Vec<_>>(calls);
        effects
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.tick += Duration::from_secs(seconds);
        self.send(Event::Tick);
    }

    pub(super) fn key(&mut self, code: KeyCode) -> Vec<Effect> {
        self.send(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    /// Lets the agent say events, given without their common fields.
    pub(super) fn agent(&mut self, events: &[&str]) {
        let items = events
            .iter()
            .map(|body| {
                let line = format!(r#"{{"v":1,"seq":1,"at":"{START}",{body}}}"#);
                let event = operator_ledger::event::parse(&line).expect(&line);
                if event.kind.is_state() {
                    Item::State(event)
                } else {
                    Item::Delta(line.into())
                }
            })
            .collect();
        self.send(Event::Child(Child::Agent, items));
    }

    pub(super) fn fact(&mut self, child: Child, fact: Fact) {
        self.send(Event::Child(child, vec![Item::Fact(fact)]));
    }

    pub(super) fn cluster(&mut self, broken: bool) {
        let snapshot = snapshot(broken, self.now());
        self.send(Event::Cluster(Box::new(snapshot), STALE));
    }

    pub(super) fn ledger(&mut self, tickets: Vec<Ticket>) -> Vec<Effect> {
        self.ledger_with(tickets, Vec::new())
    }

    pub(super) fn ledger_with(
        &mut self,
        tickets: Vec<Ticket>,
        running: Vec<RunningSession>,
    ) -> Vec<Effect> {
        let view = self.view(tickets, running);
        self.send(Event::Ledger(Box::new(view)))
    }

    /// No tickets, and what the monitor's last check saw all the same.
    pub(super) fn ledger_in_grace(&mut self, in_grace: Vec<InGrace>) {
        let view = LedgerView {
            in_grace,
            ..self.view(Vec::new(), Vec::new())
        };
        self.send(Event::Ledger(Box::new(view)));
    }

    /// It cannot be read.
    pub(super) fn ledger_in_trouble(&mut self, why: String) {
        let view = LedgerView {
            error: Some(why),
            ..self.view(Vec::new(), Vec::new())
        };
        self.send(Event::Ledger(Box::new(view)));
    }

    fn view(&self, tickets: Vec<Ticket>, running: Vec<RunningSession>) -> LedgerView {
        let open = tickets
            .iter()
            .filter(|t| t.status != Status::Resolved)
            .count() as u64;
        LedgerView {
            at: self.now(),
            error: None,
            missing: false,
            fate: Fate::Same,
            done: tickets.len() as u64 - open,
            open,
            tickets,
            heartbeat: Some(Heartbeat {
                cluster_id: SystemId::new("7"),
                age: Duration::from_secs(1),
                at: Some(self.at(1)),
                ok: true,
                detail: String::new(),
                interval: Duration::from_secs(1),
                checks: 9,
            }),
            in_grace: Vec::new(),
            running,
        }
    }

    pub(super) fn keys(&mut self, keys: &str) -> Vec<Effect> {
        keys.chars()
            .flat_map(|c| self.key(KeyCode::Char(c)))
            .collect()
    }

    /// Types a line and enters it.
    pub(super) fn enter(&mut self, line: &str) -> Vec<Effect> {
        let mut effects = self.keys(line);
        effects.extend(self.key(KeyCode::Enter));
        effects
    }

    pub(super) fn draw(&mut self, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let app = &self.app;
        let mut geometry = None;
        terminal
            .draw(|frame| geometry = Some(draw(frame, app)))
            .unwrap();
        self.app.set_geometry(geometry.unwrap());
        terminal.backend().buffer().clone()
    }

    pub(super) fn show(&mut self, width: u16, height: u16) -> String {
        text(&self.draw(width, height))
    }
}

pub(super) fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip == 0 {
                row.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).max(1);
            }
            skip -= 1;
        }
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// How the cluster looked at a time.
pub(super) fn snapshot(broken: bool, now: Timestamp) -> ClusterSnapshot {
    let store = |id: u64, state, leaders, ago| Store {
        id,
        name: format!("tikv{}", id - 1),
        address: format!("10.0.0.{id}:20160"),
        status_address: None,
        engine: crate::cluster::Engine::default(),
        evidence: crate::cluster::Evidence::default(),
        state,
        last_heartbeat: Some(now - SignedDuration::from_secs(ago)),
        started: None,
        version: None,
        leaders: Some(leaders),
        regions: Some(6),
        capacity: Some(1 << 30),
        available: Some(900 << 20),
        strain: crate::cluster::Strain::default(),
        traffic: if state == StoreState::Up {
            Observed::known(
                Traffic {
                    ops_per_s: Some(402.0),
                    p99_ms: Some(4.1),
                    refused_per_s: Some(0.0),
                },
                now,
            )
        } else {
            Observed::unknown("10.0.0.2:20180: connection refused")
        },
    };
    let middle = if broken {
        store(2, StoreState::Disconnected, 0, 42)
    } else {
        store(2, StoreState::Up, 2, 1)
    };
    let lead = if broken { 3 } else { 2 };
    let member = |n: u8, state| PdMember {
        name: format!("pd{n}"),
        address: format!("http://10.0.0.{n}:2379"),
        state,
        ..PdMember::default()
    };
    let ops = if broken { 811.0 } else { 1204.0 };
    ClusterSnapshot {
        at: now,
        cluster_id: Some(SystemId::new("7")),
        pd: Observed::known(
            vec![
                member(0, MemberState::Leader),
                member(1, MemberState::Follower),
                member(2, MemberState::Follower),
            ],
            now,
        ),
        pd_leader: Observed::known(Some("http://10.0.0.0:2379".into()), now),
        odd_stores: 0,
        stores: Observed::known(
            vec![
                store(1, StoreState::Up, lead, 1),
                middle,
                store(3, StoreState::Up, lead, 1),
            ],
            now,
        ),
        regions: Observed::known(
            Regions {
                total: 6,
                ..Regions::default()
            },
            now,
        ),
        traffic: Observed::known(
            Traffic {
                ops_per_s: Some(ops),
                p99_ms: Some(4.1),
                refused_per_s: Some(0.0),
            },
            now,
        ),
        rate_window_ms: None,
        p99_limit_ms: None,
    }
}
