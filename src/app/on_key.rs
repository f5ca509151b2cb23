//! What keys do.

use super::{
    demo,
    event::{Child, Effect},
    keys::{self, Command},
    state::{Overlay, Pane, Prompt, PromptKind, Question, State},
    update::{begin_quit, help},
};
use crate::transcript::{Doc, Kind, clean::clean};
use agent_lab::{control::person, event::Control};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Longest line that can be typed, bytes.
const PROMPT_CAP: usize = 4000;

pub fn on_key(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    state.toast = None;
    if let Some(prompt) = state.prompt.take() {
        // Ctrl-C closes the line; it does not end the program under somebody who is typing.
        return typed(state, prompt, key);
    }
    match keys::command(key, state) {
        Some(command) => run(state, command),
        None => Vec::new(),
    }
}

pub fn on_paste(state: &mut State, text: &str) {
    if let Some(prompt) = &mut state.prompt {
        let text = clean(text.replace(['\n', '\r'], " ").as_bytes()).0;
        let room = PROMPT_CAP.saturating_sub(prompt.text.len());
        prompt
            .text
            .push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
    }
}

fn typed(state: &mut State, mut prompt: Prompt, key: KeyEvent) -> Vec<Effect> {
    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Esc => return Vec::new(),
        KeyCode::Char('c' | 'g') if ctrl => return Vec::new(),
        KeyCode::Char('u') if ctrl => prompt.text.clear(),
        KeyCode::Char('w') if ctrl => {
            let end = prompt.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
            prompt.text.truncate(end);
        }
        KeyCode::Backspace => {
            prompt.text.pop();
        }
        KeyCode::Enter => return entered(state, &prompt),
        KeyCode::Char(c) if !ctrl && prompt.text.len() < PROMPT_CAP => prompt.text.push(c),
        _ => {}
    }
    state.prompt = Some(prompt);
    Vec::new()
}

fn entered(state: &mut State, prompt: &Prompt) -> Vec<Effect> {
    let text = prompt.text.trim().to_owned();
    match prompt.kind {
        PromptKind::Search => {
            state.agent.view.search = (!text.is_empty()).then(|| text.to_lowercase());
            if !text.is_empty() {
                find(state, false);
            }
            Vec::new()
        }
        PromptKind::Message if text.is_empty() => Vec::new(),
        PromptKind::Message => {
            let agent = &mut state.agent;
            agent
                .composer
                .say(&mut agent.ring, Kind::Child, format!("you: {text}"));
            vec![Effect::Control(
                Child::Agent,
                Control::Message { text, by: person() },
            )]
        }
    }
}

fn run(state: &mut State, command: Command) -> Vec<Effect> {
    match command {
        Command::Quit => {
            if state.agent.running.is_some() && state.quitting.is_none() {
                ask(state, Question::Quit);
                return Vec::new();
            }
            return begin_quit(state, 0);
        }
        Command::Break if state.quitting.is_some() => return vec![Effect::KillAll],
        Command::Break => {
            let asked = matches!(
                state.overlays.last(),
                Some(Overlay::Confirm(Question::Quit))
            );
            if state.agent.running.is_some() && !asked {
                ask(state, Question::Quit);
                return Vec::new();
            }
            return begin_quit(state, 0);
        }
        Command::Suspend => return vec![Effect::Suspend],
        Command::Redraw => return vec![Effect::Redraw],
        Command::Help => match state.overlays.last() {
            Some(Overlay::Help(_)) => drop(state.overlays.pop()),
            _ => state.overlays.push(Overlay::Help(Doc::new(help()))),
        },
        Command::Yes => return yes(state),
        Command::Back => back(state),
        Command::NextPane => focus(state, 1),
        Command::PreviousPane => focus(state, -1),
        Command::Pane(pane) => {
            if state.panes().contains(&pane) {
                state.focus = pane;
            }
        }
        Command::Open => return open(state),
        Command::Follow => state.agent.view.follow(),
        Command::Search => {
            state.prompt = Some(Prompt {
                kind: PromptKind::Search,
                text: String::new(),
            });
        }
        Command::SearchNext => find(state, true),
        Command::SearchPrevious => find(state, false),
        Command::Wrap => state.no_wrap = !state.no_wrap,
        Command::Copy => return copy(state),
        Command::NextChapter => return demo::next(state),
        Command::PreviousChapter => {
            if let Some(demo) = &mut state.demo {
                demo.back();
            }
        }
        Command::Interrupt => {
            if state.agent.ticket.is_some() {
                ask(state, Question::Interrupt);
            } else {
                state.say("The agent is not working on a ticket.");
            }
        }
        Command::Message => {
            if state.agent.process.running() {
                state.prompt = Some(Prompt {
                    kind: PromptKind::Message,
                    text: String::new(),
                });
            } else {
                state.say("No agent is running to read a message.");
            }
        }
        Command::RestartAgent => return restart(state, Child::Agent),
        Command::RestartMonitor => return restart(state, Child::Monitor),
        Command::Down => scroll(state, 1),
        Command::Up => scroll(state, -1),
        Command::PageDown => scroll(state, page(state)),
        Command::PageUp => scroll(state, -page(state)),
        Command::HalfDown => scroll(state, page(state) / 2 + 1),
        Command::HalfUp => scroll(state, -(page(state) / 2 + 1)),
        Command::Top => scroll(state, isize::MIN / 2),
        Command::Bottom => scroll(state, isize::MAX / 2),
    }
    Vec::new()
}

