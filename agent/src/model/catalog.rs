//! What is known of a model: prices, limits, whether it takes an effort. From a data file with a
//! date, overridable in `config.toml`. What a model costs that is not in it is unknown, not zero.

use operator_ledger::usage::Usage;
use serde::Deserialize;
use std::collections::BTreeMap;

const TABLE: &str = include_str!("models.toml");

/// Limits of a model that nobody knows, in tokens: small enough for most.
const UNKNOWN_CONTEXT: u64 = 128_000;
const UNKNOWN_OUTPUT: u32 = 32_000;

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cache_read: f64,
    pub cache_write: f64,
}

/// Other prices for long prompts.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Long {
    /// Tokens of the prompt above which they hold.
    pub above: u64,
    pub price: Price,
}

/// What is known of one model.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// None: not known.
    #[serde(default)]
    pub price: Option<Price>,
    #[serde(default)]
    pub long: Option<Long>,
    /// Tokens that fit into a conversation and its next turn.
    #[serde(default = "unknown_context")]
    pub context: u64,
    /// Most tokens of one turn.
    #[serde(default = "unknown_output")]
    pub output: u32,
    /// Whether it takes an effort.
    #[serde(default)]
    pub effort: bool,
    /// Whether it thinks by itself, and says what only where it is asked to.
    #[serde(default)]
    pub thinking: bool,
}

/// The model for summaries and web searches.
#[derive(Debug, Clone, PartialEq)]
pub struct SmallModel {
    pub model: String,
    pub facts: Facts,
}

/// Entries by the id of a model.
pub type Entries = BTreeMap<String, Facts>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    search: f64,
    models: Entries,
}

fn unknown_context() -> u64 {
    UNKNOWN_CONTEXT
}

fn unknown_output() -> u32 {
    UNKNOWN_OUTPUT
}

fn table() -> Table {
    toml::from_str(TABLE).unwrap_or_else(|e| unreachable!("models.toml is broken: {e}"))
}

/// US dollars for one search by the API's own tool.
pub fn price_of_search() -> f64 {
    table().search
}

impl Facts {
    /// Nobody knows anything about it.
    pub const UNKNOWN: Self = Self {
        price: None,
        long: None,
        context: UNKNOWN_CONTEXT,
        output: UNKNOWN_OUTPUT,
        effort: false,
        thinking: false,
    };

    /// A model that costs nothing.
    pub const FREE: Self = Self {
        price: Some(Price {
            input: 0.0,
            output: 0.0,
            cache_read: 0.0,
            cache_write: 0.0,
        }),
        ..Self::UNKNOWN
    };

    /// Facts of a model: the entry with its id, or with its id before a date suffix; `own` first.
    pub fn of_model(id: &str, own: &Entries) -> Self {
        let date = |d: &str| d.len() == 8 && d.bytes().all(|b| b.is_ascii_digit());
        let undated = match id.rsplit_once('-') {
            Some((name, last)) if date(last) => name,
            _ => id,
        };
        let find = |entries: &Entries| entries.get(id).or_else(|| entries.get(undated)).copied();
        find(own)
            .or_else(|| find(&table().models))
            .unwrap_or(Self::UNKNOWN)
    }

    /// What `usage` of one request costs; None if the price is not known.
    pub fn cost(&self, usage: &Usage) -> Option<f64> {
        let million = |tokens: u64, price: f64| tokens as f64 * price / 1_000_000.0;
        let p = self.price_for(usage.prompt())?;
        Some(
            million(usage.input, p.input)
                + million(usage.output, p.output)
                + million(usage.cache_read, p.cache_read)
                + million(usage.cache_write, p.cache_write)
                + usage.searches as f64 * price_of_search(),
        )
    }

    /// The most that a request with a prompt of so many tokens and a turn of at most `output` can
    /// cost.
    pub fn most(&self, prompt: u64, output: u32) -> Option<f64> {
        let dearest = self.price_for(prompt)?;
        Some(
            (prompt as f64 * dearest.input.max(dearest.cache_write)
                + f64::from(output) * dearest.output)
                / 1_000_000.0,
        )
    }

    fn price_for(&self, prompt: u64) -> Option<Price> {
        match self.long {
            Some(long) if prompt > long.above => Some(long.price),
            _ => self.price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_and_knows_the_default_models() {
        let mut lines = TABLE.lines();
        let date = lines.find_map(|l| l.strip_prefix("# Looked up: "));
        assert!(date.is_some_and(|d| d.parse::<jiff::civil::Date>().is_ok()));
        let none = Entries::new();
        for id in [
            crate::model::DEFAULT_MODEL,
            crate::model::SMALL_MODEL,
            "claude-opus-5-5",
            "claude-haiku-4-5-20251001",
        ] {
            assert!(Facts::of_model(id, &none).price.is_some(), "{id}");
        }
        let other = Facts::of_model("somebody-elses-model", &none);
        assert_eq!(other, Facts::UNKNOWN);
        assert_eq!(other.cost(&Usage::default()), None, "unknown is not zero");
        let next = Facts::of_model("claude-opus-5-6", &none);
        assert_eq!(next, Facts::UNKNOWN, "a successor is another model");
    }

    #[test]
    fn cached_tokens_and_long_prompts_have_prices_of_their_own() {
        let haiku = Facts::of_model("claude-haiku-5-5", &Entries::new());
        let usage = |cache_read| Usage {
            input: 50_000,
            output: 10_000,
            cache_read,
            ..Usage::default()
        };
        let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?} {b}");
        close(haiku.cost(&usage(50_000)), 0.005 + 0.005 + 0.0005);
        close(haiku.cost(&usage(50_001)), 0.025 + 0.025 + 0.05 * 0.050_001);
        close(haiku.most(100_000, 10_000), 0.0125 + 0.005);
        close(haiku.most(100_001, 10_000), 0.625 * 0.100_001 + 0.025);
        let searched = Usage {
            searches: 3,
            ..Usage::default()
        };
        close(haiku.cost(&searched), 0.03);
    }

    #[test]
    fn an_own_entry_takes_the_place_of_ours() {
        let own: Entries = toml::from_str(
            "[claude-opus-5-5]\nprice = { input = 1, output = 1, cache_read = 1, cache_write = 1 }\n[local]\ncontext = 32000\n",
        )
        .unwrap();
        let opus = Facts::of_model("claude-opus-5-5", &own);
        assert!((opus.price.unwrap().output - 1.0).abs() < 1e-9);
        let local = Facts::of_model("local", &own);
        assert_eq!((local.context, local.price), (32_000, None));
        assert!(toml::from_str::<Entries>("[x]\nprize = 1\n").is_err());
    }
}
