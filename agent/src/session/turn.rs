//! One turn of the model: asked for within its allowance and its time, paid for however it ends,
//! retries recorded as they happen.

use super::{Halt, Session, TurnOutcome, allowance::Allowance, screen::Screen};
use crate::model::{Block, Model, ModelError};
use backon::{BackoffBuilder, ExponentialBuilder};
use operator_ledger::{
    EntryKind, NewEntry, Totals,
    event::{self, Kind},
    usage::Usage,
};
use std::time::Duration;
use tokio::sync::mpsc;

/// Tokens that an interrupted turn is taken to have had.
const BEGUN: u32 = 1_000;
/// Tries of a turn that broke off, the first included.
const MAX_BROKEN: u32 = 8;
const MIN_WAIT: Duration = Duration::from_millis(500);
const MAX_WAIT: Duration = Duration::from_secs(30);

impl Session<'_> {
    /// The next turn, for which there is at most `limit`.
    pub(super) async fn turn(
        &mut self,
        model: &mut dyn Model,
        allowance: Allowance,
        limit: Duration,
    ) -> Result<TurnOutcome, Halt> {
        self.check()?;
        let prompt = self.gauge.prompt();
        let (tell, mut retries) = mpsc::unbounded_channel();
        let mut screen = Screen::new(
            self.context.emitter.clone(),
            self.writer.id.clone(),
            self.context.redactor.clone(),
            tell,
        );
        // Apart, so that rows can be written while it is being read.
        let conversation = std::mem::take(&mut self.conversation);
        let mut unwritten = Vec::new();
        let got = {
            let turn = model.turn(&conversation, allowance.room, &mut screen);
            let (ledger, writer) = (&self.ledger, &self.writer);
            let (lost, stop) = (
                self.lease_keeper.until_lost(),
                self.context.stop.until_asked(),
            );
            let interrupt = self.inbox.interrupt();
            let time_is_up = tokio::time::sleep(limit);
            tokio::pin!(turn, lost, stop, interrupt, time_is_up);
            loop {
                tokio::select! {
                    loss = &mut lost => break Err(Halt::Lost(loss)),
                    why = &mut stop => break Err(Halt::Stopped(why)),
                    by = &mut interrupt => break Ok(TurnOutcome::Interrupted(by)),
                    () = &mut time_is_up => break Ok(TurnOutcome::OutOfTime),
                    turn = &mut turn => {
                        break turn
                            .map(|turn| TurnOutcome::Turn(turn, Usage::default()))
                            .map_err(Halt::Model);
                    }
                    Some(retry) = retries.recv() => {
                        let entry = NewEntry::new(EntryKind::Retry, retry.as_str());
                        if ledger.append(writer, entry).await.is_err() {
                            unwritten.push(retry);
                        }
                    }
                }
            }
        };
        self.conversation = conversation;
        let used = screen.close();
        while let Ok(retry) = retries.try_recv() {
            unwritten.push(retry);
        }
        if !matches!(got, Err(Halt::Lost(_))) {
            for retry in unwritten {
                self.record(NewEntry::new(EntryKind::Retry, retry)).await?;
            }
        }
        match got {
            Ok(TurnOutcome::Turn(turn, _)) => {
                self.broken = 0;
                Ok(TurnOutcome::Turn(turn, used))
            }
            Ok(TurnOutcome::Interrupted(by)) => {
                self.pay_for_begun(allowance, prompt).await?;
                Ok(TurnOutcome::Interrupted(by))
            }
            Ok(other) => {
                self.pay_for_begun(allowance, prompt).await?;
                Ok(other)
            }
            Err(Halt::Model(error)) => {
                // Nothing is charged for an answer that did not come, but for what broke off.
                self.pay_for_none(allowance, used, self.context.facts.cost(&used))
                    .await?;
                self.failed(error, prompt).await
            }
            Err(halt) => Err(halt),
        }
    }

    /// The server has read the prompt and begun; how far it got it no longer says.
    async fn pay_for_begun(&mut self, allowance: Allowance, prompt: u64) -> Result<(), Halt> {
        let most = self.context.facts.most(prompt, BEGUN);
        self.pay_for_none(allowance, Usage::default(), most).await
    }

    /// Of the money set aside only this was needed, and there is no turn to show for it.
    async fn pay_for_none(
        &mut self,
        allowance: Allowance,
        used: Usage,
        usd: Option<f64>,
    ) -> Result<(), Halt> {
        self.usage.add(used);
        self.cost = self.cost.zip(usd).map(|(sum, more)| sum + more);
        let totals = self.totals();
        let paid = allowance.reservation.zip(usd);
        self.write(|ledger, session| ledger.record_turn(session, Vec::new(), totals, paid))
            .await?;
        Ok(())
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            turns: self.turns,
            usage: self.usage,
            cost_usd: self.cost,
        }
    }

    /// What is to be done about a turn that did not come.
    async fn failed(&mut self, error: ModelError, prompt: u64) -> Result<TurnOutcome, Halt> {
        match error {
            ModelError::BrokeOff { reason, wait } => {
                self.broken += 1;
                if self.broken >= MAX_BROKEN {
                    let why = format!("{reason} ({} tries)", self.broken);
                    return Err(Halt::Model(ModelError::Unavailable(why)));
                }
                let own = ExponentialBuilder::default()
                    .with_min_delay(MIN_WAIT)
                    .with_max_delay(MAX_WAIT)
                    .without_max_times()
                    .build()
                    .nth(self.broken as usize - 1);
                let wait = wait.or(own).unwrap_or(MAX_WAIT);
                self.wait_to_retry(&reason, wait).await?;
                Ok(TurnOutcome::BrokeOff)
            }
            // A server that refuses a long conversation may take a shorter one.
            ModelError::TooLong(why) if self.may_compact() => Ok(TurnOutcome::TooLong(why)),
            ModelError::Refused(why)
                if self.may_compact() && prompt > self.context.facts.context / 2 =>
            {
                Ok(TurnOutcome::TooLong(why))
            }
            // It would refuse the next ticket for the same reason: a limit, a setting.
            ModelError::Refused(why) | ModelError::TooLong(why) => {
                Err(Halt::Model(ModelError::Hopeless(why)))
            }
            error => Err(Halt::Model(error)),
        }
    }

    async fn wait_to_retry(&mut self, reason: &str, wait: Duration) -> Result<(), Halt> {
        let attempt = self.broken + 1;
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let reason = self
            .context
            .redactor
            .apply(&operator_ledger::clean::clean(reason));
        let text = event::retry(None, &reason, attempt, MAX_BROKEN, wait_ms);
        self.record(NewEntry::new(EntryKind::Retry, text)).await?;
        self.emit(Kind::Retry {
            status: None,
            attempt,
            of: MAX_BROKEN,
            wait_ms,
            reason,
        });
        tokio::select! {
            loss = self.lease_keeper.until_lost() => Err(Halt::Lost(loss)),
            why = self.context.stop.until_asked() => Err(Halt::Stopped(why)),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}

/// Thinking that was cut has no signature, and would be refused when it goes back.
pub(super) fn drop_cut_thinking(content: &mut Vec<serde_json::Value>) {
    let cut = |block: &serde_json::Value| {
        matches!(Block::of(block), Block::Thinking(_))
            && block["signature"].as_str().unwrap_or_default().is_empty()
    };
    while content.last().is_some_and(cut) {
        content.pop();
    }
}
