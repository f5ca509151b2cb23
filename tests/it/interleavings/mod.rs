//! Two agents, two people on the command line, a monitor and what breaks, as real processes in whatever
//! order they come: what a person forbade did not run, and the record says why everything ended.
//!
//! What each of them does comes from a seed; when, from the machine. Who plays what is in `stage`, what
//! must be so afterwards in `judge`.

mod judge;
mod stage;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use stage::Stage;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long people interfere.
const ROUND: Duration = Duration::from_secs(10);
/// Three times what the end may take.
const LIMIT: Duration = Duration::from_secs(60);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn play(first: u64, rounds: u64) {
    for seed in first..first + rounds {
        eprintln!("seed {seed}");
        let stage = Stage::set(seed);
        let until = Instant::now() + ROUND;
        thread::scope(|scope| {
            scope.spawn(|| fate(&stage, seed, until));
            for who in ["ada", "bob"] {
                let stage = &stage;
                scope.spawn(move || person(stage, who, seed, until));
            }
            for agent in 0..2 {
                let stage = &stage;
                scope.spawn(move || stage.agent(seed * 2 + agent, until));
            }
        });
        stage.at_rest(LIMIT);
        judge::judge(&stage, seed);
    }
}

/// Stores that go down.
fn fate(stage: &Stage, seed: u64, until: Instant) {
    let mut chance = StdRng::seed_from_u64(seed ^ 0xfa7e);
    stage.break_store(1);
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(chance.random_range(100..900)));
        stage.break_store(chance.random_range(1..=stage::STORES));
    }
}

/// Somebody on call who cannot make up their mind.
fn person(stage: &Stage, who: &str, seed: u64, until: Instant) {
    let mut chance = StdRng::seed_from_u64(seed ^ u64::from(who.as_bytes()[0]) << 32);
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(chance.random_range(100..700)));
        let incidents = stage.incidents();
        let newest = &incidents[..incidents.len().min(3)];
        let incident = newest.choose(&mut chance).copied().unwrap_or(1);
        let incident = incident.to_string();
        let store = format!("store{}", chance.random_range(1..=stage::STORES));
        let (incident, store) = (incident.as_str(), store.as_str());
        // More is let go than is held, or nothing would be at work for them to meet.
        let words: &[&str] = match chance.random_range(0..24) {
            0 => &["incidents", "hold", incident, "--why", "I look"],
            1..=5 => &["incidents", "release", incident],
            6 => &["incidents", "hold", "--thing", store, "--why", "its disk"],
            7..=9 => &["incidents", "release", "--thing", store],
            10 => &["pause", "--why", "lunch"],
            11..=14 => &["resume"],
            15 => &["incidents", "take", incident],
            16 => &["incidents", "finish", incident, "--no-wait"],
            17 => &["incidents", "reopen", incident, "--yes"],
            18 => &["incidents", "resolve", incident],
            19 => &["steer", "message", "mind the disk"],
            20 | 21 => &["steer", "reject", "--why", "not now"],
            _ => &["incidents", "list"],
        };
        // What does not fit the moment is refused.
        let _ = stage.says(who, words);
    }
}

#[test]
fn in_whatever_order_they_come_nothing_runs_that_was_forbidden() {
    play(
        setting("OPERATOR_DRILL_SEED", 1),
        setting("OPERATOR_DRILL_ROUNDS", 2),
    );
}

/// `just drills`: as many as OPERATOR_DRILL_ROUNDS says, from the seed OPERATOR_DRILL_SEED.
#[test]
#[ignore = "takes long; `just drills` runs it"]
fn fifty_interleavings() {
    play(
        setting("OPERATOR_DRILL_SEED", 1000),
        setting("OPERATOR_DRILL_ROUNDS", 50),
    );
}
