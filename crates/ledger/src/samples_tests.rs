use super::*;

fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn sample() -> NewSample {
    NewSample {
        snapshot: r#"{"at":1}"#.into(),
        figures: None,
    }
}

fn numbered(n: i64) -> NewSample {
    NewSample {
        snapshot: n.to_string(),
        figures: None,
    }
}

struct Played {
    _dir: tempfile::TempDir,
    ledger: Engine,
    system: SystemId,
}

impl Played {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            ledger: Engine::open(&dir.path().join("tickets.db")).unwrap(),
            _dir: dir,
            system: SystemId::new("7"),
        }
    }

    /// A sample each `step`, from one time up to another.
    fn watch(&mut self, from: Timestamp, to: Timestamp, step: SignedDuration) {
        let system = self.system.clone();
        self.ledger
            .write(|tx| {
                let mut now = from;
                while now < to {
                    add_at(tx, &system, &sample(), now)?;
                    now += step;
                }
                Ok(())
            })
            .unwrap();
    }

    /// A ticket, as one that was first seen and resolved then.
    fn ticket(&mut self, from: Timestamp, to: Option<Timestamp>) {
        let status = if to.is_some() { "resolved" } else { "open" };
        let system = self.system.clone();
        self.ledger
            .write(|tx| {
                tx.execute(
                    "INSERT INTO tickets (violation_key, invariant_name, status, first_seen_at,
                       last_seen_at, resolved_at, message, cluster_id)
                     VALUES ('k', 'store_down', ?1, ?2, ?2, ?3, 'm', ?4)",
                    params![
                        status,
                        clock::text(from),
                        to.map(clock::text),
                        system.as_str()
                    ],
                )?;
                Ok(())
            })
            .unwrap();
    }

    fn kept(&self, from: Timestamp, to: Timestamp) -> usize {
        self.ledger.samples(&self.system, from, to).unwrap().len()
    }
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[test]
fn an_incident_of_days_ago_has_each_of_its_seconds_and_the_rest_one_a_minute() {
    let mut played = Played::new();
    let (began, ended) = (start() + minutes(20), start() + minutes(35));
    played.watch(start(), began, SECOND);
    played.ticket(began, None);
    played.watch(began, ended, SECOND);
    let resolved = clock::text(ended);
    played
        .ledger
        .write(|tx| {
            let end = "UPDATE tickets SET status = 'resolved', resolved_at = ?1";
            tx.execute(end, [resolved])?;
            Ok(())
        })
        .unwrap();
    let end = start() + minutes(3 * 24 * 60);
    let calm = start() + minutes(60);
    played.watch(ended, calm, SECOND);
    played.watch(calm, end - minutes(20), SECOND * 12);
    played.watch(end - minutes(20), end, SECOND);

    let whole = played.kept(began - AROUND, ended + AROUND - SECOND);
    assert_eq!(whole, (10 + 15 + 10) * 60);
    let before = played.kept(start(), began - AROUND - SECOND);
    assert_eq!(before, 10, "one a minute of the ten minutes before that");
    let day = SignedDuration::from_hours(24);
    let second_day = played.kept(start() + day, start() + day + day - SECOND);
    assert_eq!(second_day, 24 * 60);
    // What may still turn out to be of an incident is there whole.
    let newest = played.kept(end - UNDECIDED, end);
    assert_eq!(newest, 15 * 60);
    // In all: three days of minutes, 35 minutes and the last 15 of seconds.
    let all = played.kept(start(), end);
    let expected = 3 * 24 * 60 + 35 * 59 + 15 * 59;
    assert!((expected..expected + 3).contains(&all), "{all} {expected}");
}

#[test]
fn what_no_incident_was_in_goes_after_a_week_and_an_incident_stays() {
    let mut played = Played::new();
    let (began, ended) = (start() + minutes(60), start() + minutes(61));
    played.ticket(began, Some(ended));
    let step = SignedDuration::from_secs(20);
    let end = start() + QUIET + minutes(24 * 60);
    played.watch(start(), end, step);
    assert_eq!(played.kept(began - AROUND, ended + AROUND - SECOND), 21 * 3);
    assert_eq!(played.kept(start(), began - AROUND - SECOND), 0);
    let old = played.kept(ended + AROUND + minutes(1), end - QUIET - minutes(2));
    assert_eq!(old, 0);
    assert_eq!(
        played.kept(end - QUIET, end - QUIET + minutes(60) - SECOND),
        60
    );
}

