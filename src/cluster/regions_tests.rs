use super::*;
use crate::cluster::{Doubt, Evidence, pd::RegionsAnswer};
use jiff::Timestamp;
use serde_json::json;

/// Stores 1 to 5; those of `dead` are silent, those of `doubtful` do not answer.
fn stores(dead: &[u64], doubtful: &[u64]) -> Vec<Store> {
    let life = |id| {
        if dead.contains(&id) {
            Life::Silent
        } else if doubtful.contains(&id) {
            Life::Suspect(Doubt::NoAnswer(Timestamp::UNIX_EPOCH))
        } else {
            Life::Alive
        }
    };
    let store = |id| Store {
        id,
        evidence: Evidence {
            life: Some(life(id)),
            ..Evidence::default()
        },
        ..Store::default()
    };
    (1..=5).map(store).collect()
}

fn region(peers: &serde_json::Value, leader: u64) -> Vec<RegionAnswer> {
    let answer = json!({"count": 1, "regions": [
        {"id": 7, "peers": peers, "leader": {"id": 90 + leader, "store_id": leader}}]});
    let answer: RegionsAnswer = serde_json::from_value(answer).unwrap();
    answer.regions.unwrap().read
}

/// Whether the region has a quorum, with the leader on a store that lives.
fn no_quorum(peers: &serde_json::Value, dead: &[u64], leader: u64) -> u64 {
    let ground = Ground::new(&stores(dead, &[]), true, true);
    count_regions(&region(peers, leader), 1, &ground).no_quorum
}

fn voter(store: u64) -> serde_json::Value {
    json!({"role_name": "Voter", "id": 90 + store, "store_id": store})
}

#[test]
fn a_learner_has_no_vote_in_any_spelling() {
    for learner in [
        json!({"role_name": "Learner", "role": 1, "is_learner": true}),
        json!({"role_name": "Learner"}),
        json!({"role": 1}),
        json!({"role": "Learner"}),
        json!({"is_learner": true}),
        json!({"role": 0, "role_name": "Voter", "is_learner": true}),
    ] {
        let on = |store: u64| {
            let mut peer = learner.clone();
            peer["id"] = json!(90 + store);
            peer["store_id"] = json!(store);
            peer
        };
        // Its store and one of three voters' are lost: two voters are a majority of three.
        let with_one = json!([voter(1), voter(2), voter(3), on(4)]);
        assert_eq!(no_quorum(&with_one, &[1, 4], 2), 0, "{learner}");
        // Two of three voters are lost, and two learners live.
        let with_two = json!([voter(1), voter(2), voter(3), on(4), on(5)]);
        assert_eq!(no_quorum(&with_two, &[1, 2], 3), 1, "{learner}");
    }
}

#[test]
fn between_two_configurations_both_need_a_majority() {
    let role = |store: u64, number: u64, name: &str| json!({"id": 90 + store, "store_id": store, "role": number, "role_name": name});
    // 1, 2, 3 become 1, 4, 5.
    let peers = json!([
        voter(1),
        role(2, 3, "DemotingVoter"),
        role(3, 3, "DemotingVoter"),
        role(4, 2, "IncomingVoter"),
        role(5, 2, "IncomingVoter"),
    ]);
    assert_eq!(no_quorum(&peers, &[], 1), 0);
    assert_eq!(no_quorum(&peers, &[2, 4], 1), 0, "two of each three live");
    assert_eq!(no_quorum(&peers, &[2, 3], 1), 1, "those that were");
    assert_eq!(no_quorum(&peers, &[4, 5], 1), 1, "those that will be");
    let words = json!([
        voter(1),
        {"id": 92, "store_id": 2, "role": "DEMOTING_VOTER"},
        {"id": 93, "store_id": 3, "role": "DemotingVoter"},
        {"id": 94, "store_id": 4, "role_name": "IncomingVoter"},
        {"id": 95, "store_id": 5, "role_name": "incoming_voter"},
    ]);
    assert_eq!(no_quorum(&words, &[2, 3], 1), 1);
    assert_eq!(no_quorum(&words, &[4, 5], 1), 1);
    assert_eq!(no_quorum(&words, &[3, 5], 1), 0);
}

#[test]
fn a_witness_votes_and_can_serve_nothing() {
    let witness = json!({"id": 93, "store_id": 3, "is_witness": true});
    let peers = json!([voter(1), voter(2), witness]);
    assert_eq!(no_quorum(&peers, &[1], 2), 0, "one with data and its vote");
    assert_eq!(no_quorum(&peers, &[1, 2], 3), 1);
    let two = json!([voter(1), {"id": 92, "store_id": 2, "is_witness": true}, {"id": 93, "store_id": 3, "is_witness": true}]);
    assert_eq!(no_quorum(&two, &[1], 2), 1, "a majority without data");
}

