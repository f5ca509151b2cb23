//! Kills at random instants: a demo of its own for each, in a terminal, with a real lab, monitor and
//! agent; one of its processes is killed at a moment that the seed says. Whatever it was, nothing is
//! left running, the terminal is as it was found, the record verifies, and no ticket is stuck.
//!
//! A round in which the dashboard lives is ended by a person, or goes on until the repair is proven.

use super::harness::{Dashboard, limit, processes_of, wait_until};
use portable_pty::CommandBuilder;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const OPERATOR: &str = env!("CARGO_BIN_EXE_operator-tui");

/// From before the lab is up to the middle of the agent's work.
const LAST_MOMENT: Duration = Duration::from_secs(18);
/// Most of a round is waiting.
const SIDE_BY_SIDE: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Dashboard,
    Agent,
    Monitor,
    Keeper,
    Runner,
    /// The process around a command.
    Command,
}

impl Victim {
    const ALL: [Self; 6] = [
        Self::Dashboard,
        Self::Agent,
        Self::Monitor,
        Self::Keeper,
        Self::Runner,
        Self::Command,
    ];

    /// What is in its command line, and in no other's.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Dashboard => None,
            Self::Agent => Some(" agent --supervised"),
            Self::Monitor => Some("monitor run"),
            Self::Keeper => Some("lab keeper"),
            Self::Runner => Some("__runner"),
            Self::Command => Some("__command"),
        }
    }
}

/// What is done in a round; all of it follows from the seed.
#[derive(Debug)]
struct Plan {
    seed: u64,
    victim: Victim,
    signal: Signal,
    after: Duration,
    screen: bool,
    fault: &'static str,
    /// Whether a demo that lives on is waited for, until the proof.
    goes_on: bool,
    /// How a demo is ended that is not.
    ending: Ending,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Quit,
    Term,
    Kill,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        Self {
            seed,
            victim: Victim::ALL[usize::try_from(seed).unwrap_or(0) % Victim::ALL.len()],
            signal: if chance.random_bool(0.6) {
                Signal::KILL
            } else {
                Signal::TERM
            },
            after: LAST_MOMENT.mul_f64(chance.random::<f64>()),
            screen: chance.random_bool(0.5),
            fault: ["kill", "pause", "stop"].choose(&mut chance).unwrap(),
            goes_on: chance.random_bool(0.25),
            ending: *[Ending::Quit, Ending::Term, Ending::Kill]
                .choose(&mut chance)
                .unwrap(),
        }
    }
}

/// Chapters that break a store as soon as the cluster is well, and end with the proof.
fn chapters(home: &Path) -> String {
    let folder = home.join("chapters");
    fs::create_dir(&folder).unwrap();
    let chapter = |name: &str, matter: &str| {
        let text = format!("+++\ntitle = \"{name}\"\n{matter}\n+++\n.\n");
        fs::write(folder.join(format!("{name}.md")), text).unwrap();
    };
    chapter("01-well", "advance = \"cluster.healthy\"\nlimit = \"60s\"");
    chapter(
        "02-broken",
        "enter.fault = \"kill\"\nadvance = \"tickets.closed\"\nlimit = \"120s\"",
    );
    folder.to_str().unwrap().to_owned()
}

fn demo(plan: &Plan) -> Dashboard {
    let home = tempfile::tempdir().unwrap();
    let mut command = CommandBuilder::new(OPERATOR);
    command.args(["demo", "--auto", "--fault", plan.fault]);
    command.args(["--seed", &plan.seed.to_string()]);
    command.args(["--chapters", &chapters(home.path())]);
    if !plan.screen {
        command.arg("--headless");
    }
    command.env("ANTHROPIC_MODEL", "rehearsal");
    Dashboard::run_at(home, 120, 40, command)
}

/// Living processes of a home whose command line holds this.
fn named(home: &Path, word: &str) -> Vec<Pid> {
    let of_word = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line)
            .replace('\0', " ")
            .contains(word)
    };
    let pids = processes_of(home).into_iter().filter(of_word);
    pids.filter_map(|pid| Pid::from_raw(pid.cast_signed()))
        .collect()
}

