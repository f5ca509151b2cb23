//! One simple command: what is assigned in front of it, where its input and output go, and the
//! program with its arguments.

use super::{
    Effect, arguments, expansion,
    script::Scope,
    table, variables,
    word::{Arg, Tail},
};
use brush_parser::ast::{
    Assignment, AssignmentName, AssignmentValue, Command, CommandPrefixOrSuffixItem as Item,
    IoFileRedirectKind as Kind, IoFileRedirectTarget as Target, IoRedirect, SimpleCommand,
};

/// Where programs of a system are; a container of TiKV has its own in the root.
const FOLDERS: &[&str] = &[
    "/bin/",
    "/usr/bin/",
    "/sbin/",
    "/usr/sbin/",
    "/usr/local/bin/",
    "/usr/local/sbin/",
    "/",
];
/// To write there is to write nowhere, or where it goes anyway.
const NOWHERE: &[&str] = &[
    "/dev/null",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/fd/1",
    "/dev/fd/2",
];
/// To open these is to do something.
const TOUCHY: &[&str] = &["/dev/watchdog", "/proc/kmsg", "trace_pipe", "/dev/tty"];

pub(super) fn judge(simple: &SimpleCommand, scope: &mut Scope) -> Effect {
    let mut worst = Effect::Reads;
    let mut assigned = Vec::new();
    for item in simple.prefix.iter().flat_map(|prefix| &prefix.0) {
        match item {
            Item::IoRedirect(to) => worst = worst.max(redirect(to, scope)),
            Item::AssignmentWord(assignment, _) => match value(assignment, scope) {
                Some((name, value, effect)) => {
                    worst = worst.max(effect);
                    assigned.push((name, value));
                }
                None => worst = worst.max(Effect::Unknown),
            },
            Item::Word(_) | Item::ProcessSubstitution(..) => worst = worst.max(Effect::Unknown),
        }
    }
    let Some(name) = &simple.word_or_name else {
        // Nothing runs: the shell's own variables are set.
        for (name, value) in assigned {
            if !variables::is_harmless(&name) {
                worst = worst.max(Effect::Unknown);
            }
            scope.variables.set(&name, value);
        }
        return worst;
    };
    let (program, effect) = expansion::expand(name, scope);
    worst = worst.max(effect);
    // A name that only an expansion gives is judged as if it were not known.
    let literal = !name.value.contains(['$', '`', '~']);
    let (args, effect) = arguments_of(simple, scope);
    worst = worst.max(effect);
    let Some(program) = program.known().filter(|_| literal) else {
        return worst.max(Effect::Unknown);
    };
    for (name, value) in assigned {
        let separator = program == "read" && name == "IFS";
        if !separator && !variables::is_harmless_environment(&name, &value) {
            worst = worst.max(Effect::Unknown);
        }
    }
    worst.max(run(program, &args, scope))
}

/// What a program does that is called by this name, with these arguments.
pub(super) fn run(program: &str, args: &[Arg], scope: &mut Scope) -> Effect {
    if !scope.budget.command() {
        return Effect::Unknown;
    }
    let touchy = |arg: &Arg| TOUCHY.iter().any(|file| arg.text.contains(file));
    let worst = if args.iter().any(touchy) {
        Effect::Unknown
    } else {
        Effect::Reads
    };
    match name_of(program).and_then(table::program) {
        Some(program) => worst.max(arguments::judge(program, args, scope)),
        None => Effect::Unknown,
    }
}

/// The name of a program that is where programs of a system are.
pub(super) fn name_of(program: &str) -> Option<&str> {
    let name = program.rsplit('/').next()?;
    let folder = &program[..program.len() - name.len()];
    (folder.is_empty() || FOLDERS.contains(&folder)).then_some(name)
}

