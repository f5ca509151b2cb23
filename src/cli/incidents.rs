//! `operator-tui incidents`: list, show, hold, release, take, finish, resolve, reopen; and `pause` and
//! `resume`, which are the same for everything. What they change, the ledger's rules decide.

pub mod sections;
mod show;

use super::{
    CliResult,
    confirm::{self, Agreed},
    out, table,
    target::{self, LedgerArgs},
};
use crate::{cluster::ClusterSnapshot, span};
use agent_lab::{control::person, redact::Redactor};
use color_eyre::eyre::eyre;
use operator_ledger::{
    HoldScope, Incident, IncidentState, LedgerError, NewHold, PersonLedger, Reader, SystemId,
    clean::one_line, event::VerifyState,
};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// Why this is not for an agent to do.
const ONLY_PEOPLE: &str = "what a person says of an incident is a person's to say";

/// How often it is looked whether the monitor has decided.
const POLL: Duration = Duration::from_millis(200);
/// A monitor that has not taken a request up by then is none.
const TAKEN_UP: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List incidents, those that are not over first
    List {
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Show one incident: its tickets, what happened, who said and did what
    Show {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Keep agents from an incident, a thing (every check on it) or a system; whoever works there stops
    Hold {
        #[command(flatten)]
        what: What,
        /// For others to read
        #[arg(long, default_value = "")]
        why: String,
        #[command(flatten)]
        common: Common,
    },
    /// End holds; give an incident that waits for a person, or that you took, to agents again
    Release {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        common: Common,
    },
    /// Work on an incident yourself: no agent does, on this one or another of the same system
    Take {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Say that what you took is repaired, and wait for the monitor to prove it
    Finish {
        id: i64,
        /// Ask, and do not wait for the answer
        #[arg(long)]
        no_wait: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Say that an incident is done, without proof
    Resolve {
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Give an incident that is over, or was given up, to agents again
    Reopen {
        id: i64,
        #[command(flatten)]
        agreed: Agreed,
        #[command(flatten)]
        common: Common,
    },
    /// Take back what somebody told agents; `incidents show` has the numbers
    Forget {
        /// The number of what was said
        order: i64,
        #[command(flatten)]
        common: Common,
    },
}

/// What is held, or let go.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The incident with this number
    id: Option<i64>,
    /// The store, member or instance of this name or id
    #[arg(long, value_name = "NAME")]
    thing: Option<String>,
    /// The system with this id
    #[arg(long, value_name = "ID")]
    system: Option<String>,
}

impl What {
    fn scope(&self) -> HoldScope {
        match (&self.thing, &self.system, self.id) {
            (Some(thing), ..) => HoldScope::Thing {
                system: None,
                thing: thing.clone(),
            },
            (_, Some(system), _) => HoldScope::System(SystemId::new(system.clone())),
            (.., id) => HoldScope::Incident(id.unwrap_or_default()),
        }
    }
}

/// `operator-tui pause`.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// For others to read
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// `operator-tui resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
struct Common {
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl Common {
    /// For a person's word, which an agent's shell must not say.
    fn open_for_change(&self, what: &str) -> color_eyre::Result<PersonLedger> {
        target::refuse_in_agent_shell(what, ONLY_PEOPLE)?;
        self.ledger.open()?;
        Ok(PersonLedger::open(&self.ledger.path()?).wait()?)
    }

    /// After a change: the incident as it is now for programs, words for people.
    fn answer(&self, ledger: &Reader, id: i64, said: &str) -> color_eyre::Result<()> {
        if self.json {
            return Ok(out::json(&known(ledger, id)?)?);
        }
        Ok(outln!("{said}")?)
    }
}

fn known(ledger: &Reader, id: i64) -> color_eyre::Result<Incident> {
    Ok(ledger
        .incident(id)
        .wait()?
        .ok_or(LedgerError::NoIncident(id))?)
}

pub fn run(args: Args) -> CliResult {
    match args.command {
        Command::List { limit, common } => list(limit, &common)?,
        Command::Show { id, common } => show::show(&common.ledger.open()?, id, common.json)?,
        Command::Hold { what, why, common } => hold(&what.scope(), &why, &common)?,
        Command::Release { what, common } => release(&what, &common)?,
        Command::Take { id, common } => {
            let ledger = common.open_for_change("taking an incident")?;
            ledger.take_incident(id, &person()).wait()?;
            let said = format!(
                "Incident #{id} is yours: no agent works on this system. `operator-tui incidents \
                 finish {id}` asks for proof, `release {id}` gives it back"
            );
            common.answer(&ledger, id, &said)?;
        }
        Command::Finish {
            id,
            no_wait,
            common,
        } => return finish(id, no_wait, &common),
        Command::Resolve { id, common } => {
            let ledger = common.open_for_change("resolving an incident")?;
            let tickets = ledger.resolve_incident(id, &person()).wait()?;
            let said = match tickets {
                0 => format!("Incident #{id} already was over"),
                1 => format!("Incident #{id} is done because you say so: its ticket is resolved"),
                n => format!("Incident #{id} is done because you say so: {n} tickets are resolved"),
            };
            common.answer(&ledger, id, &said)?;
        }
        Command::Reopen { id, agreed, common } => {
            let ledger = common.open_for_change("reopening an incident")?;
            let over = known(&ledger, id)?.state == IncidentState::Resolved;
            let tickets = ledger.tickets_of_incident(id).wait()?;
            if over && let Some(not_done) = confirm::reopening(&agreed, &tickets)? {
                return not_done;
            }
            let said = if ledger.reopen_incident(id, &person()).wait()? {
                format!("Incident #{id} is open to agents again, with the whole of its budget")
            } else {
                format!("Incident #{id} is not over, and was not given up")
            };
            common.answer(&ledger, id, &said)?;
        }
        Command::Forget { order, common } => {
            let ledger = common.open_for_change("taking back what a person said")?;
            let said = if ledger.take_order_back(order, &person()).wait()? {
                "Taken back: agents that begin from now on are not told"
            } else {
                "It already was taken back"
            };
            outln!("{said}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn pause(args: PauseArgs) -> CliResult {
    target::refuse_in_agent_shell("pausing agents", ONLY_PEOPLE)?;
    let ledger = PersonLedger::open(&args.ledger.path()?).wait()?;
    ledger
        .hold(new(HoldScope::All, Vec::new(), &args.why))
        .wait()?;
    outln!(
        "Paused: no agent of this ledger works until `operator-tui resume`. Whoever was at work was \
         interrupted; what waits for proof is still judged"
    )?;
    Ok(ExitCode::SUCCESS)
}

pub fn resume(args: ResumeArgs) -> CliResult {
    target::refuse_in_agent_shell("resuming agents", ONLY_PEOPLE)?;
    let ledger = PersonLedger::open(&args.ledger.path()?).wait()?;
    if end(&ledger, &HoldScope::All)? {
        outln!("Agents of this ledger work again")?;
    } else {
        outln!("Nothing was paused")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn new(scope: HoldScope, names: Vec<String>, why: &str) -> NewHold {
    NewHold {
        scope,
        names,
        by: person(),
        why: Redactor::default().apply(why.trim()),
    }
}

/// Ends the hold on exactly this. False: there is none.
fn end(ledger: &PersonLedger, scope: &HoldScope) -> color_eyre::Result<bool> {
    let holds = ledger.holds().wait()?;
    match holds.iter().find(|h| h.scope == *scope) {
        Some(hold) => Ok(ledger.end_hold(hold.id, &person()).wait()?),
        None => Ok(false),
    }
}

fn hold(scope: &HoldScope, why: &str, common: &Common) -> color_eyre::Result<()> {
    let ledger = common.open_for_change("holding an incident")?;
    let (scope, names) = named(&ledger, scope.clone())?;
    let new = new(scope, names, why);
    let words = one_line(&new.words());
    ledger.hold(new).wait()?;
    if common.json {
        return Ok(out::json(&ledger.holds().wait()?)?);
    }
    outln!(
        "Holding {words}: no agent takes it, the monitor does not close it. A command of an agent that \
         names it waits for a person; on the agent's own host that is a rule, and no wall"
    )?;
    Ok(())
}

/// A thing by any of its names is held by all of them, where somebody has seen it.
fn named(ledger: &Reader, scope: HoldScope) -> color_eyre::Result<(HoldScope, Vec<String>)> {
    let HoldScope::Thing { thing, .. } = &scope else {
        return Ok((scope, Vec::new()));
    };
    let Some(system) = ledger.heartbeat(None).wait()?.map(|beat| beat.cluster_id) else {
        return Ok((scope, Vec::new()));
    };
    let sample = ledger.newest_sample(&system).wait()?;
    let seen = sample.and_then(|s| serde_json::from_str::<ClusterSnapshot>(&s.snapshot).ok());
    let Some(seen) = seen else {
        return Ok((scope, Vec::new()));
    };
    let of_system = |thing: String| HoldScope::Thing {
        system: Some(system.clone()),
        thing,
    };
    for store in seen.stores.value.iter().flatten() {
        let id = store.id.to_string();
        let mut names = vec![store.name.clone(), store.address.clone()];
        names.extend(store.status_address.clone());
        if id == *thing || names.contains(thing) {
            return Ok((of_system(id), names));
        }
    }
    for member in seen.pd.value.iter().flatten() {
        if member.name == *thing || member.address == *thing {
            let names = vec![member.name.clone(), member.address.clone()];
            return Ok((of_system(member.name.clone()), names));
        }
    }
    Ok((scope, Vec::new()))
}

fn release(what: &What, common: &Common) -> color_eyre::Result<()> {
    let ledger = common.open_for_change("releasing an incident")?;
    let scope = what.scope();
    let (done, words) = match scope {
        HoldScope::Incident(id) => (
            ledger.release_incident(id, &person()).wait()?,
            format!("Incident #{id}"),
        ),
        scope => {
            let (scope, names) = named(&ledger, scope)?;
            let mut done = end(&ledger, &scope)?;
            if let HoldScope::Thing { thing, .. } = &scope
                && !done
            {
                let anywhere = HoldScope::Thing {
                    system: None,
                    thing: thing.clone(),
                };
                done = end(&ledger, &anywhere)?;
            }
            (done, one_line(&new(scope, names, "").words()))
        }
    };
    if common.json {
        return Ok(out::json(&ledger.holds().wait()?)?);
    }
    if done {
        outln!("{words} is open to agents and to the monitor again")?;
    } else {
        outln!("{words} was not held, and waits for no person")?;
    }
    Ok(())
}

fn finish(id: i64, no_wait: bool, common: &Common) -> CliResult {
    let ledger = common.open_for_change("finishing an incident")?;
    let request = ledger.finish_by_person(id, &person()).wait()?;
    if no_wait {
        common.answer(&ledger, id, "The monitor is asked to prove it")?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = Instant::now();
    let mut shown = String::new();
    loop {
        let proof = ledger.verification(request).wait()?;
        if proof.state != VerifyState::Waiting {
            let said = format!("{}: {}", word(proof.state), one_line(&proof.detail));
            common.answer(&ledger, id, &said)?;
            let good = matches!(proof.state, VerifyState::Proven | VerifyState::External);
            return Ok(if good {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        let detail = match proof.detail.as_str() {
            "" => "the monitor is asked to look",
            said => said,
        };
        if detail != shown && !common.json {
            errln!("{}", one_line(detail));
            detail.clone_into(&mut shown);
        }
        let system = known(&ledger, id)?.cluster_id;
        let silent = match ledger.heartbeat(system.as_ref()).wait()? {
            None => Some("no monitor has ever looked at this system".to_owned()),
            Some(beat) if beat.is_silent() => Some("the monitor is silent".to_owned()),
            Some(_) if proof.deadline_in.is_none() && asked.elapsed() > TAKEN_UP => {
                Some("the monitor did not take the question up".to_owned())
            }
            Some(_) => None,
        };
        if let Some(why) = silent {
            return Err(eyre!(
                "{why}: nobody can prove it. `operator-tui monitor run` does, and `incidents resolve \
                 {id}` takes your word for it"
            ));
        }
        std::thread::sleep(POLL);
    }
}

fn word(state: VerifyState) -> &'static str {
    match state {
        VerifyState::Waiting => "Not decided",
        VerifyState::Proven => "Proven",
        VerifyState::External => "Cleared (reported from outside, not proven)",
        VerifyState::Failed => "Not proven",
        VerifyState::Unverifiable => "Could not be verified",
        VerifyState::Withdrawn => "Taken back",
    }
}

fn list(limit: usize, common: &Common) -> color_eyre::Result<()> {
    let ledger = common.ledger.open()?;
    let incidents = ledger.incidents(limit).wait()?;
    if common.json {
        return Ok(out::json(&incidents)?);
    }
    let pause = ledger
        .holds()
        .wait()?
        .into_iter()
        .find(|h| h.scope == HoldScope::All);
    if let Some(pause) = pause {
        let why = if pause.why.is_empty() {
            String::new()
        } else {
            format!(": {}", one_line(&pause.why))
        };
        outln!(
            "Paused by {}{why}. `operator-tui resume` ends it.\n",
            one_line(&pause.by)
        )?;
    }
    if incidents.is_empty() {
        outln!("No incidents.")?;
        return Ok(());
    }
    let mut rows = Vec::with_capacity(incidents.len());
    for incident in &incidents {
        let tickets = ledger.tickets_of_incident(incident.id).wait()?;
        let worst = tickets.first();
        rows.push([
            format!("#{}", incident.id),
            state(incident),
            incident.severity.to_string(),
            incident.tickets.to_string(),
            incident
                .since()
                .map_or_else(|| "?".into(), |at| span::short(span::since(at))),
            lasted(incident),
            incident
                .worker
                .as_deref()
                .map_or_else(|| "-".into(), worker),
            worst.map_or_else(String::new, |t| t.message.clone()),
        ]);
    }
    table::print(
        [
            "ID", "STATE", "SEVERITY", "TICKETS", "AGE", "LASTED", "WORKER", "MESSAGE",
        ],
        &rows,
    )?;
    Ok(())
}

/// The state in one word, with what makes it more than that.
fn state(incident: &Incident) -> String {
    let mut text = match (incident.state, incident.resolution.as_ref()) {
        (IncidentState::Resolved, Some(resolution)) => resolution.to_string(),
        (IncidentState::Waiting, _) => "needs a person".to_owned(),
        (IncidentState::Claimed, _) if incident.taken => "taken".to_owned(),
        (state, _) => state.as_str().to_owned(),
    };
    if !incident.holds.is_empty() {
        text.push_str(", held");
    }
    text
}

fn lasted(incident: &Incident) -> String {
    match (incident.since(), incident.ended_at) {
        (Some(from), Some(to)) => span::short(span::between(from, to)),
        _ => "-".into(),
    }
}

/// Who holds a lease, as people know them.
fn worker(holder: &str) -> String {
    match holder.split('/').nth(1) {
        Some(pid) => format!("agent pid {pid}"),
        None => holder.to_owned(),
    }
}
