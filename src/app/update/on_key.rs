//! What keys, pastes and the mouse do.

use crate::app::{
    event::Effect,
    keys::{
        command_line,
        scope::{Scope, applies},
        table::{self, TABLE},
    },
    model::{
        prompt::{Prompt, PromptKind, Typed, remember},
        state::State,
    },
    update::{act::act, approvals, reading, replay, steer},
};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    state.toast = None;
    state.attention.answered();
    if let Some(prompt) = state.prompt.take() {
        return typed(state, prompt, key);
    }
    // Esc and the key after it come as one when they come at once.
    if key.modifiers.contains(KeyModifiers::ALT) {
        let mut effects = on_key(state, KeyEvent::from(KeyCode::Esc));
        let key = KeyEvent {
            modifiers: key.modifiers - KeyModifiers::ALT,
            ..key
        };
        effects.extend(on_key(state, key));
        return effects;
    }
    if state.replay.is_some() && state.overlays.is_empty() && !applies_always(key, state) {
        return replay::on_key(state, key);
    }
    let copying = applies(Scope::Copying, state);
    let command = table::command(key, state);
    // Any other key ends it.
    state.copying &= !copying;
    match command {
        Some(command) => act(state, command, ""),
        None => Vec::new(),
    }
}

/// Keys that hold whatever is open.
fn applies_always(key: KeyEvent, state: &State) -> bool {
    let command = table::command(key, state);
    TABLE
        .iter()
        .any(|b| b.scope == Scope::Always && Some(b.command) == command)
}

pub fn on_paste(state: &mut State, text: &str) {
    if let Some(prompt) = &mut state.prompt {
        prompt.paste(text);
    } else if let Some(replay) = &mut state.replay {
        on_paste(&mut replay.stage, text);
    }
}

fn typed(state: &mut State, mut prompt: Prompt, key: KeyEvent) -> Vec<Effect> {
    match prompt.key(key, &state.history) {
        Typed::Cancelled => return Vec::new(),
        Typed::Entered(text) => return entered(state, prompt.kind, &text),
        Typed::Complete(forward) => {
            if prompt.kind == PromptKind::Command {
                command_line::complete(state, &mut prompt, forward);
            }
        }
        Typed::Continue => {}
    }
    state.prompt = Some(prompt);
    Vec::new()
}

fn entered(state: &mut State, kind: PromptKind, text: &str) -> Vec<Effect> {
    if !text.is_empty() {
        remember(&mut state.history, text);
    }
    match kind {
        // Spaces at the ends may be what is searched for.
        PromptKind::Search => reading::search(state, text),
        PromptKind::Message => steer::message(state, text.trim()),
        PromptKind::Reject => approvals::answer(state, false, text.trim()),
        PromptKind::Command => match command_line::parse(text, state) {
            Ok(Some((command, argument))) => act(state, command, argument),
            Ok(None) => Vec::new(),
            Err(why) => {
                state.say(why);
                Vec::new()
            }
        },
    }
}
