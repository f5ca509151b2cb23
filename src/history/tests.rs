use super::{
    Follow, Incident, Page, Which,
    output::Output,
    page::entry_of,
    scene::{Item, Moment, Stretch},
};
use crate::transcript::{Composer, Kind, Line, Needle, Ring, doc::LineSource};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{
    AgentLedger, ChangeKind, Check, ClaimRequest, DEFAULT_LEASE, EntryKind, EntryMeta, Holder,
    Lease, MonitorLedger, NewEntry, NewSession, NewTicket, ObservedChange, OutputChunk,
    PersonLedger, Reader, SessionStatus, SessionWriter, Stored, SystemId, ThingKind,
    event::{Event, Kind as What, Mode, Outcome, Stream, VerifyState},
};
use serde_json::json;
use std::{path::PathBuf, time::Duration};

/// A ledger with one session that a test writes.
struct Desk {
    _folder: tempfile::TempDir,
    path: PathBuf,
    agent: AgentLedger,
    person: PersonLedger,
    session: SessionWriter,
    lease: Lease,
    pieces: u64,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tickets.db");
        let person = PersonLedger::open(&path).wait().unwrap();
        let agent = AgentLedger::open(&path).wait().unwrap();
        let cluster = SystemId::new("7");
        let new = NewTicket {
            message: "p99 doubled since noon".into(),
            cluster_id: Some(cluster.clone()),
            by: "kim".into(),
            ..NewTicket::default()
        };
        person.open_ticket(new).wait().unwrap();
        let holder = Holder::this_process();
        let request = ClaimRequest {
            holder: holder.clone(),
            cluster_id: Some(cluster.clone()),
            ticket: None,
            lease: DEFAULT_LEASE,
        };
        let claim = agent.claim(request).wait().unwrap().unwrap();
        let session = agent
            .begin_session(NewSession {
                ticket: claim.ticket.id,
                lease: claim.lease.clone(),
                model: "rehearsal".into(),
                mode: Mode::Propose,
                cluster_id: Some(cluster),
                holder,
            })
            .wait()
            .unwrap();
        Self {
            _folder: folder,
            path,
            agent,
            person,
            session,
            lease: claim.lease,
            pieces: 0,
        }
    }

    /// A check of the monitor that found something changed.
    fn saw_change(&self, cluster: &SystemId) {
        let now = Timestamp::now();
        let change = ObservedChange {
            since: now,
            at: now,
            kind: Stored::Known(ChangeKind::State),
            thing_kind: Stored::Known(ThingKind::Store),
            thing: "2".into(),
            name: "tikv1".into(),
            from: Some("up".into()),
            to: Some("disconnected".into()),
        };
        let monitor = MonitorLedger::open(&self.path).wait().unwrap();
        let check = Check {
            cluster_id: cluster.clone(),
            age: Duration::ZERO,
            observations: Vec::new(),
            metric_snapshot: None,
            subject_context: None,
            sample: None,
            changes: vec![change],
            place: String::new(),
            interval: Duration::from_secs(1),
            ok: true,
            detail: String::new(),
        };
        monitor.record_check(check).wait().unwrap();
    }

    fn id(&self) -> String {
        self.session.id.clone()
    }

    fn entry(&mut self, entry: NewEntry) {
        self.agent.append(&self.session, entry).wait().unwrap();
    }

    fn say(&mut self, text: &str) {
        self.entry(NewEntry::new(EntryKind::Reasoning, text));
    }

    fn call(&mut self, call: &str, command: &str) {
        let params = json!({ "command": command, "reasoning": "to see" });
        self.entry(NewEntry {
            tool: Some("shell".into()),
            params: Some(params),
            call: Some(call.into()),
            ..NewEntry::new(EntryKind::ToolCall, format!("shell: {command}"))
        });
    }

    fn print(&mut self, call: &str, text: &str) {
        let piece = OutputChunk {
            call: call.into(),
            seq: self.pieces,
            stream: Stream::Stdout,
            text: text.into(),
            at: Timestamp::now(),
        };
        self.pieces += 1;
        let id = self.id();
        self.agent.append_output(&id, &[piece]).wait().unwrap();
    }

    fn result(&mut self, call: &str, text: &str) {
        self.entry(NewEntry {
            call: Some(call.into()),
            exit_code: Some(0),
            duration_ms: Some(120),
            ..NewEntry::new(EntryKind::ToolResult, text)
        });
    }

    fn end(&mut self) {
        self.agent
            .end_session(&self.session, Outcome::Escalated, "no use")
            .wait()
            .unwrap();
        self.agent
            .escalate(&self.lease, "no use", "gave up", false)
            .wait()
            .unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.path).wait().unwrap()
    }
}

