//! Every pane and every overlay at four sizes and without colours: snapshots, looked at by eye.

use super::{
    fixtures::{
        at_work, detail, elsewhere, listed, output, proposal, record, replay, running, tickets,
    },
    stage::{Stage, snapshot, text},
};
use crate::{
    app::{
        event::{Event, Response},
        keys::footer,
        model::{
            child::Child,
            cluster::STALE,
            demo::LabNews,
            palette::Palette,
            process::Process,
            tickets::{Fate, LedgerView},
        },
    },
    cluster::{ClusterSnapshot, Doubt, Life, Observed, Store, StoreState, Traffic},
    supervisor::Fact,
};
use crossterm::event::{KeyCode, KeyEvent};
use operator_ledger::InGrace;
use ratatui::style::{Color, Modifier};

/// A small screen, a usual one, a wall, and one that is tall and narrow.
const SIZES: [(u16, u16); 4] = [(80, 24), (120, 40), (200, 60), (50, 60)];

fn scenes() -> Vec<(&'static str, Stage)> {
    vec![
        ("demo", at_work(true)),
        ("watch", at_work(false)),
        ("zoom", zoom()),
        ("frozen", frozen()),
        ("finished", finished()),
        ("elsewhere", elsewhere()),
        ("record", record()),
        ("ticket", ticket()),
        ("output", opened_output()),
        ("sessions", sessions()),
        ("store", store()),
        ("many", many(false)),
        ("many_opened", many(true)),
        ("processes", processes()),
        ("approval", approval()),
        ("confirm", confirm()),
        ("help", help()),
        ("commands", commands()),
        ("message", message()),
        ("replay", replay()),
        ("unknown", unknown()),
        ("stale", stale()),
        ("starting", starting()),
    ]
}

/// A key that the footer offers does something there: the state changes, or something is asked for.
#[test]
fn what_the_footer_offers_does_something() {
    let offered: Vec<Vec<_>> = scenes()
        .into_iter()
        .map(|(_, mut stage)| {
            stage.show(120, 40);
            // While a line is typed, it has the footer's place.
            let typing = stage.app.live.prompt.is_some();
            let offers = footer::footer(&stage.app).into_iter().filter(|_| !typing);
            offers.map(|(b, _)| (b.label, b.keys[0])).collect()
        })
        .collect();
    let most = offered.iter().map(Vec::len).max().unwrap_or(0);
    for n in 0..most {
        for ((name, mut stage), offers) in scenes().into_iter().zip(&offered) {
            let Some((label, (code, modifiers))) = offers.get(n) else {
                continue;
            };
            stage.show(120, 40);
            stage.show(120, 40);
            let before = format!("{:?}", stage.app);
            let effects = stage.send(Event::Key(KeyEvent::new(*code, *modifiers)));
            let changed = before != format!("{:?}", stage.app);
            assert!(changed || !effects.is_empty(), "{name}: {label}");
        }
    }
}

#[test]
fn every_scene_at_every_size() {
    for (name, mut stage) in scenes() {
        for (width, height) in SIZES {
            // What is read knows its size from the frame before.
            stage.show(width, height);
            let shown = stage.show(width, height);
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), shown);
        }
    }
}

#[test]
fn without_colours_no_scene_loses_anything() {
    for (name, mut stage) in scenes() {
        for (width, height) in SIZES {
            let colour = stage.draw(width, height);
            stage.app.live.view_options.palette = Palette::Mono;
            let mono = stage.draw(width, height);
            stage.app.live.view_options.palette = Palette::Terminal;
            assert_eq!(text(&colour), text(&mono), "{name}");
            for cell in mono.content() {
                assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{name}");
            }
            let both = Modifier::BOLD | Modifier::DIM;
            for cell in mono.content().iter().chain(colour.content()) {
                assert!(!cell.modifier.contains(both), "{name}: {cell:?}");
            }
            let coloured = colour.content().iter().any(|c| c.fg != Color::Reset);
            assert!(coloured, "{name}");
        }
    }
}

