use super::*;

/// A cluster as PD tells of it, and a time that goes by.
struct Play {
    memory: Memory,
    began: Instant,
    second: i64,
    leader: &'static str,
    stores: Vec<Store>,
}

const PACE: Pace = Pace(Duration::from_secs(20));

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_767_200 + second).unwrap()
}

fn store(id: u64, state: StoreState, heartbeat: Option<i64>) -> Store {
    Store {
        id,
        state,
        last_heartbeat: heartbeat.map(at),
        started: Some(at(-9000)),
        capacity: Some(1 << 40),
        ..Store::default()
    }
}

/// What a PD leader that is new in office knows of a store: what was stored, minutes ago.
fn stored(id: u64, heartbeat: i64) -> Store {
    Store {
        capacity: None,
        ..store(id, StoreState::Down, Some(heartbeat))
    }
}

impl Play {
    fn new() -> Self {
        Self {
            memory: Memory::default(),
            began: Instant::now(),
            second: 0,
            leader: "pd0",
            stores: (1..=3)
                .map(|id| store(id, StoreState::Up, Some(-(id as i64))))
                .collect(),
        }
    }

    fn look(&mut self, second: i64) -> Vec<Life> {
        self.second = second;
        let moment = Moment {
            at: at(second),
            now: self.began + Duration::from_secs(second as u64),
        };
        let mut stores = self.stores.clone();
        self.memory
            .judge(&mut stores, Some(self.leader), moment, PACE);
        stores.iter().map(Store::life).collect()
    }

    fn of(&mut self, second: i64, id: u64) -> Life {
        let at = self.stores.iter().position(|s| s.id == id).unwrap();
        self.look(second)[at]
    }

    /// All report at this second.
    fn beat(&mut self, second: i64) {
        for store in &mut self.stores {
            store.last_heartbeat = Some(at(second));
        }
    }

    fn answer(&mut self, contact: Contact) {
        for store in &mut self.stores {
            store.evidence.contact = contact;
        }
    }

    /// Another leads PD, and knows what was stored five minutes ago.
    fn new_leader(&mut self) {
        self.leader = "pd1";
        for s in &mut self.stores {
            let contact = s.evidence.contact;
            *s = stored(s.id, -300);
            s.evidence.contact = contact;
        }
    }
}

const ALL_ALIVE: [Life; 3] = [Life::Alive; 3];

#[test]
fn stores_that_report_live_and_one_that_pd_has_heard_of_no_more_is_silent() {
    let mut play = Play::new();
    assert_eq!(play.look(0), ALL_ALIVE);
    play.stores[1] = store(2, StoreState::Disconnected, Some(-2));
    assert_eq!(play.look(19)[1], Life::Silent);
}

#[test]
fn a_healthy_cluster_stays_so_while_pd_changes_its_leader() {
    for contact in [Contact::Answered, Contact::NotAsked] {
        let mut play = Play::new();
        play.answer(contact);
        play.beat(0);
        play.look(1);
        play.memory.nobody_leads();
        play.new_leader();
        assert_eq!(play.look(8), ALL_ALIVE, "{contact:?}");
        // One after another they report to it.
        play.stores[0] = store(1, StoreState::Up, Some(12));
        play.stores[0].evidence.contact = contact;
        assert_eq!(play.look(13), ALL_ALIVE, "{contact:?}");
        for id in [2, 3] {
            play.stores[id as usize - 1] = store(id, StoreState::Up, Some(17));
        }
        assert_eq!(play.look(18), ALL_ALIVE, "{contact:?}");
    }
}

