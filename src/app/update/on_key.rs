//! What keys, pastes and the mouse do.

use super::{act::act, approvals, reading, replay::on_stage, steer};
use crate::app::{
    event::Effect,
    keys::{
        command_line,
        scope::{Scope, applies},
        table,
    },
    model::{
        app::App,
        prompt::{PromptKind, Typed, remember},
        state::State,
    },
};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub(super) fn on_key(app: &mut App, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    app.live.toast = None;
    app.live.attention.answered();
    if app.live.prompt.is_some() {
        return match typed(&mut app.live, key) {
            Line::Goes(effects) => effects,
            Line::Command(line) => run(app, line.trim()),
            Line::Complete(forward) => {
                if let Some(mut prompt) = app.live.prompt.take() {
                    command_line::complete(app, &mut prompt, forward);
                    app.live.prompt = Some(prompt);
                }
                Vec::new()
            }
        };
    }
    // Esc and the key after it come as one when they come at once.
    if key.modifiers.contains(KeyModifiers::ALT) {
        let mut effects = on_key(app, KeyEvent::from(KeyCode::Esc));
        let key = KeyEvent {
            modifiers: key.modifiers - KeyModifiers::ALT,
            ..key
        };
        effects.extend(on_key(app, key));
        return effects;
    }
    if app.visible().prompt.is_some() && table::always(key).is_none() {
        return on_stage(app, |stage| match typed(stage, key) {
            Line::Goes(effects) => effects,
            // A stage has no such line: `:` is the window's.
            Line::Command(_) | Line::Complete(_) => Vec::new(),
        });
    }
    let command = table::command(key, app);
    let reader = app.visible_mut();
    // Any other key ends it.
    reader.copying &= !applies(Scope::Copying, reader);
    command.map_or_else(Vec::new, |command| act(app, command, ""))
}

pub(super) fn on_paste(app: &mut App, text: &str) {
    let prompt = match &mut app.live.prompt {
        Some(prompt) => Some(prompt),
        None => app.visible_mut().prompt.as_mut(),
    };
    if let Some(Err(why)) = prompt.map(|prompt| prompt.paste(text)) {
        app.live.say(why);
    }
}

/// What became of a line that is being typed.
enum Line {
    /// It goes on, was left, or was entered with these effects.
    Goes(Vec<Effect>),
    /// A command was entered.
    Command(String),
    Complete(bool),
}

fn typed(state: &mut State, key: KeyEvent) -> Line {
    let Some(mut prompt) = state.prompt.take() else {
        return Line::Goes(Vec::new());
    };
    let command = prompt.kind == PromptKind::Command;
    match prompt.key(key, &state.history) {
        Typed::Cancelled => return Line::Goes(Vec::new()),
        Typed::Entered(text) => {
            if !text.is_empty() && !prompt.has_pasted() {
                remember(&mut state.history, &text);
            }
            return entered(state, prompt.kind, text);
        }
        Typed::Complete(forward) if command => {
            state.prompt = Some(prompt);
            return Line::Complete(forward);
        }
        Typed::Refused(why) => state.say(why),
        Typed::Complete(_) | Typed::Continue => {}
    }
    state.prompt = Some(prompt);
    Line::Goes(Vec::new())
}

fn entered(state: &mut State, kind: PromptKind, text: String) -> Line {
    Line::Goes(match kind {
        // Spaces at the ends may be what is searched for.
        PromptKind::Search => reading::search(state, &text),
        PromptKind::Message => steer::message(state, text.trim()),
        PromptKind::Reject => approvals::answer(state, false, text.trim()),
        PromptKind::Command => return Line::Command(text),
    })
}

fn run(app: &mut App, line: &str) -> Vec<Effect> {
    match command_line::parse(line, app) {
        Ok(Some((command, argument))) => act(app, command, argument),
        Ok(None) => Vec::new(),
        Err(why) => {
            app.live.say(why);
            Vec::new()
        }
    }
}
