//! The invariants of a TiKV cluster. Each is written here and nowhere else: a variant, its row of
//! facts, and the function that judges it. All else (settings, subjects, words) derives from that.
//!
//! A judge is pure and says what was seen, not why. What it cannot see reads unknown, never clear.

use super::sources::{blind_metrics, shared_failure};
use crate::cluster::{
    ClusterSnapshot, Doubt, Engine, Life, MemberState, PdMember, Regions, Store, StoreState,
    UnknownReason,
};
use crate::span;
use operator_ledger::{ALERT_KEY, LiveTicket, Reading, Severity};
use std::{fmt, time::Duration};

/// In the order in which they are checked: causes before their effects. Their names, in snake
/// case, stand in ledgers and in `config.toml`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Invariant {
    StoreDown,
    PdNoLeader,
    PdMemberDown,
    RegionUnavailable,
    UnderReplicated,
    HighLatency,
    SlowStore,
    LowDiskSpace,
    ObservationFailed,
}

/// How long an invariant must be violated before it is a ticket, where nobody says.
#[derive(Debug, Clone, Copy)]
pub enum Grace {
    Time(Duration),
    /// So many times as long as an election may take.
    Elections(f64),
}

const fn seconds(s: u64) -> Grace {
    Grace::Time(Duration::from_secs(s))
}

/// What an invariant reads on one subject, and what was seen.
pub type Judgement = (Reading, String);

/// What a judge looks at.
pub struct Scene<'a> {
    pub snapshot: &'a ClusterSnapshot,
    /// Milliseconds for `high_latency`, a score for `slow_store`, available share (0 to 1) for `low_disk_space`, a count
    /// that is still all right for the others.
    pub threshold: f64,
    /// Whether the subject has a ticket.
    pub ticketed: bool,
}