#[test]
fn of_a_ticket_that_stands_for_days_the_beginning_is_kept_whole_and_each_session() {
    let mut played = Played::new();
    played.ticket(start(), None);
    let hour = minutes(60);
    let (from, to) = (start() + hour * 9, start() + hour * 9 + minutes(6));
    let system = played.system.clone();
    played
        .ledger
        .write(|tx| {
            tx.execute(
                "INSERT INTO agent_sessions (session_id, status, started_at, ended_at, cluster_id)
                 VALUES ('s', 'escalated', ?1, ?2, ?3)",
                params![clock::text(from), clock::text(to), system.as_str()],
            )?;
            Ok(())
        })
        .unwrap();
    let step = SignedDuration::from_secs(10);
    played.watch(start(), start() + hour * 12, step);
    assert_eq!(played.kept(start(), start() + LONGEST - SECOND), 2 * 60 * 6);
    assert_eq!(
        played.kept(start() + hour * 4, start() + hour * 5 - SECOND),
        60
    );
    assert_eq!(played.kept(from - AROUND, to + AROUND - SECOND), 26 * 6);
}

#[test]
fn samples_of_one_system_are_bounded_whatever_others_add() {
    let mut played = Played::new();
    let other = SystemId::new("8");
    let system = played.system.clone();
    played
        .ledger
        .write(|tx| {
            for n in 0..10 {
                add_at(tx, &system, &numbered(n), start())?;
                add_at(tx, &other, &numbered(n), start())?;
                keep_newest(tx, &system, 4)?;
            }
            Ok(())
        })
        .unwrap();
    let kept = |system: &SystemId| -> Vec<String> {
        let all = played
            .ledger
            .samples(system, Timestamp::MIN, Timestamp::MAX);
        all.unwrap().into_iter().map(|s| s.snapshot).collect()
    };
    assert_eq!(kept(&played.system), ["6", "7", "8", "9"]);
    assert_eq!(kept(&other).len(), 10);
}

#[test]
fn numbers_that_are_given_again_after_a_prune_are_decided_on_again() {
    let mut played = Played::new();
    let hour = minutes(60);
    played.watch(start(), start() + hour, SECOND);
    let until = start() + hour;
    played.ledger.prune(&until, "kim").unwrap();
    assert_eq!(played.kept(start(), until), 0);
    played.watch(until, until + hour, SECOND);
    let decided = played.kept(until, until + hour - UNDECIDED - SECOND * 2);
    assert_eq!(decided, 45);
}

/// What a check pays does not grow with what is there.
#[test]
fn a_check_looks_at_a_few_samples_only() {
    let mut played = Played::new();
    let hour = minutes(60);
    // An older ledger, in which nothing was thinned.
    let system = played.system.clone();
    played
        .ledger
        .write(|tx| {
            for n in 0..5_000 {
                let at = clock::text(start() + SECOND * n);
                tx.prepare_cached(
                    "INSERT INTO samples (cluster_id, at, snapshot) VALUES (?1, ?2, '{}')",
                )?
                .execute(params![system.as_str(), at])?;
            }
            Ok(())
        })
        .unwrap();
    let now = start() + hour * 10;
    let mut rows = played.kept(Timestamp::MIN, Timestamp::MAX);
    let mut checks = 0;
    while rows > 5_000 / 60 + checks + 1 {
        played.watch(
            now + SECOND * checks as i32,
            now + SECOND * (checks as i32 + 1),
            SECOND,
        );
        checks += 1;
        let left = played.kept(Timestamp::MIN, Timestamp::MAX);
        assert!(rows + 1 - left <= AT_ONCE as usize, "{rows} {left}");
        rows = left;
        assert!(checks <= 5_000 / AT_ONCE as usize + 1, "{rows} are left");
    }
}

#[test]
fn figures_are_read_without_the_samples_that_have_them() {
    let mut played = Played::new();
    let system = played.system.clone();
    played
        .ledger
        .write(|tx| {
            for (second, figures) in [(0, Some("short")), (1, None)] {
                let sample = NewSample {
                    snapshot: "long".into(),
                    figures: figures.map(str::to_owned),
                };
                add_at(tx, &system, &sample, start() + SECOND * second)?;
            }
            Ok(())
        })
        .unwrap();
    let read = played
        .ledger
        .sample_figures(&system, start(), start() + SECOND * 5);
    let read = read.unwrap();
    let said: Vec<_> = read
        .iter()
        .map(|s| (s.at, s.figures.as_deref(), s.snapshot.as_deref()))
        .collect();
    assert_eq!(
        said,
        [
            (Some(start()), Some("short"), None),
            (Some(start() + SECOND), None, Some("long")),
        ]
    );
    let plan: Vec<String> = played
        .ledger
        .conn
        .prepare(
            "EXPLAIN QUERY PLAN SELECT at, figures, CASE WHEN figures IS NULL THEN snapshot END
             FROM samples WHERE cluster_id = 'x' AND at >= 'a' AND at <= 'b' ORDER BY at, id",
        )
        .unwrap()
        .query_map([], |r| r.get(3))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    assert_eq!(plan.len(), 1, "it is sorted: {plan:?}");
    assert!(plan[0].contains("idx_samples_figures"), "{plan:?}");
}