fn ask(state: &mut State, question: Question) {
    state.overlays.push(Overlay::Confirm(question));
}

fn yes(state: &mut State) -> Vec<Effect> {
    let Some(Overlay::Confirm(question)) = state.overlays.pop() else {
        return Vec::new();
    };
    match question {
        Question::Quit => begin_quit(state, 0),
        Question::Interrupt => {
            let agent = &mut state.agent;
            agent
                .composer
                .say(&mut agent.ring, Kind::Child, "you: interrupt");
            vec![Effect::Control(
                Child::Agent,
                Control::Interrupt { by: person() },
            )]
        }
        Question::Restart(child) => vec![Effect::Restart(child)],
    }
}

fn restart(state: &mut State, child: Child) -> Vec<Effect> {
    let process = state.process(child);
    if !process.supervised() {
        state.say(format!("There is no {} to restart.", child.name()));
        return Vec::new();
    }
    if child == Child::Agent && state.agent.ticket.is_some() && process.running() {
        ask(state, Question::Restart(child));
        return Vec::new();
    }
    vec![Effect::Restart(child)]
}

fn back(state: &mut State) {
    if state.overlays.pop().is_some() {
        return;
    }
    if state.agent.view.search.take().is_none() && state.focus == Pane::Agent {
        state.agent.view.follow();
    }
}

fn focus(state: &mut State, step: isize) {
    state.overlays.clear();
    let panes = state.panes();
    let at = panes.iter().position(|p| *p == state.focus).unwrap_or(0);
    let next = (at.cast_signed() + step).rem_euclid(panes.len().cast_signed());
    state.focus = panes[next.cast_unsigned()];
}

fn open(state: &mut State) -> Vec<Effect> {
    if !state.overlays.is_empty() {
        return Vec::new();
    }
    // From the agent's pane: what it works on.
    let working = state.agent.ticket.filter(|_| state.focus == Pane::Agent);
    let Some(id) = working.or(state.tickets.selected) else {
        return Vec::new();
    };
    state.overlays.push(Overlay::Ticket {
        id,
        detail: None,
        doc: Doc::default(),
    });
    vec![Effect::LoadTicket(id)]
}

/// The newest command, whole, to the terminal's clipboard.
fn copy(state: &mut State) -> Vec<Effect> {
    let lines: Vec<_> = state.agent.ring.iter().collect();
    let Some(start) = lines.iter().rposition(|l| l.kind == Kind::Command) else {
        state.say("There is no command to copy yet.");
        return Vec::new();
    };
    let more = lines[start + 1..]
        .iter()
        .take_while(|l| l.kind == Kind::CommandMore);
    let texts: Vec<_> = lines[start..=start]
        .iter()
        .chain(more)
        .map(|l| l.text.as_str())
        .collect();
    let text = texts.join("\n");
    state.say("Copied the newest command.");
    vec![Effect::Copy(text)]
}

fn page(state: &State) -> isize {
    let geometry = state.geometry;
    let rows = match (state.overlays.last(), state.focus) {
        (Some(_), _) => geometry.overlay.height,
        (None, Pane::Tickets) => geometry.tickets,
        (None, _) => geometry.agent.height,
    };
    isize::try_from(rows.saturating_sub(1).max(1)).unwrap_or(1)
}

/// Down by `rows`, up if negative: the overlay, else the focused pane.
fn scroll(state: &mut State, rows: isize) {
    let count = rows.unsigned_abs();
    let geometry = state.geometry;
    match state.overlays.last_mut() {
        Some(Overlay::Help(doc) | Overlay::Ticket { doc, .. }) => {
            if rows < 0 {
                doc.up(count, geometry.overlay);
            } else {
                doc.down(count, geometry.overlay);
            }
            return;
        }
        Some(Overlay::Confirm(_)) => return,
        None => {}
    }
    match state.focus {
        Pane::Tickets => state.tickets.step(rows),
        Pane::Agent | Pane::Chapter | Pane::Cluster => {
            let agent = &mut state.agent;
            if rows < 0 {
                agent.view.up(count, &agent.ring, geometry.agent);
            } else {
                agent.view.down(count, &agent.ring, geometry.agent);
            }
        }
    }
}

fn find(state: &mut State, forward: bool) {
    let size = state.geometry.agent;
    let agent = &mut state.agent;
    if agent.view.search.is_none() {
        state.say("Nothing to search for yet: / starts a search.");
    } else if !agent.view.find(forward, &agent.ring, size) {
        let way = if forward { "below" } else { "above" };
        state.say(format!("No further match {way}."));
    }
}
