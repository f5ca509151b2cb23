//! How long it takes to judge what a command does, over the lists of the tests.
//!
//! `cargo bench -p agent_lab --bench effects` prints it by command, for the budget is one of the
//! slowest, and compares whole lists with the last run.

#![allow(clippy::print_stdout, reason = "a bench prints its tables")]

use agent_lab::effects::judge;
use criterion::{Criterion, criterion_group, criterion_main};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const READS: &str = include_str!("../src/effects/tests/reads.txt");
const CHANGES: &str = include_str!("../src/effects/tests/changes.txt");
const ROUNDS: usize = 20;

fn commands(list: &str) -> Vec<String> {
    let lines = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines.map(|line| line.replace('␤', "\n")).collect()
}

/// Every judgement of every round, the first of all left out: it reads the tables.
fn by_command(all: &[String]) -> Vec<Duration> {
    judge("ls");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        for command in all {
            let begin = Instant::now();
            black_box(judge(black_box(command)));
            times.push(begin.elapsed());
        }
    }
    times.sort_unstable();
    times
}

fn effects(c: &mut Criterion) {
    let (reads, changes) = (commands(READS), commands(CHANGES));
    let all = [reads.clone(), changes.clone()].concat();
    let times = by_command(&all);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{} commands, {ROUNDS} times each: p50 {:?}, p99 {:?}, slowest {:?}",
        all.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let mut group = c.benchmark_group("effects");
    for (name, list) in [("reads", &reads), ("changes", &changes)] {
        group.bench_function(name, |b| {
            b.iter(|| list.iter().map(|command| judge(command)).max());
        });
    }
    group.finish();
}

criterion_group!(benches, effects);
criterion_main!(benches);