fn shown(events: &[Event]) -> Vec<String> {
    let (mut ring, mut composer) = (Ring::unbounded(), Composer::default());
    for event in events {
        composer.event(&mut ring, event);
    }
    ring.iter()
        .map(|l| format!("{}{}", l.kind.marker(), l.text))
        .collect()
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|l| l.text.as_str()).collect()
}

#[test]
fn a_session_is_followed_as_if_its_agent_were_ours() {
    let mut desk = Desk::new();
    let reader = desk.reader();
    let mut follow = Follow::new(&desk.id());
    let mut events = follow.look(&reader).unwrap().unwrap().events;
    desk.say("I look.");
    desk.call("c", "lab ps");
    events.extend(follow.look(&reader).unwrap().unwrap().events);
    desk.print("c", "tikv0 up\nti");
    events.extend(follow.look(&reader).unwrap().unwrap().events);
    // Nothing is told twice.
    assert!(follow.look(&reader).unwrap().unwrap().events.is_empty());
    desk.print("c", "kv1 down\n");
    desk.result("c", "exit 0\ntikv0 up\ntikv1 down\n");
    desk.end();
    let last = follow.look(&reader).unwrap().unwrap();
    assert_eq!(last.session.status, SessionStatus::Escalated);
    events.extend(last.events);
    let mut shown = shown(&events);
    // How long it took is the machine's to say.
    let took = shown[7].find(" · ").unwrap();
    shown[7].truncate(took);
    assert_eq!(
        shown,
        [
            "── #1 p99 doubled since noon",
            "I look.",
            "$ lab ps",
            "  why: to see",
            "│ tikv0 up",
            "│ tikv1 down",
            "✓ exit 0 · 0.1 s",
            "── session escalated",
            "· no use",
        ]
    );
    assert!(follow.look(&reader).unwrap().unwrap().events.is_empty());
}

#[test]
fn a_session_that_was_joined_late_is_told_from_its_last_entries_on() {
    let mut desk = Desk::new();
    for n in 0..300 {
        desk.say(&format!("thought {n}"));
    }
    desk.call("c", "sleep 100");
    desk.print("c", "so far\n");
    let news = Follow::new(&desk.id())
        .look(&desk.reader())
        .unwrap()
        .unwrap();
    let shown = shown(&news.events);
    assert_eq!(shown[0], "── #1 p99 doubled since noon");
    assert!(shown.len() < 100 && shown.contains(&"thought 299".to_owned()));
    assert_eq!(shown.last().unwrap(), "│ so far");
}

#[test]
fn output_that_was_not_kept_apart_is_told_from_the_result() {
    let mut desk = Desk::new();
    desk.call("c", "uptime");
    desk.result("c", "exit 0\nup 3 days\n");
    let news = Follow::new(&desk.id())
        .look(&desk.reader())
        .unwrap()
        .unwrap();
    assert!(shown(&news.events).contains(&"│ up 3 days".to_owned()));
    let output = Output::read(&desk.reader(), &desk.id(), "c").unwrap();
    assert_eq!(output.text.text(), "up 3 days\n");
}

/// A session of many entries.
fn long() -> Desk {
    let mut desk = Desk::new();
    for n in 0..500 {
        desk.say(&format!("thought {n}"));
    }
    desk.end();
    desk
}

#[test]
fn pages_from_either_end_give_the_same_lines_each_once_in_order() {
    let desk = long();
    let (reader, id) = (desk.reader(), desk.id());
    let mut page = Page::read(&reader, &id, &Which::First).unwrap();
    let mut down = page.lines.clone();
    while let Some(last) = page.entries.last().filter(|e| e.0 < page.span.1) {
        page = Page::read(&reader, &id, &Which::After(last.0)).unwrap();
        down.extend(page.lines.clone());
    }
    let mut page = Page::read(&reader, &id, &Which::Last).unwrap();
    let mut up = page.lines.clone();
    while let Some(first) = page.entries.first().filter(|e| e.0 > page.span.0) {
        page = Page::read(&reader, &id, &Which::Before(first.0)).unwrap();
        up.splice(0..0, page.lines.clone());
    }
    let ids = |lines: &[Line]| lines.iter().map(|l| l.id).collect::<Vec<_>>();
    assert_eq!(ids(&down), ids(&up));
    assert_eq!(texts(&down), texts(&up));
    assert!(ids(&down).is_sorted_by(|a, b| a < b));
    assert_eq!(
        down.iter()
            .filter(|l| l.text.starts_with("thought"))
            .count(),
        500
    );
    assert_eq!(texts(&down)[0], "#1 p99 doubled since noon");
}

