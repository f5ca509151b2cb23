//! What is known of programs, from the files in `tables`.
//!
//! `flags`: words with spaces between them. `-n` takes nothing, `-n:` any value, `-X:GET,HEAD` one of
//! these, `-w:%format` one that a rule accepts, `-i?` may have a value in the same word, `-#` is a
//! number by itself; `!` in front of a flag: it changes something. What is not listed is not known.
//! `any`: whatever the arguments, but for those with a `!`, it reads. `words`: flags with one dash are
//! words. `sub`: what the first operand says; `reads` and `changes` are short for such ones, with the
//! flags of the whole. `bare`: it may also be left out, `bare_with`: with one of these flags. `operands`: so many at most; `operand`: each
//! passes that rule. `needs`: one of these flags is there; `otherwise`, what it does without.
//! `old_style`: the first word is flags, with a dash or without. `wraps`: see `wrapper`; `skip`: so many
//! operands come before the command. `ordered`: no flag comes after an operand. `unless`: flags that
//! change something unless one of the others is there. `plain`: with one of these arguments (`*`: always) it prints
//! plain words; `keeps_plain`: it prints them if it is given them.

use super::{Effect, word::Arg};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

const FILES: [&str; 12] = [
    include_str!("tables/shell.toml"),
    include_str!("tables/text.toml"),
    include_str!("tables/files.toml"),
    include_str!("tables/processes.toml"),
    include_str!("tables/system.toml"),
    include_str!("tables/network.toml"),
    include_str!("tables/containers.toml"),
    include_str!("tables/kubernetes.toml"),
    include_str!("tables/tikv.toml"),
    include_str!("tables/databases.toml"),
    include_str!("tables/tools.toml"),
    include_str!("tables/operator.toml"),
];

static PROGRAMS: LazyLock<HashMap<String, Program>> = LazyLock::new(|| {
    let mut programs = HashMap::new();
    for file in FILES {
        let read: BTreeMap<String, Raw> = toml::from_str(file)
            .unwrap_or_else(|e| unreachable!("a table of effects is broken: {e}"));
        for (names, raw) in read {
            for name in names.split_whitespace() {
                programs.insert(name.to_owned(), Program::of(&raw));
            }
        }
    }
    programs
});

pub(super) fn program(name: &str) -> Option<&'static Program> {
    PROGRAMS.get(name)
}

/// A language of its own, which the arguments are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Language {
    Awk,
    Find,
    Sed,
    Test,
}

/// How a program runs the command that is in its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Wraps {
    /// As they are.
    Argv,
    /// As they are, after assignments.
    Env,
    /// As they are, with words of its input after them.
    Appended,
    /// What is after `--`, as it is.
    AfterDashes,
    /// Joined, in a shell.
    Shell,
    /// The first alone, in a shell.
    Script,
    /// It is the name of one of our tables: tiup, busybox.
    Program,
}

/// What a value, or an operand, must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    Any,
    OneOf(Vec<String>),
    /// `curl -w`: a format that names no file.
    Format,
    /// A header that says nothing of another method.
    Header,
    /// A number, or several with commas.
    Number,
    /// `+…`
    Plus,
    /// No assignment.
    NoEquals,
    /// A name that a variable of the shell may have; it is given a value.
    Variable,
    /// Of `ssh -o`.
    SshOption,
    /// Parameters of `dd` that write nothing.
    Dd,
    /// An assignment of a harmless variable.
    Environment,
    Postgres,
    Mysql,
    Sqlite,
    Url,
    /// What comes after the host of an address.
    UrlPath,
}

