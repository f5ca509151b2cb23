//! What everybody may ask for.

use super::{Carry, Reader, Reply, calls};
use crate::{
    ChainReport, CommandRow, CrowdMember, EntryMark, EntryRow, Fault, FinishRow, Heartbeat,
    HoldRow, InGrace, Incident, IncidentReport, LedgerReport, ListedSession, LiveTicket, Lost,
    Measured, Notification, NotificationCursor, ObservedChange, OrderRow, OutputChunk, Payment,
    RunningSession, Sample, SampleFigures, ServiceRow, SessionRow, Sighting, Standing, Statistics,
    Status, SystemId, Ticket, TicketEvent, Verification, VerificationRow, WaitingProposal,
    usage::Spent,
};
use jiff::Timestamp;
use std::{path::Path, time::Duration};

calls!(Reader {
    /// What commands left running that stays, the newest first, ended or not.
    fn services() -> Vec<ServiceRow>;

    /// Whether another connection or process wrote since the last call. The first call says yes.
    /// Costs microseconds (`PRAGMA data_version`). Own writes do not count.
    fn changed() -> bool;

    /// Whether the ledger is there and whole, as far as can be told without reading all of it. To be
    /// asked before anything is done that must be on record.
    fn still_there() -> ();

    /// What became of the ledger that was opened first, where this reads on in what is there now.
    fn taken_away() -> Option<Lost>;

    fn ticket(id: i64) -> Option<Ticket>;

    fn incident(id: i64) -> Option<Incident>;

    /// The newest `limit` incidents, newest first, all that are not over before the others.
    fn incidents(limit: usize) -> Vec<Incident>;

    /// An incident with its tickets, what happened to it, what people said, and those before it.
    fn incident_report(id: i64) -> Option<IncidentReport>;

    /// Tickets of an incident: those that are not over first, of them the worst.
    fn tickets_of_incident(id: i64) -> Vec<Ticket>;

    /// What people told agents in an incident, oldest first.
    fn orders(incident: i64) -> Vec<OrderRow>;

    /// What people keep agents from at present.
    fn holds() -> Vec<HoldRow>;

    /// The newest `limit` tickets, newest first, all unresolved ones before the others.
    fn tickets(limit: usize) -> Vec<Ticket>;

    /// Tickets with one status, newest first.
    fn tickets_with_status(status: Status, limit: usize) -> Vec<Ticket>;

    /// Tickets of the same incident, oldest first, without `ticket` itself.
    fn siblings(ticket: &Ticket) -> Vec<Ticket>;

    /// How many tickets are resolved, and how many are not.
    fn ticket_counts() -> (u64, u64);

    /// What happened to a ticket, oldest first.
    fn ticket_events(ticket: i64) -> Vec<TicketEvent>;

    /// The id of the newest ticket; 0 if there is none.
    fn newest_ticket() -> i64;

    /// What the unresolved tickets of a cluster are about that were not opened by hand.
    fn live_keys(cluster_id: &SystemId) -> Vec<LiveTicket>;

    /// Tickets of a cluster that were unresolved at some time between two, oldest first.
    fn tickets_between(
        cluster_id: Option<&SystemId>,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<Ticket>;

    fn verification(id: i64) -> Verification;

    /// Requests for proof of a ticket's incident, oldest first.
    fn verifications(ticket: i64) -> Vec<VerificationRow>;

    /// How sessions said that they end their work on a ticket's incident, the newest first.
    fn finishes(ticket: i64) -> Vec<FinishRow>;

    /// How one session said that it ends, the newest first.
    fn finishes_of_session(session: &str) -> Vec<FinishRow>;

    /// What the monitor saw last of what a ticket is about. None: nobody looks for it, or nobody has
    /// since this machine started.
    fn sighting(ticket: i64) -> Option<Sighting>;

    /// Whether somebody waits for a check sooner than the next is due.
    fn check_wanted(cluster_id: &SystemId) -> bool;

    fn session(id: &str) -> Option<SessionRow>;

    /// The newest `limit` sessions, newest first.
    fn sessions(limit: usize) -> Vec<SessionRow>;

    /// Sessions older than the one at `before` (None: from the newest), newest first.
    fn session_list(before: Option<i64>, limit: usize) -> Vec<ListedSession>;

    /// Sessions on a ticket's incident, oldest first.
    fn sessions_of_ticket(ticket: i64) -> Vec<SessionRow>;

    /// Sessions marked running, the oldest first. None: of every cluster.
    fn running_sessions(cluster_id: Option<&SystemId>) -> Vec<RunningSession>;

    /// The session an unambiguous beginning of its id names.
    fn find_session(prefix: &str) -> String;

    /// Looks for damage, for what is missing or was added, and for what differs from the chains.
    fn verify_ledger() -> LedgerReport;

    /// The newest row of the ledger's chain and its hash. None: an empty ledger.
    fn chain_head() -> Option<(i64, String)>;

    /// Recomputes the chain of one session.
    fn verify_session(session: &str) -> ChainReport;

    /// What a session waits for a person to decide. Its last entry says that it waits.
    fn waiting_proposal(session: &str) -> Option<WaitingProposal>;

    /// Calls of a session that wait for a person, oldest first.
    fn open_proposals(session: &str) -> Vec<String>;

    /// Entries of a session after entry `after` (0: from the first), oldest first.
    fn entries(session: &str, after: i64, limit: usize) -> Vec<EntryRow>;

    /// Whether some command has a hash under a `record.key`.
    fn has_original_hashes() -> bool;

    /// The last `limit` entries of a session before entry `before`, oldest first.
    fn entries_before(session: &str, before: i64, limit: usize) -> Vec<EntryRow>;

    /// The call's own entry and the one with its result, if they are there.
    fn entries_of_call(session: &str, call: &str) -> Vec<EntryRow>;

    /// The first and the last entry of a session. None: it has none.
    fn entry_span(session: &str) -> Option<(i64, i64)>;

    /// All entries of a session without their texts, in order, at most `limit`.
    fn entry_marks(session: &str, limit: usize) -> Vec<EntryMark>;

    /// Stored output of one call, in order, up to `limit` chunks.
    fn output(session: &str, call: &str, limit: usize) -> Vec<OutputChunk>;

    /// Stored output of the call that `result` ended, in order, up to `limit` chunks. Some servers
    /// use the id of a call again; then only its own part is meant.
    fn output_of(result: &EntryRow, limit: usize) -> Vec<OutputChunk>;

    /// Output of a call after row `after` (0: from the first), in order, with the rows' ids.
    fn output_after(session: &str, call: &str, after: i64, limit: usize) -> Vec<(i64, OutputChunk)>;

    /// The last output of a call, in order, with the rows' ids.
    fn output_tail(session: &str, call: &str, limit: usize) -> Vec<(i64, OutputChunk)>;

    /// The last output of a call after one time and up to another, in order.
    fn output_between(
        session: &str,
        call: &str,
        after: Timestamp,
        upto: Timestamp,
        limit: usize,
    ) -> Vec<OutputChunk>;

    /// Bytes and pieces of the stored output of a call.
    fn output_size(session: &str, call: &str) -> (u64, u64);

    /// One command; None if there is none with this id.
    fn command(id: i64) -> Option<CommandRow>;

    /// All commands to a session, oldest first.
    fn commands(session: &str) -> Vec<CommandRow>;

    /// What was spent on an incident since it began, or a person opened it again. `running` is the
    /// session that is not over, and how long it lasts already.
    fn spent_on_incident(incident: i64, running: Option<(&str, Duration)>) -> Spent;

    /// US dollars spent or set aside today, UTC, by all agents of this ledger.
    fn spent_today() -> f64;

    /// What a session paid for, oldest first.
    fn payments(session: &str) -> Vec<Payment>;

    /// Agents that wait for work or hold a ticket.
    fn agents_there() -> u64;

    /// The monitor's last check of a cluster; of whichever looked last, if none is named.
    fn heartbeat(cluster_id: Option<&SystemId>) -> Option<Heartbeat>;

    /// What the last check of a cluster found wrong that is no ticket yet: its grace runs.
    fn in_grace(cluster_id: &SystemId) -> Vec<InGrace>;

    /// The cluster that a monitor last saw at one of these PD addresses: what to go by while PD
    /// cannot say its name.
    fn cluster_at(addresses: &[String]) -> Option<SystemId>;

    /// The newest stored look at a cluster.
    fn newest_sample(cluster_id: &SystemId) -> Option<Sample>;

    /// Alerts that fire, and those that have an unresolved ticket. One that a person has resolved
    /// since it was last heard of is left out.
    fn standing_alerts(cluster_id: &SystemId) -> Standing;

    /// Alerts that fire and share a ticket: a page of them, those with an id after this one.
    fn crowd_members(cluster_id: &SystemId, after: i64) -> Vec<CrowdMember>;

    /// How far the news of a cluster were told. None: never any.
    fn told(cluster_id: &SystemId) -> Option<NotificationCursor>;

    /// Everything up to now.
    fn told_by_now() -> NotificationCursor;

    /// The next news of a cluster, the oldest first, and how far was looked for them: further
    /// than the last of them. An approval that was given or refused meanwhile is none.
    fn news(cluster_id: &SystemId, told: NotificationCursor) -> (Vec<Notification>, NotificationCursor);

    fn figures() -> Statistics;

    /// Samples of a cluster between two times, oldest first.
    fn samples(cluster_id: &SystemId, from: Timestamp, to: Timestamp) -> Vec<Sample>;

    /// What samples of a cluster between two times say in short, oldest first.
    fn sample_figures(cluster_id: &SystemId, from: Timestamp, to: Timestamp) -> Vec<SampleFigures>;

    /// The newest samples of a cluster up to a time, oldest first.
    fn samples_upto(cluster_id: &SystemId, upto: Timestamp, limit: usize) -> Vec<Sample>;

    /// What was measured between two times, oldest first.
    fn measured(cluster_id: &SystemId, from: Timestamp, to: Timestamp) -> Vec<Measured>;

    /// What was seen to have changed between two times, oldest first.
    fn observed_changes(
        cluster_id: &SystemId,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<ObservedChange>;

    /// Faults injected into a cluster, oldest first.
    fn faults(cluster_id: &SystemId) -> Vec<Fault>;
});

impl Reader {
    /// Writes the ledger as it is at one moment into a new file.
    pub fn back_up(&self, to: &Path) -> Reply<()> {
        let to = to.to_owned();
        self.handle().ask(move |engine| engine.back_up(&to))
    }
}
