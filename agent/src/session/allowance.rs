//! What the next turn may take of the budget, set aside before it is taken; and the closing turn
//! when nothing is left for another.

use super::{Halt, Session, TurnOutcome, Verdict};
use crate::{
    budget::{CLOSING_ROOM, MIN_ROOM, Next},
    model::{Model, Stop},
    prompt,
    tools::call::calls,
};
use operator_ledger::{Reservation, event::Level, usage::Spent};
use std::time::Duration;

/// Time for the closing turn, when there is none left.
const CLOSING_TIME: Duration = Duration::from_secs(120);

/// The right to one turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Tokens of the turn.
    pub room: u32,
    /// The money set aside for it.
    pub reservation: Option<Reservation>,
}

pub(super) enum Allowed {
    Turn(Allowance),
    /// One closing turn.
    Close(Closing),
}

/// Why there is no other turn.
#[derive(Debug)]
pub(super) struct Closing {
    pub why: String,
    /// Another session would have no more: only a person can go on.
    pub final_: bool,
}

impl Session<'_> {
    /// Whether another turn fits into the budget, and how long it may be. Makes the conversation
    /// shorter first, where it would not fit into the model.
    pub(super) async fn allow(&mut self) -> Result<Allowed, Halt> {
        let context = self.context.facts.context;
        let room = self
            .room
            .min(u32::try_from(context / 4).unwrap_or(u32::MAX));
        if self.gauge.prompt() + u64::from(room) > context / 10 * 9 && self.may_compact() {
            self.compact("the conversation nearly fills the model's context")
                .await?;
        }
        let budget = &self.context.budget;
        let spent = self.spent().await?;
        let next = budget.next(&self.context.facts, &spent, self.gauge.prompt(), room);
        match next {
            Next::Close(why) => Ok(Allowed::Close(Closing { why, final_: true })),
            Next::Turn { room, usd } => self.within_the_day(room, usd).await,
        }
    }

    /// Sets the money for a turn aside, a shorter one if the day does not have it for this one.
    async fn within_the_day(&mut self, mut room: u32, mut usd: f64) -> Result<Allowed, Halt> {
        loop {
            match self.set_aside(usd).await? {
                Ok(reservation) => return Ok(Allowed::Turn(Allowance { room, reservation })),
                Err(_) if room / 2 >= MIN_ROOM => {
                    room /= 2;
                    let most = self.context.facts.most(self.gauge.prompt(), room);
                    usd = most.unwrap_or(0.0);
                }
                Err(why) => {
                    let final_ = false;
                    return Ok(Allowed::Close(Closing { why, final_ }));
                }
            }
        }
    }

    /// The budget is used up: the model says what it knows, if there is money for that, and the
    /// ticket goes to a person.
    pub(super) async fn close(
        &mut self,
        model: &mut dyn Model,
        closing: Closing,
    ) -> Result<Verdict, Halt> {
        let why = format!("the budget is used up: {}", closing.why);
        self.record_notice(Level::Warn, &why).await?;
        let mut verdict = None;
        let spent = self.spent().await?;
        let prompt = self.gauge.prompt();
        let budget = &self.context.budget;
        let affordable = budget.closing(&self.context.facts, &spent, prompt);
        if let Some(usd) = affordable
            && let Ok(reservation) = self.set_aside(usd).await?
        {
            self.tell(&prompt::closing(&why)).await?;
            let room = CLOSING_ROOM.min(self.context.facts.output);
            let allowance = Allowance { room, reservation };
            match self.turn(model, allowance, CLOSING_TIME).await {
                Ok(TurnOutcome::Turn(turn, wasted)) => {
                    let said = self
                        .record_turn(model.name(), &turn, wasted, allowance)
                        .await?;
                    let calls = match turn.stop {
                        // One that was cut off is no call.
                        Stop::EndTurn | Stop::ToolUse => calls(&turn.content, &mut self.ids),
                        _ => Vec::new(),
                    };
                    verdict = Some(self.close_with(&said, &calls, &why).await?);
                }
                Ok(_) | Err(Halt::Model(_)) => {}
                Err(halt) => return Err(halt),
            }
        }
        let mut verdict = verdict.unwrap_or_else(|| Verdict::escalate(self.left_to_say(), &*why));
        if let Verdict::Escalate { final_, .. } = &mut verdict {
            *final_ = closing.final_;
        }
        Ok(verdict)
    }

    /// What was spent on the ticket, this session included.
    async fn spent(&self) -> Result<Spent, Halt> {
        Ok(self
            .ledger
            .spent_on_incident(self.incident, Some((&self.writer.id, self.lasted())))
            .await?)
    }

    /// Sets money aside for something beside the turns. The inner error says why there is none.
    pub(super) async fn set_aside_beside(
        &mut self,
        usd: f64,
    ) -> Result<Result<Option<Reservation>, String>, Halt> {
        let (spent, facts) = (self.spent().await?, &self.context.facts);
        let closing = facts.most(self.gauge.prompt(), CLOSING_ROOM).unwrap_or(0.0);
        let cap = self.context.budget.usd;
        if usd > 0.0 && spent.usd + usd + closing > cap {
            return Ok(Err(format!(
                "{:.2} of {cap:.2} US dollars for the ticket are spent: nothing is left for this",
                spent.usd
            )));
        }
        self.set_aside(usd).await
    }

    /// Sets money of the day aside. The inner error says why there is none.
    pub(super) async fn set_aside(
        &mut self,
        usd: f64,
    ) -> Result<Result<Option<Reservation>, String>, Halt> {
        if usd <= 0.0 {
            return Ok(Ok(None));
        }
        let cap = self.context.budget.usd_per_day;
        let reserved = self
            .write(|ledger, session| ledger.reserve(&session.lease, &session.id, usd, cap))
            .await?;
        Ok(match reserved {
            Some(reservation) => Ok(Some(reservation)),
            None => Err(format!(
                "{:.2} of {cap:.2} US dollars of the day are spent or set aside",
                self.ledger.spent_today().await?
            )),
        })
    }

    /// Waits until the time of the ticket is up.
    pub(super) async fn time_is_up(&self) -> Result<impl Future<Output = ()> + use<>, Halt> {
        Ok(tokio::time::sleep(self.time_left().await?))
    }

    /// Time of the ticket that is left.
    pub(super) async fn time_left(&self) -> Result<Duration, Halt> {
        Ok(self
            .context
            .budget
            .wall
            .saturating_sub(self.spent().await?.wall))
    }
}