/// What an invariant is about, and how one of these is judged.
#[derive(Clone, Copy)]
pub enum Judge {
    Cluster(fn(&Scene<'_>) -> Judgement),
    EachStore(fn(&Scene<'_>, &Store) -> Judgement),
    EachMember(fn(&Scene<'_>, &PdMember) -> Judgement),
    /// PD, the source that all stores' metrics come from, and each store.
    Sources {
        pd: fn(&Scene<'_>) -> Judgement,
        metrics: fn(&Scene<'_>) -> Judgement,
        store: fn(&Scene<'_>, &Store) -> Judgement,
    },
}

/// All that is said of an invariant. What can be set are its defaults.
pub struct Facts {
    /// For narrow panes, after the name of the subject.
    pub title: &'static str,
    pub severity: Severity,
    /// See [`Scene::threshold`].
    pub threshold: f64,
    pub grace: Grace,
    /// Whether it is judged from rates, which lag by their window.
    pub from_rates: bool,
    pub judge: Judge,
}

impl Invariant {
    pub fn facts(self) -> Facts {
        use Judge::{Cluster, EachMember, EachStore, Sources};
        use Severity::{Critical, Warning};
        let facts = |title, severity, grace, judge| Facts {
            title,
            severity,
            threshold: 0.0,
            grace,
            from_rates: false,
            judge,
        };
        match self {
            Self::StoreDown => facts("down", Critical, seconds(0), EachStore(store_down)),
            Self::PdNoLeader => facts(
                "no PD leader",
                Critical,
                Grace::Elections(1.0),
                Cluster(pd_no_leader),
            ),
            Self::PdMemberDown => facts("down", Warning, seconds(5), EachMember(pd_member_down)),
            // Leaders move after every fault: only what takes longer than an election is a
            // violation.
            Self::RegionUnavailable => facts(
                "regions cut off",
                Critical,
                Grace::Elections(1.5),
                Cluster(region_unavailable),
            ),
            Self::UnderReplicated => facts(
                "too few copies",
                Warning,
                seconds(60),
                Cluster(under_replicated),
            ),
            Self::HighLatency => Facts {
                threshold: 100.0,
                from_rates: true,
                ..facts("slow", Warning, seconds(60), EachStore(high_latency))
            },
            Self::SlowStore => Facts {
                threshold: 50.0,
                ..facts("falls behind", Warning, seconds(60), EachStore(slow_store))
            },
            Self::LowDiskSpace => Facts {
                threshold: 0.2,
                ..facts("disk full", Warning, seconds(10), EachStore(low_disk_space))
            },
            Self::ObservationFailed => facts(
                "cannot be observed",
                Warning,
                seconds(30),
                Sources {
                    pd: pd_observed,
                    metrics: blind_metrics,
                    store: store_observed,
                },
            ),
        }
    }

    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The key of this invariant on a subject; on the whole cluster, if there is none.
    pub fn on(self, subject: Option<impl fmt::Display>) -> ViolationKey {
        ViolationKey {
            invariant: self,
            subject: subject.map(|s| s.to_string()),
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One invariant on one subject: what a ticket is about. Printed as the ledger keeps it:
/// `store_down:4`, or `pd_no_leader` for the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolationKey {
    pub invariant: Invariant,
    /// A store's id, or the name of a PD member.
    pub subject: Option<String>,
}

impl ViolationKey {
    /// None: the ticket is about no invariant that is judged here.
    pub fn of_ticket(ticket: &LiveTicket) -> Option<Self> {
        if ticket.key.starts_with(ALERT_KEY) {
            return None;
        }
        let invariant = ticket.invariant.parse::<Invariant>().ok()?;
        Some(invariant.on(ticket.subject.as_ref()))
    }
}

impl fmt::Display for ViolationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{}:{subject}", self.invariant),
            None => write!(f, "{}", self.invariant),
        }
    }
}

fn store_down(scene: &Scene<'_>, store: &Store) -> Judgement {
    let Store { name, address, .. } = store;
    let ago = |at| scene.snapshot.at.duration_since(at).as_secs().max(0);
    let last = match store.last_heartbeat {
        Some(at) => match ago(at) {
            s @ ..600 => format!("last heartbeat {s} s ago"),
            s => format!(
                "last heartbeat {} ago",
                span::short(Duration::from_secs(s as u64))
            ),
        },
        None => "no heartbeat yet".to_owned(),
    };
    match store.life() {
        Life::Alive => {
            let text = match store.state {
                StoreState::Up => format!("{name} is up, {last}"),
                StoreState::Offline | StoreState::Tombstone => {
                    format!("{name} is being removed, {last}")
                }
                // PD's own word for it is older than what we know.
                StoreState::Disconnected | StoreState::Down => {
                    format!(
                        "{name} lives; PD's leader is new in office and has not heard of it yet"
                    )
                }
                StoreState::Unknown => format!("{name} is heard of, {last}"),
            };
            (Reading::Clear, text)
        }
        Life::Joining => (
            Reading::Clear,
            format!("{name} ({address}) joins: PD waits for its first heartbeat"),
        ),
        Life::Suspect(Doubt::NoAnswer(since)) => (
            Reading::Unknown,
            format!(
                "{name} ({address}) has not answered for {} s; PD has not called it silent yet, {last}",
                ago(since)
            ),
        ),
        Life::Suspect(_) => (
            Reading::Unknown,
            format!("{name} ({address}): its heartbeat is late, {last}"),
        ),
        Life::Silent => silent(scene, store, &last),
        Life::Unknown(Doubt::State) => (
            Reading::Unknown,
            format!("{name}: PD gives no state that is known here"),
        ),
        Life::Unknown(_) => (
            Reading::Unknown,
            format!(
                "{name} ({address}): PD's leader may be new in office and has not heard of it yet"
            ),
        ),
    }
}

/// A store that is silent: what PD calls it changes nothing, except that one which is removed and
/// holds nothing any more is not missed.
fn silent(scene: &Scene<'_>, store: &Store, last: &str) -> Judgement {
    let Store { name, address, .. } = store;
    let regions = scene.snapshot.regions.fresh().filter(|r| !r.uncounted);
    let named = regions.map_or(store.regions, |r| {
        Some(r.on_lost.get(&store.id).copied().unwrap_or(0))
    });
    let removed = match store.state {
        StoreState::Disconnected => {
            return (
                Reading::Violated,
                format!("{name} ({address}) is disconnected: {last}"),
            );
        }
        StoreState::Down => {
            return (
                Reading::Violated,
                format!("{name} ({address}) is down: {last}"),
            );
        }
        StoreState::Offline => "is being removed",
        StoreState::Tombstone => "has been removed",
        StoreState::Up | StoreState::Unknown => {
            return (
                Reading::Violated,
                format!("{name} ({address}) is silent: {last}"),
            );
        }
    };
    match named {
        Some(0) => (
            Reading::Clear,
            format!("{name} {removed}; no region is left on it"),
        ),
        named => (
            Reading::Violated,
            format!(
                "{name} ({address}) is silent: {last}. It {removed}, and {} still on it",
                named.map_or(
                    "what is there is not known to be anywhere else: regions may be".into(),
                    |n| { count(n, "region is", "regions are") }
                )
            ),
        ),
    }
}

/// A store that PD does not list, with so many regions still on it.
pub(super) fn unlisted(store: &str, regions: u64) -> Judgement {
    let text = format!(
        "store {store} is gone from PD's list, and {} still on it: taking it off the list repairs nothing",
        count(regions, "region is", "regions are")
    );
    (Reading::Violated, text)
}

fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn pd_no_leader(scene: &Scene<'_>) -> Judgement {
    let seen = &scene.snapshot.pd_leader;
    match seen.fresh() {
        Some(Some(leader)) => (Reading::Clear, format!("PD leader is {leader}")),
        Some(None) => (Reading::Violated, "PD has no leader".to_owned()),
        None => (Reading::Unknown, unknown(seen.error.as_ref())),
    }
}

fn pd_member_down(_: &Scene<'_>, member: &PdMember) -> Judgement {
    let PdMember { name, address, .. } = member;
    match member.state {
        MemberState::Down => (
            Reading::Violated,
            format!("PD member {name} does not answer at {address}"),
        ),
        MemberState::NeverStarted => (
            Reading::Violated,
            format!(
                "a PD member ({name}) was added and has never started; it counts for PD's majority"
            ),
        ),
        MemberState::Unknown => (
            Reading::Unknown,
            format!("PD member {name}: no word from it or of it"),
        ),
        MemberState::Leader | MemberState::Follower => {
            (Reading::Clear, format!("PD member {name} answers"))
        }
    }
}

fn region_unavailable(scene: &Scene<'_>) -> Judgement {
    let Some(r) = scene.snapshot.regions.fresh() else {
        let why = scene.snapshot.regions.error.as_ref();
        return (Reading::Unknown, unknown(why));
    };
    let stuck = r.unserved();
    if stuck as f64 > scene.threshold {
        let mut text = format!(
            "{stuck} of {} regions cannot be served: {} without leader, {} without quorum",
            r.total, r.leaderless, r.no_quorum
        );
        if r.in_doubt > 0 {
            text += &format!(", {} more in doubt", r.in_doubt);
        }
        if let Some(at) = r.counted_at {
            let age = scene.snapshot.at.duration_since(at).as_secs().max(0);
            text += &format!("; counted {age} s ago");
        }
        return (Reading::Violated, text);
    }
    if r.in_doubt as f64 > scene.threshold {
        return (Reading::Unknown, in_doubt(r));
    }
    let text = format!("all {} regions can be served", r.total);
    (Reading::Clear, text)
}

fn in_doubt(r: &Regions) -> String {
    if r.uncounted {
        return format!(
            "nobody has counted how many of {} regions can be served: not every store is known to live",
            r.total
        );
    }
    format!(
        "it is not known of {} of {} regions whether they can be served",
        r.in_doubt, r.total
    )
}

fn under_replicated(scene: &Scene<'_>) -> Judgement {
    let Some(r) = scene.snapshot.regions.fresh() else {
        let why = scene.snapshot.regions.error.as_ref();
        return (Reading::Unknown, unknown(why));
    };
    let short = r.down_peer.max(r.miss_peer);
    if short as f64 <= scene.threshold && r.in_doubt > 0 {
        return (Reading::Unknown, in_doubt(r));
    }
    if short as f64 <= scene.threshold {
        let text = format!("all {} regions have their replicas", r.total);
        return (Reading::Clear, text);
    }
    let text = format!(
        "{short} of {} regions lack a replica: {} with a peer down, {} with one missing",
        r.total, r.down_peer, r.miss_peer
    );
    (Reading::Violated, text)
}

fn high_latency(scene: &Scene<'_>, store: &Store) -> Judgement {
    let (name, limit) = (&store.name, scene.threshold);
    let Some(traffic) = store.traffic.fresh() else {
        let why = match &store.traffic.error {
            Some(why) => why.to_string(),
            None => "not measured".to_owned(),
        };
        return (Reading::Unknown, format!("{name}: latency unknown: {why}"));
    };
    let down = store.life() == Life::Silent;
    match traffic.p99_ms {
        _ if down => (Reading::Unknown, format!("{name}: not up")),
        Some(p99) if p99 > limit => (
            Reading::Violated,
            format!("{name} answers slowly: p99 {p99:.0} ms, limit {limit:.0} ms"),
        ),
        Some(p99) => (Reading::Clear, format!("{name}: p99 {p99:.1} ms")),
        None if store.engine == Engine::Tiflash => (
            Reading::Clear,
            format!("{name}: TiFlash counts its queries elsewhere"),
        ),
        None if traffic.refused_per_s.is_some_and(|refused| refused > 0.0) => (
            Reading::Unknown,
            format!("{name}: what it answers are refusals alone"),
        ),
        None if traffic.ops_per_s.is_none() => (
            Reading::Unknown,
            format!("{name}: its counters are no numbers"),
        ),
        // Silence proves nothing of a store that was slow and still has something to serve: it
        // may hang.
        None if store.leaders != Some(0) && scene.ticketed => {
            (Reading::Unknown, format!("{name}: no requests to measure"))
        }
        None => (Reading::Clear, format!("{name}: no requests")),
    }
}

/// By the store's own word to PD, which moves leaders away from the slowest.
fn slow_store(scene: &Scene<'_>, store: &Store) -> Judgement {
    let (name, limit, strain) = (&store.name, scene.threshold, &store.strain);
    // What it said last is not what it would say.
    if !matches!(store.life(), Life::Alive | Life::Joining) {
        return (Reading::Unknown, format!("{name}: not up"));
    }
    let behind = match strain.pending_peers {
        Some(peers) if peers > 0 => format!(", {peers} pending peers"),
        _ => String::new(),
    };
    let busy = if strain.busy {
        ", and says it is busy"
    } else {
        ""
    };
    match strain.slow_score {
        Some(score) if score as f64 > limit => (
            Reading::Violated,
            format!("{name} is slow: score {score} of 100, limit {limit:.0}{busy}{behind}"),
        ),
        // A healthy store that gets no requests may say for ever that it is busy.
        Some(score) => (
            Reading::Clear,
            format!("{name}: slow score {score} of 100{busy}{behind}"),
        ),
        None if scene.ticketed => (Reading::Unknown, format!("{name}: PD keeps no slow score")),
        None => (Reading::Clear, format!("{name}: PD keeps no slow score")),
    }
}

fn low_disk_space(scene: &Scene<'_>, store: &Store) -> Judgement {
    let (name, limit) = (&store.name, scene.threshold);
    match store.disk_used().map(|used| 1.0 - used) {
        Some(free) if free < limit => (
            Reading::Violated,
            format!(
                "{name} is short of disk: {:.0} % available, limit {:.0} %",
                free * 100.0,
                limit * 100.0
            ),
        ),
        Some(free) => (
            Reading::Clear,
            format!("{name}: {:.0} % available", free * 100.0),
        ),
        None => (
            Reading::Unknown,
            format!("{name}: PD does not say how full it is"),
        ),
    }
}

/// Not being able to look is a violation of its own, if it lasts.
fn pd_observed(scene: &Scene<'_>) -> Judgement {
    let seen = scene.snapshot;
    if seen.not_bootstrapped() {
        let text = UnknownReason::NotBootstrapped.to_string();
        return (Reading::Clear, text);
    }
    let blind = [
        ("the stores", &seen.stores.error),
        ("PD's members", &seen.pd.error),
        ("the regions", &seen.regions.error),
    ];
    let blind = blind.map(|(what, why)| why.as_ref().map(|why| (what, why)));
    let blind: Vec<_> = blind.into_iter().flatten().collect();
    match blind.first() {
        // PD that answers "no leader" is seen well: that is pd_no_leader.
        Some(_) if seen.pd_leader.fresh() == Some(&None) => {
            (Reading::Clear, "PD answers, without a leader".to_owned())
        }
        Some((_, why)) => {
            let what: Vec<_> = blind.iter().map(|(what, _)| *what).collect();
            let text = format!(
                "the cluster cannot be observed: {why}. Unknown for it: {}",
                what.join(", ")
            );
            (Reading::Violated, text)
        }
        None => (Reading::Clear, "PD answers".to_owned()),
    }
}

fn store_observed(scene: &Scene<'_>, store: &Store) -> Judgement {
    let name = &store.name;
    match (&store.traffic.error, store.life()) {
        (None | Some(UnknownReason::FirstSample), _) => {
            (Reading::Clear, format!("{name}: metrics are read"))
        }
        (Some(_), Life::Silent) => (Reading::Clear, format!("{name}: not up, nothing to read")),
        (Some(why), Life::Alive | Life::Joining) => {
            if shared_failure(scene.snapshot).is_some_and(|shared| shared.blinds(store)) {
                let text = format!("{name}: metrics cannot be read, as of other stores: {why}");
                return (Reading::Unknown, text);
            }
            (
                Reading::Violated,
                format!("{name}: metrics cannot be read: {why}"),
            )
        }
        (Some(_), Life::Suspect(_) | Life::Unknown(_)) => (
            Reading::Unknown,
            format!("{name}: it is not known whether it lives"),
        ),
    }
}

/// Why something is unknown, in words.
pub fn unknown(why: Option<&UnknownReason>) -> String {
    match why {
        Some(why) => format!("unknown: {why}"),
        None => "unknown: not observed".to_owned(),
    }
}