/// Whether a pipeline prints nothing but plain words: ids, names, numbers.
pub(super) fn prints_plain(pipeline: &[Command], scope: &Scope) -> bool {
    let mut plain = false;
    for command in pipeline {
        let Command::Simple(simple) = command else {
            return false;
        };
        let Some(name) = &simple.word_or_name else {
            return false;
        };
        let (args, _) = arguments_of(simple, scope);
        let Some(program) = name_of(&name.value).and_then(table::program) else {
            return false;
        };
        plain = program.prints_plain(&args) || (plain && program.keeps_plain);
    }
    plain
}

fn arguments_of(simple: &SimpleCommand, scope: &Scope) -> (Vec<Arg>, Effect) {
    let mut worst = Effect::Reads;
    let mut args = Vec::new();
    for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
        match item {
            Item::IoRedirect(to) => worst = worst.max(redirect(to, scope)),
            Item::AssignmentWord(
                Assignment {
                    value: AssignmentValue::Array(_),
                    ..
                },
                _,
            ) => worst = worst.max(Effect::Unknown),
            Item::Word(word) | Item::AssignmentWord(_, word) => {
                let (arg, effect) = expansion::expand(word, scope);
                worst = worst.max(effect);
                args.push(arg);
            }
            Item::ProcessSubstitution(_, shell) => {
                worst = worst.max(super::script::group(&shell.list, scope));
                args.push(Arg {
                    text: "/dev/fd/".into(),
                    tail: Tail::Plain,
                });
            }
        }
    }
    (args, worst)
}

/// Name, value, and what computing it does. None: a list, or an element of one.
fn value(assignment: &Assignment, scope: &Scope) -> Option<(String, Arg, Effect)> {
    let (AssignmentName::VariableName(name), AssignmentValue::Scalar(word)) =
        (&assignment.name, &assignment.value)
    else {
        return None;
    };
    // No word is split there, and none is a name of a file.
    let (mut arg, effect) = expansion::expand_assigned(&word.value, scope);
    if assignment.append {
        arg = Arg::anything();
    }
    Some((name.clone(), arg, effect))
}

pub(super) fn redirect(redirect: &IoRedirect, scope: &Scope) -> Effect {
    match redirect {
        IoRedirect::File(_, kind, target) => match target {
            Target::Fd(_) => Effect::Reads,
            Target::ProcessSubstitution(_, shell) => super::script::group(&shell.list, scope),
            Target::Duplicate(word) => {
                let (to, effect) = expansion::expand(word, scope);
                let descriptor = |to: &str| {
                    let number = to.strip_suffix('-').unwrap_or(to);
                    number.bytes().all(|b| b.is_ascii_digit())
                };
                let duplicates = to.known().is_some_and(descriptor);
                effect.max(match (duplicates, kind) {
                    (true, _) => Effect::Reads,
                    (false, Kind::DuplicateInput) => Effect::Unknown,
                    (false, _) => written(&to),
                })
            }
            Target::Filename(word) => {
                let (file, effect) = expansion::expand(word, scope);
                effect.max(match kind {
                    Kind::Read if TOUCHY.iter().any(|touchy| file.text.contains(touchy)) => {
                        Effect::Unknown
                    }
                    Kind::Read => Effect::Reads,
                    Kind::ReadAndWrite | Kind::DuplicateInput => Effect::Unknown,
                    _ => written(&file),
                })
            }
        },
        IoRedirect::HereDocument(_, document) => {
            if document.requires_expansion {
                expansion::here_document(&document.doc.value, scope)
            } else {
                Effect::Reads
            }
        }
        IoRedirect::HereString(_, word) => expansion::expand(word, scope).1,
        IoRedirect::OutputAndError(word, _) => {
            let (file, effect) = expansion::expand(word, scope);
            effect.max(written(&file))
        }
    }
}

fn written(file: &Arg) -> Effect {
    match file.known() {
        Some(file) if NOWHERE.contains(&file) => Effect::Reads,
        _ => Effect::Changes,
    }
}
