//! Arguments of a call on their way to the ledger's thread: copied or moved here, lent there.

use crate::{
    Check, ClaimRequest, FinishCall, NewEntry, NewHold, NewSession, NewTicket, NotificationCursor,
    Reservation, SideCost, Status, SystemId, Totals, event::Outcome,
};
use jiff::Timestamp;
use std::time::Duration;

/// What a caller gives, what travels, and what the engine is given.
pub(crate) trait Carry {
    type Owned: Send + 'static;
    type Lent<'a>;

    fn own(self) -> Self::Owned;
    fn lend(owned: &Self::Owned) -> Self::Lent<'_>;
}

impl<T: Clone + Send + 'static> Carry for &T {
    type Owned = T;
    type Lent<'a> = &'a T;

    fn own(self) -> T {
        self.clone()
    }

    fn lend(owned: &T) -> &T {
        owned
    }
}

impl Carry for &str {
    type Owned = String;
    type Lent<'a> = &'a str;

    fn own(self) -> String {
        self.to_owned()
    }

    fn lend(owned: &String) -> &str {
        owned
    }
}

impl<T: Clone + Send + 'static> Carry for &[T] {
    type Owned = Vec<T>;
    type Lent<'a> = &'a [T];

    fn own(self) -> Vec<T> {
        self.to_vec()
    }

    fn lend(owned: &Vec<T>) -> &[T] {
        owned
    }
}

impl Carry for Option<&str> {
    type Owned = Option<String>;
    type Lent<'a> = Option<&'a str>;

    fn own(self) -> Option<String> {
        self.map(str::to_owned)
    }

    fn lend(owned: &Option<String>) -> Option<&str> {
        owned.as_deref()
    }
}

impl Carry for Option<&SystemId> {
    type Owned = Option<SystemId>;
    type Lent<'a> = Option<&'a SystemId>;

    fn own(self) -> Option<SystemId> {
        self.cloned()
    }

    fn lend(owned: &Option<SystemId>) -> Option<&SystemId> {
        owned.as_ref()
    }
}

impl Carry for Option<&FinishCall> {
    type Owned = Option<FinishCall>;
    type Lent<'a> = Option<&'a FinishCall>;

    fn own(self) -> Option<FinishCall> {
        self.cloned()
    }

    fn lend(owned: &Option<FinishCall>) -> Option<&FinishCall> {
        owned.as_ref()
    }
}

/// A session and how long it lasts.
impl Carry for Option<(&str, Duration)> {
    type Owned = Option<(String, Duration)>;
    type Lent<'a> = Option<(&'a str, Duration)>;

    fn own(self) -> Self::Owned {
        self.map(|(session, lasts)| (session.to_owned(), lasts))
    }

    fn lend(owned: &Self::Owned) -> Self::Lent<'_> {
        owned
            .as_ref()
            .map(|(session, lasts)| (session.as_str(), *lasts))
    }
}

/// Moved there and lent.
macro_rules! moved {
    ($($type:ty),*) => {$(
        impl Carry for $type {
            type Owned = Self;
            type Lent<'a> = &'a Self;

            fn own(self) -> Self {
                self
            }

            fn lend(owned: &Self) -> &Self {
                owned
            }
        }
    )*};
}

moved!(
    SideCost,
    ClaimRequest,
    Check,
    NewEntry,
    NewHold,
    NewSession,
    NewTicket,
    Vec<NewEntry>
);

/// Small enough to be copied wherever they are.
macro_rules! copied {
    ($($type:ty),*) => {$(
        impl Carry for $type {
            type Owned = Self;
            type Lent<'a> = Self;

            fn own(self) -> Self {
                self
            }

            fn lend(owned: &Self) -> Self {
                *owned
            }
        }
    )*};
}

copied!(
    bool,
    f64,
    i64,
    usize,
    Duration,
    Option<i64>,
    Option<(Reservation, f64)>,
    Outcome,
    Reservation,
    Status,
    Timestamp,
    NotificationCursor,
    Totals
);
