//! Reading what others write, part by part: a null or odd field loses itself and not its object,
//! a null or odd element loses itself and not the list it stands in.
//!
//! How many elements were lost is kept where it matters that a list is whole.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A list as far as it can be read.
#[derive(Debug, Clone)]
pub struct Lenient<T> {
    pub read: Vec<T>,
    /// Elements that are no `T`.
    pub odd: usize,
}

impl<T> Lenient<T> {
    /// How many there are, read or not.
    pub fn count(&self) -> u64 {
        (self.read.len() + self.odd) as u64
    }
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self {
            read: Vec::new(),
            odd: 0,
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let all = Option::<Vec<Value>>::deserialize(from)?.unwrap_or_default();
        let count = all.len();
        // Every field of an object may be missing, so that an empty list would pass for one.
        let read: Vec<T> = all
            .into_iter()
            .filter(Value::is_object)
            .filter_map(|value| serde_json::from_value(value).ok())
            .collect();
        Ok(Self {
            odd: count - read.len(),
            read,
        })
    }
}

/// For fields: what cannot be read is as if it were not there.
pub(super) fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// For lists of objects, where nobody needs to know what was lost.
pub(super) fn list<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).map_or_else(|_| Vec::new(), |l: Lenient<T>| l.read))
}

/// For lists of texts.
pub(super) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let Value::Array(all) = Value::deserialize(from)? else {
        return Ok(Vec::new());
    };
    let texts = all.into_iter().filter_map(|value| match value {
        Value::String(text) => Some(text),
        _ => None,
    });
    Ok(texts.collect())
}
