//! The ledger at full durability: one row and one turn, each on the disk when the call returns.
//!
//! `cargo bench -p operator-ledger --bench ledger`. The figures are those of the disk that holds the
//! temporary folder (TMPDIR).

#[path = "../tests/it/bench.rs"]
mod bench;

use bench::Bench;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use operator_ledger::{EntryKind, NewEntry, Totals, usage::Usage};
use std::time::Duration;

fn rows(c: &mut Criterion) {
    let mut b = Bench::new();
    b.check(operator_ledger::Reading::Violated);
    let claim = b.claim(Duration::from_secs(86_400)).unwrap();
    let mut session = b.session(&claim);
    let mut group = c.benchmark_group("durable");
    group.throughput(Throughput::Elements(1));
    group.bench_function("row", |t| {
        t.iter(|| {
            let entry = NewEntry::new(EntryKind::Reasoning, "PD says that all stores are up.");
            b.ledger.append(&mut session, &entry).unwrap()
        });
    });
    let totals = Totals {
        turns: 1,
        usage: Usage::default(),
        cost_usd: Some(0.1),
    };
    group.bench_function("turn of three rows", |t| {
        t.iter(|| {
            let entry = || NewEntry::new(EntryKind::Reasoning, "PD says that all stores are up.");
            let entries = [entry(), entry(), entry()];
            b.ledger
                .record_turn(&mut session, &entries, &totals, None)
                .unwrap()
        });
    });
    group.bench_function("nothing to claim", |t| {
        t.iter(|| b.claim(Duration::from_secs(60)).is_none());
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
