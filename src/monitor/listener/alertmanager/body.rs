//! The outer part of a notification, read twice: once for what it says of all its alerts, which may
//! stand behind them, and once for the alerts, each by itself.

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use std::{fmt, io::Read, marker::PhantomData};

/// What a notification says of all its alerts. Fields that are not known here are left aside.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Of the whole group: what an alert without a status has.
    pub status: Option<String>,
    pub group_key: String,
    pub external_url: String,
    pub truncated: u64,
}

impl Head {
    /// Reads the body to its end: an error is that of any part of it.
    pub(super) fn read(from: impl Read) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outer {
            #[serde(default)]
            status: Value,
            #[serde(default)]
            group_key: Value,
            #[serde(default, rename = "externalURL")]
            external_url: Value,
            #[serde(default)]
            truncated_alerts: Value,
            #[serde(rename = "alerts")]
            _alerts: List,
        }
        let outer: Outer = serde_json::from_reader(from).map_err(|e| e.to_string())?;
        let text = |value: Value| match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            // The key of a group was a number once.
            other => other.to_string(),
        };
        Ok(Self {
            status: outer.status.as_str().map(str::to_owned),
            group_key: text(outer.group_key),
            external_url: text(outer.external_url),
            truncated: outer.truncated_alerts.as_u64().unwrap_or(0),
        })
    }
}

/// A list, or Go's null for an empty one, of which only that is known.
struct List;

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Each::new(&mut |_: IgnoredAny| true))?;
        Ok(Self)
    }
}

/// Each alert in turn, until the function says no, which is an error of no meaning.
pub(super) fn each(from: impl Read, mut take: impl FnMut(Value) -> bool) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_reader(from);
    reader
        .deserialize_map(Alerts(&mut take))
        .map_err(|e| e.to_string())
}

struct Alerts<'a, F>(&'a mut F);

impl<'de, F: FnMut(Value) -> bool> Visitor<'de> for Alerts<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a notification")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "alerts" {
                map.next_value_seed(Seed(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Seed<'a, F>(&'a mut F);

impl<'de, F: FnMut(Value) -> bool> DeserializeSeed<'de> for Seed<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(Each::new(self.0))
    }
}

/// Hands on the elements of a list one by one.
struct Each<'a, T, F> {
    take: &'a mut F,
    of: PhantomData<T>,
}

impl<'a, T, F: FnMut(T) -> bool> Each<'a, T, F> {
    fn new(take: &'a mut F) -> Self {
        let of = PhantomData;
        Self { take, of }
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> bool> Visitor<'de> for Each<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while let Some(element) = list.next_element::<T>()? {
            if !(self.take)(element) {
                return Err(de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}
