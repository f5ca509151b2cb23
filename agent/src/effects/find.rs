//! `find`: places, then an expression, whose words are all known or the whole is not.

use super::{
    Effect, command,
    script::Scope,
    word::{Arg, Tail},
};

const OPTIONS: &[&str] = &["-L", "-H", "-P"];
/// Words that stand by themselves.
const ALONE: &[&str] = &[
    "-print",
    "-print0",
    "-ls",
    "-prune",
    "-quit",
    "-empty",
    "-readable",
    "-writable",
    "-executable",
    "-xdev",
    "-mount",
    "-depth",
    "-daystart",
    "-follow",
    "-noleaf",
    "-nouser",
    "-nogroup",
    "-true",
    "-false",
    "-not",
    "-and",
    "-or",
    "-a",
    "-o",
    "!",
    "(",
    ")",
    ",",
    "-ignore_readdir_race",
];
/// Words that take one.
const VALUED: &[&str] = &[
    "-name",
    "-iname",
    "-path",
    "-ipath",
    "-wholename",
    "-iwholename",
    "-regex",
    "-iregex",
    "-regextype",
    "-type",
    "-xtype",
    "-size",
    "-mtime",
    "-mmin",
    "-atime",
    "-amin",
    "-ctime",
    "-cmin",
    "-newer",
    "-anewer",
    "-cnewer",
    "-newermt",
    "-newerct",
    "-newerat",
    "-newermm",
    "-maxdepth",
    "-mindepth",
    "-user",
    "-group",
    "-uid",
    "-gid",
    "-perm",
    "-links",
    "-inum",
    "-fstype",
    "-printf",
    "-lname",
    "-samefile",
    "-used",
];
const CHANGES: &[&str] = &["-delete", "-fprint", "-fprint0", "-fprintf", "-fls"];
const RUNS: &[&str] = &["-exec", "-execdir"];

pub(super) fn judge(args: &[Arg], scope: &mut Scope) -> Effect {
    let mut worst = Effect::Reads;
    let mut rest = args;
    while let Some((arg, after)) = rest.split_first() {
        rest = after;
        let Some(word) = arg.known() else {
            // A place whose beginning is known, or that is no flag, and that is no operator either.
            let place = arg.is_operand() && !arg.text.starts_with(['(', '!', ',']);
            let safe = place && (!arg.text.is_empty() || arg.tail != Tail::Files);
            if !safe {
                worst = worst.max(Effect::Unknown);
            }
            continue;
        };
        if RUNS.contains(&word) {
            let Some(end) = rest.iter().position(|arg| arg.is(";") || arg.is("+")) else {
                return worst.max(Effect::Unknown);
            };
            // `+` ends it only after `{}`, and what is before it may not be known.
            let one = |arg: &Arg| arg.is_one();
            let plus = rest[end].is("+") && !rest[..end].last().is_some_and(|arg| arg.is("{}"));
            if plus || !rest[..end].iter().all(one) {
                return worst.max(Effect::Unknown);
            }
            worst = worst.max(run(&rest[..end], scope));
            rest = &rest[end + 1..];
        } else if VALUED.contains(&word) {
            let Some((value, after)) = rest.split_first() else {
                return worst.max(Effect::Unknown);
            };
            let files = value.tail == Tail::Files && value.is_operand();
            if !value.is_one() && !files {
                worst = worst.max(Effect::Unknown);
            }
            rest = after;
        } else if CHANGES.contains(&word) {
            worst = Effect::Changes;
        } else if word.starts_with('-') {
            let level = word.strip_prefix("-O").is_some_and(|n| n.len() == 1);
            if !OPTIONS.contains(&word) && !ALONE.contains(&word) && !level {
                worst = worst.max(Effect::Unknown);
            }
        }
    }
    worst
}

/// The command of `-exec`, with a name of a file wherever `{}` is.
fn run(words: &[Arg], scope: &mut Scope) -> Effect {
    let Some((program, args)) = words.split_first() else {
        return Effect::Unknown;
    };
    let args = args.iter().map(|arg| match arg.text.find("{}") {
        // A place that was given begins it, so it is no flag, where `-execdir` would write `./`.
        Some(at) => Arg {
            text: if at == 0 {
                "./".into()
            } else {
                arg.text[..at].to_owned()
            },
            tail: Tail::Files,
        },
        None => arg.clone(),
    });
    let args: Vec<Arg> = args.collect();
    match program.known() {
        Some(program) if !program.contains("{}") => command::run(program, &args, scope),
        _ => Effect::Unknown,
    }
}
