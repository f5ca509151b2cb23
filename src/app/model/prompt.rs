//! Lines being typed: a search, a message, a reason, a command. What they are for is decided where
//! they are entered (`on_key`).

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use operator_ledger::{
    clean::{clean, one_line},
    event::MAX_MESSAGE,
};
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
    /// Texts of more than a line, which the line names.
    pasted: Vec<String>,
}

/// What a key did to it.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Continue,
    Entered(String),
    Cancelled,
    /// Not done, and why.
    Refused(String),
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
            pasted: Vec::new(),
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

    /// Takes all of a pasted text, or nothing and says why. A message may have lines, which stand in
    /// the line as a name; elsewhere they are joined.
    pub fn paste(&mut self, text: &str) -> Result<(), String> {
        let text = clean(text);
        let text = text.trim_end_matches('\n');
        let line = if text.contains('\n') {
            one_line(text)
        } else {
            text.replace('\t', " ")
        };
        let fits = self.text().len() + line.len() <= CAP;
        if self.kind == PromptKind::Message && (text.contains('\n') || !fits) {
            let all = self.pasted.iter().map(String::len).sum::<usize>() + text.len() + CAP;
            if all > MAX_MESSAGE {
                return Err(format!(
                    "Not pasted: a message may have {} KiB, and this has {}.",
                    MAX_MESSAGE / 1024,
                    text.len().div_ceil(1024)
                ));
            }
            self.pasted.push(text.to_owned());
            let name = self.name(self.pasted.len() - 1);
            self.area.insert_str(name);
        } else if fits {
            self.area.insert_str(line);
        } else {
            return Err(format!("Not pasted: this line may have {CAP} bytes."));
        }
        self.typed();
        Ok(())
    }

    /// How the line names a pasted text.
    fn name(&self, index: usize) -> String {
        let text = &self.pasted[index];
        let (lines, bytes) = (text.lines().count(), text.len());
        let lines = if lines == 1 {
            "1 line".to_owned()
        } else {
            format!("{lines} lines")
        };
        format!("[pasted {}: {lines}, {bytes} bytes]", index + 1)
    }

    /// Whether the line stands for more than it shows.
    pub fn has_pasted(&self) -> bool {
        !self.pasted.is_empty()
    }

    /// The line with every text that it names.
    fn whole(&self) -> String {
        let mut whole = self.text().to_owned();
        // The last first: a text may hold what looks like the name of a later one.
        for index in (0..self.pasted.len()).rev() {
            whole = whole.replacen(&self.name(index), &self.pasted[index], 1);
        }
        whole
    }

    pub fn key(&mut self, key: KeyEvent, history: &VecDeque<String>) -> Typed {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Esc => return Typed::Cancelled,
            // It closes the line; it does not end the program under somebody who is typing.
            KeyCode::Char('c' | 'g') if ctrl => return Typed::Cancelled,
            KeyCode::Backspace if self.text().is_empty() => return Typed::Cancelled,
            KeyCode::Enter => return Typed::Entered(self.whole()),
            KeyCode::Tab => return Typed::Complete(true),
            KeyCode::BackTab => return Typed::Complete(false),
            KeyCode::Up => self.recall(history, true),
            KeyCode::Down => self.recall(history, false),
            KeyCode::Char('u') if ctrl => {
                self.area.delete_line_by_head();
            }
            // A second line would not be seen.
            KeyCode::Char('m' | 'j') if ctrl => {}
            KeyCode::Char(_) if !ctrl && self.text().len() >= CAP => {
                return Typed::Refused(format!("This line may have {CAP} bytes."));
            }
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
    fn a_pasted_line_is_clean_and_taken_whole_or_not_at_all() {
        let mut prompt = Prompt::new(PromptKind::Search, "");
        prompt.paste("a\nb\x1b[31mc\n").unwrap();
        assert_eq!(prompt.text(), "a bc");
        let why = prompt.paste(&"é".repeat(CAP)).unwrap_err();
        assert!(why.contains("4000 bytes"), "{why}");
        assert_eq!(prompt.text(), "a bc");
        let mut full = Prompt::new(PromptKind::Search, &"x".repeat(CAP));
        let typed = type_in(&mut full, &[KeyCode::Char('y')]);
        assert!(matches!(typed, Typed::Refused(_)), "{typed:?}");
    }

    #[test]
    fn a_message_has_every_line_that_was_pasted() {
        let mut prompt = Prompt::new(PromptKind::Message, "");
        prompt.paste("look: ").unwrap();
        let long = "2026-01-30 ERROR\n".repeat(5000);
        prompt.paste(&long).unwrap();
        assert_eq!(prompt.text(), "look: [pasted 1: 5000 lines, 84999 bytes]");
        prompt.paste("a\r\nb").unwrap();
        let whole = format!("look: {}a\nb", long.trim_end());
        assert_eq!(
            type_in(&mut prompt, &[KeyCode::Enter]),
            Typed::Entered(whole)
        );
        let why = prompt.paste(&"x".repeat(MAX_MESSAGE)).unwrap_err();
        assert!(why.contains("256 KiB"), "{why}");
    }
}
