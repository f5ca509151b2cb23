//! The invariants of a TiKV cluster. Each is written here and nowhere else: a variant, its row of
//! facts, and the function that judges it. All else (settings, subjects, words) derives from that.
//!
//! A judge is pure and says what was seen, not why. What it cannot see reads unknown, never clear.

use crate::cluster::{
    ClusterSnapshot, Engine, MemberState, PdMember, Store, StoreState, UnknownReason,
};
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
    /// Milliseconds for `high_latency`, available share (0 to 1) for `low_disk_space`, a count
    /// that is still all right for the others.
    pub threshold: f64,
    /// Whether the subject has a ticket, or was there before and is no longer.
    pub known: bool,
}

/// What an invariant is about, and how one of these is judged.
#[derive(Clone, Copy)]
pub enum Judge {
    Cluster(fn(&Scene<'_>) -> Judgement),
    EachStore(fn(&Scene<'_>, &Store) -> Judgement),
    EachMember(fn(&Scene<'_>, &PdMember) -> Judgement),
    PdAndEachStore(
        fn(&Scene<'_>) -> Judgement,
        fn(&Scene<'_>, &Store) -> Judgement,
    ),
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
        use Judge::{Cluster, EachMember, EachStore, PdAndEachStore};
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
            Self::LowDiskSpace => Facts {
                threshold: 0.2,
                ..facts("disk full", Warning, seconds(10), EachStore(low_disk_space))
            },
            Self::ObservationFailed => facts(
                "cannot be observed",
                Warning,
                seconds(30),
                PdAndEachStore(pd_observed, store_observed),
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
    let silent = match store.last_heartbeat {
        Some(at) => {
            let s = scene.snapshot.at.duration_since(at).as_secs().max(0);
            format!("last heartbeat {s} s ago")
        }
        None => "no heartbeat yet".to_owned(),
    };
    match store.state {
        StoreState::Up => (Reading::Clear, format!("{name} is up, {silent}")),
        StoreState::Disconnected => (
            Reading::Violated,
            format!("{name} ({address}) is disconnected: {silent}"),
        ),
        StoreState::Down => (
            Reading::Violated,
            format!("{name} ({address}) is down: {silent}"),
        ),
        // Leaving on purpose.
        StoreState::Offline | StoreState::Tombstone => {
            (Reading::Clear, format!("{name} is being removed"))
        }
        StoreState::Unknown => (
            Reading::Unknown,
            format!("{name}: PD gives no state that is known here"),
        ),
    }
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
    let stuck = r.leaderless.max(r.no_quorum);
    if stuck as f64 <= scene.threshold {
        let text = format!("all {} regions can be served", r.total);
        return (Reading::Clear, text);
    }
    let text = format!(
        "{stuck} of {} regions cannot be served: {} without leader, {} without quorum",
        r.total, r.leaderless, r.no_quorum
    );
    (Reading::Violated, text)
}

fn under_replicated(scene: &Scene<'_>) -> Judgement {
    let Some(r) = scene.snapshot.regions.fresh() else {
        let why = scene.snapshot.regions.error.as_ref();
        return (Reading::Unknown, unknown(why));
    };
    let short = r.down_peer.max(r.miss_peer);
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
    let down = store_down(scene, store).0 == Reading::Violated;
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
        None if store.leaders != Some(0) && scene.known => {
            (Reading::Unknown, format!("{name}: no requests to measure"))
        }
        None => (Reading::Clear, format!("{name}: no requests")),
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
    let blind = [&seen.stores.error, &seen.pd.error, &seen.regions.error];
    match blind.into_iter().flatten().next() {
        // PD that answers "no leader" is seen well: that is pd_no_leader.
        Some(_) if seen.pd_leader.fresh() == Some(&None) => {
            (Reading::Clear, "PD answers, without a leader".to_owned())
        }
        Some(why) => (
            Reading::Violated,
            format!("the cluster cannot be observed: {why}"),
        ),
        None => (Reading::Clear, "PD answers".to_owned()),
    }
}

fn store_observed(_: &Scene<'_>, store: &Store) -> Judgement {
    let name = &store.name;
    match (&store.traffic.error, store.state) {
        (Some(UnknownReason::Failed(why)), StoreState::Up) => (
            Reading::Violated,
            format!("{name}: metrics cannot be read: {why}"),
        ),
        (Some(_), state) if state != StoreState::Up => {
            (Reading::Clear, format!("{name}: not up, nothing to read"))
        }
        _ => (Reading::Clear, format!("{name}: metrics are read")),
    }
}

/// Why something is unknown, in words.
pub fn unknown(why: Option<&UnknownReason>) -> String {
    match why {
        Some(why) => format!("unknown: {why}"),
        None => "unknown: not observed".to_owned(),
    }
}
