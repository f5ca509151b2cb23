//! What work on a ticket may cost, in turns, tokens, US dollars and time, and how much of that is
//! left for the next turn.
//!
//! Counts nothing itself: what was spent is in the ledger. Says no before a cap is passed, not
//! after: a turn is allowed only if it and one short last turn still fit at their dearest.

use crate::model::catalog::Facts;
use operator_ledger::usage::Spent;
use std::time::Duration;

/// Tokens of the last turn, in which the model says what it knows.
pub const CLOSING_ROOM: u32 = 2_000;
/// A turn with less room than this is not worth taking.
pub const MIN_ROOM: u32 = 2_000;

/// Caps for one ticket, all its sessions together, and for a day of all agents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    pub turns: u64,
    pub tokens: u64,
    pub usd: f64,
    pub wall: Duration,
    /// US dollars of one day (UTC), over all agents of the ledger.
    pub usd_per_day: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            turns: 200,
            tokens: 20_000_000,
            usd: 5.0,
            wall: Duration::from_secs(2 * 3600),
            usd_per_day: 25.0,
        }
    }
}

/// What the next turn may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Go on: at most so many tokens of answer, which cost at most so many dollars.
    Turn { room: u32, usd: f64 },
    /// One closing turn, and why.
    Close(String),
}

impl Budget {
    /// What a turn with a prompt of about `prompt` tokens may take; it would like `room` tokens.
    pub fn next(&self, facts: &Facts, spent: &Spent, prompt: u64, room: u32) -> Next {
        if spent.turns + 1 >= self.turns {
            return Next::Close(format!("took {} of {} turns", spent.turns, self.turns));
        }
        if spent.wall >= self.wall {
            let minutes = |d: Duration| d.as_secs_f64() / 60.0;
            return Next::Close(format!(
                "took {:.0} of {:.0} minutes",
                minutes(spent.wall),
                minutes(self.wall)
            ));
        }
        let after = prompt + u64::from(room) + u64::from(CLOSING_ROOM);
        if spent.tokens + prompt + after > self.tokens {
            return Next::Close(format!(
                "used {} of {} tokens, and another turn may not fit",
                spent.tokens, self.tokens
            ));
        }
        let mut room = room;
        loop {
            let closing = facts.most(prompt + u64::from(room), CLOSING_ROOM);
            let (Some(turn), Some(closing)) = (facts.most(prompt, room), closing) else {
                return Next::Turn { room, usd: 0.0 };
            };
            if spent.usd + turn + closing <= self.usd {
                return Next::Turn { room, usd: turn };
            }
            room /= 2;
            if room < MIN_ROOM {
                return Next::Close(format!(
                    "spent {:.2} of {:.2} US dollars, and another turn may not fit",
                    spent.usd, self.usd
                ));
            }
        }
    }

    /// What the closing turn may cost; None if not even that fits.
    pub fn closing(&self, facts: &Facts, spent: &Spent, prompt: u64) -> Option<f64> {
        if spent.tokens + prompt + u64::from(CLOSING_ROOM) > self.tokens {
            return None;
        }
        let most = facts.most(prompt, CLOSING_ROOM).unwrap_or(0.0);
        (spent.usd + most <= self.usd).then_some(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::Entries;
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts::of_model("claude-sonnet-5-5", &Entries::new())
    }

    #[test]
    fn the_shipped_budget_allows_a_long_session() {
        let budget = Budget::default();
        let mut spent = Spent::default();
        for turn in 0..100 {
            let prompt = 20_000 + turn * 1_000;
            let Next::Turn { .. } = budget.next(&facts(), &spent, prompt, 32_000) else {
                panic!("closed after {turn} turns: {spent:?}");
            };
            // A cached prompt, and a thousand tokens of answer.
            spent.turns += 1;
            spent.tokens += prompt + 1_000;
            spent.usd += prompt as f64 * 0.1e-6 + 1_000.0 * 2.5e-6 + 1_000.0 * 10e-6;
        }
    }

    #[test]
    fn each_cap_closes_and_says_so() {
        let budget = Budget::default();
        let closed = |spent: Spent| match budget.next(&facts(), &spent, 10_000, 32_000) {
            Next::Close(why) => why,
            Next::Turn { .. } => String::new(),
        };
        let none = Spent::default();
        assert_eq!(closed(none), "");
        assert!(closed(Spent { turns: 199, ..none }).contains("199 of 200 turns"));
        let hours = Duration::from_secs(7300);
        assert!(
            closed(Spent {
                wall: hours,
                ..none
            })
            .contains("122 of 120 minutes")
        );
        let tokens = 19_980_000;
        assert!(closed(Spent { tokens, ..none }).contains("tokens"));
        assert!(closed(Spent { usd: 4.99, ..none }).contains("4.99 of 5.00 US dollars"));
    }

    #[test]
    fn a_model_of_unknown_price_is_bound_by_tokens_alone() {
        let spent = Spent {
            usd: 1e9,
            ..Spent::default()
        };
        let next = Budget::default().next(&Facts::UNKNOWN, &spent, 1_000, 8_000);
        assert_eq!(
            next,
            Next::Turn {
                room: 8_000,
                usd: 0.0
            }
        );
    }

    proptest! {
        /// Whatever turns cost within what was allowed them, no cap is passed.
        #[test]
        fn no_cap_is_ever_passed(usd in 0.01f64..3.0, turns in proptest::collection::vec((100u64..200_000, 0.0f64..1.0), 1..80)) {
            let budget = Budget { usd, ..Budget::default() };
            let mut spent = Spent::default();
            let mut context = 1_000;
            for (grows, share) in turns {
                match budget.next(&facts(), &spent, context, 32_000) {
                    Next::Turn { room, usd } => {
                        spent.usd += usd * share;
                        spent.turns += 1;
                        spent.tokens += context + u64::from(room);
                        context += u64::from(room) + grows;
                    }
                    Next::Close(_) => {
                        if let Some(most) = budget.closing(&facts(), &spent, context) {
                            spent.usd += most;
                        }
                        break;
                    }
                }
                prop_assert!(spent.usd <= budget.usd + 1e-9, "{:?}", spent);
                prop_assert!(spent.tokens <= budget.tokens);
            }
            prop_assert!(spent.usd <= budget.usd + 1e-9, "{:?}", spent);
        }
    }
}