#[test]
fn a_store_that_is_not_listed_is_dead_if_the_list_is_whole() {
    let peers = json!([voter(1), voter(8), voter(9)]);
    let count = |whole| {
        let ground = Ground::new(&stores(&[], &[]), whole, true);
        count_regions(&region(&peers, 1), 1, &ground)
    };
    let known = count(true);
    assert_eq!((known.no_quorum, known.in_doubt), (1, 0));
    assert_eq!(known.on_lost, [(8, 1), (9, 1)].into());
    let partly = count(false);
    assert_eq!((partly.no_quorum, partly.in_doubt), (0, 1));
}

#[test]
fn what_hangs_on_a_store_in_doubt_is_in_doubt() {
    let peers = json!([voter(1), voter(2), voter(3)]);
    let count = |dead: &[u64], doubtful: &[u64], leader| {
        let ground = Ground::new(&stores(dead, doubtful), true, true);
        let r = count_regions(&region(&peers, leader), 1, &ground);
        (r.unserved, r.in_doubt)
    };
    assert_eq!(count(&[], &[2], 1), (0, 0), "a majority is certain");
    assert_eq!(count(&[], &[2], 2), (0, 1), "its leader is not");
    assert_eq!(count(&[], &[2, 3], 1), (0, 1));
    assert_eq!(count(&[2], &[3], 1), (0, 1));
    assert_eq!(count(&[2, 3], &[], 1), (1, 0));
    // No leader and no quorum are one region.
    assert_eq!(count(&[2, 3], &[], 2), (1, 0));
}

#[test]
fn a_peer_that_its_leader_calls_down_is_lost() {
    let answer = json!({"count": 1, "regions": [{"id": 7, "peers": [voter(1), voter(2), voter(3)], "leader": voter(1),
        "down_peers": [{"peer": voter(2), "down_seconds": 700}, {"peer": voter(3), "down_seconds": 700}]}]});
    let answer: RegionsAnswer = serde_json::from_value(answer).unwrap();
    let ground = Ground::new(&stores(&[], &[]), true, true);
    let r = count_regions(&answer.regions.unwrap().read, 1, &ground);
    assert_eq!((r.no_quorum, r.down_peer), (1, 1));
}

/// Three stores that lead so many regions each, as they say.
fn leading(leads: [Option<u64>; 3]) -> Vec<Store> {
    let mut stores = stores(&[], &[]);
    stores.truncate(3);
    for (store, leads) in stores.iter_mut().zip(leads) {
        store.evidence.leads = leads;
    }
    stores
}

#[test]
fn leaders_that_pd_was_not_told_are_unknown_unless_the_stores_say_it() {
    let answer = json!({"count": 2, "regions": [
        {"id": 1, "peers": [voter(1), voter(2), voter(3)], "leader": {"role_name": ""}},
        {"id": 2, "peers": [voter(1), voter(2), voter(3)], "leader": voter(2)}]});
    let answer: RegionsAnswer = serde_json::from_value(answer).unwrap();
    let list = answer.regions.unwrap().read;
    let count = |leads, told, known| {
        let r = count_regions(&list, known, &Ground::new(&leading(leads), true, told));
        (r.leaderless, r.in_doubt, r.total)
    };
    let all_say = [Some(1), Some(1), Some(0)];
    assert_eq!(count(all_say, false, 2), (0, 0, 2));
    assert_eq!(count([Some(1), Some(0), Some(0)], false, 2), (0, 1, 2));
    assert_eq!(count([Some(1), Some(1), None], false, 2), (0, 1, 2));
    // It has heard of two of five so far.
    assert_eq!(count(all_say, false, 5), (0, 4, 5));
    assert_eq!(count([Some(2), Some(2), Some(1)], false, 5), (0, 0, 5));
    assert_eq!(count(all_say, true, 2), (1, 0, 2), "PD must know by now");
}

#[test]
fn regions_that_are_too_many_are_counted_by_nobody_while_a_store_is_missing() {
    let count = |stores: &[Store], told| {
        let r = count_unlisted(&[], 90_000, &Ground::new(stores, true, told));
        (r.total, r.uncounted, r.in_doubt)
    };
    let healthy = leading([Some(30_000), Some(30_000), Some(30_000)]);
    assert_eq!(count(&healthy, true), (90_000, false, 0));
    assert_eq!(count(&healthy, false), (90_000, false, 0));
    let quiet = leading([None, None, None]);
    assert_eq!(count(&quiet, false), (90_000, true, 90_000));
    assert_eq!(count(&stores(&[2], &[]), true), (90_000, true, 90_000));
}

#[test]
fn a_region_whose_peers_cannot_be_read_is_in_doubt() {
    let ground = Ground::new(&stores(&[], &[]), true, true);
    let r = count_regions(&region(&json!(null), 1), 1, &ground);
    assert_eq!((r.no_quorum, r.in_doubt), (0, 1));
}