impl Rule {
    fn of(text: &str) -> Self {
        match text {
            "" => Self::Any,
            "%format" => Self::Format,
            "%header" => Self::Header,
            "%number" => Self::Number,
            "%plus" => Self::Plus,
            "%no-equals" => Self::NoEquals,
            "%variable" => Self::Variable,
            "%ssh-option" => Self::SshOption,
            "%dd" => Self::Dd,
            "%environment" => Self::Environment,
            "%postgres" => Self::Postgres,
            "%mysql" => Self::Mysql,
            "%sqlite" => Self::Sqlite,
            "%url" => Self::Url,
            "%url-path" => Self::UrlPath,
            list => Self::OneOf(list.split(',').map(str::to_owned).collect()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// A value in the same word, or none.
    Attached,
    Value(Rule),
}

#[derive(Debug, Clone)]
pub(super) struct Flag {
    pub takes: Takes,
    pub changes: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    any: bool,
    words: bool,
    bare: bool,
    ordered: bool,
    ignore_case: bool,
    keeps_plain: bool,
    effect: Option<Effect>,
    flags: String,
    operands: Option<usize>,
    operand: String,
    needs: String,
    plain: String,
    skip: usize,
    wraps: Option<Wraps>,
    language: Option<Language>,
    old_style: bool,
    bare_with: String,
    otherwise: Option<Effect>,
    unless: BTreeMap<String, String>,
    sub: BTreeMap<String, Raw>,
    reads: String,
    changes: String,
}

/// A program, or what it does after some of its operands.
#[derive(Debug)]
pub(super) struct Program {
    pub any: bool,
    pub words: bool,
    pub bare: bool,
    pub ordered: bool,
    pub ignore_case: bool,
    pub keeps_plain: bool,
    pub effect: Effect,
    pub operands: usize,
    pub operand: Rule,
    pub skip: usize,
    pub wraps: Option<Wraps>,
    pub language: Option<Language>,
    pub old_style: bool,
    pub otherwise: Effect,
    flags: HashMap<String, Flag>,
    needs: Vec<String>,
    bare_with: Vec<String>,
    plain: Vec<String>,
    unless: Vec<(Vec<String>, Vec<String>)>,
    sub: HashMap<String, Program>,
}

impl Program {
    fn of(raw: &Raw) -> Self {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let short = |names: &'_ str, effect| {
            let of = Raw {
                effect: Some(effect),
                any: effect == Effect::Changes,
                ..Raw::default()
            };
            let names = names.split_whitespace();
            names
                .map(|name| (name.to_owned(), Self::of(&of)))
                .collect::<Vec<_>>()
        };
        let mut sub = HashMap::new();
        sub.extend(short(&raw.reads, Effect::Reads));
        sub.extend(short(&raw.changes, Effect::Changes));
        for (names, raw) in &raw.sub {
            sub.extend(
                names
                    .split_whitespace()
                    .map(|name| (name.to_owned(), Self::of(raw))),
            );
        }
        Self {
            any: raw.any,
            words: raw.words,
            bare: raw.bare,
            ordered: raw.ordered,
            ignore_case: raw.ignore_case,
            keeps_plain: raw.keeps_plain,
            effect: raw.effect.unwrap_or(Effect::Reads),
            operands: raw.operands.unwrap_or(usize::MAX),
            operand: Rule::of(&raw.operand),
            skip: raw.skip,
            wraps: raw.wraps,
            language: raw.language,
            old_style: raw.old_style,
            otherwise: raw.otherwise.unwrap_or(Effect::Unknown),
            flags: raw.flags.split_whitespace().map(flag).collect(),
            needs: words(&raw.needs),
            bare_with: words(&raw.bare_with),
            plain: words(&raw.plain),
            unless: raw
                .unless
                .iter()
                .map(|(a, b)| (words(a), words(b)))
                .collect(),
            sub,
        }
    }

    pub(super) fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.get(name)
    }

    /// Whether there is a flag that changes something.
    pub(super) fn may_change(&self) -> bool {
        self.flags.values().any(|flag| flag.changes)
    }

    pub(super) fn has_subs(&self) -> bool {
        !self.sub.is_empty()
    }

    pub(super) fn sub(&self, name: &str) -> Option<&Program> {
        if self.ignore_case {
            return self.sub.get(&name.to_ascii_lowercase());
        }
        self.sub.get(name)
    }

    /// Whether it reads without a word that says what it is to do.
    pub(super) fn is_complete(&self, flags: &[(String, Option<Arg>)]) -> bool {
        let given = |flag: &String| flags.iter().any(|(name, _)| name == flag);
        !self.has_subs() || self.bare || self.bare_with.iter().any(given)
    }

    pub(super) fn has_what_it_needs(&self, flags: &[(String, Option<Arg>)]) -> bool {
        let given = |need: &String| flags.iter().any(|(name, _)| name == need);
        self.needs.is_empty() || self.needs.iter().any(given)
    }

    pub(super) fn changes_unless(&self, flags: &[(String, Option<Arg>)]) -> bool {
        let given = |list: &[String]| flags.iter().any(|(name, _)| list.contains(name));
        let mut rules = self.unless.iter();
        rules.any(|(these, others)| given(these) && !given(others))
    }

    pub(super) fn prints_plain(&self, args: &[Arg]) -> bool {
        let with = |word: &String| word == "*" || args.iter().any(|arg| arg.is(word));
        if self.plain.iter().any(with) {
            return true;
        }
        let first = args
            .iter()
            .filter_map(Arg::known)
            .find_map(|name| self.sub(name));
        first.is_some_and(|sub| sub.prints_plain(args))
    }
}

fn flag(text: &str) -> (String, Flag) {
    let (changes, text) = match text.strip_prefix('!') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (name, takes) = match (text.split_once(':'), text.strip_suffix('?')) {
        (Some((name, rule)), _) => (name, Takes::Value(Rule::of(rule))),
        (None, Some(name)) => (name, Takes::Attached),
        (None, None) => (text, Takes::Nothing),
    };
    (name.to_owned(), Flag { takes, changes })
}
