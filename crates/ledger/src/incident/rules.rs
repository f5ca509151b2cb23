//! What an incident is, as rules over plain facts: where a ticket belongs, in what state an incident
//! is, and how it ended. No SQL and no clock; whoever asks brings the facts.

use crate::Resolution;
use jiff::{SignedDuration, Timestamp};

/// Tickets of one outage come within this of each other, and what is over and comes back within it
/// was not over.
pub(crate) const TOGETHER: SignedDuration = SignedDuration::from_mins(10);

/// What is known of an incident when a ticket looks for its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub id: i64,
    pub is_over: bool,
    /// Somebody works on it, or the monitor owes a verdict on it.
    pub at_work: bool,
    /// It is held, or waits for a person.
    pub is_kept: bool,
    /// Somebody has worked on it.
    pub worked_on: bool,
    pub newest_ticket: Option<Timestamp>,
    pub same: Same,
}

/// Whether it has a ticket of the same check on the same thing, all of which are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    Never,
    /// The newest ended then.
    Ended(Option<Timestamp>),
}

/// Where a new ticket belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// To an incident that is not over.
    Joins(i64),
    /// It has come back: to the incident it was of, which is not over then.
    Returns(i64),
    /// To one of its own.
    Begins,
}

/// Finds the place of a ticket among the incidents of its system that are not over, or were not
/// ten minutes ago; `candidates` has the newest first.
pub(crate) fn place(candidates: &[Candidate], now: Timestamp) -> Place {
    let recent = |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) < TOGETHER);
    let home = candidates
        .iter()
        .find(|c| matches!(c.same, Same::Ended(at) if recent(at)));
    if let Some(home) = home {
        let elsewhere = |c: &&Candidate| c.id != home.id && c.at_work && !c.is_kept && !c.is_over;
        return match candidates.iter().find(elsewhere) {
            Some(other) if !home.at_work => Place::Joins(other.id),
            _ => Place::Returns(home.id),
        };
    }
    let takes = |c: &&Candidate| {
        if c.is_over {
            return false;
        }
        if c.is_kept {
            return c.same != Same::Never;
        }
        c.at_work || (recent(c.newest_ticket) && !c.worked_on)
    };
    candidates
        .iter()
        .find(takes)
        .map_or(Place::Begins, |c| Place::Joins(c.id))
}

/// How an incident ended, by how its tickets did.
pub(crate) fn ending(tickets: &[Resolution]) -> Resolution {
    let any = |which: Resolution| tickets.contains(&which);
    if !tickets.is_empty() && tickets.iter().all(|r| *r == Resolution::Proven) {
        Resolution::Proven
    } else if any(Resolution::Human) {
        Resolution::Human
    } else if any(Resolution::External) {
        Resolution::External
    } else {
        Resolution::Cleared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn open(id: i64, newest: i64) -> Candidate {
        Candidate {
            id,
            is_over: false,
            at_work: false,
            is_kept: false,
            worked_on: false,
            newest_ticket: Some(at(newest)),
            same: Same::Never,
        }
    }

    #[test]
    fn tickets_of_ten_minutes_are_one_incident_until_somebody_works_on_it() {
        assert_eq!(place(&[], at(100)), Place::Begins);
        assert_eq!(place(&[open(1, 95)], at(100)), Place::Joins(1));
        assert_eq!(place(&[open(1, 90)], at(100)), Place::Begins);
        let worked_on = Candidate {
            worked_on: true,
            ..open(1, 95)
        };
        assert_eq!(
            place(std::slice::from_ref(&worked_on), at(100)),
            Place::Begins
        );
        // While it is worked on, however long that takes.
        let at_work = Candidate {
            at_work: true,
            ..worked_on
        };
        assert_eq!(
            place(&[open(2, 80), at_work.clone()], at(100)),
            Place::Joins(1)
        );
        // The newest.
        assert_eq!(place(&[open(2, 99), at_work], at(100)), Place::Joins(2));
    }

    #[test]
    fn what_is_kept_takes_only_the_same_again() {
        let kept = Candidate {
            is_kept: true,
            ..open(1, 99)
        };
        assert_eq!(place(std::slice::from_ref(&kept), at(100)), Place::Begins);
        let same = Candidate {
            same: Same::Ended(Some(at(10))),
            ..kept
        };
        assert_eq!(place(&[same], at(100)), Place::Joins(1));
    }

    #[test]
    fn what_comes_back_soon_was_not_over() {
        let over = Candidate {
            is_over: true,
            worked_on: true,
            same: Same::Ended(Some(at(91))),
            ..open(1, 80)
        };
        assert_eq!(
            place(std::slice::from_ref(&over), at(100)),
            Place::Returns(1)
        );
        let busy = Candidate {
            at_work: true,
            ..open(2, 95)
        };
        assert_eq!(place(&[busy, over.clone()], at(100)), Place::Joins(2));
        let long_ago = Candidate {
            same: Same::Ended(Some(at(89))),
            ..over
        };
        assert_eq!(place(&[long_ago], at(100)), Place::Begins);
    }

    #[test]
    fn an_incident_is_proven_when_all_of_it_is() {
        use Resolution::{Cleared, External, Human, Proven};
        assert_eq!(ending(&[Proven, Proven]), Proven);
        assert_eq!(ending(&[Proven, Cleared]), Cleared);
        assert_eq!(ending(&[Proven, External, Cleared]), External);
        assert_eq!(ending(&[Proven, External, Human]), Human);
        assert_eq!(ending(&[]), Cleared);
    }
}
