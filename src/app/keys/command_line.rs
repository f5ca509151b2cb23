//! `:` and what is typed after it: the names of the table of keys, with what they are about, and
//! completion of both.

use crate::app::{
    keys::{
        scope::{Scope, holds},
        table::{Binding, TABLE},
    },
    model::{app::App, command::Command, palette::Palette, prompt::Prompt, state::State},
};

/// One completion, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The whole line with it.
    pub line: String,
    pub word: String,
    pub help: String,
}

/// What a line asks for, with what was typed after the name; an empty one asks for nothing.
///
/// # Errors
///
/// What is wrong with the line, for the person who typed it.
pub fn parse<'a>(line: &'a str, app: &App) -> Result<Option<(Command, &'a str)>, String> {
    let (name, argument) = split(line);
    if name.is_empty() {
        return Ok(None);
    }
    // As in vim, where a name has one.
    let name = match name {
        "q" => "quit",
        "h" => "help",
        other => other,
    };
    let exact = named().find(|b| b.name == name);
    let mut begins = named().filter(|b| b.name.starts_with(name));
    let binding = match (exact, begins.next(), begins.next()) {
        (Some(binding), ..) | (None, Some(binding), None) => binding,
        (None, Some(_), Some(_)) => {
            return Err(format!(
                "`{name}` could be several commands: Tab shows them."
            ));
        }
        (None, None, _) => {
            return Err(format!(
                "`{name}` is no command: Tab shows those there are."
            ));
        }
    };
    if binding.scope == Scope::Demo && !holds(binding.scope, app) {
        return Err(format!("`{}` is for a demo.", binding.name));
    }
    Ok(Some((binding.command, argument)))
}

fn named() -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(|b| !b.name.is_empty())
}

fn split(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
    (name, argument.trim())
}

/// What a line can be completed to.
pub fn offers(app: &App, line: &str) -> Vec<Offer> {
    let line = line.trim_start();
    let Some((name, argument)) = line.split_once(' ') else {
        return named()
            .filter(|b| b.name.starts_with(line))
            .filter(|b| match b.scope {
                Scope::Demo => app.live.demo.is_some(),
                Scope::Replay => app.replay.is_some(),
                _ => true,
            })
            .map(|b| Offer {
                line: b.name.to_owned(),
                word: b.name.to_owned(),
                help: match b.label {
                    "" => b.help.to_owned(),
                    label => format!("{} ({label})", b.help),
                },
            })
            .collect();
    };
    let Some(binding) = named().find(|b| b.name == name) else {
        return Vec::new();
    };
    arguments(app.visible(), binding.command)
        .into_iter()
        .filter(|(word, _)| word.starts_with(argument.trim_start()))
        .map(|(word, help)| Offer {
            line: format!("{name} {word}"),
            word,
            help,
        })
        .collect()
}

/// What a command can be about, with a word on each.
fn arguments(state: &State, command: Command) -> Vec<(String, String)> {
    let fixed = |words: &[&str]| {
        words
            .iter()
            .map(|w| ((*w).to_owned(), String::new()))
            .collect()
    };
    match command {
        Command::Copy => fixed(&["line", "command", "block"]),
        Command::Theme => fixed(&Palette::ALL.map(Palette::as_str)),
        Command::Ticket | Command::Hold | Command::Resolve | Command::Reopen => {
            let tickets = state.tickets.list().iter();
            tickets
                .map(|t| (t.id.to_string(), t.message.clone()))
                .collect()
        }
        Command::Store => {
            let stores = state.cluster.stores().iter();
            stores
                .map(|s| (s.name.clone(), s.address.clone()))
                .collect()
        }
        Command::Session => {
            let running = state.tickets.view.iter().flat_map(|v| &v.running);
            running
                .map(|r| {
                    let ticket = r
                        .session
                        .ticket_id
                        .map_or(String::new(), |t| format!("#{t}, "));
                    (r.session.session_id.clone(), format!("{ticket}runs now"))
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Takes the next completion into the line, or the one before.
pub fn complete(app: &App, prompt: &mut Prompt, forward: bool) {
    let typed = prompt.completing().to_owned();
    let offers = offers(app, &typed);
    if offers.is_empty() {
        return;
    }
    let last = offers.len() - 1;
    let next = match (prompt.completion, forward) {
        (None, true) => 0,
        (None, false) => last,
        (Some(at), true) => {
            if at >= last {
                0
            } else {
                at + 1
            }
        }
        (Some(at), false) => at.checked_sub(1).unwrap_or(last),
    };
    prompt.take_completion(&typed, next, &offers[next].line);
    // The only one there is: what comes after it can be completed at once.
    if last == 0 {
        prompt.accept_completion();
    }
}