#[test]
fn a_store_that_is_lost_in_the_same_minute_is_found() {
    let mut play = Play::new();
    play.answer(Contact::Answered);
    play.beat(0);
    play.look(0);
    play.new_leader();
    play.stores[1].evidence.contact = Contact::Failed;
    assert_eq!(
        play.of(5, 2),
        Life::Suspect(Doubt::NoAnswer(at(5))),
        "not heard of, and it does not answer any more"
    );
    for id in [1, 3] {
        play.stores[id as usize - 1] = store(id, StoreState::Up, Some(12));
    }
    assert_eq!(play.look(13)[0], Life::Alive);
    // Twelve seconds after it took office PD must have heard, and it is twenty since anybody has.
    assert_eq!(play.of(21, 2), Life::Silent);
    assert_eq!(play.look(21)[0], Life::Alive);
}

#[test]
fn without_any_other_word_pds_gap_is_unknown_and_not_for_longer_than_a_report_takes() {
    let mut play = Play::new();
    play.new_leader();
    // The first look falls into the leader's first seconds.
    assert_eq!(play.look(0), [Life::Unknown(Doubt::NewTerm); 3]);
    assert_eq!(play.look(11), [Life::Unknown(Doubt::NewTerm); 3]);
    assert_eq!(play.look(12), [Life::Silent; 3]);
    let mut play = Play::new();
    play.new_leader();
    play.answer(Contact::Answered);
    assert_eq!(play.look(0), ALL_ALIVE, "they say so themselves");
}

#[test]
fn who_starts_to_watch_believes_a_leader_that_has_heard_of_the_store() {
    let mut play = Play::new();
    // Its size is known: it has reported to this leader, and then fell silent.
    play.stores[1] = store(2, StoreState::Disconnected, Some(-40));
    // This one was silent before the leader took office, which was before the other one fell silent.
    play.stores[2] = stored(3, -400);
    assert_eq!(play.look(0), [Life::Alive, Life::Silent, Life::Silent]);
}

#[test]
fn what_was_silent_before_stays_so_under_a_new_leader_until_it_is_heard_of() {
    let mut play = Play::new();
    play.stores[1] = store(2, StoreState::Disconnected, Some(-30));
    assert_eq!(play.look(0)[1], Life::Silent);
    play.new_leader();
    assert_eq!(play.look(2)[1], Life::Silent);
    play.stores[1].evidence.contact = Contact::Answered;
    assert_eq!(play.look(3)[1], Life::Alive);
}

#[test]
fn a_leader_that_knows_less_than_before_is_new_even_under_the_same_name() {
    let mut play = Play::new();
    play.beat(0);
    play.look(0);
    for second in (10..=100).step_by(10) {
        play.beat(second);
        play.look(second);
    }
    play.new_leader();
    play.leader = "pd0";
    assert_eq!(play.look(105), ALL_ALIVE);
    assert_eq!(play.look(116), ALL_ALIVE, "they were heard of lately");
    let late = Life::Suspect(Doubt::NoHeartbeat(at(100)));
    assert_eq!(play.look(118), [late; 3]);
    // Nobody has heard of them since.
    assert_eq!(play.look(121), [Life::Silent; 3]);
}

#[test]
fn whatever_pd_calls_it_who_is_silent_is_silent() {
    for state in [
        StoreState::Offline,
        StoreState::Tombstone,
        StoreState::Unknown,
    ] {
        let mut play = Play::new();
        play.stores[1] = store(2, state, Some(-15));
        assert_eq!(play.look(0)[1], Life::Alive, "{state:?}");
        play.stores[0].last_heartbeat = Some(at(5));
        assert_eq!(play.look(6)[1], Life::Silent, "{state:?}");
    }
}

#[test]
fn a_clock_that_is_ahead_makes_nobody_silent() {
    for ahead in [8, 90, 90_000] {
        let mut play = Play::new();
        play.stores[2] = store(3, StoreState::Offline, Some(-9));
        let lives = play.look(ahead);
        assert!(!lives.contains(&Life::Silent), "{ahead}: {lives:?}");
        for round in 1..6 {
            play.beat(round * 10);
            let lives = play.look(round * 10 + 1 + ahead);
            assert_eq!(lives, ALL_ALIVE, "{ahead}");
        }
    }
    let mut play = Play::new();
    play.beat(500);
    assert_eq!(play.look(0), ALL_ALIVE, "a clock that is behind");
}

