//! Every time constant of the lab, in one place, with the reason for each.
//!
//! The lab must be quick enough to watch and calm enough for a busy machine with two cores. Real
//! values of TiKV and PD stand beside ours. What an operator can change while the lab runs
//! (Disconnected, Down, down-peer) is PD configuration; here are its defaults.

use std::time::Duration;

/// Raft heartbeat. openraft ticks every one and a half of these, so a follower hears from its
/// leader every 750 ms. TiKV: 2 s.
pub const RAFT_HEARTBEAT: Duration = Duration::from_millis(500);

/// A follower waits for the leader's lease (the maximum) and then for a random time between the
/// two: a leader that dies is replaced after 4 to 5 s, one that misses two heartbeats is not.
/// TiKV: 10 to 20 s.
pub const ELECTION_MIN: Duration = Duration::from_millis(1700);
pub const ELECTION_MAX: Duration = Duration::from_millis(2100);

/// A leader answers reads, and counts as leader, while a follower has acknowledged it this
/// recently. Must stay below `ELECTION_MAX`, the time in which nobody else can be elected.
pub const READ_LEASE: Duration = Duration::from_millis(1700);

/// Longest a write waits to be replicated before the caller is told that it is not known.
pub const PROPOSE_LIMIT: Duration = Duration::from_secs(2);

/// Longest a leader holds writes back while it hands a region over.
pub const HAND_OVER_LIMIT: Duration = Duration::from_millis(1500);

/// Store to PD. TiKV: 10 s for stores, 60 s for regions.
pub const STORE_HEARTBEAT: Duration = Duration::from_secs(1);

/// PD calls a store Disconnected after this long without a heartbeat. PD: 20 s.
pub const STORE_DISCONNECTED: Duration = Duration::from_secs(4);

/// PD calls a store Down after this long. PD: 30 min (`max-store-down-time`).
pub const STORE_DOWN: Duration = Duration::from_secs(20);

/// A peer that has not answered its leader for this long is a down peer. TiKV: 10 min.
pub const PEER_DOWN: Duration = Duration::from_secs(8);

/// A leader mentions a peer to PD when it has not answered for this long; PD decides.
pub const PEER_SILENT: Duration = Duration::from_secs(2);

/// PD forgets the leader of a region of which no leader has reported for this long.
pub const REGION_LEADER_SILENT: Duration = Duration::from_secs(4);

/// How often PD compares what is with what should be.
pub const PD_TICK: Duration = Duration::from_secs(1);

/// A gap between two ticks of PD this much longer than a tick means that PD itself was frozen:
/// time in which it could hear no heartbeat is not held against the stores.
pub const PD_FROZEN: Duration = Duration::from_millis(1500);

/// A store must have been up this long before leaders go (back) to it.
pub const SETTLED: Duration = Duration::from_secs(3);

/// An instruction to hand a region over that has not been followed by then is given up.
pub const OPERATOR_LIMIT: Duration = Duration::from_secs(4);

/// PD records the last heartbeat of each store this often. What it knows of stores beyond that, a
/// PD leader that is new in office has yet to be told. As PD: 5 min.
pub const HEARTBEAT_RECORD: Duration = Duration::from_secs(300);

/// The last of all regions has reported to a PD leader this long after it took office. TiKV: 60 s.
pub const REGION_HEARTBEAT: Duration = Duration::from_secs(3);

/// How long a PD member looks for a leader before it answers that there is none. PD: 3 s.
pub const REDIRECT_WAIT: Duration = Duration::from_secs(1);

/// A PD follower's patience with the leader it forwards to.
pub const PROXY_LIMIT: Duration = Duration::from_secs(2);

/// Ping of one PD member for `/health`. PD: 3 s each, one after another; ours in parallel.
pub const HEALTH_PING: Duration = Duration::from_millis(800);

/// Connecting on loopback: a refused port answers at once, so this is about frozen processes.
pub const CONNECT_LIMIT: Duration = Duration::from_millis(800);

/// One operation of the load, retries not included.
pub const LOAD_CALL: Duration = Duration::from_millis(900);

/// The load gives an operation up after this long, retries included.
pub const LOAD_OPERATION: Duration = Duration::from_secs(3);

/// How often a store counts the bytes of its data folder. TiKV: 60 s.
pub const DISK_SCAN: Duration = Duration::from_secs(2);

/// From TERM to KILL when a node is stopped.
pub const STOP_GRACE: Duration = Duration::from_secs(3);

/// The keeper answers within this time, or it is taken for stuck. Stopping everything is the
/// slowest thing it is asked for.
pub const KEEPER_CALL: Duration = Duration::from_secs(12);

/// `lab up` gives up after this long. The aim is 15 s.
pub const UP_LIMIT: Duration = Duration::from_secs(45);

/// What a monitor is told of this lab: how soon PD calls a store disconnected and a region has a new
/// leader, and from when a store is slow. Its own defaults are a real cluster's. The stores of a lab
/// share one machine with whatever else runs on it, so that a busy one has them answer after some
/// hundred milliseconds; from half of what a client of the lab waits for an operation on they are slow.
pub const MONITOR_LIMITS: [&str; 10] = [
    "--interval",
    "1s",
    "--heartbeat-limit",
    "4s",
    "--election-limit",
    "5s",
    "--rate-window",
    "5s",
    "--latency-limit",
    "450ms",
];
