//! The work loop: asks the ledger each second for a ticket, works on it, asks again.

use crate::{
    cluster_id::ClusterId,
    control::ControlInbox,
    model::Model,
    session::{self, Ended, SessionContext},
};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use operator_ledger::{
    AgentLedger, ClaimRequest, HoldScope, Incident, LedgerError, PRESENCE, Reader, Reading,
    SessionStatus, Status, Ticket,
    event::{Level, Outcome},
};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_secs(1);
/// Waits after a session that the model or the ledger let down; doubles.
const MIN_REST: Duration = Duration::from_secs(5);
const MAX_REST: Duration = Duration::from_secs(120);

/// Tokens of prompt and answer that a session takes at least.
const MIN_SESSION: (u64, u32) = (4_000, 2_000);

/// Which tickets, and how many.
#[derive(Debug, Clone)]
pub struct Plan {
    pub cluster: ClusterId,
    /// End after one session.
    pub once: bool,
    /// This ticket, now, or an error.
    pub ticket: Option<i64>,
}

/// Why the loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// It was asked to end.
    Stopped,
    /// One session was asked for, and this is how it ended.
    Once(Outcome),
}

#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Model(String),
    #[error("{0}")]
    Budget(String),
    #[error("ticket #{id} cannot be taken: {why}")]
    Taken { id: i64, why: String },
}

/// Runs until asked to stop, or as `plan` says.
pub async fn run(
    context: &SessionContext,
    plan: &Plan,
    model: &mut dyn Model,
    inbox: &mut ControlInbox,
) -> Result<Finished, WorkError> {
    let ledger = &context.ledger;
    let finished = work(ledger, context, plan, model, inbox).await;
    // It only makes the others wait a little before they take it to be gone.
    let _ = ledger.agent_is_gone(&context.holder).await;
    finished
}

