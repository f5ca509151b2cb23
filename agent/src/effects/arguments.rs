//! The arguments of a call, read by what `table` knows of the program.

use super::{
    Effect, awk, find,
    script::Scope,
    sed, sql,
    table::{Flag, Language, Program, Rule, Takes, Wraps},
    test, url, variables,
    word::{self, Arg, Tail},
    wrapper,
};

/// A call, as far as it was understood.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The program, and what its operands made of it.
    levels: Vec<&'a Program>,
    pub flags: Vec<(String, Option<Arg>)>,
    pub operands: Vec<Arg>,
    /// Operands before `--`, if that is there.
    pub dashes: Option<usize>,
    effect: Effect,
}

pub(super) fn judge(program: &Program, args: &[Arg], scope: &mut Scope) -> Effect {
    match program.language {
        Some(Language::Find) => return find::judge(args, scope),
        Some(Language::Test) => return test::judge(args),
        _ => {}
    }
    let mut args = args.to_vec();
    if let Some(first) = args.first_mut()
        && program.old_style
        && first
            .known()
            .is_some_and(|word| word.chars().all(|c| c.is_ascii_alphabetic()))
    {
        first.text.insert(0, '-');
    }
    let call = Call::read(program, &args);
    let level = call.level();
    let mut effect = call.effect.max(level.effect);
    if !level.has_what_it_needs(&call.flags) {
        effect = effect.max(level.otherwise);
    }
    if level.changes_unless(&call.flags) {
        effect = Effect::Changes;
    }
    if let Some(wraps) = level.wraps {
        return effect.max(wrapper::judge(wraps, level, &call, scope));
    }
    match program.language {
        Some(Language::Awk) => return effect.max(awk::judge(&call)),
        Some(Language::Sed) => return effect.max(sed::judge(&call)),
        _ => {}
    }
    if level.any {
        return effect;
    }
    if level.operand == Rule::Variable {
        for name in call.operands.iter().filter_map(Arg::known) {
            scope.variables.set(name, Arg::anything());
        }
    }
    if call.operands.is_empty() && !level.is_complete(&call.flags) {
        effect = effect.max(Effect::Unknown);
    }
    let count: usize = call
        .operands
        .iter()
        .map(|arg| if arg.is_one() { 1 } else { 100 })
        .sum();
    if count > level.operands {
        effect = effect.max(Effect::Unknown);
    }
    call.operands.iter().fold(effect, |worst, operand| {
        worst.max(passes(&level.operand, operand))
    })
}

impl<'a> Call<'a> {
    fn read(program: &'a Program, args: &[Arg]) -> Self {
        let mut call = Self {
            levels: vec![program],
            flags: Vec::new(),
            operands: Vec::new(),
            dashes: None,
            effect: Effect::Reads,
        };
        let mut args = args.iter().peekable();
        while let Some(arg) = args.next() {
            if call.dashes.is_some() || call.flags_are_over() {
                call.operands.push(arg.clone());
            } else if arg.is("--") {
                call.dashes = Some(call.operands.len());
            } else if call.level().any {
                call.whatever(arg);
            } else if arg.is_operand() || arg.is("-") {
                call.operand(arg);
            } else if arg.text.starts_with('-') {
                call.flag(arg, &mut args);
            } else {
                call.worst(Effect::Unknown);
            }
        }
        call
    }

