//! A dashboard in a test: states made by events alone, on a clock of its own.

use super::super::{draw, theme::Theme};
use crate::{
    app::{Child, Config, Event, Role, State, demo::StageNews, tickets::LedgerView, update},
    cluster::{
        ClusterSnapshot, MemberState, Observed, PdMember, Regions, Store, StoreState, Traffic,
    },
    demo::{Options, Pace, Walkthrough, chapters},
    supervisor::{Fact, Item, Spec},
};
use agent_lab::ledger::{Heartbeat, Resolution, Status, Ticket};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use std::{fmt::Write as _, time::Duration};

const START: &str = "2026-01-30T14:00:00Z";

/// A dashboard and its clock.
pub struct Stage {
    pub state: State,
    tick: std::time::Instant,
    begun: std::time::Instant,
}

impl Stage {
    pub fn new(demo: bool) -> Self {
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
            pd: "http://10.0.0.1:2379".into(),
            ledger: "/home/kim/.operator/tickets.db".into(),
            agent: run("agent"),
            monitor: run("monitor"),
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
        let mut state = State::new(&config, walk, now);
        state.zone = TimeZone::UTC;
        let begun = state.tick;
        Self {
            state,
            tick: begun,
            begun,
        }
    }

    pub fn now(&self) -> Timestamp {
        let start: Timestamp = START.parse().unwrap();
        start + SignedDuration::try_from(self.tick - self.begun).unwrap()
    }

    pub fn at(&self, ago: i64) -> Timestamp {
        self.now() - SignedDuration::from_secs(ago)
    }

    pub fn send(&mut self, event: Event) -> Vec<crate::app::Effect> {
        let now = self.now();
        update(&mut self.state, event, now, self.tick)
    }

    pub fn wait(&mut self, seconds: u64) {
        self.tick += Duration::from_secs(seconds);
        self.send(Event::Tick);
    }

