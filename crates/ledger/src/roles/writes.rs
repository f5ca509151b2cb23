//! What agents, the monitor and people may have written, each their own.

use super::{AgentLedger, Carry, MonitorLedger, PersonLedger, Reply, calls};
use crate::{
    AlertNotice, Check, CheckOutcome, Claim, ClaimRequest, Crowd, Finish, FinishCall, Holder,
    Lease, Mono, NewEntry, NewHold, NewService, NewSession, NewTicket, NotificationCursor,
    OutputChunk, PruneReport, Received, Reservation, SessionWriter, SideCost, SystemId, Totals,
    event::{Control, Outcome},
};
use jiff::Timestamp;
use std::time::Duration;

calls!(AgentLedger {
    /// Takes the worst incident there is to take: open, or escalated and due again, or of an agent
    /// whose lease ran out; never beside another of the same system that is worked on. Passes over
    /// what the monitor no longer sees violated: clearing that is the monitor's.
    fn claim(request: ClaimRequest) -> Option<Claim>;

    /// Makes the lease last for another `duration` from now.
    fn renew(lease: &Lease, duration: Duration) -> ();

    /// Whether the lease still holds; the error says why it does not.
    fn check_lease(lease: &Lease) -> ();

    /// Gives the incident back, open, as if it had not been taken.
    fn release(lease: &Lease, why: &str) -> ();

    /// Gives the incident up. It is tried again after a wait that doubles, [`MAX_SESSIONS`](crate::MAX_SESSIONS) times in
    /// all; then, or at once if this is `final_`, it waits for a person.
    fn escalate(lease: &Lease, diagnosis: &str, why: &str, final_: bool) -> ();

    /// Notes what the agent found and that it says the repair is done. Proves nothing.
    fn set_diagnosis(lease: &Lease, text: &str) -> ();

    /// Writes down how the session says that it ends, in its record and in the ledger's. Proves
    /// nothing, and changes no ticket.
    fn finish(session: &SessionWriter, finish: &Finish, call: Option<&FinishCall>) -> i64;

    /// Keeps what a person said in a session with its incident: `text` as it is stored, `raw` as it was
    /// said. Once each.
    fn hear(session: &SessionWriter, text: &str, raw: &str, by: &str) -> ();

    /// Asks the monitor to prove a repair by data younger than now. What was opened by hand has no
    /// invariant that could prove it: answered at once.
    fn request_verification(lease: &Lease, session: &str) -> i64;

    /// Opens a session on a claimed incident.
    fn begin_session(new: NewSession) -> SessionWriter;

    /// Appends an entry. Durable when it returns; refused when the lease is lost.
    fn append(session: &SessionWriter, entry: NewEntry) -> i64;

    /// Writes down what a command left running that stays. Asks for no lease, since it has already
    /// happened.
    fn record_services(session: &SessionWriter, call: &str, services: &[NewService]) -> ();

    /// Appends output of commands of a session. Behind the work: asks for no lease, since what it
    /// stores has already happened.
    fn append_output(session: &str, chunks: &[OutputChunk]) -> ();

    /// Records one turn of the model, whole: its entries, what the session has used since it began
    /// and, of the money set aside for it, what it really cost.
    fn record_turn(
        session: &SessionWriter,
        rows: Vec<NewEntry>,
        totals: Totals,
        paid: Option<(Reservation, f64)>,
    ) -> Vec<i64>;

    /// Fills in an entry's short form, if there is one, and counts what it cost. The chain does not cover it.
    fn set_summary(entry: i64, session: &str, summary: Option<&str>, paid: SideCost) -> ();

    /// Ends the session with its last entry. Returns the head of its chain, hex. The incident keeps
    /// its state and its lease: end the session first, then release, escalate or leave it.
    fn end_session(session: &SessionWriter, outcome: Outcome, summary: &str) -> String;

    /// What is waiting for the holder of `lease` in its session, oldest first, each once. `by` is
    /// filled in from the row.
    fn take_commands(lease: &Lease, session: &str) -> Vec<Control>;

    /// Sets `usd` aside for the next request of a session. None: with it the day would cost more
    /// than `cap`.
    fn reserve(lease: &Lease, session: &str, usd: f64, cap: f64) -> Option<Reservation>;

    /// Replaces a reservation by what was really spent on the side of a session's turns.
    fn settle_beside(reservation: Reservation, session: &str, paid: SideCost) -> ();

    /// Notes that this agent is there. Those long gone are forgotten.
    fn agent_is_there(holder: &Holder, model: &str) -> ();

    /// Notes that this agent ends.
    fn agent_is_gone(holder: &Holder) -> ();
});

