//! Things a dashboard shows, made by hand: tickets, sessions, an agent in the middle of its work.

use super::stage::{START, Stage, snapshot};
use crate::{
    app::{
        event::{Event, Response},
        model::{child::Child, demo::LabNews, detail::Detail, process::Process},
    },
    history::{
        Incident, Page, SessionUpdate, Which,
        incident::{Mark, TicketHistory, What},
        output::Output,
        scene::{Item as Scene, Moment, Stretch},
    },
    supervisor::Fact,
    transcript::{Kind, Line, long::Long},
};
use crossterm::event::KeyCode;
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{
    EntryKind, EntryRow, Fault, ListedSession, Measured, Resolution, RunningSession, SessionRow,
    Severity, Status, Stored, SystemId, Ticket, TicketEvent, TicketEventKind, UsageTotals,
    VerificationRow, WaitingProposal,
    event::{self, Event as Said, Mode, VerifyState},
};

pub(super) fn ticket(
    id: i64,
    status: Status,
    invariant: &str,
    store: Option<&str>,
    at: Timestamp,
) -> Ticket {
    Ticket {
        id,
        violation_key: format!("{invariant}:{}", store.unwrap_or("")),
        invariant: invariant.into(),
        store_id: store.map(Into::into),
        subject_name: None,
        status,
        occurrence_count: 3,
        first_seen_at: Some(at),
        last_seen_at: Some(at),
        resolved_at: (status == Status::Resolved).then_some(at),
        message: "store tikv1 sends no heartbeats".into(),
        severity: Stored::Known(Severity::Critical),
        created_at: Some(at),
        updated_at: Some(at),
        cluster_id: Some(SystemId::new("7")),
        attempts: 1,
        ..Ticket::default()
    }
}

