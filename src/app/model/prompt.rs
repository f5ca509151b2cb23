//! Lines being typed: a search, a message, a reason, a command. What they are for is decided where
//! they are entered (`on_key`).

use crate::transcript::clean::clean;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Style;
use ratatui_textarea::{CursorMove, TextArea};
use std::collections::VecDeque;

/// Longest line that can be typed, bytes.
const CAP: usize = 4000;
/// Lines that are remembered.
const REMEMBERED: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    Search,
    Message,
    /// Why a proposal is rejected.
    Reject,
    /// A command by its name.
    Command,
}

/// A line being typed.
#[derive(Debug, Clone)]
pub struct Prompt {
    pub kind: PromptKind,
    pub area: TextArea<'static>,
    /// Which remembered line is shown; none of them at first.
    recalled: Option<usize>,
    /// Which completion is taken, by Tab.
    pub completion: Option<usize>,
    /// What was typed before Tab.
    completing: Option<String>,
}

/// What a key did to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Continue,
    Entered(String),
    Cancelled,
    /// The next completion, or the one before.
    Complete(bool),
}

impl Prompt {
    pub fn new(kind: PromptKind, text: &str) -> Self {
        let mut area = TextArea::new(vec![text.to_owned()]);
        area.set_cursor_line_style(Style::new());
        area.move_cursor(CursorMove::End);
        Self {
            kind,
            area,
            recalled: None,
            completion: None,
            completing: None,
        }
    }

    /// What completions are for: the line as it was typed.
    pub fn completing(&self) -> &str {
        self.completing.as_deref().unwrap_or(self.text())
    }

    /// Takes a completion into the line, which may be followed by another for what was `typed`.
    pub fn take_completion(&mut self, typed: &str, index: usize, line: &str) {
        *self = Self {
            completion: Some(index),
            completing: Some(typed.to_owned()),
            ..Self::new(self.kind, line)
        };
    }

    /// The completion is what was meant.
    pub fn accept_completion(&mut self) {
        let line = format!("{} ", self.text());
        *self = Self::new(self.kind, &line);
    }

    pub fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    fn set(&mut self, text: &str) {
        *self = Self::new(self.kind, text);
    }

    pub fn paste(&mut self, text: &str) {
        let text = clean(text.replace(['\n', '\r'], " ").as_bytes()).0;
        let room = CAP.saturating_sub(self.text().len());
        self.area
            .insert_str(&text[..text.floor_char_boundary(room)]);
        self.typed();
    }

    pub fn key(&mut self, key: KeyEvent, history: &VecDeque<String>) -> Typed {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return Typed::Cancelled,
            // It closes the line; it does not end the program under somebody who is typing.
            KeyCode::Char('c' | 'g') if ctrl => return Typed::Cancelled,
            KeyCode::Backspace if self.text().is_empty() => return Typed::Cancelled,
            KeyCode::Enter => return Typed::Entered(self.text().to_owned()),
            KeyCode::Tab => return Typed::Complete(true),
            KeyCode::BackTab => return Typed::Complete(false),
            KeyCode::Up => self.recall(history, true),
            KeyCode::Down => self.recall(history, false),
            KeyCode::Char('u') if ctrl => {
                self.area.delete_line_by_head();
            }
            // A second line would not be seen.
            KeyCode::Char('m' | 'j') if ctrl => {}
            KeyCode::Char(_) if !ctrl && self.text().len() >= CAP => {}
            _ => {
                self.area.input(key);
            }
        }
        self.typed();
        Typed::Continue
    }

    /// The line is as it was typed again.
    fn typed(&mut self) {
        self.completion = None;
        self.completing = None;
    }

    fn recall(&mut self, history: &VecDeque<String>, older: bool) {
        let next = match (self.recalled, older) {
            (None, true) => Some(0),
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
            (None, false) => return,
        };
        let text = match next {
            None => "",
            Some(at) => match history.get(at) {
                Some(text) => text,
                None => return,
            },
        };
        let text = text.to_owned();
        self.set(&text);
        self.recalled = next;
    }
}

/// Remembers a line that was entered, the newest first.
pub fn remember(history: &mut VecDeque<String>, text: &str) {
    history.retain(|t| t != text);
    history.push_front(text.to_owned());
    history.truncate(REMEMBERED);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(prompt: &mut Prompt, keys: &[KeyCode]) -> Typed {
        let history = VecDeque::from(["newest".to_owned(), "older".to_owned()]);
        let mut last = Typed::Continue;
        for code in keys {
            last = prompt.key(KeyEvent::new(*code, KeyModifiers::NONE), &history);
        }
        last
    }

    #[test]
    fn a_line_is_typed_corrected_and_entered() {
        let mut prompt = Prompt::new(PromptKind::Search, "");
        let keys = "stroe".chars().map(KeyCode::Char);
        let keys: Vec<_> = keys
            .chain([KeyCode::Backspace, KeyCode::Left, KeyCode::Backspace])
            .chain([KeyCode::End, KeyCode::Char('r'), KeyCode::Char('e')])
            .chain([KeyCode::Enter])
            .collect();
        assert_eq!(type_in(&mut prompt, &keys), Typed::Entered("store".into()));
    }

    #[test]
    fn lines_entered_before_come_back() {
        let mut prompt = Prompt::new(PromptKind::Command, "");
        type_in(&mut prompt, &[KeyCode::Up]);
        assert_eq!(prompt.text(), "newest");
        type_in(&mut prompt, &[KeyCode::Up, KeyCode::Up]);
        assert_eq!(prompt.text(), "older");
        type_in(&mut prompt, &[KeyCode::Down, KeyCode::Down]);
        assert_eq!(prompt.text(), "");
        assert_eq!(
            type_in(&mut prompt, &[KeyCode::Backspace]),
            Typed::Cancelled
        );
    }

    #[test]
    fn pasted_text_is_one_clean_line_of_bounded_length() {
        let mut prompt = Prompt::new(PromptKind::Message, "");
        prompt.paste("a\nb\x1b[31mc");
        assert_eq!(prompt.text(), "a bc");
        prompt.paste(&"é".repeat(CAP));
        assert!(prompt.text().len() <= CAP);
    }
}
