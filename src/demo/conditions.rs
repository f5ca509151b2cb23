//! What a chapter can wait for, and whether it holds. Pure.
//!
//! Of tickets and sessions only what came after this run's fault counts.

use crate::cluster::{ClusterSnapshot, MemberState, StoreState};
use jiff::Timestamp;
use operator_ledger::{Resolution, Status, Ticket};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    LabReady,
    ClusterHealthy,
    LoadRunning,
    TicketOpen,
    SessionActive,
    TicketProven,
    TicketsClosed,
}

impl Condition {
    pub const ALL: [Self; 7] = [
        Self::LabReady,
        Self::ClusterHealthy,
        Self::LoadRunning,
        Self::TicketOpen,
        Self::SessionActive,
        Self::TicketProven,
        Self::TicketsClosed,
    ];

    /// The word in a chapter file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LabReady => "lab.ready",
            Self::ClusterHealthy => "cluster.healthy",
            Self::LoadRunning => "load.running",
            Self::TicketOpen => "ticket.open",
            Self::SessionActive => "session.active",
            Self::TicketProven => "ticket.proven",
            Self::TicketsClosed => "tickets.closed",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == word)
    }

    /// What is waited for, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::LabReady => "the lab is up",
            Self::ClusterHealthy => "every store and PD member is up",
            Self::LoadRunning => "requests are served",
            Self::TicketOpen => "the monitor opens a ticket",
            Self::SessionActive => "the agent takes the ticket",
            Self::TicketProven => "repair proven",
            Self::TicketsClosed => "every ticket of the fault is closed",
        }
    }

    pub fn holds(self, world: &World<'_>) -> bool {
        match self {
            Self::LabReady => world.lab_ready,
            Self::ClusterHealthy => world.snapshot.is_some_and(healthy),
            Self::LoadRunning => world
                .snapshot
                .and_then(|s| s.traffic.fresh()?.ops_per_s)
                .is_some_and(|ops| ops >= 1.0),
            Self::TicketOpen => world.fault_ticket().is_some(),
            Self::SessionActive => world
                .fault_ticket()
                .is_some_and(|t| t.attempts > 0 || t.status == Status::Acknowledged),
            Self::TicketProven => world
                .fault_ticket()
                .is_some_and(|t| t.resolution == Some(Resolution::Proven)),
            Self::TicketsClosed => {
                world.injected.is_some()
                    && world.fault_ticket().is_some()
                    && world.since_fault().all(|t| t.status == Status::Resolved)
            }
        }
    }
}

/// A fault that was really injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// `kill` or `pause`.
    pub kind: String,
    pub node: String,
    pub at: Timestamp,
    /// The newest ticket there was before it.
    pub newest_ticket: i64,
}

/// What is known of the world, as far as conditions ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct World<'a> {
    pub lab_ready: bool,
    pub snapshot: Option<&'a ClusterSnapshot>,
    pub tickets: &'a [Ticket],
    pub injected: Option<&'a Injected>,
}

impl<'a> World<'a> {
    /// Tickets that came after the fault.
    pub fn since_fault(self) -> impl Iterator<Item = &'a Ticket> {
        let after = self.injected.map_or(i64::MAX, |i| i.newest_ticket);
        self.tickets.iter().filter(move |t| t.id > after)
    }

    /// The ticket of the fault itself: that the store it was done to is down.
    pub fn fault_ticket(self) -> Option<&'a Ticket> {
        let node = &self.injected?.node;
        let store = self
            .snapshot?
            .stores
            .value
            .as_ref()?
            .iter()
            .find(|s| s.name == *node)?;
        let id = store.id.to_string();
        self.since_fault()
            .filter(|t| t.invariant == "store_down" && t.store_id.as_deref() == Some(&id))
            .min_by_key(|t| t.id)
    }
}

fn healthy(s: &ClusterSnapshot) -> bool {
    let stores = s.stores.fresh().is_some_and(|all| {
        !all.is_empty() && all.iter().all(|s| s.serves() && s.state == StoreState::Up)
    });
    let members = s.pd.fresh().is_some_and(|all| {
        all.iter()
            .all(|m| matches!(m.state, MemberState::Leader | MemberState::Follower))
    });
    let regions = s.regions.fresh().is_some_and(|r| {
        r.unserved() == 0 && r.in_doubt == 0 && r.down_peer == 0 && r.miss_peer == 0
    });
    stores && members && regions && matches!(s.pd_leader.fresh(), Some(Some(_)))
}
