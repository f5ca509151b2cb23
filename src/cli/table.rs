//! Tables for people: columns as wide as they need, the last one cut to the terminal.

use super::out;
use operator_ledger::clean::one_line;
use std::io::IsTerminal;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Prints rows under a heading. Control characters in cells are left out.
pub(super) fn print<const N: usize>(
    heading: [&str; N],
    rows: &[[String; N]],
) -> std::io::Result<()> {
    out::text(&render(heading, rows, width()))
}

/// Columns of the terminal; no limit when the output is not one.
fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return usize::MAX;
    }
    crossterm::terminal::size().map_or(usize::MAX, |(w, _)| usize::from(w).max(40))
}

fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]], width: usize) -> String {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|r| r.each_ref().map(|c| one_line(c)))
        .collect();
    let mut widths = heading.map(UnicodeWidthStr::width);
    for row in &rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(cell.width());
        }
    }
    let mut out = String::new();
    for row in std::iter::once(&heading.map(str::to_owned)).chain(&rows) {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            if i > 0 {
                line.push_str("  ");
            }
            line.push_str(cell);
            if i + 1 < N {
                line.extend(std::iter::repeat_n(' ', widths[i] - cell.width()));
            }
        }
        out.push_str(cut(line.trim_end(), width).as_ref());
        out.push('\n');
    }
    out
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let mut out = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_the_last_is_cut() {
        let rows = [
            ["1".into(), "a long message".into()],
            ["12".into(), "日本\x1b[31m".into()],
        ];
        assert_eq!(
            render(["ID", "TEXT"], &rows, 12),
            "ID  TEXT\n1   a long …\n12  日本\n"
        );
    }
}
