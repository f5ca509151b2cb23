//! A word of a column: one that we know, or one that an older or another program wrote, kept as it
//! is. What the words mean is said where their enums are.

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{cmp::Ordering, fmt, str::FromStr};

/// An enum whose variants are stored as words.
pub trait Word: Copy + FromStr + Into<&'static str> {}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored<T> {
    Known(T),
    /// A word that we do not write.
    Other(String),
}

impl<T: Word> Stored<T> {
    pub fn read(word: &str) -> Self {
        word.parse()
            .map_or_else(|_| Self::Other(word.to_owned()), Self::Known)
    }

    /// None: a word that we do not write.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Other(_) => None,
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => (*known).into(),
            Self::Other(word) => word,
        }
    }
}

impl<T: Default> Default for Stored<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T: Word + PartialEq> PartialEq<T> for Stored<T> {
    fn eq(&self, other: &T) -> bool {
        self.known().as_ref() == Some(other)
    }
}

impl<T: Word + Eq> Ord for Stored<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<T: Word + Eq> PartialOrd for Stored<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Word> fmt::Display for Stored<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Word> Serialize for Stored<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Word> Deserialize<'de> for Stored<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::read(&String::deserialize(deserializer)?))
    }
}

impl<T: Word> ToSql for Stored<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl<T: Word> FromSql for Stored<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::read)
    }
}

/// Makes enums that derive `EnumString` and `IntoStaticStr` words of columns.
macro_rules! words {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::stored::Word for $name {}

        impl $name {
            /// The word for it, in the file and in events.
            #[allow(unreachable_pub, reason = "as visible as the type it is of")]
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ChangeKind, Confidence, Effect, EntryKind, FinishOutcome, NotificationKind, Resolution,
        SessionStatus, Severity, Status, ThingKind, TicketEventKind,
        event::{Level, Mode, Outcome, Stream, VerifyState},
    };
    use strum::IntoEnumIterator;

    /// One table of words for the file and the wire.
    fn same_word_everywhere<T>()
    where
        T: Word + IntoEnumIterator + Serialize + PartialEq + fmt::Debug,
    {
        for known in T::iter() {
            let word: &str = known.into();
            assert_eq!(serde_json::to_value(known).unwrap(), word);
            assert_eq!(Stored::read(word), Stored::Known(known));
        }
    }

    #[test]
    fn a_word_is_the_same_in_the_file_and_on_the_wire() {
        same_word_everywhere::<Effect>();
        same_word_everywhere::<EntryKind>();
        same_word_everywhere::<FinishOutcome>();
        same_word_everywhere::<Confidence>();
        same_word_everywhere::<SessionStatus>();
        same_word_everywhere::<Status>();
        same_word_everywhere::<Resolution>();
        same_word_everywhere::<Severity>();
        same_word_everywhere::<TicketEventKind>();
        same_word_everywhere::<NotificationKind>();
        same_word_everywhere::<ChangeKind>();
        same_word_everywhere::<ThingKind>();
        same_word_everywhere::<Mode>();
        same_word_everywhere::<Outcome>();
        same_word_everywhere::<Stream>();
        same_word_everywhere::<VerifyState>();
        same_word_everywhere::<Level>();
    }

    #[test]
    fn a_word_that_nobody_here_writes_is_kept() {
        let odd = Stored::<Severity>::read("page");
        assert_eq!((odd.known(), odd.as_str()), (None, "page"));
        let json = serde_json::to_string(&odd).unwrap();
        assert_eq!(json, "\"page\"");
        assert_eq!(
            serde_json::from_str::<Stored<Severity>>(&json).unwrap(),
            odd
        );
    }
}
