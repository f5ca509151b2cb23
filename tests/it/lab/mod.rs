//! The embedded lab as a whole, with the real executable: what happens when its processes are
//! killed, frozen, damaged or left alone.
//!
//! Each test has a lab in a home of its own; several can run beside each other.

mod harness;
mod keeper;
mod observed;
mod rolling;
mod watched;

use harness::{LONG, Lab, SHORT, demo_stand_in, executable, exists, kill, parent, text, until};
use operator_lab::NodeState;
use std::{fs, path::Path, process::Command};

#[test]
fn a_killed_store_loses_no_acknowledged_write_and_gets_its_leaders_back() {
    let lab = Lab::up(&["--fresh"]);
    assert!(lab.is_balanced());
    let done = |lab: &Lab| lab.metric("load", "load_operations_total", "result=\"ok\"");

    // Up twice says so and changes nothing.
    let pids = lab.pids();
    let again = lab.run(&["up"]);
    assert!(
        again.status.success() && text(&again).contains("already up"),
        "{}",
        text(&again)
    );
    assert_eq!(lab.pids(), pids);

    // An agent's shell knows the lab's folder and PD, and nothing of a record.
    let inside = |arguments: &[&str]| {
        let command = &mut Command::new(executable());
        let command = command.args(arguments).env_clear();
        let command = command
            .env("HOME", "/nowhere")
            .env("OPERATOR_SESSION", "s")
            .env("OPERATOR_LAB_DIR", lab.dir())
            .env("PD_ENDPOINT", lab.topology().pd_endpoints().join(","));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    assert!(inside(&["lab", "ps"]).contains("tikv1"));
    assert!(inside(&["lab", "logs", "tikv1"]).contains("store is ready"));
    assert!(inside(&["lab", "resume", "tikv1"]).contains("tikv1 resumed"));
    assert!(inside(&["cluster"]).contains(" Up "));

    let before = done(&lab);
    until("the load is answered", SHORT, || {
        done(&lab) > before + 200.0
    });
    lab.ok(&["kill", "tikv1"]);
    let killed = lab.node("tikv1");
    assert_eq!((killed.state, killed.signal), (NodeState::Exited, Some(9)));
    assert!(lab.ok(&["ps"]).contains("signal 9"));
    until("PD calls it Disconnected", SHORT, || {
        lab.store("pd1", "tikv1")
            .is_some_and(|s| s == ("Disconnected".into(), 0))
    });
    until("its regions have leaders again", SHORT, || {
        let regions = lab.pd("pd0", "regions").unwrap();
        let mut leaders = regions["regions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["leader"]);
        leaders.all(|leader| leader["store_id"].is_u64() && leader["store_id"] != 2)
    });
    until("it is a down peer of all regions", LONG, || {
        lab.pd("pd2", "regions/check/down-peer")
            .is_some_and(|r| r["count"] == 6)
    });
    let without = done(&lab);
    until("the load goes on without it", SHORT, || {
        done(&lab) > without + 200.0
    });
    lab.verify();

    lab.ok(&["start", "tikv1"]);
    assert!(!lab.run(&["start", "tikv1"]).status.success());
    until("its leaders return", LONG, || lab.is_balanced());
    until("no peer is down", SHORT, || {
        lab.pd("pd0", "regions/check/down-peer")
            .is_some_and(|r| r["count"] == 0)
    });
    lab.verify();

    // All at once, and again: what was acknowledged is on disk.
    lab.ok(&["load", "off"]);
    for name in ["tikv0", "tikv1", "tikv2", "pd0", "pd1", "pd2"] {
        lab.ok(&["kill", name]);
    }
    for name in ["tikv0", "tikv1", "tikv2", "pd0", "pd1", "pd2"] {
        lab.ok(&["start", name]);
    }
    until("everything is back", LONG, || lab.is_balanced());
    lab.verify();
}

#[test]
fn a_frozen_store_is_seen_and_goes_on_when_resumed() {
    let lab = Lab::up(&[]);
    let pid = lab.node("tikv0").pid;
    lab.ok(&["pause", "tikv0"]);
    assert_eq!(lab.node("tikv0").state, NodeState::Paused);
    until("PD calls it Disconnected", SHORT, || {
        lab.store("pd1", "tikv0")
            .is_some_and(|s| s.0 == "Disconnected")
    });
    let stuck = lab.metric("load", "load_operations_total", "result=\"ok\"");
    until("the others take over", SHORT, || {
        lab.metric("load", "load_operations_total", "result=\"ok\"") > stuck + 300.0
    });
    lab.ok(&["resume", "tikv0"]);
    until("it is up", SHORT, || {
        lab.store("pd1", "tikv0").is_some_and(|s| s.0 == "Up")
    });
    until("its leaders return", LONG, || lab.is_balanced());
    assert_eq!(lab.node("tikv0").pid, pid);
    assert_eq!(lab.node("tikv0").state, NodeState::Running);
    lab.verify();

    // Ending a lab ends frozen processes too.
    lab.ok(&["pause", "tikv2"]);
    lab.ok(&["pause", "pd2"]);
    let pids = lab.pids();
    lab.ok(&["down"]);
    assert!(pids.iter().all(|pid| !exists(*pid)));
    let down = lab.run(&["ps"]);
    assert!(
        !down.status.success() && text(&down).contains("lab up"),
        "{}",
        text(&down)
    );
}

#[test]
fn pd_elects_another_leader_and_says_so_when_it_cannot() {
    let lab = Lab::up(&["--no-load"]);
    let leader = |from: &str| Some(lab.pd(from, "leader")?["name"].as_str()?.to_string());
    let first = leader("pd0").unwrap();
    let names = ["pd0", "pd1", "pd2"];
    let others: Vec<_> = names.into_iter().filter(|name| *name != first).collect();

    // A follower gives the leader's answers.
    assert_eq!(leader(others[0]), Some(first.clone()));
    assert_eq!(lab.pd(others[0], "stores").unwrap()["count"], 3);

    // Errors are shaped as PD's, and a change made through a follower is seen by all.
    assert_eq!(lab.ask("pd1", "GET", "store/99", "").0, 404);
    let refused = lab.ask("pd2", "DELETE", "store/1", "");
    assert!(
        refused.0 == 400 && refused.1.contains("ErrStoresNotEnough"),
        "{refused:?}"
    );
    assert_eq!(lab.ask("pd0", "POST", "config", r#"{"no-such":1}"#).0, 400);
    let change = r#"{"schedule.max-store-down-time":"1m"}"#;
    assert_eq!(lab.ask(others[0], "POST", "config", change).0, 200);
    for name in names {
        assert_eq!(
            lab.pd(name, "config/schedule").unwrap()["max-store-down-time"],
            "1m0s"
        );
    }
    // Leaders leave an evicted store, and return when it is allowed again.
    let evict = r#"{"name":"evict-leader-scheduler","store_id":1}"#;
    assert_eq!(lab.ask("pd0", "POST", "schedulers", evict).0, 200);
    until("it leads nothing", LONG, || {
        lab.store("pd0", "tikv0").is_some_and(|s| s.1 == 0)
    });
    assert_eq!(
        lab.ask("pd0", "DELETE", "schedulers/evict-leader-scheduler-1", "")
            .0,
        200
    );
    until("its leaders return", LONG, || lab.is_balanced());
    // A leader can be asked to go.
    until("the leader resigns", LONG, || {
        lab.ask("pd0", "POST", "leader/resign", "").0 == 200
    });
    until("another leads", SHORT, || {
        leader("pd0").is_some_and(|name| name != first)
    });
    let first = leader("pd0").unwrap();
    let others: Vec<_> = names.into_iter().filter(|name| *name != first).collect();

    lab.ok(&["kill", &first]);
    until("another leads", LONG, || {
        leader(others[0]).is_some_and(|name| name != first)
    });
    // The new leader has forgotten the stores until they report to it, each second.
    until("it has heard of all stores", SHORT, || {
        lab.pd(others[1], "stores").is_some_and(|stores| {
            let mut stores = stores["stores"].as_array().unwrap().iter();
            stores.all(|s| s["store"]["state_name"] == "Up")
        })
    });
    let health = lab.pd(others[0], "health").unwrap();
    let healthy: Vec<_> = health
        .as_array()
        .unwrap()
        .iter()
        .filter(|m| m["health"] == true)
        .collect();
    assert_eq!(healthy.len(), 2);

    lab.ok(&["pause", others[1]]);
    let address = lab.topology().node(others[0]).unwrap().address();
    until("no leader is known", LONG, || {
        Lab::get(&format!("http://{address}/pd/api/v1/stores")).is_some_and(|(status, body)| {
            status == 503 && body == "[PD:apiutil:ErrRedirectNoLeader]redirect finds no leader"
        })
    });
    assert_eq!(
        Lab::get(&format!("http://{address}/pd/api/v1/ping"))
            .unwrap()
            .0,
        200
    );
    lab.ok(&["resume", others[1]]);
    until("a leader is back", LONG, || leader(others[0]).is_some());
    assert_eq!(
        Lab::get(&format!("http://{address}/metrics")).unwrap().0,
        200
    );
}

#[test]
fn a_damaged_store_does_not_start_and_says_why() {
    let lab = Lab::up(&["--rate", "60"]);
    lab.ok(&["kill", "tikv1"]);
    let data = lab.dir().join("data/tikv1");
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let length = fs::metadata(&path).unwrap().len() as usize;
            fs::write(&path, vec![0xA5; length]).unwrap();
        }
    }
    lab.ok(&["start", "tikv1"]);
    until("it ends", SHORT, || {
        lab.node("tikv1").state == NodeState::Exited
    });
    assert!(lab.node("tikv1").exit_code.is_some_and(|code| code != 0));
    let log = lab.ok(&["logs", "tikv1"]);
    assert!(
        log.contains("data is damaged") && log.contains("raft.db"),
        "{log}"
    );
    // It is not started again by itself, and the rest goes on.
    until("the others lead everything", LONG, || {
        let leaders = |name| lab.store("pd0", name).map_or(0, |s| s.1);
        leaders("tikv0") + leaders("tikv2") == 6
    });

    // Without its data it starts empty and is filled from the others.
    fs::remove_dir_all(&data).unwrap();
    lab.ok(&["start", "tikv1"]);
    until("it has its share of leaders again", LONG, || {
        lab.is_balanced()
    });
    lab.verify();
}

#[test]
fn a_store_that_is_full_refuses_writes_until_there_is_room() {
    let lab = Lab::up(&["--rate", "60"]);
    let refused = || {
        lab.metric(
            "tikv0",
            "tikv_storage_engine_async_request_total",
            "err_disk_full",
        )
    };
    assert!(refused() == 0.0);
    // The form that `curl -d` uses, and a mistake.
    let configure = |body: &str| lab.configure("tikv0", body);
    assert_eq!(configure(r#"{"raftstore.capacity":"256MB"}"#).0, 200);
    let mistake = configure("capacity=1");
    assert!(
        mistake.0 == 500 && mistake.1.contains("decode"),
        "{mistake:?}"
    );
    let filler = lab.dir().join("data/tikv0/filler");
    fs::File::create(&filler)
        .unwrap()
        .set_len(250 << 20)
        .unwrap();
    until("writes are refused", SHORT, || refused() > 0.0);
    let left = lab.metric("tikv0", "tikv_store_size_bytes", "available");
    assert!(left < f64::from(13 << 20), "{left}");
    fs::remove_file(&filler).unwrap();
    until("there is room again", SHORT, || {
        lab.metric("tikv0", "tikv_store_size_bytes", "available") > f64::from(200 << 20)
    });
    let (count, errors) = (
        refused(),
        lab.metric("load", "load_operations_total", "error"),
    );
    let done = lab.metric("load", "load_operations_total", "ok");
    until("the load goes on", SHORT, || {
        lab.metric("load", "load_operations_total", "ok") > done + 200.0
    });
    assert_eq!(
        (
            refused(),
            lab.metric("load", "load_operations_total", "error")
        ),
        (count, errors)
    );
}

#[test]
fn when_the_keeper_is_killed_nothing_is_left_and_the_next_lab_starts() {
    let lab = Lab::up(&["--no-load"]);
    lab.ok(&["pause", "tikv2"]);
    let pids = lab.pids();
    assert_eq!(pids.len(), 7);
    kill(parent(pids[0]));
    until("all nodes are gone", SHORT, || {
        pids.iter().all(|pid| !exists(*pid))
    });
    assert!(!lab.run(&["ps"]).status.success());

    // What it left behind is in nobody's way; a port that is now taken is replaced.
    let taken = lab.topology().node("pd0").unwrap().address();
    let _listener = std::net::TcpListener::bind(&taken).unwrap();
    lab.ok(&["up", "--no-load"]);
    assert_ne!(lab.topology().node("pd0").unwrap().address(), taken);
    assert!(lab.is_balanced());
}

#[test]
fn when_the_lifeline_ends_nothing_is_left_not_even_frozen_nodes() {
    let lab = Lab::new();
    let (mut keeper, pids) = demo_stand_in(&lab);
    lab.ok(&["pause", "tikv1"]);
    lab.ok(&["pause", "pd0"]);
    drop(keeper.stdin.take());
    until("the keeper ends", SHORT, || {
        keeper.try_wait().unwrap().is_some()
    });
    assert!(pids.iter().all(|pid| !exists(*pid)));
    assert!(!Path::new(&lab.dir().join("keeper.sock")).exists());
}

#[test]
fn commands_explain_what_is_wrong() {
    let lab = Lab::new();
    for arguments in [
        &["ps"][..],
        &["down"],
        &["kill", "tikv1"],
        &["logs", "tikv1"],
    ] {
        let output = lab.run(arguments);
        assert!(!output.status.success());
        assert!(
            text(&output).contains("operator-tui lab up"),
            "{arguments:?} {}",
            text(&output)
        );
    }
    fs::create_dir_all(lab.dir()).unwrap();
    fs::write(lab.dir().join("lab.json"), "{ not json").unwrap();
    let output = lab.run(&["up"]);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("lab.json") && text(&output).contains("--fresh"),
        "{}",
        text(&output)
    );
}