    fn level(&self) -> &'a Program {
        // Never empty: it begins with the program.
        self.levels[self.levels.len() - 1]
    }

    fn worst(&mut self, effect: Effect) {
        self.effect = self.effect.max(effect);
    }

    /// Whether what comes now belongs to another command, whatever it looks like.
    fn flags_are_over(&self) -> bool {
        let level = self.level();
        let argv = level.wraps.is_some_and(|wraps| wraps != Wraps::AfterDashes);
        let awk = self.levels[0].language == Some(Language::Awk);
        (argv || awk || level.ordered) && !self.operands.is_empty()
    }

    /// An argument of a program that reads whatever it is given.
    fn whatever(&mut self, arg: &Arg) {
        let level = self.level();
        if level.may_change() {
            let name = arg.text.split('=').next().unwrap_or_default();
            let flag = level.flag(name).or_else(|| level.flag(arg.text.get(..2)?));
            if flag.is_some_and(|flag| flag.changes) {
                self.worst(Effect::Changes);
            } else if arg.known().is_none() && !arg.is_operand() {
                self.worst(Effect::Unknown);
            }
        }
        self.operands.push(arg.clone());
    }

    fn operand(&mut self, arg: &Arg) {
        let level = self.level();
        if !level.has_subs() || !self.operands.is_empty() {
            return self.operands.push(arg.clone());
        }
        // tiup writes a version behind the name.
        let named = |name: &str| {
            level
                .sub(name)
                .filter(|sub| sub.wraps == Some(Wraps::Program))
        };
        let versioned = |name: &str| named(name.split_once(':')?.0);
        let sub = arg
            .known()
            .and_then(|name| level.sub(name).or_else(|| versioned(name)));
        match sub {
            Some(sub) => self.levels.push(sub),
            // Neither a word of its own nor what may stand in the place of one.
            None if level.operand == Rule::Any => {
                self.worst(Effect::Unknown);
                self.operands.push(arg.clone());
            }
            None => self.operands.push(arg.clone()),
        }
    }

    fn find(&self, name: &str) -> Option<&'a Flag> {
        self.levels.iter().rev().find_map(|level| level.flag(name))
    }

    fn flag<'i>(
        &mut self,
        arg: &Arg,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'i Arg>>,
    ) {
        let text = arg.text.as_str();
        if text.starts_with("--") || self.levels[0].words {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                // The rest of the name is not known.
                None if arg.tail != Tail::Nothing => return self.worst(Effect::Unknown),
                None => (text, None),
            };
            let value = value.map(|value| Arg {
                text: value.to_owned(),
                tail: arg.tail,
            });
            let one_dash = format!("-{}", name.trim_start_matches('-'));
            let name = if self.levels[0].words {
                one_dash.as_str()
            } else {
                name
            };
            if self.levels[0].words && self.is_number(name) {
                return;
            }
            return self.take(name, value, rest);
        }
        for (at, c) in text.char_indices().skip(1) {
            let name = format!("-{c}");
            let after = &text[at + c.len_utf8()..];
            match self.find(&name).map(|flag| &flag.takes) {
                Some(Takes::Nothing) => self.take(&name, None, rest),
                Some(Takes::Attached | Takes::Value(_)) => {
                    let there = !after.is_empty() || arg.tail != Tail::Nothing;
                    let value = there.then(|| Arg {
                        text: after.strip_prefix('=').unwrap_or(after).to_owned(),
                        tail: arg.tail,
                    });
                    return self.take(&name, value, rest);
                }
                None if self.is_number(&text[at - 1..]) && at == 1 => return,
                None => self.worst(Effect::Unknown),
            }
        }
        if arg.tail != Tail::Nothing {
            self.worst(Effect::Unknown);
        }
    }

    fn is_number(&self, text: &str) -> bool {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        number && self.find("-#").is_some()
    }

    /// A flag by its whole name, with the value that is in the same word.
    fn take<'i>(
        &mut self,
        name: &str,
        value: Option<Arg>,
        rest: &mut std::iter::Peekable<impl Iterator<Item = &'i Arg>>,
    ) {
        let Some(flag) = self.find(name) else {
            return self.worst(Effect::Unknown);
        };
        if flag.changes {
            self.worst(Effect::Changes);
        }
        let value = match (&flag.takes, value) {
            (Takes::Nothing | Takes::Attached, None) => None,
            (Takes::Nothing, Some(value)) => {
                // `--flag=true`, as some programs read them.
                let said = value.is("true") || value.is("false") || value.is("0");
                self.worst(if said { Effect::Reads } else { Effect::Unknown });
                Some(value)
            }
            (Takes::Attached, Some(value)) => {
                self.one(&value);
                Some(value)
            }
            (Takes::Value(rule), Some(value)) => {
                self.one(&value);
                self.worst(passes(rule, &value));
                Some(value)
            }
            (Takes::Value(rule), None) => {
                let Some(value) = rest.next() else {
                    return self.worst(Effect::Unknown);
                };
                self.one(value);
                // Were the word before it empty, this would be a flag.
                let second = value.text.get(1..2).unwrap_or("0");
                if value.text.starts_with('-') && !second.bytes().all(|b| b.is_ascii_digit()) {
                    self.worst(Effect::Unknown);
                }
                self.worst(passes(rule, value));
                Some(value.clone())
            }
        };
        self.flags.push((name.to_owned(), value));
    }

    /// More than one word would be more than a value.
    fn one(&mut self, value: &Arg) {
        let files = value.tail == Tail::Files && value.is_operand();
        if !value.is_one() && !files {
            self.worst(Effect::Unknown);
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&Arg> {
        self.flags.iter().find(|(n, _)| n == name)?.1.as_ref()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(n, _)| n == name)
    }
}

/// What a value or an operand does, by the rule for it.
fn passes(rule: &Rule, arg: &Arg) -> Effect {
    let reads = |is: bool| if is { Effect::Reads } else { Effect::Unknown };
    match rule {
        Rule::Any => Effect::Reads,
        Rule::Header => reads(url::is_header(&arg.text)),
        Rule::Url => url::judge(arg),
        Rule::UrlPath => url::judge(&Arg {
            text: format!("http://server{}", arg.text),
            tail: arg.tail,
        }),
        _ => {
            let Some(text) = arg.known() else {
                return reads(
                    *rule == Rule::Number && arg.tail == Tail::Plain && arg.text.is_empty(),
                );
            };
            match rule {
                Rule::OneOf(list) => reads(list.iter().any(|known| known == text)),
                Rule::Number => reads(text.chars().all(|c| c.is_ascii_digit() || ",.".contains(c))),
                Rule::Plus => reads(text.starts_with('+')),
                Rule::Variable => reads(variables::is_harmless(text)),
                Rule::NoEquals => reads(!text.contains('=')),
                Rule::Format => reads(!text.contains("%output") && !text.starts_with('@')),
                Rule::SshOption => reads(url::is_ssh_option(text)),
                Rule::Dd => reads(is_dd(text)),
                Rule::Environment => {
                    let (name, value) = text.split_once('=').unwrap_or((text, ""));
                    reads(variables::is_harmless_environment(name, &Arg::exact(value)))
                }
                Rule::Postgres => sql::judge(text, sql::Dialect::Postgres),
                Rule::Mysql => sql::judge(text, sql::Dialect::Mysql),
                // The file comes first.
                Rule::Sqlite if is_file(text) => Effect::Reads,
                Rule::Sqlite => sql::judge(text, sql::Dialect::Sqlite),
                Rule::Any | Rule::Header | Rule::Url | Rule::UrlPath => Effect::Reads,
            }
        }
    }
}

fn is_file(text: &str) -> bool {
    word::is_plain(text) && (!text.starts_with('.') || text.starts_with("./"))
}

fn is_dd(text: &str) -> bool {
    match text.split_once('=') {
        Some(("of", file)) => file == "/dev/null",
        Some((name, _)) => matches!(
            name,
            "if" | "bs" | "ibs" | "count" | "skip" | "status" | "iflag" | "obs"
        ),
        None => false,
    }
}