pub(super) fn tickets(stage: &Stage) -> Vec<Ticket> {
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
pub(super) fn at_work(demo: bool) -> Stage {
    let mut stage = Stage::new(demo);
    if demo {
        stage.send(Event::Lab(LabNews::Ready {
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
        let injected = LabNews::Injected {
            kind: "kill".into(),
            node: "tikv1".into(),
            at: stage.now(),
        };
        stage.send(Event::Lab(injected));
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

/// An event an agent says, given without its common fields.
pub(super) fn said(body: &str) -> Said {
    let line = format!(r#"{{"v":1,"seq":1,"at":"{START}",{body}}}"#);
    event::parse(&line).expect(&line)
}

pub(super) fn session(
    id: &str,
    ticket: i64,
    status: &str,
    begun: Timestamp,
    took: i64,
) -> SessionRow {
    let ended = status != "running";
    SessionRow {
        session_id: id.into(),
        ticket_id: Some(ticket),
        incident_id: Some(ticket),
        status: Stored::read(status),
        started_at: Some(begun),
        ended_at: ended.then(|| begun + SignedDuration::from_secs(took)),
        outcome_summary: ended.then(|| "I started tikv1. All stores are up.".into()),
        model: Some("rehearsal".into()),
        mode: Some(Stored::Known(Mode::Propose)),
        cluster_id: Some(SystemId::new("7")),
        resolution: (status == "resolved").then_some(Stored::Known(Resolution::Proven)),
        head_hash: None,
        usage: UsageTotals::default(),
    }
}

/// The session of an agent that was not started here.
pub(super) fn running(stage: &Stage, id: &str) -> RunningSession {
    RunningSession {
        session: session(id, 4, "running", stage.at(31), 0),
        ticket: None,
        pid: Some(4711),
        proposal: None,
    }
}

pub(super) fn proposal(stage: &Stage, command: &str) -> WaitingProposal {
    WaitingProposal {
        call: "p1".into(),
        tool: "shell".into(),
        input: command.into(),
        reasoning: "bring back the process of tikv1; it keeps its data".into(),
        why: "in this mode a person approves what may change something".into(),
        since: Some(stage.at(12)),
    }
}

/// Somebody else's agent at work, followed; ours is off.
pub(super) fn elsewhere() -> Stage {
    let mut stage = Stage::new(false);
    stage.app.live.agent.process = Process::Off("no key is set (ANTHROPIC_API_KEY).".into());
    for _ in 0..20 {
        stage.cluster(true);
        stage.wait(1);
    }
    let (tickets, running) = (tickets(&stage), running(&stage, "s-else"));
    let row = running.session.clone();
    stage.ledger_with(tickets, vec![running]);
    let news = SessionUpdate {
        session: row,
        events: [
            r#""type":"session_start","ticket":4,"title":"store_down tikv1""#,
            r#""type":"text","delta":"The process of **tikv1** is gone. I start it:\n\n- it keeps its data\n- it keeps its place, whatever this long item of a list has to say about it further on","end":true"#,
            r#""type":"tool_call","call":"p1","tool":"shell","input":"operator-tui lab start tikv1","reasoning":"bring back the process of tikv1""#,
            r#""type":"proposal","call":"p1","why":"in this mode a person approves what may change something""#,
        ]
        .map(said)
        .to_vec(),
        commands: Vec::new(),
    };
    stage.send(Event::Followed(Box::new(news)));
    stage.wait(2);
    stage.cluster(true);
    stage
}

fn line(entry: u64, n: u64, kind: Kind, text: &str, gap: bool) -> Line {
    Line {
        id: (entry << 16) + n,
        kind,
        text: text.into(),
        omitted: 0,
        gap,
    }
}

/// A page of a long session: a command an entry, from one to another.
pub(super) fn page(stage: &Stage, from: i64, to: i64, last: i64) -> Page {
    let mut lines = Vec::new();
    for n in from..=to {
        let entry = n.cast_unsigned();
        lines.push(line(
            entry,
            0,
            Kind::Command,
            &format!("curl -s $PD/stores/{n}"),
            true,
        ));
        lines.push(line(entry, 1, Kind::Why, "see how it stands", false));
        for row in 0..20 {
            let text = format!("store {n} row {row}");
            lines.push(line(entry, 2 + row, Kind::Output, &text, false));
        }
        lines.push(line(entry, 90, Kind::Good, "exit 0 · 0.1 s", false));
    }
    Page {
        session: session("s-long", 2, "escalated", stage.at(7200), 3600),
        lines,
        entries: (from..=to).map(|n| (n, Some(stage.at(7200 - n)))).collect(),
        calls: (from..=to).map(|n| (n, format!("c{n}"))).collect(),
        span: (1, last),
        at: None,
    }
}

pub(super) fn listed(stage: &Stage, count: i64) -> Vec<ListedSession> {
    let outcomes = ["resolved", "escalated", "interrupted", "failed"];
    (0..count)
        .map(|n| ListedSession {
            row: 1000 - n,
            session: session(
                &format!("2026-01-30T13-{:02}-00-abcd{n:04}", 59 - n % 60),
                40 - n % 40,
                if n == 0 {
                    "running"
                } else {
                    outcomes[(n % 4) as usize]
                },
                stage.at(60 * n + 30),
                41,
            ),
            ticket: Some(ticket(
                40 - n % 40,
                Status::Resolved,
                "store_down",
                Some("tikv1"),
                stage.at(60 * n + 40),
            )),
        })
        .collect()
}

/// Everything about a ticket.
pub(super) fn detail(stage: &Stage) -> Detail {
    let mut found = ticket(4, Status::Escalated, "store_down", Some("2"), stage.at(400));
    found.diagnosis = Some("ESCALATED: The process of **tikv1** was killed.".into());
    found.needs_person = true;
    let change = |kind, from: Option<Status>, to, by: &str, why: &str, ago| TicketEvent {
        id: 1,
        ticket_id: 4,
        kind: Some(Stored::Known(kind)),
        from: from.map(Stored::Known),
        to: Stored::Known(to),
        resolution: None,
        by: by.into(),
        why: why.into(),
        at: Some(stage.at(ago)),
    };
    Detail {
        id: 4,
        finishes: Vec::new(),
        ticket: Some(found),
        events: vec![
            change(
                TicketEventKind::Opened,
                None,
                Status::Open,
                "monitor",
                "no heartbeat for 6 s",
                400,
            ),
            change(
                TicketEventKind::Claimed,
                Some(Status::Open),
                Status::Acknowledged,
                "agent pid 11",
                "it took the ticket",
                399,
            ),
            change(
                TicketEventKind::Escalated,
                Some(Status::Acknowledged),
                Status::Escalated,
                "agent",
                "claimed 3 times, and still violated",
                300,
            ),
        ],
        proofs: vec![VerificationRow {
            id: 1,
            session_id: "s-1".into(),
            state: VerifyState::Failed,
            detail: "tikv1 is down".into(),
            requested_at: Some(stage.at(330)),
            decided_at: Some(stage.at(310)),
        }],
        sessions: vec![
            session("s-1", 4, "escalated", stage.at(399), 99),
            session("s-2", 4, "resolved", stage.at(200), 41),
        ],
        error: None,
    }
}

/// What one command printed.
pub(super) fn output(stage: &Stage, lines: usize) -> Output {
    let mut text = Long::default();
    for n in 0..lines {
        let kind = if n % 7 == 3 {
            Kind::ErrorOutput
        } else {
            Kind::Output
        };
        text.push(
            kind,
            &format!("{n:>6}  what the command printed in this row\n"),
        );
    }
    let entry = |kind| EntryRow {
        id: 9,
        session_id: "s".into(),
        entry_type: Stored::Known(kind),
        content: "shell: journalctl -u tikv".into(),
        raw_content: None,
        tool_name: Some("shell".into()),
        tool_params: Some(serde_json::json!({"command": "journalctl -u tikv --since -1h | tail"})),
        call_id: Some("d".into()),
        effect: None,
        original_hash: None,
        exit_code: Some(1),
        duration_ms: Some(2700),
        timed_out: false,
        omitted_bytes: 0,
        meta: None,
        at: Some(stage.now()),
        hash: None,
    };
    Output {
        session: "s".into(),
        call: entry(EntryKind::ToolCall),
        result: Some(entry(EntryKind::ToolResult)),
        text,
    }
}

/// An incident of two minutes: killed at 0:15, claimed at 0:50, proven at 1:10.
pub(super) fn incident(stage: &Stage) -> Incident {
    let from = stage.at(7200);
    let at = |s: i64| from + SignedDuration::from_secs(s);
    let mut closed = ticket(4, Status::Resolved, "store_down", Some("tikv1"), at(20));
    closed.resolution = Some(Resolution::Proven);
    closed.resolved_at = Some(at(70));
    closed.message = "tikv1 is disconnected".into();
    let change = |kind, from: Option<Status>, to, by: &str, why: &str, s| TicketEvent {
        id: s,
        ticket_id: 4,
        kind: Some(Stored::Known(kind)),
        from: from.map(Stored::Known),
        to: Stored::Known(to),
        resolution: (kind == TicketEventKind::Resolved)
            .then_some(Stored::Known(Resolution::Proven)),
        by: by.into(),
        why: why.into(),
        at: Some(at(s)),
    };
    let mut incident = Incident {
        session: session("s-4", 4, "resolved", at(21), 50),
        from,
        to: at(85),
        tickets: vec![TicketHistory {
            ticket: closed,
            events: vec![
                change(
                    TicketEventKind::Opened,
                    None,
                    Status::Open,
                    "monitor",
                    "no heartbeat for 6 s",
                    20,
                ),
                change(
                    TicketEventKind::Claimed,
                    Some(Status::Open),
                    Status::Acknowledged,
                    "agent pid 11",
                    "it took the ticket",
                    21,
                ),
                change(
                    TicketEventKind::Resolved,
                    Some(Status::Acknowledged),
                    Status::Resolved,
                    "monitor",
                    "proven: not violated for 20.0 s",
                    70,
                ),
            ],
            proofs: vec![VerificationRow {
                id: 1,
                session_id: "s-4".into(),
                state: VerifyState::Proven,
                detail: String::new(),
                requested_at: Some(at(50)),
                decided_at: Some(at(70)),
            }],
        }],
        changes: Vec::new(),
        faults: vec![Fault {
            id: 1,
            at: Some(at(15)),
            kind: "kill".into(),
            target: "tikv1".into(),
            by: "demo".into(),
        }],
        entries: Vec::new(),
        measured: (0..85)
            .filter(|s| !(60..64).contains(s))
            .map(|s| Measured {
                at: at(s),
                ops_per_s: Some(if (15..55).contains(&s) { 420.0 } else { 1204.0 }),
                p99_ms: Some(if (15..55).contains(&s) { 48.0 } else { 4.1 }),
            })
            .collect(),
        marks: Vec::new(),
    };
    let mark = |s, what, text: &str| Mark {
        at: at(s),
        what,
        text: text.into(),
    };
    incident.marks = vec![
        mark(15, What::Fault, "kill tikv1, by demo"),
        mark(
            20,
            What::Opened,
            "#4 store_down tikv1: no heartbeat for 6 s",
        ),
        mark(21, What::Taken, "#4 acknowledged by agent pid 11: claimed"),
        mark(24, What::Command, "operator-tui lab ps"),
        mark(30, What::Command, "operator-tui lab start tikv1"),
        mark(31, What::Failed, "exit 1: operator-tui lab start tikv1"),
        mark(36, What::Command, "operator-tui lab start tikv1 --force"),
        mark(50, What::Claimed, "claimed: the agent says it is repaired"),
        mark(
            70,
            What::Proven,
            "#4 resolved by monitor: proven: not violated for 20.0 s",
        ),
    ];
    incident
}

/// A replay in the middle of its incident, paused.
pub(super) fn replay() -> Stage {
    let mut stage = Stage::new(false);
    stage.ledger(Vec::new());
    stage.enter(":replay s-4");
    let incident = incident(&stage);
    let (from, to) = (incident.from, incident.to);
    stage.send(Event::Found(Response::Incident(
        "s-4".into(),
        Ok(Box::new(incident)),
    )));
    moment(&mut stage);
    stage.key(KeyCode::Char(' '));
    stage.enter(":seek 33");
    moment(&mut stage);
    let stretch = Stretch {
        from: from + SignedDuration::from_secs(33),
        to,
        items: vec![(from + SignedDuration::from_secs(36), Scene::Tickets)],
    };
    stage.send(Event::Found(Response::Stretch(
        "s-4".into(),
        Ok(Box::new(stretch)),
    )));
    stage
}

/// Answers what a replay asked for last: how it stood at its time.
pub(super) fn moment(stage: &mut Stage) {
    let at = stage.app.replay.as_ref().unwrap().clock.shown();
    let snapshots = (0..30).rev().map(|ago| {
        let at = at - SignedDuration::from_secs(ago);
        (at, snapshot(true, at))
    });
    let events = [
        r#""type":"session_start","ticket":4,"title":"store_down tikv1""#,
        r#""type":"text","delta":"I start it.","end":true"#,
        r#""type":"tool_call","call":"d","tool":"shell","input":"operator-tui lab start tikv1","reasoning":"bring it back""#,
        r#""type":"tool_output","call":"d","stream":"stderr","text":"it does not start: the port is taken\n""#,
        r#""type":"tool_result","call":"d","exit_code":1,"duration_ms":900"#,
    ];
    let moment = Moment {
        at,
        samples: snapshots.collect(),
        events: events
            .iter()
            .map(|body| Said {
                at: at - SignedDuration::from_secs(2),
                session: Some("s-4".into()),
                ..said(body)
            })
            .collect(),
    };
    stage.send(Event::Found(Response::Moment(
        "s-4".into(),
        Ok(Box::new(moment)),
    )));
}

/// A session that is read page by page, somewhere in its middle.
pub(super) fn record() -> Stage {
    let mut stage = at_work(false);
    stage.show(80, 24);
    stage.key(KeyCode::Char('s'));
    let sessions = listed(&stage, 3);
    stage.send(Event::Found(Response::Sessions(None, Ok(sessions))));
    stage.key(KeyCode::Char('j'));
    stage.key(KeyCode::Enter);
    stage.app.live.record.as_mut().unwrap().session = "s-long".into();
    let page = page(&stage, 1, 100, 300);
    stage.send(Event::Found(Response::Page(
        Which::First,
        Ok(Box::new(page)),
    )));
    stage
}