    pub fn key(&mut self, code: KeyCode) -> Vec<crate::app::Effect> {
        self.send(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    /// Lets the agent say events, given without their common fields.
    pub fn agent(&mut self, events: &[&str]) {
        let items = events
            .iter()
            .map(|body| {
                let line = format!(r#"{{"v":1,"seq":1,"at":"{START}",{body}}}"#);
                let event = agent_lab::event::parse(&line).expect(&line);
                if event.kind.is_state() {
                    Item::State(event)
                } else {
                    Item::Delta(line.into())
                }
            })
            .collect();
        self.send(Event::Child(Child::Agent, items));
    }

    pub fn fact(&mut self, child: Child, fact: Fact) {
        self.send(Event::Child(child, vec![Item::Fact(fact)]));
    }

    pub fn cluster(&mut self, broken: bool) {
        let now = self.now();
        let store = |id: u64, state, leaders, ago| Store {
            id,
            name: format!("tikv{}", id - 1),
            address: format!("10.0.0.{id}:20160"),
            status_address: None,
            state,
            last_heartbeat: Some(self.at(ago)),
            started: None,
            leaders: Some(leaders),
            regions: Some(6),
            capacity: Some(1 << 30),
            available: Some(900 << 20),
            traffic: if state == StoreState::Up {
                Observed::known(
                    Traffic {
                        ops_per_s: Some(402.0),
                        p99_ms: Some(4.1),
                        errors_per_s: Some(0.0),
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
        };
        let ops = if broken { 811.0 } else { 1204.0 };
        let snapshot = ClusterSnapshot {
            at: now,
            cluster_id: Some("7".into()),
            pd: Observed::known(
                vec![
                    member(0, MemberState::Leader),
                    member(1, MemberState::Follower),
                    member(2, MemberState::Follower),
                ],
                now,
            ),
            pd_leader: Observed::known(Some("http://10.0.0.0:2379".into()), now),
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
                    errors_per_s: Some(0.0),
                },
                now,
            ),
        };
        self.send(Event::Cluster(Box::new(snapshot)));
    }

    pub fn ledger(&mut self, tickets: Vec<Ticket>) {
        let open = tickets
            .iter()
            .filter(|t| t.status != Status::Resolved)
            .count() as u64;
        let view = LedgerView {
            at: self.now(),
            error: None,
            missing: false,
            done: tickets.len() as u64 - open,
            open,
            tickets,
            heartbeat: Some(Heartbeat {
                cluster_id: "7".into(),
                age: Duration::from_secs(1),
                at: Some(self.at(1)),
                ok: true,
                detail: String::new(),
                interval: Duration::from_secs(1),
                checks: 9,
            }),
        };
        self.send(Event::Ledger(Box::new(view)));
    }

    pub fn draw(&mut self, width: u16, height: u16, theme: Theme) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let state = &self.state;
        let mut geometry = None;
        terminal
            .draw(|frame| geometry = Some(draw(frame, state, theme)))
            .unwrap();
        self.state.geometry = geometry.unwrap();
        terminal.backend().buffer().clone()
    }

    pub fn show(&mut self, width: u16, height: u16) -> String {
        text(&self.draw(width, height, Theme::COLOUR))
    }
}

pub fn text(buffer: &Buffer) -> String {
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

fn ticket(id: i64, status: Status, invariant: &str, store: Option<&str>, at: Timestamp) -> Ticket {
    Ticket {
        id,
        violation_key: format!("{invariant}:{}", store.unwrap_or("")),
        invariant: invariant.into(),
        store_id: store.map(Into::into),
        status,
        held: false,
        batch_key: None,
        occurrence_count: 3,
        first_seen_at: Some(at),
        last_seen_at: Some(at),
        resolved_at: (status == Status::Resolved).then_some(at),
        message: "store tikv1 sends no heartbeats".into(),
        severity: "critical".into(),
        diagnosis: None,
        metric_snapshot: None,
        subject_context: None,
        created_at: Some(at),
        updated_at: Some(at),
        cluster_id: Some("7".into()),
        resolution: None,
        claimed: false,
        flaps: 0,
        attempts: 1,
        retry_at: None,
        needs_person: false,
        by_hand: false,
    }
}

fn tickets(stage: &Stage) -> Vec<Ticket> {
    let hours = |n: i64| stage.at(n * 3600);
    let mut claimed = ticket(
        5,
        Status::Acknowledged,
        "under_replicated",
        None,
        stage.at(30),
    );
    claimed.claimed = true;
    let mut proven = ticket(3, Status::Resolved, "high_latency", None, hours(2));
    proven.resolution = Some(Resolution::Proven);
    proven.flaps = 1;
    let mut escalated = ticket(2, Status::Escalated, "region_unavailable", None, hours(3));
    escalated.resolved_at = None;
    let mut cleared = ticket(1, Status::Resolved, "store_down", Some("1"), hours(5));
    cleared.resolution = Some(Resolution::Cleared);
    vec![
        claimed,
        ticket(
            4,
            Status::Acknowledged,
            "store_down",
            Some("2"),
            stage.at(31),
        ),
        escalated,
        proven,
        cleared,
    ]
}

/// The agent in the middle of its work.
pub fn at_work(demo: bool) -> Stage {
    let mut stage = Stage::new(demo);
    if demo {
        stage.send(Event::Stage(StageNews::Ready {
            pd: "http://10.0.0.1:2379".into(),
            monitor: None,
        }));
    }
    stage.fact(Child::Monitor, Fact::Started { pid: 10 });
    stage.fact(Child::Agent, Fact::Started { pid: 11 });
    for _ in 0..20 {
        stage.cluster(false);
        stage.wait(1);
    }
    if demo {
        stage.key(KeyCode::Char(' '));
        stage.key(KeyCode::Char(' '));
        stage.wait(6);
        let injected = StageNews::Injected {
            kind: "kill".into(),
            node: "tikv1".into(),
            at: stage.now(),
        };
        stage.send(Event::Stage(injected));
    }
    for _ in 0..11 {
        stage.cluster(true);
        stage.wait(1);
    }
    stage.agent(&[
        r#""type":"hello","agent":"agent_lab","version":"0.1.0","pid":11,"model":"rehearsal","mode":"autonomous","ledger":"x""#,
        r#""type":"session_start","ticket":4,"title":"store_down tikv1""#,
        r#""type":"text","delta":"I'll ask PD what it knows about the stores before touching anything.","end":true"#,
        r#""type":"tool_call","call":"c","tool":"shell","input":"curl -s $PD/pd/api/v1/stores | jq -r '.stores[]'","reasoning":"see which store stopped sending heartbeats""#,
        r#""type":"tool_output","call":"c","stream":"stdout","text":"1 tikv0 Up\n2 tikv1 Disconnected\n3 tikv2 Up\n""#,
        r#""type":"tool_result","call":"c","exit_code":0,"duration_ms":120"#,
        r#""type":"tool_call","call":"d","tool":"shell","input":"operator-tui lab ps","reasoning":"is the process gone, or alive and stuck?""#,
        r#""type":"tool_output","call":"d","stream":"stdout","text":"tikv1  exited  signal 9\n""#,
    ]);
    let tickets = tickets(&stage);
    stage.ledger(tickets);
    for _ in 0..12 {
        stage.wait(1);
        stage.cluster(true);
    }
    let tickets = self::tickets(&stage);
    stage.ledger(tickets);
    stage
}
