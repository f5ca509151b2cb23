//! What a monitor observed to change, as the ledger keeps it.

use crate::bench::{Bench, cluster};
use jiff::{SignedDuration, Timestamp};
use operator_ledger::{ChangeKind, Check, NewSample, ObservedChange, Stored, SystemId, ThingKind};
use std::time::Duration;

fn change(at: Timestamp) -> ObservedChange {
    let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap();
    ObservedChange {
        since: at - SignedDuration::from_secs(5),
        at,
        kind: Stored::Known(ChangeKind::State),
        thing_kind: Stored::Known(ThingKind::Store),
        thing: "2".into(),
        name: "tikv1".into(),
        from: Some("up".into()),
        to: Some("disconnected".into()),
    }
}

fn record(bench: &Bench, system: &SystemId, changes: Vec<ObservedChange>) {
    let check = Check {
        cluster_id: system.clone(),
        age: Duration::ZERO,
        observations: Vec::new(),
        metric_snapshot: None,
        subject_context: None,
        sample: Some(NewSample {
            snapshot: "{}".into(),
            figures: None,
        }),
        changes,
        place: String::new(),
        interval: Duration::from_secs(1),
        ok: true,
        detail: String::new(),
    };
    bench.monitor.record_check(check).wait().unwrap();
}

#[test]
fn changes_are_read_as_they_were_seen_of_one_system_and_one_time() {
    let bench = Bench::new();
    let (now, hour) = (Timestamp::now(), SignedDuration::from_hours(1));
    let gone = ObservedChange {
        kind: Stored::Known(ChangeKind::Gone),
        to: None,
        ..change(now)
    };
    record(&bench, &cluster(), vec![change(now - hour)]);
    record(&bench, &cluster(), vec![change(now), gone.clone()]);
    record(&bench, &SystemId::new("other"), vec![change(now)]);
    let read = |from, to| {
        let found = bench.ledger.observed_changes(&cluster(), from, to);
        found.wait().unwrap()
    };
    assert_eq!(read(now - hour / 2, now), [change(now), gone]);
    assert_eq!(
        read(now - hour - hour, now - hour / 2),
        [change(now - hour)]
    );
}

#[test]
fn changes_go_with_a_prune_that_says_so_and_a_loss_of_one_is_found() {
    let mut bench = Bench::new();
    let (now, hour) = (Timestamp::now(), SignedDuration::from_hours(1));
    record(&bench, &cluster(), vec![change(now - hour * 3)]);
    record(&bench, &cluster(), vec![change(now - hour)]);
    record(&bench, &cluster(), vec![change(now)]);
    let before = now - hour * 2;
    let pruned = bench.person.prune(&before, "ada").wait().unwrap();
    assert_eq!(pruned.rows, 1);
    let left = bench
        .ledger
        .observed_changes(&cluster(), Timestamp::MIN, Timestamp::MAX);
    assert_eq!(left.wait().unwrap().len(), 2);
    let report = bench.ledger.verify_ledger().wait().unwrap();
    assert_eq!(report.findings, []);
    bench.ledger_conn("DELETE FROM observed_changes WHERE id = 2");
    bench.tampered = true;
    let report = bench.ledger.verify_ledger().wait().unwrap();
    assert_eq!(report.findings.len(), 1);
}