#[test]
fn no_scene_panics_at_any_size() {
    for (_, mut stage) in scenes() {
        for (width, height) in [
            (0, 0),
            (1, 1),
            (19, 4),
            (20, 5),
            (40, 10),
            (59, 7),
            (60, 16),
            (61, 30),
        ] {
            stage.draw(width, height);
            for code in [
                KeyCode::Down,
                KeyCode::PageUp,
                KeyCode::PageDown,
                KeyCode::Up,
            ] {
                stage.key(code);
                stage.draw(width, height);
            }
        }
    }
}

fn zoom() -> Stage {
    let mut stage = at_work(false);
    stage.keys("z");
    stage
}

fn frozen() -> Stage {
    let mut stage = at_work(false);
    for n in 0..60 {
        stage.agent(&[&format!(
            r#""type":"tool_output","call":"d","stream":"stdout","text":"row {n} of what it printed\n""#
        )]);
    }
    stage.show(80, 24);
    stage.enter("/row 4");
    stage.agent(&[r#""type":"tool_result","call":"d","exit_code":0,"duration_ms":4200"#]);
    stage
}

/// What commands do, and how the session says that it ends.
fn finished() -> Stage {
    let mut stage = at_work(false);
    stage.agent(&[
        r#""type":"tool_result","call":"d","exit_code":0,"duration_ms":90"#,
        r#""type":"tool_call","call":"e","tool":"shell","input":"operator-tui lab start tikv1","reasoning":"its process ended and can be started again","effect":"changes""#,
        r#""type":"tool_result","call":"e","exit_code":0,"duration_ms":800"#,
        r#""type":"tool_call","call":"f","tool":"shell","input":"./check-stores --settle","reasoning":"","effect":"unknown""#,
        r#""type":"tool_result","call":"f","exit_code":0,"duration_ms":300"#,
        r#""type":"tool_call","call":"g","tool":"shell","input":"operator-tui cluster","reasoning":"do all stores send heartbeats again?","effect":"reads""#,
        r#""type":"tool_result","call":"g","exit_code":0,"duration_ms":120"#,
        r#""type":"finish","outcome":"repaired","cause":"tikv1 was ended by signal 9; its log ends without an error","evidence":["d","g"],"actions":"started tikv1","checked":"all three stores are up and every region has a leader","next":"find out who sent the signal","confidence":"high""#,
        r#""type":"verify","state":"waiting","detail":"store_down has been clear for 2 of 10 s""#,
    ]);
    stage.keys("z");
    stage
}

fn ticket() -> Stage {
    let mut stage = at_work(false);
    stage.keys("2j");
    stage.key(KeyCode::Enter);
    let detail = detail(&stage);
    stage.send(Event::Found(Response::Ticket(Box::new(detail))));
    stage
}

fn opened_output() -> Stage {
    let mut stage = at_work(false);
    stage.app.live.agent.session = Some("s".into());
    stage.agent(&[
        r#""session":"s","type":"tool_call","call":"d","tool":"shell","input":"journalctl -u tikv","reasoning":"""#,
    ]);
    stage.key(KeyCode::Enter);
    let output = output(&stage, 400);
    stage.send(Event::Found(Response::Output {
        call: "d".into(),
        output: Ok(Box::new(output)),
    }));
    stage
}

fn sessions() -> Stage {
    let mut stage = at_work(false);
    stage.keys("s");
    let found = listed(&stage, 90);
    stage.send(Event::Found(Response::Sessions(None, Ok(found))));
    stage.keys("jjj");
    stage
}

fn store() -> Stage {
    let mut stage = at_work(false);
    stage.app.live.lab = true;
    stage.keys("1");
    stage.key(KeyCode::Enter);
    let log = (0..40).map(|n| format!("2026-01-30T13:5{}:00Z  INFO raft: heartbeat {n}", n % 10));
    let log: Vec<_> = log.collect();
    stage.send(Event::Found(Response::Log {
        node: "tikv1".into(),
        text: Ok(log.join("\n")),
    }));
    stage
}

/// Two hundred stores with names as Kubernetes gives them and the counts of a real cluster.
fn many(opened: bool) -> Stage {
    let mut stage = at_work(false);
    let mut seen = snapshot(false, stage.now());
    let one = seen.stores.value.as_ref().unwrap()[0].clone();
    let stores = (0..200).map(|n| Store {
        id: 1000 + n,
        name: format!("prod-eu-basic-tikv-{n}"),
        address: format!("prod-eu-basic-tikv-{n}.prod-eu-basic-tikv-peer.tidb.svc:20160"),
        status_address: Some(format!(
            "prod-eu-basic-tikv-{n}.prod-eu-basic-tikv-peer.tidb.svc:20180"
        )),
        engine: crate::cluster::Engine::default(),
        state: match n {
            117 => StoreState::Down,
            42 => StoreState::Disconnected,
            _ => StoreState::Up,
        },
        leaders: Some(96_571 + n),
        regions: Some(289_713 + n),
        ..one.clone()
    });
    seen.stores.value = Some(stores.collect());
    let regions = seen.regions.value.as_mut().unwrap();
    (regions.total, regions.in_doubt, regions.uncounted) = (96_571, 96_571, true);
    stage.send(Event::Cluster(Box::new(seen), STALE));
    if opened {
        stage.keys("1");
        stage.key(KeyCode::Enter);
    }
    stage
}

#[test]
fn what_is_wrong_stands_on_top_and_no_name_or_count_is_lost() {
    for (width, height) in SIZES {
        let shown = many(false).show(width, height);
        let rows = shown.lines().skip_while(|l| !l.contains("lead"));
        let rows: Vec<&str> = rows.skip(1).take(2).collect();
        assert!(rows[0].contains("-117 ✗ down"), "{shown}");
        assert!(rows[0].contains(" 96688"), "{shown}");
        assert!(rows[1].contains("-42"), "{shown}");
        assert!(rows[1].contains(" ! silent"), "{shown}");
        assert!(shown.contains("of 200"), "{shown}");
        assert!(shown.contains("? 96571 of 96571 regions in"), "{shown}");
    }
    let shown = many(false).show(200, 60);
    assert!(shown.contains("prod-eu-basic-tikv-117 ✗ down"), "{shown}");
    assert!(shown.contains(" 96688 289830"), "{shown}");
    let opened = many(true).show(80, 24);
    let whole = "prod-eu-basic-tikv-117.prod-eu-basic-tikv-peer.tidb.svc:20180";
    assert!(opened.contains(whole), "{opened}");
}

/// A store that does not answer any more, before PD says a word.
fn suspect() -> Stage {
    let mut stage = at_work(false);
    let mut seen = snapshot(false, stage.now());
    let since = stage.now() - jiff::SignedDuration::from_secs(2);
    let store = &mut seen.stores.value.as_mut().unwrap()[1];
    store.evidence.life = Some(Life::Suspect(Doubt::NoAnswer(since)));
    stage.send(Event::Cluster(Box::new(seen), STALE));
    stage
}

#[test]
fn a_store_that_does_not_answer_is_in_doubt_and_so_is_the_cluster() {
    for (width, height) in SIZES {
        let shown = suspect().show(width, height);
        assert!(shown.contains("? SUSPECT"), "{shown}");
        assert!(!shown.contains("HEALTHY"), "{shown}");
        assert!(shown.contains("tikv1 ? no answer 0:02"), "{shown}");
        assert!(!shown.contains("tikv1 ● up"), "{shown}");
    }
}

#[test]
fn what_is_violated_in_its_grace_is_named_with_its_figures() {
    let mut stage = Stage::new(false);
    stage.cluster(false);
    let seen = InGrace {
        key: "high_latency:2".into(),
        message: "tikv1 answers slowly: p99 700 ms, limit 100 ms".into(),
        since: stage.now() - jiff::SignedDuration::from_secs(20),
    };
    stage.ledger_in_grace(vec![seen]);
    let shown = stage.show(200, 60);
    assert!(
        shown.contains("p99 700 ms, limit 100 ms, for 0:20"),
        "{shown}"
    );
    assert!(!shown.contains("found nothing wrong"), "{shown}");
}

fn processes() -> Stage {
    let mut stage = elsewhere();
    stage.fact(Child::Agent, Fact::Started { pid: 11 });
    stage.fact(
        Child::Agent,
        Fact::Exited {
            how: "exit code 127".into(),
            success: false,
        },
    );
    let given_up = Fact::GaveUp {
        why: "it failed 5 times in 8 s".into(),
        stderr: vec!["sh: 1: no-such-agent: not found".into()],
    };
    stage.fact(Child::Agent, given_up);
    stage.fact(Child::Monitor, Fact::Started { pid: 10 });
    stage.wait(4);
    stage.keys("P");
    stage
}

fn approval() -> Stage {
    let mut stage = elsewhere();
    let mut other = running(&stage, "s-else");
    other.proposal = Some(proposal(
        &stage,
        "operator-tui lab start tikv1\noperator-tui lab ps",
    ));
    let tickets = tickets(&stage);
    stage.ledger_with(tickets, vec![other]);
    stage.keys("a");
    stage
}

fn confirm() -> Stage {
    let mut stage = at_work(false);
    stage.keys("i");
    stage
}

fn help() -> Stage {
    let mut stage = at_work(false);
    stage.keys("?");
    stage
}

fn commands() -> Stage {
    let mut stage = at_work(false);
    stage.keys(":re");
    stage.key(KeyCode::Tab);
    stage
}

fn message() -> Stage {
    let mut stage = at_work(false);
    stage.keys("mlook at pd1 first");
    stage
}

fn unknown() -> Stage {
    let mut stage = Stage::new(false);
    stage.app.live.agent.process =
        Process::Off("there is no API key (ANTHROPIC_API_KEY is not set).".into());
    let why = "http://10.0.0.1:2379/pd/api/v1/stores: connection refused";
    let snapshot = ClusterSnapshot {
        at: stage.now(),
        pd: Observed::unknown(why),
        stores: Observed::unknown(why),
        ..ClusterSnapshot::default()
    };
    stage.send(Event::Cluster(Box::new(snapshot), STALE));
    let missing = LedgerView {
        at: stage.now(),
        error: None,
        missing: true,
        fate: Fate::Same,
        tickets: Vec::new(),
        open: 0,
        done: 0,
        heartbeat: None,
        in_grace: Vec::new(),
        running: Vec::new(),
    };
    stage.send(Event::Ledger(Box::new(missing)));
    stage.wait(3);
    stage
}

fn stale() -> Stage {
    let mut stage = at_work(false);
    stage.wait(40);
    let shown = stage.show(120, 36);
    assert!(
        shown.contains("? UNKNOWN") && !shown.contains("● up"),
        "{shown}"
    );
    stage
}

fn starting() -> Stage {
    let mut stage = Stage::new(true);
    for child in Child::ALL {
        *stage.app.live.process_mut(child) = Process::Off("it comes when the lab is up.".into());
    }
    let progress = operator_lab::Progress {
        step: "PD has a leader".into(),
        done: 2,
        total: 5,
    };
    stage.send(Event::Lab(LabNews::Progress(progress)));
    stage.wait(3);
    stage
}

/// Regions without a quorum: the stores answer quickly, and with refusals.
fn refusing(served: f64) -> Stage {
    let mut stage = at_work(false);
    let mut seen = snapshot(false, stage.now());
    let traffic = Traffic {
        ops_per_s: Some(served),
        p99_ms: (served > 0.0).then_some(4.1),
        refused_per_s: Some(250.0),
    };
    seen.traffic = Observed::known(traffic, seen.at);
    for store in seen.stores.value.iter_mut().flatten() {
        store.traffic = Observed::known(traffic, seen.at);
    }
    stage.send(Event::Cluster(Box::new(seen), STALE));
    stage
}

#[test]
fn what_is_refused_comes_first() {
    for (width, height) in SIZES {
        let shown = refusing(0.0).show(width, height);
        let header = shown.lines().next().unwrap();
        assert!(header.contains("100% refused"), "{shown}");
        assert!(!header.contains("HEALTHY"), "{shown}");
        let row = |words: [&str; 2]| {
            let there = |l: &str| words.iter().any(|word| l.contains(word));
            shown.lines().position(there)
        };
        let first = row(["│refused ", "requests refused a second"]);
        let then = row(["│ops/s ", "requests served a second"]);
        assert!(first.is_some() && first < then, "{shown}");
        let some = refusing(750.0).show(width, height);
        assert!(
            some.lines().next().unwrap().contains("25% refused"),
            "{some}"
        );
        let none = at_work(false).show(width, height);
        assert!(!none.contains("refused"), "{none}");
    }
    let shown = refusing(0.0).show(80, 24);
    assert!(shown.contains("100% 250/s"), "{shown}");
}