/// One round: what became of it, in a few words, and whether the agent was at work when it was
/// struck. It panics where something was lost.
fn round(plan: &Plan) -> (&'static str, bool) {
    let mut dash = demo(plan);
    // The moment is what is tried here, so nothing is waited for but time.
    thread::sleep(plan.after.saturating_sub(dash.age()));
    let (hit, at_work) = strike(plan, &mut dash);
    let became = match (hit, plan.victim) {
        (false, _) => {
            ended(&mut dash, Ending::Term);
            "was proven before"
        }
        (true, Victim::Dashboard) => {
            let code = dash.exit_code();
            let expected = if plan.signal == Signal::TERM { 143 } else { 1 };
            assert_eq!(code, expected, "{}", dash.screen());
            "ended with it"
        }
        (true, Victim::Keeper) if !plan.screen => {
            assert_eq!(dash.exit_code(), 1, "{}", dash.raw());
            "said that the lab is gone"
        }
        (true, Victim::Keeper) => ended(&mut dash, plan.ending),
        (true, _) if plan.goes_on => goes_on(&mut dash, plan.victim),
        (true, _) => ended(&mut dash, plan.ending),
    };
    let killed = (hit && plan.victim == Victim::Dashboard && plan.signal == Signal::KILL)
        || became == "was killed too";
    if !killed {
        dash.assert_terminal_as_found();
    }
    let home = dash.home();
    wait_until("no process is left", || processes_of(home).is_empty());
    check_the_record(home);
    (became, at_work)
}

/// Kills what the plan says, once it is there. Whether it did, for a demo may have ended before, and
/// whether the agent was at work.
fn strike(plan: &Plan, dash: &mut Dashboard) -> (bool, bool) {
    let mut chance = StdRng::seed_from_u64(plan.seed);
    let deadline = Instant::now() + limit();
    while dash.lives() {
        let at_work = !named(dash.home(), "__command").is_empty();
        let Some(word) = plan.victim.word() else {
            dash.signal(plan.signal);
            return (true, at_work);
        };
        let pids = named(dash.home(), word);
        if let Some(pid) = pids.choose(&mut chance)
            && kill_process(*pid, plan.signal).is_ok()
        {
            return (true, at_work);
        }
        if dash.screen().contains("✓ proven") {
            // No more commands come; a demo on a screen stays, though.
            return (false, false);
        }
        assert!(
            Instant::now() < deadline,
            "never there: {word}\n{}",
            dash.screen()
        );
        thread::sleep(Duration::from_millis(10));
    }
    (false, false)
}

/// A person ends it, whatever it is at.
fn ended(dash: &mut Dashboard, ending: Ending) -> &'static str {
    match ending {
        Ending::Quit if dash.in_alternate_screen() => {
            // Of an agent that works it asks.
            dash.send("q");
            dash.send("y");
            dash.exit_code();
            "was quit"
        }
        Ending::Quit | Ending::Term => {
            if dash.lives() {
                dash.signal(Signal::TERM);
            }
            dash.exit_code();
            "was ended"
        }
        Ending::Kill => {
            if dash.lives() {
                dash.signal(Signal::KILL);
            }
            dash.exit_code();
            "was killed too"
        }
    }
}

/// It goes on as if nothing had been, or hands over: a rehearsal that cannot tell what became of its
/// command does not guess.
fn goes_on(dash: &mut Dashboard, victim: Victim) -> &'static str {
    let over = |s: &str| s.contains("✓ proven") || s.contains("✓ 02-broken");
    let given_up = |s: &str| victim == Victim::Runner && s.contains("session escalated");
    let deadline = Instant::now() + 2 * limit();
    let became = loop {
        let screen = dash.screen();
        if over(&screen) {
            break "proven";
        }
        if given_up(&screen) {
            break "handed over";
        }
        assert!(
            Instant::now() < deadline,
            "neither proven nor given up:\n{screen}"
        );
        thread::sleep(Duration::from_millis(50));
    };
    ended(dash, Ending::Quit);
    became
}

fn operator(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(OPERATOR);
    command
        .args(args)
        .env("OPERATOR_HOME", home)
        .env("ANTHROPIC_MODEL", "rehearsal")
        .stdin(Stdio::null());
    for name in [
        "OPERATOR_LAB_DIR",
        "PD_ENDPOINT",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
    ] {
        command.env_remove(name);
    }
    command
}

