//! What tokens cost, from a data file with a date. A model that is not in it costs "unknown".

use crate::model::Usage;
use serde::Deserialize;
use std::collections::BTreeMap;

const TABLE: &str = include_str!("prices.toml");

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    pub cache_write: f64,
}

#[derive(Debug, Deserialize)]
struct Table {
    /// Day the prices were looked up.
    #[allow(dead_code, reason = "read by people, checked by a test")]
    date: String,
    models: BTreeMap<String, Price>,
}

impl Price {
    pub const FREE: Self = Self {
        input: 0.0,
        output: 0.0,
        cache_read: 0.0,
        cache_write: 0.0,
    };

    /// Price of a model: the entry with its id, or with its id before a date suffix.
    pub fn of_model(id: &str) -> Option<Self> {
        let table: Table = toml::from_str(TABLE).ok()?;
        let undated = id
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .trim_end_matches('-');
        table
            .models
            .get(id)
            .or_else(|| table.models.get(undated))
            .copied()
    }

    /// Cost of `usage`, US dollars.
    pub fn of(&self, usage: &Usage) -> f64 {
        let million = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
        million(usage.input, self.input)
            + million(usage.output, self.output)
            + million(usage.cache_read, self.cache_read)
            + million(usage.cache_write, self.cache_write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_and_knows_the_default_models() {
        let table: Table = toml::from_str(TABLE).unwrap();
        assert!(table.date.parse::<jiff::civil::Date>().is_ok());
        for id in [
            crate::model::DEFAULT_MODEL,
            "claude-opus-5-5",
            "claude-haiku-4-5-20251001",
        ] {
            assert!(Price::of_model(id).is_some(), "{id}");
        }
        assert_eq!(Price::of_model("somebody-elses-model"), None);
    }

    #[test]
    fn cached_tokens_have_prices_of_their_own() {
        let price = Price {
            input: 2.0,
            output: 10.0,
            cache_read: 0.1,
            cache_write: 2.5,
        };
        let usage = Usage {
            input: 1_000_000,
            output: 100_000,
            cache_read: 1_000_000,
            cache_write: 0,
        };
        assert!((price.of(&usage) - 3.1).abs() < 1e-9);
    }
}
