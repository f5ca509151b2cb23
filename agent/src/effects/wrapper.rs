//! Programs that run the command in their operands: what they do is what that does.

use super::{
    Effect,
    arguments::Call,
    command, script,
    script::Scope,
    table::{self, Program, Wraps},
    variables,
    word::{Arg, Tail},
};

pub(super) fn judge(wraps: Wraps, program: &Program, call: &Call, scope: &mut Scope) -> Effect {
    // So many words are there before the command, whatever they are.
    let before = &call.operands[..program.skip.min(call.operands.len())];
    if !before
        .iter()
        .all(|arg| arg.is_one() && !arg.text.starts_with('-'))
    {
        return Effect::Unknown;
    }
    let operands = &call.operands[before.len()..];
    let alone = if program.bare {
        Effect::Reads
    } else {
        Effect::Unknown
    };
    match wraps {
        Wraps::Argv => argv(operands, scope).unwrap_or(alone),
        Wraps::Env => {
            let (assigned, rest) = assignments(operands);
            assigned.max(argv(rest, scope).unwrap_or(alone))
        }
        Wraps::Appended => appended(call, operands, scope).unwrap_or(alone),
        Wraps::AfterDashes => match call.dashes {
            Some(at) if at == program.skip => argv(operands, scope).unwrap_or(alone),
            _ => Effect::Unknown,
        },
        Wraps::Shell if operands.is_empty() => alone,
        Wraps::Shell => text_of(joined(operands).as_deref(), scope),
        Wraps::Script => match operands.first() {
            Some(script) => text_of(script.known(), scope),
            None => alone,
        },
        Wraps::Program => {
            let Some(name) = operands.first().and_then(Arg::known) else {
                return alone;
            };
            let name = name.split(':').next().unwrap_or_default();
            match table::program(name) {
                Some(_) => command::run(name, &operands[1..], scope),
                None => Effect::Unknown,
            }
        }
    }
}

fn argv(operands: &[Arg], scope: &mut Scope) -> Option<Effect> {
    let (program, args) = operands.split_first()?;
    Some(match program.known() {
        Some(program) => command::run(program, args, scope),
        None => Effect::Unknown,
    })
}

fn assignments(operands: &[Arg]) -> (Effect, &[Arg]) {
    let mut worst = Effect::Reads;
    let mut rest = operands;
    while let Some((arg, after)) = rest.split_first() {
        let Some((name, value)) = arg.text.split_once('=') else {
            break;
        };
        let value = Arg {
            text: value.to_owned(),
            tail: arg.tail,
        };
        if !arg.is_one() || !variables::is_harmless_environment(name, &value) {
            worst = Effect::Unknown;
        }
        rest = after;
    }
    (worst, rest)
}

/// xargs: the words of its input come after the command, or in place of a mark in it.
fn appended(call: &Call, operands: &[Arg], scope: &mut Scope) -> Option<Effect> {
    let mark = ["-I", "--replace"].into_iter().find(|flag| call.has(flag));
    let Some(mark) = mark else {
        let mut operands = operands.to_vec();
        let is_echo = operands.is_empty();
        operands.push(Arg::anything());
        return if is_echo {
            None
        } else {
            argv(&operands, scope)
        };
    };
    let Some(mark) = call
        .value(mark)
        .and_then(Arg::known)
        .filter(|m| !m.is_empty())
    else {
        return Some(Effect::Unknown);
    };
    let replaced = operands.iter().map(|arg| match arg.text.find(mark) {
        Some(at) => Arg {
            text: arg.text[..at].to_owned(),
            tail: if arg.is_one() {
                Tail::Quoted
            } else {
                Tail::Anything
            },
        },
        None => arg.clone(),
    });
    argv(&replaced.collect::<Vec<_>>(), scope)
}

/// What a shell would be given. None: one of the words is not known.
fn joined(operands: &[Arg]) -> Option<String> {
    let words: Option<Vec<&str>> = operands.iter().map(Arg::known).collect();
    words.map(|words| words.join(" "))
}

fn text_of(text: Option<&str>, scope: &Scope) -> Effect {
    text.map_or(Effect::Unknown, |text| script::judge(text, scope.budget))
}