calls!(MonitorLedger {
    /// Gives what was recorded under a provisional cluster id, before PD could be asked, to the
    /// cluster it turned out to be.
    fn adopt_cluster(provisional: &SystemId, cluster_id: &SystemId) -> ();

    /// Writes a notification down. Durable when this returns.
    fn receive_alerts(cluster_id: &SystemId, notices: &[AlertNotice], crowd: &Crowd) -> Received;

    /// What Prometheus says of members of crowds: those it sees, and those it does not, each with
    /// the time after which that is the end of it.
    fn note_members(seen: &[i64], unseen: &[(i64, Duration)]) -> ();

    fn set_told(cluster_id: &SystemId, told: NotificationCursor) -> ();
});

calls!(PersonLedger {
    /// Writes down that `by` ends a service.
    fn end_service(id: i64, by: &str) -> ();

    /// Opens a ticket by hand, under a key of its own. Returns its id.
    fn open_ticket(new: NewTicket) -> i64;

    /// A person says that it is done. An agent at work on it is fenced off. False: it already was.
    fn resolve_by_person(id: i64, by: &str) -> bool;

    /// Opens a resolved or given-up ticket again, for agents to take: as if it were new, but with its
    /// history. False: it already is open, or an agent works on it. Refused where another
    /// unresolved ticket has the same key.
    fn reopen_by_person(id: i64, by: &str) -> bool;

    /// Holds what a ticket is about (no agent takes it, the monitor does not clear it), or its
    /// incident where it is about no certain thing; or lets that go again. What waited for a person
    /// is then open to agents anew, whether it was held or not. False: it already was so. Refused
    /// where another unresolved ticket has the same key.
    fn set_held(id: i64, held: bool, by: &str) -> bool;

    /// Keeps agents from an incident, a thing, a system or everything. Whoever is at work there
    /// stops: its session is interrupted in the same transaction. Returns the hold's number; refused
    /// where the same is held already.
    fn hold(new: NewHold) -> i64;

    /// Ends a hold. False: there is none with this number, or it has ended.
    fn end_hold(id: i64, by: &str) -> bool;

    /// Gives an incident to agents: ends its holds and those on its things, a person's claim, and its
    /// waiting for one. Holds on the whole system and a pause stay. False: there was nothing to end.
    fn release_incident(incident: i64, by: &str) -> bool;

    /// A person works on it: no agent does, on this one or another of the same system.
    fn take_incident(incident: i64, by: &str) -> ();

    /// Whoever took an incident says that it is repaired: the monitor is asked to prove it.
    fn finish_by_person(incident: i64, by: &str) -> i64;

    /// A person says that it is done: all its tickets. Returns how many that were.
    fn resolve_incident(id: i64, by: &str) -> usize;

    /// Opens an incident again that is over or was given up, for agents to take.
    fn reopen_incident(id: i64, by: &str) -> bool;

    /// What somebody said is not to be told to agents any more. False: it was taken back before.
    fn take_order_back(id: i64, by: &str) -> bool;

    /// Closes what is left of clusters that are gone for good: a lab that was made anew. Sessions
    /// still marked running on them are marked failed. Returns how many tickets that were.
    fn retire_other_clusters(cluster_id: &SystemId, why: &str) -> usize;

    /// Leaves a command for the agent of a running session. Returns its id; see
    /// [`Reader::command`](crate::Reader::command).
    fn send_command(session: &str, command: &Control, by: &str) -> i64;

    /// Takes away what ended before a time: resolved tickets with their sessions, samples, faults,
    /// alerts. What is not resolved stays, with all about it. The chain says what went.
    fn prune(before: &Timestamp, by: &str) -> PruneReport;

    fn add_fault(cluster_id: &SystemId, kind: &str, target: &str, by: &str) -> i64;
});

impl MonitorLedger {
    /// Records one check.
    pub fn record_check(&self, check: Check) -> Reply<CheckOutcome> {
        // Taken here: the time that a call waits in line makes its data no younger.
        let data = Mono::before(check.age);
        self.handle()
            .ask(move |engine| engine.record_check(&check, &data))
    }

    /// Records what alerts read between two checks. It is no look at the cluster: no heartbeat, no
    /// sample.
    pub fn record_alerts(&self, check: Check) -> Reply<CheckOutcome> {
        let data = Mono::before(check.age);
        self.handle()
            .ask(move |engine| engine.record_alerts(&check, &data))
    }
}
