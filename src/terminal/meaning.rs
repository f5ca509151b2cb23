//! What a whole piece means: termina's parser reads it, crossterm's types name it, as the rest of the
//! program has them.

use super::frames::Piece;
use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use termina::{Parser, event as told};

/// Reads pieces.
#[derive(Debug, Default)]
pub(super) struct Meaning(Parser);

impl Meaning {
    pub(super) fn read(&mut self, piece: &Piece, out: &mut Vec<Event>) {
        match piece {
            Piece::Paste(text) => {
                out.push(Event::Paste(String::from_utf8_lossy(text).into_owned()));
            }
            Piece::Input(bytes) => {
                let before = out.len();
                self.0.parse(bytes, false);
                while let Some(event) = self.0.pop() {
                    out.extend(named(event));
                }
                // A piece is whole: nothing of one that is not understood goes before the next.
                if out.len() == before {
                    self.0 = Parser::default();
                }
            }
        }
    }
}

/// None: nothing that is typed or done with a mouse.
fn named(event: termina::Event) -> Option<Event> {
    match event {
        termina::Event::Key(key) => Some(Event::Key(KeyEvent::new_with_kind(
            code(key.code)?,
            modifiers(key.modifiers),
            match key.kind {
                told::KeyEventKind::Press => KeyEventKind::Press,
                told::KeyEventKind::Release => KeyEventKind::Release,
                told::KeyEventKind::Repeat => KeyEventKind::Repeat,
            },
        ))),
        termina::Event::Mouse(mouse) => Some(Event::Mouse(MouseEvent {
            kind: kind(mouse.kind),
            column: mouse.column,
            row: mouse.row,
            modifiers: modifiers(mouse.modifiers),
        })),
        _ => None,
    }
}

fn code(code: told::KeyCode) -> Option<KeyCode> {
    use told::KeyCode as Told;
    Some(match code {
        Told::Char(c) => KeyCode::Char(c),
        Told::Enter => KeyCode::Enter,
        Told::Backspace => KeyCode::Backspace,
        Told::Tab => KeyCode::Tab,
        Told::Escape => KeyCode::Esc,
        Told::Left => KeyCode::Left,
        Told::Right => KeyCode::Right,
        Told::Up => KeyCode::Up,
        Told::Down => KeyCode::Down,
        Told::Home => KeyCode::Home,
        Told::End => KeyCode::End,
        Told::BackTab => KeyCode::BackTab,
        Told::PageUp => KeyCode::PageUp,
        Told::PageDown => KeyCode::PageDown,
        Told::Insert => KeyCode::Insert,
        Told::Delete => KeyCode::Delete,
        Told::Function(n) => KeyCode::F(n),
        _ => return None,
    })
}

fn modifiers(told: told::Modifiers) -> KeyModifiers {
    [
        (told::Modifiers::SHIFT, KeyModifiers::SHIFT),
        (told::Modifiers::ALT, KeyModifiers::ALT),
        (told::Modifiers::CONTROL, KeyModifiers::CONTROL),
        (told::Modifiers::SUPER, KeyModifiers::SUPER),
        (told::Modifiers::HYPER, KeyModifiers::HYPER),
        (told::Modifiers::META, KeyModifiers::META),
    ]
    .into_iter()
    .filter(|(theirs, _)| told.contains(*theirs))
    .map(|(_, ours)| ours)
    .collect()
}

fn kind(told: told::MouseEventKind) -> MouseEventKind {
    use told::MouseEventKind as Told;
    match told {
        Told::Down(b) => MouseEventKind::Down(button(b)),
        Told::Up(b) => MouseEventKind::Up(button(b)),
        Told::Drag(b) => MouseEventKind::Drag(button(b)),
        Told::Moved => MouseEventKind::Moved,
        Told::ScrollDown => MouseEventKind::ScrollDown,
        Told::ScrollUp => MouseEventKind::ScrollUp,
        Told::ScrollLeft => MouseEventKind::ScrollLeft,
        Told::ScrollRight => MouseEventKind::ScrollRight,
    }
}

fn button(told: told::MouseButton) -> MouseButton {
    match told {
        told::MouseButton::Left => MouseButton::Left,
        told::MouseButton::Right => MouseButton::Right,
        told::MouseButton::Middle => MouseButton::Middle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut out = Vec::new();
        Meaning::default().read(&Piece::Input(bytes.to_vec()), &mut out);
        out
    }

    #[test]
    fn keys_have_the_names_that_they_had() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        let none = KeyModifiers::NONE;
        for (bytes, wanted) in [
            (&b"j"[..], key(KeyCode::Char('j'), none)),
            (b"G", key(KeyCode::Char('G'), KeyModifiers::SHIFT)),
            ("é".as_bytes(), key(KeyCode::Char('é'), none)),
            (b"\r", key(KeyCode::Enter, none)),
            (b"\t", key(KeyCode::Tab, none)),
            (b"\x7f", key(KeyCode::Backspace, none)),
            (b"\x03", key(KeyCode::Char('c'), KeyModifiers::CONTROL)),
            (b"\x1b", key(KeyCode::Esc, none)),
            (b"\x1bx", key(KeyCode::Char('x'), KeyModifiers::ALT)),
            (b"\x1b[A", key(KeyCode::Up, none)),
            (b"\x1bOB", key(KeyCode::Down, none)),
            (b"\x1b[Z", key(KeyCode::BackTab, KeyModifiers::SHIFT)),
            (b"\x1b[5~", key(KeyCode::PageUp, none)),
            (b"\x1b[1;5C", key(KeyCode::Right, KeyModifiers::CONTROL)),
            (b"\x1bOP", key(KeyCode::F(1), none)),
            (b"\x1b[[A", key(KeyCode::F(1), none)),
            (b"\x1b[15~", key(KeyCode::F(5), none)),
        ] {
            assert_eq!(events(bytes), [wanted], "{bytes:?}");
        }
        let mouse = Event::Mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: 2,
            row: 3,
            modifiers: none,
        });
        assert_eq!(events(b"\x1b[<0;3;4M"), [mouse]);
        // No such column.
        assert!(events(b"\x1b[<0;0;0M").len() <= 1);
        assert_eq!(events(b"jk").len(), 2);
    }

    #[test]
    fn what_is_not_understood_keeps_nothing_from_the_next() {
        let mut meaning = Meaning::default();
        let mut out = Vec::new();
        for bytes in [
            &b"\x1b[99;99;99;99z"[..],
            b"\x1b[1;2;3;4~",
            b"\xff\xfe",
            b"\x1bO?",
            b"q",
        ] {
            meaning.read(&Piece::Input(bytes.to_vec()), &mut out);
        }
        let q = Event::Key(KeyEvent::from(KeyCode::Char('q')));
        assert_eq!(out.last(), Some(&q), "{out:?}");
    }
}
