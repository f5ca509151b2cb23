//! The one table of keys: it drives what a key does, the footer and the help.

use super::state::{Overlay, Pane, Question, State};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    NextPane,
    PreviousPane,
    Pane(Pane),
    Down,
    Up,
    PageDown,
    PageUp,
    HalfDown,
    HalfUp,
    Top,
    Bottom,
    Follow,
    Open,
    Back,
    Search,
    SearchNext,
    SearchPrevious,
    Wrap,
    Copy,
    NextChapter,
    PreviousChapter,
    Interrupt,
    Message,
    RestartAgent,
    RestartMonitor,
    Help,
    Redraw,
    Suspend,
    Quit,
    /// Ctrl-C: as quit, and a second one does not ask.
    Break,
    Yes,
}

/// Where a binding holds. The first that matches a key wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A question is asked.
    Question,
    /// No question is asked.
    Free,
    /// As `Free`, with the agent pane focused and nothing over it.
    Agent,
    /// In a demo, with nothing over it.
    Demo,
    Always,
}

#[derive(Debug)]
pub struct Binding {
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys for people.
    pub label: &'static str,
    pub command: Command,
    pub scope: Scope,
    /// In the footer, the shorter the earlier it goes in; empty: only in the help.
    pub footer: &'static str,
    pub help: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const SHIFT: KeyModifiers = KeyModifiers::SHIFT;

const fn ch(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), NONE)
}

const fn key(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, NONE)
}

const fn ctrl(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), CTRL)
}

macro_rules! binding {
    ($scope:ident $command:expr, [$($key:expr),+], $label:literal, $footer:literal, $help:literal) => {
        Binding {
            keys: &[$($key),+],
            label: $label,
            command: $command,
            scope: Scope::$scope,
            footer: $footer,
            help: $help,
        }
    };
}

use Command as C;

/// In the order of footer and help.
pub const TABLE: &[Binding] = &[
    binding!(Question C::Yes, [ch('y'), ch('Y')], "y", "yes", "yes, to a question"),
    binding!(Question C::Back, [ch('n'), ch('N'), key(KeyCode::Esc), ch('q')], "n Esc", "no", "no, to a question"),
    binding!(Demo C::NextChapter, [ch(' '), key(KeyCode::Right)], "Space", "next", "next chapter (also →)"),
    binding!(Demo C::PreviousChapter, [key(KeyCode::Left)], "←", "back", "read the chapter before again"),
    binding!(Free C::NextPane, [key(KeyCode::Tab)], "Tab", "pane", "next pane (1 to 4: that pane)"),
    binding!(Free C::PreviousPane, [key(KeyCode::BackTab)], "Shift-Tab", "", "previous pane"),
    binding!(Free C::Pane(Pane::Cluster), [ch('1')], "1", "", "cluster"),
    binding!(Free C::Pane(Pane::Tickets), [ch('2')], "2", "", "tickets"),
    binding!(Free C::Pane(Pane::Agent), [ch('3')], "3", "", "agent"),
    binding!(Demo C::Pane(Pane::Chapter), [ch('4')], "4", "", "chapter of the demo; it gets more room"),
    binding!(Free C::Open, [key(KeyCode::Enter)], "Enter", "open", "open the ticket: its events, diagnosis and sessions"),
    binding!(Free C::Down, [ch('j'), key(KeyCode::Down)], "j ↓", "", "down"),
    binding!(Free C::Up, [ch('k'), key(KeyCode::Up)], "k ↑", "", "up; in the agent pane this pauses it"),
    binding!(Free C::PageDown, [key(KeyCode::PageDown), ctrl('f')], "PgDn", "", "a page down"),
    binding!(Free C::PageUp, [key(KeyCode::PageUp), ctrl('b')], "PgUp", "", "a page up"),
    binding!(Free C::HalfDown, [ctrl('d')], "Ctrl-D", "", "half a page down"),
    binding!(Free C::HalfUp, [ctrl('u')], "Ctrl-U", "", "half a page up"),
    binding!(Free C::Top, [ch('g'), key(KeyCode::Home)], "g Home", "", "to the first line"),
    binding!(Agent C::Follow, [key(KeyCode::End), ch('f'), ch('G')], "End f", "follow", "follow the newest line again"),
    binding!(Free C::Bottom, [ch('G'), key(KeyCode::End)], "G End", "", "to the last line"),
    binding!(Agent C::Search, [ch('/')], "/", "search", "search the agent's lines"),
    binding!(Agent C::SearchNext, [ch('n')], "n", "", "next match"),
    binding!(Agent C::SearchPrevious, [ch('N')], "N", "", "previous match"),
    binding!(Agent C::Wrap, [ch('w')], "w", "", "wrap long lines or cut them"),
    binding!(Agent C::Copy, [ch('y')], "y", "", "copy the newest command to the clipboard"),
    binding!(Free C::Interrupt, [ch('i')], "i", "interrupt", "interrupt the agent's command and turn (asks first)"),
    binding!(Free C::Message, [ch('m')], "m", "message", "write to the agent; it reads it after its current command"),
    binding!(Free C::RestartAgent, [ch('r')], "r", "", "restart the agent (asks while it works)"),
    binding!(Free C::RestartMonitor, [ch('R')], "R", "", "restart the monitor"),
    binding!(Free C::Back, [key(KeyCode::Esc)], "Esc", "back", "close what is open; back to following"),
    binding!(Free C::Help, [ch('?'), key(KeyCode::F(1))], "?", "help", "this help"),
    binding!(Always C::Redraw, [ctrl('l')], "Ctrl-L", "", "draw the screen anew"),
    binding!(Always C::Suspend, [ctrl('z')], "Ctrl-Z", "", "stop; `fg` comes back"),
    binding!(Free C::Quit, [ch('q')], "q", "quit", "quit; ends the agent, the monitor and a demo's lab"),
    binding!(Always C::Break, [ctrl('c')], "Ctrl-C", "", "quit; a second one does not wait"),
];

