//! The model's Markdown, rendered: headings, emphasis, lists, tables, code.
//!
//! Given whole lines, already clean. What rendering brings back (an entity may name a control
//! character) is cleaned again.

use super::{
    Line,
    clean::clean_text,
    shown::{Shown, TextStyle, TextStyles},
};
use ratatui::style::{Color, Modifier, Style};
use std::borrow::Cow;
use tui_markdown::{AlertKind, Options, StyleSheet};

/// A text longer than this is shown as it is.
const MAX_BYTES: usize = 32 * 1024;

/// Styles travel through the renderer as colours that no theme has.
#[derive(Debug, Clone, Copy)]
struct Sheet;

fn tag(look: TextStyle) -> Style {
    Style::new().fg(Color::Indexed(match look {
        TextStyle::Heading => 1,
        TextStyle::Code => 2,
        TextStyle::Link => 3,
        _ => 0,
    }))
}

impl StyleSheet for Sheet {
    fn heading(&self, _: u8) -> Style {
        tag(TextStyle::Heading)
    }
    fn code(&self) -> Style {
        tag(TextStyle::Code)
    }
    fn link(&self) -> Style {
        tag(TextStyle::Link)
    }
    fn blockquote(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn heading_meta(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn metadata_block(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn code_block_fence(&self) -> &'static str {
        ""
    }
    fn html(&self) -> Style {
        Style::new()
    }
    fn math_inline(&self) -> Style {
        tag(TextStyle::Code)
    }
    fn math_display(&self) -> Style {
        tag(TextStyle::Code)
    }
    fn footnote_ref(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn footnote_def(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn alert(&self, _: AlertKind) -> Style {
        Style::new()
    }
    fn alert_icon(&self, _: AlertKind) -> &'static str {
        "!"
    }
    fn table_header(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
    fn table_border(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn list_marker(&self) -> Style {
        tag(TextStyle::Faint)
    }
    fn image_alt(&self) -> Style {
        tag(TextStyle::Faint)
    }
}

/// Appends how a run of lines of prose reads.
pub(super) fn render<'a>(lines: &[&'a Line], shown: &mut Vec<Shown<'a>>) {
    let marked = lines
        .iter()
        .any(|l| l.text.contains(MARKS) || numbered(&l.text));
    let bytes: usize = lines.iter().map(|l| l.text.len()).sum();
    if !marked || bytes > MAX_BYTES || lines.iter().any(|l| l.omitted > 0) {
        shown.extend(lines.iter().map(|l| Shown::plain(l)));
        return;
    }
    let source = source(lines);
    let text = tui_markdown::from_str_with_options(&source, &Options::new(Sheet));
    let (mut gap, mut done) = (lines[0].gap, 0);
    for line in text.lines {
        if line.spans.iter().all(|s| s.content.trim().is_empty()) {
            gap = true;
            continue;
        }
        let mut text = String::new();
        let mut looks = TextStyles::new();
        for span in &line.spans {
            let mut piece = span.content.to_string();
            clean_text(&mut piece);
            let start = text.len();
            text.push_str(&piece);
            if let Some(look) = look(line.style.patch(span.style)) {
                looks.push((start..text.len(), look));
            }
        }
        let code =
            look(line.style) == Some(TextStyle::Code) || text.starts_with(['┌', '│', '├', '└']);
        shown.push(Shown {
            // As many lines come out as went in, more or less.
            id: lines[done.min(lines.len() - 1)].id,
            kind: lines[0].kind,
            text: Cow::Owned(text),
            looks,
            omitted: 0,
            gap: std::mem::take(&mut gap),
            prose: !code,
            folded: 0,
        });
        done += 1;
    }
}

/// Without one of these a text is no Markdown worth the work.
const MARKS: [char; 9] = ['*', '`', '#', '_', '|', '[', '>', '~', '-'];

fn numbered(text: &str) -> bool {
    let digits = text
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < text.trim_start().len() && digits.starts_with(['.', ')'])
}

/// The lines as the model wrote them; a line break of the model's is one on the screen.
fn source(lines: &[&Line]) -> String {
    let mut source = String::new();
    let mut fenced = false;
    for (n, line) in lines.iter().enumerate() {
        if n > 0 {
            source.push('\n');
        }
        if line.gap && n > 0 {
            source.push('\n');
        }
        source.push_str(&line.text);
        let fence = line.text.trim_start().starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            source.push_str("  ");
        }
    }
    source
}

fn look(style: Style) -> Option<TextStyle> {
    let is = |modifier| style.add_modifier.contains(modifier);
    Some(match style.fg {
        Some(Color::Indexed(1)) => TextStyle::Heading,
        Some(Color::Indexed(2)) => TextStyle::Code,
        Some(Color::Indexed(3)) => TextStyle::Link,
        _ if is(Modifier::BOLD) => TextStyle::Strong,
        _ if is(Modifier::ITALIC) => TextStyle::Emphasis,
        _ if is(Modifier::CROSSED_OUT) => TextStyle::Struck,
        Some(Color::Indexed(0)) => TextStyle::Faint,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::transcript::{Kind, Ring, shown::show};
    use proptest::prelude::*;

    fn ring(text: &str) -> Ring {
        let mut ring = Ring::default();
        let mut gap = false;
        for line in text.lines() {
            if line.is_empty() {
                gap = true;
            } else {
                ring.push_line(Kind::Reasoning, line.into(), 0, std::mem::take(&mut gap));
            }
        }
        ring
    }

    fn rendered(text: &str) -> Vec<String> {
        let ring = ring(text);
        show(ring.iter(), false)
            .iter()
            .map(|s| {
                let mut out = String::from(if s.gap { "\n" } else { "" });
                let mut at = 0;
                for (range, look) in &s.looks {
                    out += &s.text[at..range.start];
                    out += &format!("<{look:?} {}>", &s.text[range.clone()]);
                    at = range.end;
                }
                out + &s.text[at..]
            })
            .collect()
    }

    #[test]
    fn a_report_reads_like_one() {
        let text = "## Finding\n\nThe **store** `tikv1` is *down*.\nIts process is gone.\n\n\
                    1. start it\n2. look again\n\n```sh\noperator-tui lab start tikv1\n```\n\n- [PD](http://pd0)";
        assert_eq!(
            rendered(text),
            [
                "<Heading ## ><Heading Finding>",
                "\nThe <Strong store> <Code tikv1> is <Emphasis down>.",
                "Its process is gone.",
                "\n<Faint 1. >start it",
                "<Faint 2. >look again",
                "\n<Code operator-tui lab start tikv1>",
                "\n- <Link PD> (<Link http://pd0>)",
            ]
        );
    }

    #[test]
    fn a_table_keeps_its_columns() {
        let shown = rendered("| store | state |\n|---|---|\n| tikv0 | Up |");
        assert_eq!(shown.len(), 5, "{shown:?}");
        assert!(shown[3].contains("tikv0"), "{shown:?}");
    }

    #[test]
    fn plain_prose_is_left_alone_and_entities_bring_no_controls() {
        assert_eq!(rendered("The store is gone."), ["The store is gone."]);
        assert_eq!(
            rendered("**a** &#27;[31m &#x202e;b"),
            ["<Strong a> [31m <202e>b"]
        );
    }

    proptest! {
        #[test]
        fn whatever_the_model_writes_reads_clean_and_in_order(
            text in "[a*_`#>|~\\-\\[\\]() \n1.&;x27<]{0,120}",
        ) {
            let ring = ring(&text);
            let shown = show(ring.iter(), false);
            for line in &shown {
                prop_assert!(!line.text.chars().any(char::is_control), "{:?}", line.text);
                let mut at = 0;
                for (range, _) in &line.looks {
                    prop_assert!(range.start >= at && line.text.get(range.clone()).is_some());
                    at = range.end;
                }
            }
            prop_assert!(shown.is_sorted_by_key(|s| s.id));
        }
    }
}