/// The chains fit, only the monitor proved anything, and what is left of the work is taken up again.
fn check_the_record(home: &Path) {
    let ledger = home.join("lab-record/tickets.db");
    if !ledger.exists() {
        return;
    }
    let verify = operator(home, &["audit", "verify", "--lab"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verify.stdout).into_owned();
    assert!(verify.status.success(), "audit verify: {said}");
    let list = operator(home, &["tickets", "list", "--lab", "--json"])
        .output()
        .unwrap();
    let tickets: Vec<Value> = serde_json::from_slice(&list.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&list.stderr)));
    for ticket in tickets.iter().filter(|t| t["status"] == "escalated") {
        let again = ticket["retry_at"].is_string() || ticket["needs_person"] == true;
        assert!(again, "nobody is to take it: {ticket:#}");
    }
    let Some(left) = tickets.iter().find(|t| is_left(t)) else {
        return;
    };
    let mut agent = operator(
        home,
        &["agent", "--json", "--ticket", &left["id"].to_string()],
    )
    .arg("--db")
    .arg(&ledger)
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let taken = lines.any(|line| line.unwrap().contains("\"session_start\""));
    agent.kill().unwrap();
    let ended = agent.wait_with_output().unwrap();
    let why = String::from_utf8_lossy(&ended.stderr);
    // What was repaired when the monitor last looked is the next monitor's to close.
    let taken = taken || why.contains("the monitor no longer sees it violated");
    assert!(taken, "nobody takes it: {why}\n{left:#}");
    wait_until("its commands are gone", || processes_of(home).is_empty());
}

/// Of a ticket that is over, or a person's, nothing is left to an agent.
fn is_left(ticket: &Value) -> bool {
    ticket["status"] != "resolved"
        && ticket["status"] != "escalated"
        && ticket["needs_person"] != true
}

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Rounds with seeds that follow each other, some at once. All are played, whatever fails.
fn play(first: u64, rounds: u64) {
    let next = AtomicU64::new(first);
    let failed = Mutex::new(Vec::new());
    let figures = Mutex::new(BTreeMap::<_, u32>::new());
    let working = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + rounds {
                        return;
                    }
                    let plan = Plan::of(seed);
                    let started = Instant::now();
                    let outcome = std::panic::catch_unwind(|| round(&plan));
                    let took = started.elapsed().as_secs_f64();
                    let (became, at_work) = outcome.unwrap_or(("LOST", false));
                    let Plan { victim, after, .. } = &plan;
                    let signal = if plan.signal == Signal::KILL { "KILL" } else { "TERM" };
                    let work = if at_work { ", the agent at work" } else { "" };
                    eprintln!(
                        "seed {seed}: {signal} to {victim:?} after {:.1} s{work}: {became}; {took:.1} s",
                        after.as_secs_f64()
                    );
                    working.fetch_add(u64::from(at_work), Ordering::Relaxed);
                    if became == "LOST" {
                        failed.lock().unwrap().push(seed);
                    }
                    *figures.lock().unwrap().entry((*victim, became)).or_default() += 1;
                }
            });
        }
    });
    for ((victim, became), count) in figures.into_inner().unwrap() {
        eprintln!("{count:4}  {victim:?}: {became}");
    }
    let failed = failed.into_inner().unwrap();
    eprintln!(
        "{rounds} kills in {:.0} s, {} of them while the agent worked; {} lost something: seeds {failed:?}",
        began.elapsed().as_secs_f64(),
        working.into_inner(),
        failed.len()
    );
    assert!(failed.is_empty(), "seeds {failed:?}");
}

#[test]
fn killed_at_random_moments_nothing_is_lost() {
    play(
        setting("OPERATOR_DRILL_SEED", 0),
        setting("OPERATOR_DRILL_ROUNDS", 5),
    );
}

/// `just drills`: as many as OPERATOR_DRILL_ROUNDS says, from the seed OPERATOR_DRILL_SEED.
#[test]
#[ignore = "takes long; `just drills` runs it"]
fn two_hundred_kills() {
    play(
        setting("OPERATOR_DRILL_SEED", 1000),
        setting("OPERATOR_DRILL_ROUNDS", 200),
    );
}
