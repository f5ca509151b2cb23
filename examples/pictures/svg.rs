//! A screen of a terminal as an SVG picture.

use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

const CELL: (f32, f32) = (8.4, 18.0);
const MARGIN: f32 = 12.0;

/// What a terminal shows, cell by cell.
pub(crate) fn svg(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let (width, height) = (
        f32::from(columns) * CELL.0 + 2.0 * MARGIN,
        f32::from(rows) * CELL.1 + 2.0 * MARGIN,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PALETTE_BACKGROUND}\"/>\n"
    );
    for row in 0..rows {
        let y = MARGIN + (f32::from(row) + 0.75) * CELL.1;
        let mut column = 0;
        while column < columns {
            // Cells that look alike are one piece of text.
            let Some(first) = screen.cell(row, column) else {
                break;
            };
            let look = Look::of(first);
            let start = column;
            let mut text = String::new();
            while let Some(cell) = screen.cell(row, column).filter(|c| Look::of(c) == look) {
                if !cell.is_wide_continuation() {
                    text.push_str(if cell.has_contents() {
                        cell.contents()
                    } else {
                        " "
                    });
                }
                column += 1;
                if column == columns {
                    break;
                }
            }
            look.write(&mut out, f32::from(start), y, &text);
        }
    }
    out.push_str("</svg>\n");
    out
}

const PALETTE_BACKGROUND: &str = "#1b1e24";
const PALETTE_FOREGROUND: &str = "#d6dae0";
/// The sixteen colours of a terminal, as one theme has them.
const PALETTE: [&str; 16] = [
    "#2a2f38", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
    "#7f8794", "#ef8790", "#b1d996", "#f0d399", "#82c0f5", "#d598e8", "#7ccbd5", "#ffffff",
];

#[derive(PartialEq, Eq, Clone, Copy)]
struct Look {
    fore: vt100::Color,
    back: vt100::Color,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

impl Look {
    fn of(cell: &vt100::Cell) -> Self {
        Self {
            fore: cell.fgcolor(),
            back: cell.bgcolor(),
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underline: cell.underline(),
            inverse: cell.inverse(),
        }
    }

    fn write(self, out: &mut String, column: f32, y: f32, text: &str) {
        let (mut fore, mut back) = (
            colour(self.fore, PALETTE_FOREGROUND),
            colour(self.back, PALETTE_BACKGROUND),
        );
        if self.inverse {
            std::mem::swap(&mut fore, &mut back);
        }
        let x = MARGIN + column * CELL.0;
        let width = text.width() as f32 * CELL.0;
        if back != PALETTE_BACKGROUND {
            let top = y - 0.75 * CELL.1;
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{back}\"/>",
                CELL.1
            );
        }
        if text.trim().is_empty() {
            return;
        }
        let mut style = String::new();
        for (on, name) in [
            (self.bold, " font-weight=\"bold\""),
            (self.dim, " opacity=\"0.6\""),
            (self.italic, " font-style=\"italic\""),
            (self.underline, " text-decoration=\"underline\""),
        ] {
            if on {
                style.push_str(name);
            }
        }
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fore}\" xml:space=\"preserve\" \
             textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\"{style}>{text}</text>"
        );
    }
}

fn colour(colour: vt100::Color, default: &'static str) -> String {
    match colour {
        vt100::Color::Default => default.to_owned(),
        vt100::Color::Idx(i) => PALETTE
            .get(usize::from(i))
            .map_or_else(|| default.to_owned(), |c| (*c).to_owned()),
        vt100::Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
    }
}
