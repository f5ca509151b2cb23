//! Where leaders belong: the same number on every store that is up, none on an evicted one.
//!
//! Decides and instructs; stores carry out. No region is ever moved.

use crate::{
    node::unix_seconds,
    pd::{
        cluster::{Cluster, Operator},
        config::Config,
    },
    timing::{OPERATOR_LIMIT, SETTLED},
    topology::{MEMBERS, REGIONS},
    wire::Instruction,
};
use std::{collections::BTreeMap, time::Instant};

/// Gives instructions for the next heartbeats, and forgets operators that are done or too old.
pub(super) fn plan(cluster: &mut Cluster, config: &Config, now: Instant) {
    for region in cluster.unborn(now) {
        cluster.instruct(
            (region - 1) % MEMBERS + 1,
            Instruction::Bootstrap { region },
        );
    }
    finish(cluster, now);
    for (region, from, to) in moves(cluster, config, now) {
        cluster.operators.insert(
            region,
            Operator {
                from,
                to,
                asked: now,
                manual: false,
            },
        );
        cluster.instruct(from, Instruction::HandOver { region, to });
    }
}

fn finish(cluster: &mut Cluster, now: Instant) {
    let ended: Vec<(u64, Operator, bool)> = cluster
        .operators
        .iter()
        .filter_map(|(&region, &operator)| {
            let done = cluster.leader(region, now) == Some(operator.to);
            let late = now.saturating_duration_since(operator.asked) > OPERATOR_LIMIT;
            (done || late).then_some((region, operator, done))
        })
        .collect();
    for (region, operator, done) in ended {
        cluster.operators.remove(&region);
        let word = if done { "finished" } else { "timed out" };
        let text = describe(region, &operator, word);
        tracing::info!("{text}");
        cluster.note(unix_seconds(), text);
    }
}

/// An operator as PD prints it.
pub(super) fn describe(region: u64, operator: &Operator, status: &str) -> String {
    let kind = if operator.manual {
        "admin-transfer-leader"
    } else {
        "balance-leader"
    };
    format!(
        "{kind} {{transfer leader: store {} to {}}} (kind:leader, region:{region}, status:{status})",
        operator.from, operator.to
    )
}

/// Hand-overs to ask for now: region, from, to.
fn moves(cluster: &Cluster, config: &Config, now: Instant) -> Vec<(u64, u64, u64)> {
    let mut led: BTreeMap<u64, Vec<u64>> = (1..=MEMBERS).map(|store| (store, vec![])).collect();
    for region in 1..=REGIONS {
        // An operator counts as done, or the same imbalance would be repaired twice.
        let leader = match cluster.operators.get(&region) {
            Some(operator) => Some(operator.to),
            None => cluster.leader(region, now),
        };
        if let Some(regions) = leader.and_then(|leader| led.get_mut(&leader)) {
            regions.push(region);
        }
    }
    let may_lead =
        |store: u64| !config.evict_leaders.contains(&store) && cluster.settled(store, config, now);
    let room = (config.leader_schedule_limit as usize).saturating_sub(cluster.operators.len());
    let mut chosen = Vec::new();
    while chosen.len() < room {
        let Some(to) = led
            .iter()
            .filter(|(s, _)| may_lead(**s))
            .min_by_key(|(_, r)| r.len())
            .map(|(s, _)| *s)
        else {
            break;
        };
        let goal = led[&to].len();
        let Some((from, region)) = led
            .iter()
            .filter(|(store, regions)| {
                let evicted = config.evict_leaders.contains(store) && !regions.is_empty();
                evicted || regions.len() >= goal + 2
            })
            .max_by_key(|(store, regions)| (config.evict_leaders.contains(store), regions.len()))
            .and_then(|(store, regions)| {
                let free = regions
                    .iter()
                    .rev()
                    .find(|&&region| movable(cluster, region, to, now))?;
                Some((*store, *free))
            })
        else {
            break;
        };
        if let Some(regions) = led.get_mut(&from) {
            regions.retain(|r| *r != region);
        }
        led.entry(to).or_default().push(region);
        chosen.push((region, from, to));
    }
    chosen
}

