//! The one table of keys and commands: it drives what a key does, what `:` takes, the footer and the
//! help. Where a binding holds, and whether it is worth offering, is in `scope`.

use crate::app::{
    keys::scope::{Scope, applies, holds},
    model::{app::App, command::Command, pane::Pane},
};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Parts of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Agent,
    Reading,
    Moving,
    Panes,
    Tickets,
    Demo,
    Replay,
    Program,
    Answers,
    Typed,
}

impl Section {
    pub const ALL: [Self; 10] = [
        Self::Agent,
        Self::Reading,
        Self::Moving,
        Self::Panes,
        Self::Tickets,
        Self::Demo,
        Self::Replay,
        Self::Program,
        Self::Answers,
        Self::Typed,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Agent => "the agent",
            Self::Reading => "reading",
            Self::Moving => "moving about",
            Self::Panes => "panes",
            Self::Tickets => "tickets (in their pane, or one that is open)",
            Self::Demo => "the demo",
            Self::Replay => "a replay",
            Self::Program => "this program",
            Self::Answers => "answers",
            Self::Typed => "typed after : (every key above has a name there, too)",
        }
    }
}

#[derive(Debug)]
pub struct Binding {
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys for people.
    pub label: &'static str,
    pub command: Command,
    /// What `:` calls it; empty: it cannot be typed.
    pub name: &'static str,
    pub section: Section,
    pub scope: Scope,
    /// In the footer; empty: only in the help.
    pub footer: &'static str,
    /// In little room the lowest stay in the footer.
    pub rank: u8,
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

macro_rules! table {
    ($($section:ident { $($scope:ident $command:expr, [$($key:expr),*], $label:literal, $name:literal, $footer:literal $rank:literal, $help:literal;)* })*) => {
        /// In the order of footer and help. Where two hold, the one that comes first wins.
        pub const TABLE: &[Binding] = &[$($(Binding {
            keys: &[$($key),*],
            label: $label,
            command: $command,
            name: $name,
            section: Section::$section,
            scope: Scope::$scope,
            footer: $footer,
            rank: $rank,
            help: $help,
        },)*)*];
    };
}

use Command as C;

table! {
    Answers {
        Question C::Yes, [ch('y'), ch('Y')], "y", "", "yes" 0, "yes, to a question";
        Question C::Back, [ch('n'), ch('N'), key(KeyCode::Esc), key(KeyCode::Enter), ch('q')], "n Esc", "", "no" 0, "no, to a question";
        Approval C::Approve, [ch('y')], "y", "", "approve" 0, "approve the command that is shown";
        Approval C::Reject, [ch('n'), ch('x'), key(KeyCode::Enter)], "n Enter", "", "reject" 0, "reject it; asks why";
        Copying C::CopyLine, [ch('y'), ch('l')], "y", "", "line" 0, "after y: copy the line";
        Copying C::CopyCommand, [ch('c')], "c", "", "command" 0, "after y: copy the command";
        Copying C::CopyBlock, [ch('b')], "b", "", "block" 0, "after y: copy the whole text or output";
    }
    Replay {
        Replay C::PlayPause, [ch(' ')], "Space", "play", "play" 0, "play, or pause";
        Replay C::Earlier, [key(KeyCode::Left)], "←", "earlier", "" 0, "5 s back";
        Replay C::Later, [key(KeyCode::Right)], "→", "later", "5 s" 3, "5 s on";
        Replay C::MuchEarlier, [(KeyCode::Left, SHIFT), ch(',')], "Shift-← ,", "much-earlier", "" 0, "30 s back";
        Replay C::MuchLater, [(KeyCode::Right, SHIFT), ch('.')], "Shift-→ .", "much-later", "" 0, "30 s on";
        Replay C::PreviousMark, [ch('<')], "<", "previous-event", "" 0, "to what happened before";
        Replay C::NextMark, [ch('>')], ">", "next-event", "event" 1, "to what happened next";
        Replay C::Beginning, [ch('^')], "^", "beginning", "" 0, "to the beginning";
        Replay C::End, [ch('$')], "$", "end", "" 0, "to the end";
        Replay C::Slower, [ch('-')], "-", "slower", "" 0, "slower";
        Replay C::Faster, [ch('+'), ch('=')], "+", "faster", "faster" 2, "faster";
        Session C::Replay, [ch('p')], "p", "replay", "replay" 2, "play back the session that is chosen or open";
    }
    Demo {
        Demo C::NextChapter, [ch(' '), key(KeyCode::Right)], "Space", "next-chapter", "next" 1, "next chapter (also →)";
        Demo C::PreviousChapter, [key(KeyCode::Left)], "←", "previous-chapter", "earlier" 9, "read the chapter before again";
        Demo C::Pane(Pane::Chapter), [ch('4')], "4", "chapter", "" 0, "the chapter; it gets more room";
    }
    Tickets {
        Ticket C::Hold, [ch('h')], "h", "hold", "hold" 6, "hold it: no agent takes it; again: let it go";
        Ticket C::Resolve, [ch('d')], "d", "resolve", "done" 6, "it is done: resolve it by hand (asks first)";
        Ticket C::Reopen, [ch('u')], "u", "reopen", "reopen" 6, "open it again, for agents to take";
    }
    Agent {
        Free C::Approvals, [ch('a'), ch('x')], "a", "approvals", "approve" 1, "commands that wait: see, approve or reject";
        Free C::Interrupt, [ch('i')], "i", "interrupt", "stop it" 2, "stop the agent's command and turn (asks first)";
        Free C::Message, [ch('m')], "m", "message", "message" 7, "write to the agent; it reads it after its command";
        Agent C::Follow, [ch('f')], "f", "follow", "follow" 6, "freeze the agent's lines, or follow the newest again";
        Agent C::PreviousCommand, [ch('[')], "[", "previous-command", "" 0, "to the command before";
        Agent C::NextCommand, [ch(']')], "]", "next-command", "" 0, "to the next command";
        Agent C::Fold, [ch('o')], "o", "fold", "" 0, "fold long output to its ends, or open it";
        Free C::Sessions, [ch('s')], "s", "sessions", "history" 4, "earlier sessions: read one, whatever its length";
        Free C::RestartAgent, [ch('r')], "r", "restart-agent", "restart" 2, "restart the agent (asks while it works)";
        Free C::RestartMonitor, [ch('R')], "R", "restart-monitor", "" 0, "restart the monitor";
        Free C::Processes, [ch('P')], "P", "processes", "" 0, "what runs here, and how it fared";
    }
    Reading {
        Free C::Open, [key(KeyCode::Enter)], "Enter", "open", "open" 3, "open: ticket, store, session, output of a command";
        Free C::Back, [key(KeyCode::Esc)], "Esc", "back", "back" 2, "close what is open; back to what is live";
        Reading C::Search, [ch('/')], "/", "search", "search" 5, "search; capitals count if there are any";
        Reading C::SearchNext, [ch('n')], "n", "search-next", "next match" 3, "next match, downwards";
        Reading C::SearchPrevious, [ch('N')], "N", "search-previous", "" 0, "match before, upwards";
        Reading C::Wrap, [ch('w')], "w", "wrap", "" 0, "wrap long lines, or cut them at the edge";
        Reading C::Copy, [ch('y')], "y", "copy", "copy" 8, "copy, to the terminal's clipboard: then y, c or b";
    }
    Moving {
        Free C::Down, [ch('j'), key(KeyCode::Down)], "j ↓", "down", "" 0, "down; past the last line it follows again";
        Free C::Up, [ch('k'), key(KeyCode::Up)], "k ↑", "up", "" 0, "up; in the agent pane this freezes it";
        Free C::PageDown, [key(KeyCode::PageDown), ctrl('f'), ch(' ')], "PgDn Space", "page-down", "" 0, "a page down";
        Free C::PageUp, [key(KeyCode::PageUp), ctrl('b'), ch('b')], "PgUp b", "page-up", "" 0, "a page up; above the first line the ledger goes on";
        Free C::HalfDown, [ctrl('d'), ch('d')], "Ctrl-D d", "half-page-down", "" 0, "half a page down";
        Free C::HalfUp, [ctrl('u'), ch('u')], "Ctrl-U u", "half-page-up", "" 0, "half a page up";
        Free C::Top, [ch('g'), key(KeyCode::Home)], "g Home", "top", "" 0, "to the first line";
        Free C::Bottom, [ch('G'), key(KeyCode::End)], "G End", "bottom", "" 0, "to the last line; the agent pane follows";
    }
    Panes {
        Free C::NextPane, [key(KeyCode::Tab)], "Tab", "next-pane", "pane" 4, "next pane";
        Free C::PreviousPane, [key(KeyCode::BackTab)], "Shift-Tab", "previous-pane", "" 0, "previous pane";
        Free C::Pane(Pane::Cluster), [ch('1')], "1", "cluster", "" 0, "cluster: stores, PD, what they serve";
        Free C::Pane(Pane::Tickets), [ch('2')], "2", "tickets", "" 0, "tickets: what is broken";
        Free C::Pane(Pane::Agent), [ch('3')], "3", "agent", "" 0, "agent: what it thinks, runs and sees";
        Free C::Zoom, [ch('z')], "z", "zoom", "zoom" 8, "the focused pane alone, or all of them";
    }
    Program {
        Free C::Prompt, [ch(':')], ":", "", "command" 9, "type a command; Tab completes";
        Free C::Mouse, [ch('M')], "M", "mouse", "" 0, "mouse on or off: wheel scrolls, click focuses";
        Always C::Redraw, [ctrl('l')], "Ctrl-L", "redraw", "" 0, "draw the screen anew";
        Always C::Suspend, [ctrl('z')], "Ctrl-Z", "suspend", "" 0, "stop; `fg` comes back";
        Free C::Help, [ch('?'), key(KeyCode::F(1))], "?", "help", "help" 0, "this help";
        Free C::Quit, [ch('q')], "q", "quit", "quit" 0, "close what is open; else quit, with agent, monitor, lab";
        Always C::Break, [ctrl('c')], "Ctrl-C", "", "" 0, "quit; a second one does not wait";
    }
    Typed {
        Typed C::Ticket, [], "", "ticket", "" 0, "open a ticket: ticket 4";
        Typed C::Session, [], "", "session", "" 0, "read a session: session 2026-01-30";
        Typed C::Store, [], "", "store", "" 0, "look at a store: store tikv1";
        Typed C::Seek, [], "", "seek", "" 0, "in a replay, to a time: seek 1:20, seek 50%";
        Typed C::Theme, [], "", "theme", "" 0, "colours: terminal, sixteen or mono";
    }
}

/// The command of a key, as things are.
pub fn command(key: KeyEvent, app: &App) -> Option<Command> {
    let stage = app.in_front().map(|replay| &replay.stage);
    bound(key, |scope| holds(scope, app))
        .or_else(|| bound(key, |scope| stage.is_some_and(|s| applies(scope, s))))
}

/// The command of a key that holds whatever is open or being typed.
pub fn always(key: KeyEvent) -> Option<Command> {
    bound(key, |scope| scope == Scope::Always)
}

fn bound(key: KeyEvent, holds: impl Fn(Scope) -> bool) -> Option<Command> {
    // Terminals differ in whether Shift is told with the letter it already made.
    let modifiers = match key.code {
        KeyCode::Char(_) | KeyCode::BackTab => key.modifiers - SHIFT,
        _ => key.modifiers,
    };
    let pressed = (key.code, modifiers);
    TABLE
        .iter()
        .find(|b| holds(b.scope) && b.keys.contains(&pressed))
        .map(|b| b.command)
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
                let named = !a.name.is_empty() && a.name == b.name;
                assert!(!named, "{a:?}\n{b:?}");
            }
        }
    }

    #[test]
    fn every_binding_is_explained_and_reachable() {
        for b in TABLE {
            assert!(!b.help.is_empty() && b.help.len() <= 64, "{}", b.help);
            assert_eq!(b.label.is_empty(), b.keys.is_empty(), "{b:?}");
            assert!(!b.keys.is_empty() || !b.name.is_empty(), "{b:?}");
        }
    }
}
