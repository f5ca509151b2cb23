use super::{look::all_but, words::words, *};
use crate::cluster::{ClusterSnapshot, Evidence, Life, Observed, Store, StoreState, Traffic};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn look(second: i64, ops: f64, p99: f64, refused: f64) -> Look {
    Look {
        at: at(second),
        seen: Seen::All,
        unread: Vec::new(),
        rates: Vec::new(),
        window_s: 0.0,
        ops_per_s: Some(ops),
        p99_ms: Some(p99),
        p99_limit_ms: Some(100.0),
        refused_per_s: Some(refused),
    }
}

/// Looks a second apart, each as `of` says.
fn film(seconds: std::ops::Range<i64>, of: impl Fn(i64) -> Look) -> Vec<Look> {
    seconds.map(of).collect()
}

/// 400 a second, and from 0 to 20 a half of it, with p99 up and some refused.
fn outage(second: i64) -> Look {
    if (1..=20).contains(&second) {
        look(second, 200.0, 700.0, 30.0)
    } else {
        look(second, 400.0, 12.0, 0.0)
    }
}

fn span(from: i64, to: i64) -> (Timestamp, Timestamp) {
    (at(from), at(to))
}

#[test]
fn an_outage_that_was_seen_whole_has_its_figures() {
    // It was found seven seconds after it began.
    let found = impact(film(-700..40, outage), span(7, 40), &[]).unwrap();
    assert_eq!((found.from, found.to), (at(0), at(40)));
    let usual = found.baseline.unwrap();
    assert_eq!((usual.ops_per_s, usual.p99_ms), (400.0, Some(12.0)));
    assert_eq!(usual.seconds.round() as i64, 600);
    assert_eq!(
        found.lowest_ops_per_s,
        Some(Figure::new(200.0, Trust::Exact))
    );
    assert_eq!(found.lowest_percent, Some(Figure::new(-50.0, Trust::Exact)));
    assert_eq!(found.worst_p99_ms, Some(Figure::new(700.0, Trust::Exact)));
    assert_eq!(found.above_limit_s, Some(Figure::new(20.0, Trust::About)));
    assert_eq!(found.refused, Some(Figure::new(600.0, Trust::About)));
    assert_eq!(
        found.lost_operations,
        Some(Figure::new(4000.0, Trust::About))
    );
    assert_eq!(found.unknown_s.round() as i64, 0);
    let said: Vec<String> = words(&found)
        .into_iter()
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    assert_eq!(
        said,
        [
            "throughput: 200 ops/s at the lowest, −50 % of 400 ops/s",
            "p99: 700 ms at the worst, usually 12 ms; above 100 ms for ≈ 20 s",
            "refused: ≈ 600 requests refused or failed, each try of them counted",
            "lost: ≈ 4000 operations fewer than usual",
        ]
    );
}

#[test]
fn what_nobody_saw_makes_bounds() {
    // For six seconds of it PD did not answer, and for four more a monitor was restarted.
    let mut looks = film(-700..40, outage);
    looks.retain(|look| !(at(10)..at(14)).contains(&look.at));
    for look in &mut looks {
        if (at(3)..at(9)).contains(&look.at) {
            look.seen = Seen::Nothing;
            look.ops_per_s = None;
            look.p99_ms = None;
            look.refused_per_s = None;
        }
    }
    let found = impact(looks, span(0, 40), &[]).unwrap();
    assert!(
        (9.0..=11.0).contains(&found.unknown_s),
        "{}",
        found.unknown_s
    );
    assert_eq!(
        found.lowest_ops_per_s,
        Some(Figure::new(200.0, Trust::AtMost))
    );
    assert_eq!(found.worst_p99_ms.unwrap().is, Trust::AtLeast);
    let above = found.above_limit_s.unwrap();
    assert!(
        above.is == Trust::AtLeast && above.value <= 12.0,
        "{above:?}"
    );
    let lost = found.lost_operations.unwrap();
    assert!(
        lost.is == Trust::AtLeast && lost.value <= 2400.0,
        "{lost:?}"
    );
    assert_eq!(found.refused.unwrap().is, Trust::AtLeast);
    let text = format!("{:?}", words(&found));
    assert!(
        text.contains("at most 200 ops/s") && text.contains("at least"),
        "{text}"
    );
    assert!(text.contains("not seen"), "{text}");
}

#[test]
fn a_store_that_cannot_be_read_is_unknown_and_one_that_died_served_nothing() {
    let unread = |second: i64, silent| Look {
        seen: all_but(&[(2, silent)]),
        unread: vec![(2, silent)],
        ..look(second, 250.0, 20.0, 3.0)
    };
    // Not readable, then called silent, then back.
    let died = |second| match second {
        1..=5 => unread(second, false),
        6..=20 => unread(second, true),
        _ => look(second, 400.0, 12.0, 0.0),
    };
    let found = impact(film(-100..40, died), span(0, 40), &[]).unwrap();
    assert_eq!(
        found.lost_operations,
        Some(Figure::new(3000.0, Trust::About))
    );
    assert_eq!(
        found.lowest_ops_per_s,
        Some(Figure::new(250.0, Trust::Exact))
    );
    // What it would have refused was counted by nobody.
    assert_eq!(found.refused.unwrap().is, Trust::AtLeast);
    // Not readable, and that was all.
    let hidden = |second| match second {
        1..=20 => unread(second, false),
        _ => look(second, 400.0, 12.0, 0.0),
    };
    let found = impact(film(-100..40, hidden), span(0, 40), &[]).unwrap();
    assert_eq!(
        found.lost_operations,
        Some(Figure::new(0.0, Trust::AtLeast))
    );
    assert_eq!(
        found.lowest_ops_per_s,
        Some(Figure::new(400.0, Trust::AtMost))
    );
}

