//! What is shown where the locale has no UTF-8 (`LANG=C`): each character that such a terminal would
//! make two or three wrong ones of, as one that it has, of the same width.
//!
//! For people alone, on a terminal: what programs read stays UTF-8.

use std::{borrow::Cow, env, sync::OnceLock};
use unicode_width::UnicodeWidthChar;

/// Whether this process' terminal is one of ASCII, by the first of LC_ALL, LC_CTYPE and LANG that is
/// set. Where none is, as in most containers, nobody chose: UTF-8.
pub fn ascii_only() -> bool {
    static ONLY: OnceLock<bool> = OnceLock::new();
    *ONLY.get_or_init(|| {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        locale.is_some_and(|locale| !is_utf8(&locale))
    })
}

/// `C.UTF-8`, `de_DE.utf8@euro`. A name without a character set is one of the old ones.
fn is_utf8(locale: &str) -> bool {
    let charset = locale.split_once('.').map_or("", |(_, charset)| charset);
    let charset = charset.split('@').next().unwrap_or_default();
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// The same text in ASCII, as wide as it was.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for _ in 0..c.width().unwrap_or(0) {
            out.push(stand_in(c));
        }
    }
    Cow::Owned(out)
}

fn stand_in(c: char) -> char {
    match c {
        // Frames.
        '─' | '━' | '┄' | '┅' | '┈' | '┉' | '╌' | '╍' | '═' | '╴' | '╶' | '╸' | '╺' => {
            '-'
        }
        '│' | '┃' | '║' | '╵' | '╷' | '╹' | '╻' | '▌' | '▐' | '‖' => '|',
        '┆' | '┇' | '┊' | '┋' | '╎' | '╏' => ':',
        '\u{2500}'..='\u{257f}' => '+',
        // Bars, by how full they are.
        '▁' | '▂' => '_',
        '▃' | '▄' => '=',
        '▅' | '▆' | '▇' => '+',
        '░' => '.',
        '▒' | '▓' | '█' => '#',
        // Marks: a word stands beside each.
        '✓' => '+',
        '✗' | '×' => 'x',
        '●' => '*',
        '◆' => '@',
        '◇' => 'o',
        '▼' | '↓' => 'v',
        '▲' | '↑' => '^',
        '▶' | '→' => '>',
        '◀' | '←' => '<',
        // Writing.
        '·' | '…' => '.',
        '–' | '—' => '-',
        '‘' | '’' => '\'',
        '“' | '”' => '"',
        '≈' => '~',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{3000}' => ' ',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn a_locale_says_what_its_characters_are() {
        for utf8 in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8@x"] {
            assert!(is_utf8(utf8), "{utf8}");
        }
        for other in [
            "C",
            "POSIX",
            "de_DE",
            "de_DE.ISO-8859-15@euro",
            "ja_JP.eucJP",
            "C@utf8",
        ] {
            assert!(!is_utf8(other), "{other}");
        }
    }

    #[test]
    fn nothing_is_left_but_ascii_and_nothing_moves() {
        let text = "╭ Tickets ─┬━┓ ✓ proven · 3 ● up │ 字 é ▁▄█ “a” … e\u{301}";
        let plain = ascii(text);
        assert!(plain.is_ascii(), "{plain}");
        assert_eq!(plain.width(), text.width(), "{plain}");
        assert_eq!(ascii("plain\n"), "plain\n");
    }
}