#[test]
fn a_search_finds_what_is_pages_away_and_says_when_there_is_no_more() {
    let desk = long();
    let (reader, id) = (desk.reader(), desk.id());
    let needle = Needle::new("thought 77").unwrap();
    let found = Page::find(&reader, &id, &needle, i64::MAX, false)
        .unwrap()
        .unwrap();
    let at = found.at.unwrap();
    let line = found.lines.iter().find(|l| l.id == at).unwrap();
    assert_eq!(line.text, "thought 77");
    let entry = entry_of(at);
    assert_eq!(
        Page::find(&reader, &id, &needle, entry, false).unwrap(),
        None
    );
    assert_eq!(
        Page::find(&reader, &id, &needle, entry, true).unwrap(),
        None
    );
}

#[test]
fn long_output_stands_on_a_page_with_its_ends_and_whole_behind_a_key() {
    let mut desk = Desk::new();
    desk.call("c", "seq 1 100000");
    for n in 0..100 {
        desk.print("c", &format!("{n} {}\n", "x".repeat(1000)));
    }
    desk.result("c", "exit 0\n(cut)");
    let page = Page::read(&desk.reader(), &desk.id(), &Which::Call("c".into())).unwrap();
    let output: Vec<_> = page
        .lines
        .iter()
        .filter(|l| l.kind == Kind::Output)
        .collect();
    assert_eq!(output.len(), 16);
    assert!(output[0].text.starts_with("0 x") && output[15].text.starts_with("99 x"));
    let left_out = page
        .lines
        .iter()
        .find(|l| l.text.contains("bytes of output not here"));
    assert!(left_out.is_some());
    let called = page.lines.iter().find(|l| Some(l.id) == page.at).unwrap();
    assert_eq!(
        (called.kind, called.text.as_str()),
        (Kind::Command, "seq 1 100000")
    );
    let whole = Output::read(&desk.reader(), &desk.id(), "c").unwrap();
    assert_eq!(whole.text.len(), 100);
}

#[test]
fn decisions_and_messages_keep_who_it_was() {
    let mut desk = Desk::new();
    desk.call("c", "reboot");
    desk.entry(NewEntry {
        call: Some("c".into()),
        ..NewEntry::new(EntryKind::Proposal, "it changes something")
    });
    let waiting = desk
        .reader()
        .running_sessions(Some(&SystemId::new("7")))
        .wait()
        .unwrap();
    let proposal = waiting[0].proposal.clone().unwrap();
    assert_eq!(
        (proposal.call.as_str(), proposal.input.as_str()),
        ("c", "reboot")
    );
    let meta = EntryMeta {
        approved: Some(false),
        by: Some("kim".into()),
        why: Some("not now".into()),
        ..EntryMeta::default()
    };
    desk.entry(NewEntry {
        call: Some("c".into()),
        meta: Some(meta),
        ..NewEntry::new(EntryKind::Decision, "rejected by kim: not now")
    });
    assert_eq!(
        desk.reader()
            .running_sessions(Some(&SystemId::new("7")))
            .wait()
            .unwrap()[0]
            .proposal,
        None
    );
    let meta = EntryMeta {
        by: Some("kim".into()),
        ..EntryMeta::default()
    };
    desk.entry(NewEntry {
        meta: Some(meta),
        ..NewEntry::new(EntryKind::Message, "look at pd1")
    });
    let page = Page::read(&desk.reader(), &desk.id(), &Which::Last).unwrap();
    let texts = texts(&page.lines);
    assert!(
        texts.contains(&"waits for approval: it changes something"),
        "{texts:?}"
    );
    assert!(texts.contains(&"rejected by kim: not now"), "{texts:?}");
    assert!(texts.contains(&"message of kim: look at pd1"), "{texts:?}");
}