#[test]
fn the_usual_is_of_before_outside_outages_and_after_the_loads_last_change() {
    // 800 until four minutes before, then 400; another outage in between.
    let changed = |second| match second {
        ..-240 => look(second, 800.0, 12.0, 0.0),
        -120..-60 => look(second, 50.0, 900.0, 0.0),
        1..=20 => look(second, 100.0, 12.0, 0.0),
        _ => look(second, 400.0, 12.0, 0.0),
    };
    let others = [span(-120, -60)];
    let found = impact(film(-700..40, changed), span(0, 40), &others).unwrap();
    let usual = found.baseline.unwrap();
    assert_eq!(usual.ops_per_s.round() as i64, 400);
    assert!(
        (150.0..=180.0).contains(&usual.seconds),
        "{}",
        usual.seconds
    );
    assert_eq!(found.lowest_percent.unwrap().value.round() as i64, -75);
    // A load that only just changed has no usual.
    let just = |second| match second {
        ..-18 => look(second, 0.0, 0.0, 0.0),
        _ => look(second, 400.0, 12.0, 0.0),
    };
    let found = impact(film(-29..40, just), span(0, 40), &[]).unwrap();
    assert_eq!(found.baseline, None);
    assert_eq!((found.lowest_percent, found.lost_operations), (None, None));
    let text = format!("{:?}", words(&found));
    assert!(
        text.contains("less than 30 s") && !text.contains('%'),
        "{text}"
    );
}

#[test]
fn noise_is_no_loss_and_nothing_seen_is_no_impact() {
    let noisy = |second: i64| {
        look(
            second,
            400.0 + f64::from((second * 7 % 30) as i32),
            12.0,
            0.0,
        )
    };
    let found = impact(film(-700..100, noisy), span(0, 100), &[]).unwrap();
    assert_eq!(found.lost_operations.unwrap().value.round() as i64, 0);
    assert_eq!(found.from, at(0));
    assert_eq!(impact(film(-700..-600, noisy), span(0, 100), &[]), None);
    assert_eq!(impact(Vec::new(), span(0, 100), &[]), None);
    // Nobody said from when on a store is slow.
    let unjudged = |second| Look {
        p99_limit_ms: None,
        ..noisy(second)
    };
    let found = impact(film(-700..100, unjudged), span(0, 100), &[]).unwrap();
    assert_eq!((found.above_limit_s, found.p99_limit_ms), (None, None));
    // A span that ends before it begins, as clocks that were set may make it.
    assert_eq!(impact(film(-9..40, noisy), span(9, 0), &[]), None);
}

/// Rates over four seconds: of a store that died they end at once, of those that serve in its place
/// they rise slowly. No operation was lost.
#[test]
fn rates_that_lag_behind_make_no_loss() {
    let lagging = |second: i64| {
        let dead = second > 0;
        let taken_over = second.clamp(0, 4) as f64 * 25.0;
        let others = 300.0 + taken_over;
        Look {
            seen: all_but(&if dead { vec![(2, true)] } else { Vec::new() }),
            unread: if dead { vec![(2, true)] } else { Vec::new() },
            rates: [(1, others)]
                .into_iter()
                .chain((!dead).then_some((2, 100.0)))
                .collect(),
            window_s: 4.0,
            ..look(second, if dead { others } else { 400.0 }, 12.0, 0.0)
        }
    };
    let found = impact(film(-100..40, lagging), span(0, 40), &[]).unwrap();
    let lost = found.lost_operations.unwrap().value;
    assert!(lost < 60.0, "{lost}");
    // A monitor that was started a minute ago knows when it began too.
    let found = impact(film(-60..40, outage), span(7, 40), &[]).unwrap();
    assert_eq!(found.from, at(0));
}

#[test]
fn a_look_says_what_it_saw_of_the_stores() {
    let now = at(0);
    let traffic = |ops| {
        Observed::known(
            Traffic {
                ops_per_s: Some(ops),
                p99_ms: Some(3.0),
                refused_per_s: Some(0.0),
            },
            now,
        )
    };
    let store = |id, life, traffic| Store {
        id,
        state: StoreState::Up,
        traffic,
        evidence: Evidence {
            life: Some(life),
            ..Evidence::default()
        },
        ..Store::default()
    };
    let with = |third: Store| ClusterSnapshot {
        at: now,
        stores: Observed::known(
            vec![
                store(1, Life::Alive, traffic(10.0)),
                store(2, Life::Alive, traffic(10.0)),
                third,
            ],
            now,
        ),
        traffic: traffic(20.0),
        ..ClusterSnapshot::default()
    };
    let seen = |third| Look::of(now, &with(third)).seen;
    assert_eq!(seen(store(3, Life::Alive, traffic(1.0))), Seen::All);
    assert_eq!(
        seen(store(3, Life::Alive, Observed::unknown("no"))),
        Seen::Part
    );
    assert_eq!(
        seen(store(3, Life::Silent, Observed::unknown("no"))),
        Seen::AllThatServe
    );
    let tombstone = Store {
        state: StoreState::Tombstone,
        ..store(3, Life::Alive, Observed::unknown("no"))
    };
    assert_eq!(seen(tombstone), Seen::All);
    let look = Look::of(now, &with(store(3, Life::Silent, Observed::unknown("no"))));
    let figures = look.figures().unwrap();
    assert_eq!(Look::of_figures(now, &figures), Some(look), "{figures}");
    let nothing = Look::of(now, &ClusterSnapshot::unknown("no answer"));
    assert_eq!(nothing.seen, Seen::Nothing);
    assert_eq!(nothing.ops_per_s, None);
}