async fn work(
    ledger: &AgentLedger,
    context: &SessionContext,
    plan: &Plan,
    model: &mut dyn Model,
    inbox: &mut ControlInbox,
) -> Result<Finished, WorkError> {
    let mut rests = rests();
    let mut trouble: Option<String> = None;
    let mut tries = 0;
    let mut there: Option<Instant> = None;
    loop {
        if context.stop.asked().is_some() {
            return Ok(Finished::Stopped);
        }
        if let Err(e) = ledger.still_there().await {
            if plan.once || plan.ticket.is_some() {
                return Err(e.into());
            }
            context.say_once(&mut trouble, e.to_string());
            tokio::select! {
                _ = context.stop.until_asked() => return Ok(Finished::Stopped),
                () = tokio::time::sleep(POLL) => continue,
            }
        }
        if there.is_none_or(|at| at.elapsed() >= PRESENCE) {
            // A ledger that cannot be written is told of below, by the claim.
            let _ = ledger.agent_is_there(&context.holder, model.name()).await;
            there = Some(Instant::now());
        }
        let cluster = match plan.ticket {
            // Asked for by number: whichever cluster it belongs to.
            Some(id) => {
                ledger
                    .ticket(id)
                    .await?
                    .ok_or(LedgerError::NoTicket(id))?
                    .cluster_id
            }
            None => plan.cluster.now(ledger).await,
        };
        let mut wait = POLL;
        let claim = match day_is_spent(context, ledger).await {
            Err(e) => Some(Err(e)),
            Ok(Some(why)) if plan.once || plan.ticket.is_some() => {
                return Err(WorkError::Budget(why));
            }
            Ok(Some(why)) => {
                if trouble.as_ref() != Some(&why) {
                    context.emitter.notice(None, Level::Warn, why.clone());
                    trouble = Some(why);
                }
                wait = MAX_REST / 10;
                None
            }
            Ok(None) => Some(
                ledger
                    .claim(ClaimRequest {
                        holder: context.holder.clone(),
                        cluster_id: cluster,
                        ticket: plan.ticket,
                        lease: context.lease,
                    })
                    .await,
            ),
        };
        match claim {
            None => {}
            Some(Ok(Some(claim))) => {
                trouble = None;
                // Words meant for an earlier session are not for this one.
                inbox.clear();
                match session::run(context, claim, model, inbox).await {
                    Ok((_, Ended::Stopped)) => return Ok(Finished::Stopped),
                    Ok((_, Ended::Hopeless(why))) => return Err(WorkError::Model(why)),
                    Ok((outcome, _)) if plan.once || plan.ticket.is_some() => {
                        return Ok(Finished::Once(outcome));
                    }
                    Ok((_, Ended::Rest(why))) => {
                        wait = next(&mut rests);
                        let text =
                            format!("the next ticket is taken in {} s: {why}", wait.as_secs());
                        context.emitter.notice(None, Level::Warn, text);
                    }
                    Ok((_, Ended::Away(why))) => {
                        let text = format!("no ticket is taken until the model answers: {why}");
                        context.emitter.notice(None, Level::Warn, text);
                        tokio::select! {
                            _ = context.stop.until_asked() => return Ok(Finished::Stopped),
                            () = until_it_answers(model, &mut rests) => {}
                        }
                        context
                            .emitter
                            .notice(None, Level::Info, "the model answers again");
                        continue;
                    }
                    Ok((_, Ended::Continue)) => {
                        rests = self::rests();
                        continue;
                    }
                    Err(e) => context.emitter.notice(None, Level::Error, e.to_string()),
                }
            }
            Some(Ok(None)) => {
                trouble = None;
                if let Some(id) = plan.ticket {
                    tries += 1;
                    // A lease that nobody renews any more runs out.
                    if tries > 3 && !is_abandoned(ledger, id).await? {
                        return Err(WorkError::Taken {
                            id,
                            why: why_not(ledger, id).await?,
                        });
                    }
                }
            }
            Some(Err(e)) => context.say_once(&mut trouble, e.to_string()),
        }
        tokio::select! {
            _ = context.stop.until_asked() => return Ok(Finished::Stopped),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl SessionContext {
    /// Tells of a trouble that lasts when it begins.
    fn say_once(&self, told: &mut Option<String>, text: String) {
        if told.as_ref() != Some(&text) {
            self.emitter.notice(None, Level::Error, text.clone());
            *told = Some(text);
        }
    }
}

fn rests() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(MIN_REST)
        .with_max_delay(MAX_REST)
        .without_max_times()
        .build()
}

fn next(rests: &mut ExponentialBackoff) -> Duration {
    rests.next().unwrap_or(MAX_REST)
}

/// Waits until whoever makes the turns answers, asking seldom.
/// It answers to this, yet may not to what is asked next: `rests` grow until a session went on.
async fn until_it_answers(model: &mut dyn Model, rests: &mut ExponentialBackoff) {
    loop {
        tokio::time::sleep(next(rests)).await;
        if model.answers().await {
            return;
        }
    }
}

/// Why no session can be paid for today.
async fn day_is_spent(
    context: &SessionContext,
    ledger: &Reader,
) -> Result<Option<String>, LedgerError> {
    let Some(most) = context
        .facts
        .most(MIN_SESSION.0, MIN_SESSION.1)
        .filter(|m| *m > 0.0)
    else {
        return Ok(None);
    };
    let (spent, cap) = (ledger.spent_today().await?, context.budget.usd_per_day);
    Ok((spent + most > cap).then(|| {
        format!(
            "{spent:.2} of {cap:.2} US dollars of the day (UTC) are spent or set aside: no ticket \
             is taken; --day-cap allows more"
        )
    }))
}

/// Whether the agent that took a ticket has died, and its lease has not run out yet.
async fn is_abandoned(ledger: &Reader, id: i64) -> Result<bool, LedgerError> {
    let ticket = ledger.ticket(id).await?.ok_or(LedgerError::NoTicket(id))?;
    let leased = incident_of(ledger, &ticket)
        .await?
        .is_some_and(|i| i.worker.is_some() && !i.taken);
    // One whose agent is gone reads as ended.
    let sessions = ledger.sessions_of_ticket(id).await?;
    let newest = sessions.last();
    let ended = newest.is_some_and(|s| s.status != SessionStatus::Running);
    Ok(leased && ended && ticket.status == Status::Acknowledged && !ticket.held)
}

async fn incident_of(ledger: &Reader, ticket: &Ticket) -> Result<Option<Incident>, LedgerError> {
    match ticket.incident_id {
        Some(id) => ledger.incident(id).await,
        None => Ok(None),
    }
}

/// Why a ticket that is there is not to be had.
async fn why_not(ledger: &Reader, id: i64) -> Result<String, LedgerError> {
    let ticket = ledger.ticket(id).await?.ok_or(LedgerError::NoTicket(id))?;
    let mut holds = ledger.holds().await?.into_iter();
    if let Some(pause) = holds.find(|h| h.scope == HoldScope::All) {
        let by = pause.by;
        return Ok(format!(
            "{by} paused all agents; `operator-tui resume` ends that"
        ));
    }
    Ok(match ticket.status {
        Status::Resolved => "it is resolved".into(),
        _ if ticket.held => "a person holds it; `operator-tui tickets unhold` gives it back".into(),
        _ if ticket.needs_person => "it waits for a person".into(),
        Status::Acknowledged => {
            let incident = incident_of(ledger, &ticket).await?;
            match incident {
                Some(Incident {
                    worker: Some(worker),
                    taken: true,
                    ..
                }) => format!("{worker} took it"),
                Some(Incident {
                    worker: Some(_), ..
                }) => "another agent works on it".into(),
                // Who took it is dead, or has lost it.
                _ if reads_clear(ledger, id).await? => "its agent is gone, and the monitor no \
                    longer sees it violated: it ends when that has lasted"
                    .into(),
                _ => format!("its agent is gone; now {OTHERS}"),
            }
        }
        Status::Escalated => match ticket.retry_at {
            Some(at) => format!("it was escalated, and is tried again at {at}"),
            None => "it was escalated".into(),
        },
        Status::Open if reads_clear(ledger, id).await? => {
            "the monitor no longer sees it violated: it ends when that has lasted".into()
        }
        Status::Open => OTHERS.into(),
    })
}

/// What else keeps a ticket from agents.
const OTHERS: &str = "its incident is held, or another incident of the same system is worked on";

async fn reads_clear(ledger: &Reader, id: i64) -> Result<bool, LedgerError> {
    let seen = ledger.sighting(id).await?;
    Ok(seen.is_some_and(|seen| seen.reading == Reading::Clear))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conversation, ModelError, Sink, Turn};
    use futures_util::future::BoxFuture;
    use tokio::time::Instant;

    /// Away until some time.
    struct Away {
        until: Instant,
        asked: u32,
    }

    impl Model for Away {
        fn name(&self) -> &'static str {
            "away"
        }

        fn turn<'a>(
            &'a mut self,
            _: &'a Conversation,
            _: u32,
            _: &'a mut dyn Sink,
        ) -> BoxFuture<'a, Result<Turn, ModelError>> {
            unreachable!("no turn is asked for while it is away")
        }

        fn answers(&mut self) -> BoxFuture<'_, bool> {
            self.asked += 1;
            Box::pin(std::future::ready(Instant::now() >= self.until))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_is_away_for_an_hour_is_asked_seldom_and_found_soon() {
        let gone = Duration::from_secs(3600);
        let began = Instant::now();
        let mut model = Away {
            until: began + gone,
            asked: 0,
        };
        until_it_answers(&mut model, &mut rests()).await;
        assert!(began.elapsed() < gone + MAX_REST);
        assert!((20..50).contains(&model.asked), "{}", model.asked);
    }
}