#[test]
fn a_store_that_joins_is_not_down() {
    let mut play = Play::new();
    play.look(0);
    let new = |started| Store {
        started: Some(at(started)),
        capacity: None,
        ..store(4, StoreState::Down, None)
    };
    play.stores.push(new(2));
    assert_eq!(play.of(3, 4), Life::Joining);
    // Who starts to watch just now knows it by the time it started.
    let mut later = Play::new();
    later.stores.push(new(-5));
    assert_eq!(later.of(0, 4), Life::Joining);
    play.beat(20);
    play.stores[3].last_heartbeat = None;
    assert_eq!(play.of(24, 4), Life::Silent, "it has not come");
    let mut old = Play::new();
    old.stores.push(new(-500));
    assert_eq!(old.of(0, 4), Life::Silent, "it registered long ago");
}

#[test]
fn between_the_first_failed_contact_and_pds_verdict_a_store_is_in_doubt() {
    let mut play = Play::new();
    play.answer(Contact::Answered);
    play.beat(0);
    play.look(0);
    play.stores[1].evidence.contact = Contact::Failed;
    assert_eq!(play.of(2, 2), Life::Suspect(Doubt::NoAnswer(at(2))));
    assert_eq!(play.of(4, 2), Life::Suspect(Doubt::NoAnswer(at(2))));
    // It reports to PD: only its status port is out of reach.
    play.beat(10);
    assert_eq!(play.of(11, 2), Life::Alive);
    assert_eq!(play.of(13, 2), Life::Alive);
    play.stores[1].evidence.contact = Contact::Answered;
    play.look(14);
    play.stores[1].evidence.contact = Contact::Failed;
    assert_eq!(play.of(16, 2), Life::Suspect(Doubt::NoAnswer(at(16))));
    play.stores[1].state = StoreState::Disconnected;
    assert_eq!(play.of(31, 2), Life::Silent);
}

#[test]
fn a_store_that_is_late_twice_is_busy_and_one_that_is_late_again_is_in_doubt() {
    let mut play = Play::new();
    play.answer(Contact::Answered);
    play.beat(0);
    play.look(0);
    play.answer(Contact::Late);
    assert_eq!(play.look(2), ALL_ALIVE);
    assert_eq!(play.look(4), ALL_ALIVE);
    play.stores[0].evidence.contact = Contact::Answered;
    let doubt = Life::Suspect(Doubt::NoAnswer(at(2)));
    assert_eq!(play.look(6), [Life::Alive, doubt, doubt]);
}

#[test]
fn a_store_that_never_answered_us_is_not_in_doubt_for_that() {
    let mut play = Play::new();
    play.answer(Contact::Failed);
    assert_eq!(play.look(0), ALL_ALIVE);
    assert_eq!(play.look(5), ALL_ALIVE);
}

#[test]
fn a_heartbeat_that_is_late_is_a_doubt_before_pd_says_a_word() {
    let mut play = Play::new();
    play.beat(0);
    play.look(0);
    play.stores[0].last_heartbeat = Some(at(18));
    play.stores[2].last_heartbeat = Some(at(18));
    assert_eq!(play.of(18, 2), Life::Suspect(Doubt::NoHeartbeat(at(0))));
}

#[test]
fn a_store_counts_the_regions_it_leads() {
    let text = "# TYPE tikv_raftstore_region_count gauge\n\
        tikv_raftstore_region_count{type=\"leader\"} 7\n\
        tikv_raftstore_region_count{type=\"region\"} 21\n";
    assert_eq!(regions_led(text), Some(7));
    assert_eq!(
        regions_led(&text.replace("tikv_", "tiflash_proxy_tikv_")),
        Some(7)
    );
    assert_eq!(regions_led("up 1\n"), None);
}