/// Whether a region has no operator, its leader has settled, and its peer on the target is alive
/// and up to date.
fn movable(cluster: &Cluster, region: u64, to: u64, now: Instant) -> bool {
    !cluster.operators.contains_key(&region)
        && cluster.regions.get(&region).is_some_and(|view| {
            now.saturating_duration_since(view.since) >= SETTLED
                && !view.report.silent.contains_key(&to)
                && !view.report.pending.contains(&to)
        })
}

#[cfg(test)]
mod tests {
    use super::super::cluster::tests::report;
    use super::*;
    use crate::timing::SETTLED;
    use std::time::Duration;

    fn cluster(leads: [&[u64]; 3], since: Instant, now: Instant) -> Cluster {
        let mut cluster = Cluster::new(since);
        let mut at = since;
        while at <= now {
            for store in 1..=3 {
                cluster.heard(report(store, leads[store as usize - 1]), at);
            }
            at += Duration::from_secs(1);
        }
        cluster
    }

    fn after_settling(start: Instant) -> Instant {
        start + SETTLED + Duration::from_secs(1)
    }

    #[test]
    fn leaders_return_to_a_store_that_came_back_and_no_more_than_its_share() {
        let start = Instant::now();
        let now = after_settling(start);
        let mut cluster = cluster([&[1, 2, 3], &[4, 5, 6], &[]], start, now);
        plan(&mut cluster, &Config::default(), now);
        assert_eq!(cluster.operators.len(), 2);
        assert!(cluster.operators.values().all(|o| o.to == 3));
        // Asked again, nothing is added.
        plan(&mut cluster, &Config::default(), now);
        assert_eq!(cluster.operators.len(), 2);
        let counts = [
            cluster.take_instructions(1).len(),
            cluster.take_instructions(2).len(),
        ];
        assert_eq!(counts, [1, 1]);
    }

    #[test]
    fn a_balanced_cluster_is_left_alone() {
        let start = Instant::now();
        let now = after_settling(start);
        let mut cluster = cluster([&[1, 4], &[2, 5], &[3, 6]], start, now);
        plan(&mut cluster, &Config::default(), now);
        assert!(cluster.operators.is_empty() && cluster.instructions.is_empty());
    }

    #[test]
    fn a_store_that_has_just_come_is_given_time() {
        let start = Instant::now();
        let mut cluster = cluster([&[1, 2, 3], &[4, 5, 6], &[]], start, start);
        plan(&mut cluster, &Config::default(), start);
        assert!(cluster.operators.is_empty());
    }

    #[test]
    fn an_evicted_store_loses_its_leaders_and_gets_none() {
        let start = Instant::now();
        let now = after_settling(start);
        let mut cluster = cluster([&[1, 4], &[2, 5], &[3, 6]], start, now);
        let config = Config {
            evict_leaders: [1].into(),
            ..Config::default()
        };
        plan(&mut cluster, &config, now);
        assert_eq!(cluster.operators.len(), 2);
        assert!(cluster.operators.values().all(|o| o.from == 1 && o.to != 1));
    }

    #[test]
    fn an_instruction_that_is_not_followed_is_given_up() {
        let start = Instant::now();
        let now = after_settling(start);
        let mut cluster = cluster([&[1, 2, 3], &[4, 5, 6], &[]], start, now);
        plan(&mut cluster, &Config::default(), now);
        finish(&mut cluster, now + OPERATOR_LIMIT + Duration::from_secs(1));
        assert!(cluster.operators.is_empty());
        assert!(
            cluster
                .records
                .iter()
                .all(|(_, text)| text.contains("timed out"))
        );
    }
}