/// The command of a key, as things are.
pub fn command(key: KeyEvent, state: &State) -> Option<Command> {
    // Terminals differ in whether Shift is told with the letter it already made.
    let modifiers = match key.code {
        KeyCode::Char(_) | KeyCode::BackTab => key.modifiers - SHIFT,
        _ => key.modifiers,
    };
    let pressed = (key.code, modifiers);
    TABLE
        .iter()
        .find(|b| applies(b.scope, state) && b.keys.contains(&pressed))
        .map(|b| b.command)
}

/// What the footer offers, as things are.
pub fn footer(state: &State) -> impl Iterator<Item = &'static Binding> + '_ {
    TABLE
        .iter()
        .filter(|b| !b.footer.is_empty() && applies(b.scope, state) && useful(b, state))
}

fn applies(scope: Scope, state: &State) -> bool {
    let question = matches!(state.overlays.last(), Some(Overlay::Confirm(_)));
    let bare = state.overlays.is_empty();
    match scope {
        Scope::Always => true,
        Scope::Question => question,
        Scope::Free => !question,
        Scope::Agent => bare && state.focus == Pane::Agent,
        Scope::Demo => bare && state.demo.is_some(),
    }
}

/// A key that would do nothing is not offered.
fn useful(binding: &Binding, state: &State) -> bool {
    match binding.command {
        Command::Follow => !state.agent.view.following(),
        Command::Back => {
            matches!(state.overlays.last(), Some(o) if !matches!(o, Overlay::Confirm(_)))
                || binding.scope == Scope::Question
        }
        Command::Interrupt => state.agent.ticket.is_some(),
        Command::Message => state.agent.process.running(),
        Command::Open => {
            state.overlays.is_empty()
                && state.focus == Pane::Tickets
                && state.tickets.selected.is_some()
        }
        Command::NextChapter => state.demo.as_ref().is_some_and(|d| d.can_go(state.tick).1),
        Command::PreviousChapter => state.demo.as_ref().is_some_and(|d| d.can_go(state.tick).0),
        _ => true,
    }
}

/// What a question asks, and what yes does.
pub fn question(question: Question, state: &State) -> [String; 2] {
    match question {
        Question::Quit => [
            "Quit while the agent works?".into(),
            match &state.agent.running {
                Some(running) => format!("Its command is ended: {}", running.input),
                None => "Its session is marked interrupted and the ticket released.".into(),
            },
        ],
        Question::Interrupt => [
            "Interrupt the agent?".into(),
            match &state.agent.running {
                Some(running) => format!("Ends its command: {}", running.input),
                None => "Ends its turn; the ticket goes back.".into(),
            },
        ],
        Question::Restart(child) => [
            format!("Restart the {} while it works?", child.name()),
            "Its session is marked interrupted and the ticket released.".into(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_scope() {
        for (n, a) in TABLE.iter().enumerate() {
            for b in &TABLE[n + 1..] {
                let shared = a.keys.iter().any(|k| b.keys.contains(k));
                assert!(!(shared && a.scope == b.scope), "{a:?}\n{b:?}");
            }
        }
    }

    #[test]
    fn every_binding_is_explained() {
        for b in TABLE {
            assert!(!b.label.is_empty() && !b.help.is_empty());
            assert!(b.help.len() <= 60, "{}", b.help);
        }
    }
}