#[test]
fn a_moment_is_what_playing_up_to_it_gives() {
    let mut desk = Desk::new();
    let cluster = SystemId::new("7");
    let added = desk.person.add_fault(&cluster, "kill", "tikv1", "demo");
    added.wait().unwrap();
    for n in 0..3 {
        let call = format!("c{n}");
        desk.say(&format!("step {n}"));
        desk.call(&call, &format!("do {n}"));
        desk.print(&call, "one\n");
        desk.print(&call, "two\n");
        desk.result(&call, "exit 0\none\ntwo\n");
    }
    desk.end();
    let reader = desk.reader();
    let incident = Incident::read(&reader, &desk.id()).unwrap();
    let whole = Stretch::read(&reader, &incident, incident.from, incident.to).unwrap();
    assert!(whole.items.is_sorted_by_key(|(at, _)| *at));
    let said = |items: &[(Timestamp, Item)]| -> Vec<Event> {
        let said = items.iter().filter_map(|(_, item)| match item {
            Item::Said(event) => Some((**event).clone()),
            _ => None,
        });
        said.collect()
    };
    let played = shown(&said(&whole.items));
    assert_eq!(
        played.iter().filter(|l| **l == "│ two").count(),
        3,
        "{played:?}"
    );
    let moment = Moment::read(&reader, &incident, incident.to).unwrap();
    assert_eq!(shown(&moment.events), played);
    // In parts it is the same.
    let half = incident.from + SignedDuration::from_secs(15);
    let mut parts = Stretch::read(&reader, &incident, incident.from, half)
        .unwrap()
        .items;
    parts.extend(
        Stretch::read(&reader, &incident, half, incident.to)
            .unwrap()
            .items,
    );
    assert_eq!(shown(&said(&parts)), played);
    // Before it began there was nothing.
    let before = Moment::read(&reader, &incident, incident.from).unwrap();
    assert!(before.events.is_empty());
    assert!(incident.tickets_at(incident.from).is_empty());
    let after = incident.tickets_at(incident.to);
    assert_eq!(after[0].status, operator_ledger::Status::Escalated);
}

#[test]
fn the_marks_of_an_incident_tell_its_story() {
    use super::incident::What as W;
    let mut desk = Desk::new();
    // Of one millisecond nobody knows what came first.
    std::thread::sleep(Duration::from_millis(2));
    let cluster = SystemId::new("7");
    let added = desk.person.add_fault(&cluster, "kill", "tikv1", "demo");
    added.wait().unwrap();
    desk.saw_change(&cluster);
    desk.call("c", "lab ps");
    desk.entry(NewEntry {
        call: Some("c".into()),
        exit_code: Some(1),
        ..NewEntry::new(EntryKind::ToolResult, "exit 1\nno lab")
    });
    let meta = EntryMeta {
        state: Some(Stored::Known(VerifyState::Waiting)),
        ..EntryMeta::default()
    };
    desk.entry(NewEntry {
        meta: Some(meta),
        ..NewEntry::new(EntryKind::Verify, "waiting: the monitor is asked")
    });
    desk.end();
    let incident = Incident::read(&desk.reader(), &desk.id()).unwrap();
    let mut story: Vec<_> = incident.marks.iter().map(|m| m.what).collect();
    let expected = [
        W::Opened,
        W::Taken,
        W::Fault,
        W::Changed,
        W::Command,
        W::Failed,
        W::Claimed,
        W::Escalated,
        W::Ended,
    ];
    assert!(incident.marks.is_sorted_by_key(|m| m.at));
    // What is of one millisecond may be told in any order.
    story.sort_by_key(|what| expected.iter().position(|e| e == what));
    assert_eq!(story, expected);
    let text = |what| {
        incident
            .marks
            .iter()
            .find(|m| m.what == what)
            .map(|m| m.text.as_str())
    };
    assert_eq!(text(W::Fault), Some("kill tikv1, by demo"));
    assert_eq!(text(W::Changed), Some("tikv1 was up, is disconnected"));
    assert_eq!(text(W::Command), Some("lab ps"));
}

#[test]
fn events_of_rows_are_what_was_said() {
    let mut desk = Desk::new();
    desk.entry(NewEntry::new(EntryKind::Thinking, "hm"));
    desk.entry(NewEntry::new(EntryKind::Retry, "529 overloaded, try 2"));
    desk.entry(NewEntry::new(EntryKind::System, "you are"));
    let rows = desk.reader().entries(&desk.id(), 0, 9).wait().unwrap();
    let row = desk.reader().session(&desk.id()).wait().unwrap().unwrap();
    let kinds: Vec<_> = rows
        .iter()
        .map(|r| super::events::entry(&row, r).map(|e| e.kind))
        .collect();
    assert!(matches!(&kinds[0], Some(What::Thinking { delta, end: true }) if delta == "hm"));
    assert!(matches!(&kinds[1], Some(What::Notice { text, .. }) if text.starts_with("model: 529")));
    assert_eq!(kinds[2], None);
}
