use super::*;
use crate::transcript::{Kind, Line};

fn line(id: u64, kind: Kind, text: &str, gap: bool) -> Line {
    Line {
        id,
        kind,
        text: text.into(),
        omitted: 0,
        gap,
    }
}

/// A command with output every ten lines.
fn lines(range: std::ops::Range<u64>) -> Vec<Line> {
    range
        .map(|n| match n % 10 {
            0 => line(n, Kind::Command, &format!("command {n}"), true),
            _ => line(n, Kind::Output, &format!("line {n}"), false),
        })
        .collect()
}

const SIZE: Size = Size {
    width: 20,
    height: 4,
    cut: false,
};

fn page(doc: &Doc) -> Vec<String> {
    let page = doc.page(SIZE, None);
    page.rows
        .iter()
        .enumerate()
        .map(|(n, row)| match row {
            Row::Gap => String::new(),
            Row::Text(piece) if page.cursor == Some(n) => format!("> {}", piece.text),
            Row::Text(piece) => piece.text.to_string(),
        })
        .collect()
}

#[test]
fn the_cursor_moves_in_the_page_and_the_page_with_it_at_its_edge() {
    let mut doc = Doc::at_end(lines(0..30), false, SIZE);
    assert_eq!(page(&doc), ["line 26", "line 27", "line 28", "> line 29"]);
    doc.up(2, SIZE);
    assert_eq!(page(&doc), ["line 26", "> line 27", "line 28", "line 29"]);
    doc.up(2, SIZE);
    assert_eq!(page(&doc), ["> line 25", "line 26", "line 27", "line 28"]);
    assert_eq!(doc.down(9, SIZE), 5);
    assert_eq!(page(&doc), ["line 26", "line 27", "line 28", "> line 29"]);
}

#[test]
fn the_cursor_passes_over_gaps() {
    let mut doc = Doc::at_end(lines(0..22), false, SIZE);
    assert_eq!(page(&doc), ["line 19", "", "command 20", "> line 21"]);
    doc.up(2, SIZE);
    assert_eq!(page(&doc), ["> line 19", "", "command 20", "line 21"]);
    doc.start(SIZE);
    assert_eq!(page(&doc), ["> command 0", "line 1", "line 2", "line 3"]);
    assert_eq!(doc.up(1, SIZE), 1);
}

#[test]
fn a_page_up_takes_the_cursor_along() {
    let mut doc = Doc::at_end(lines(0..30), false, SIZE);
    doc.up(1, SIZE);
    doc.scroll_up(3, SIZE);
    assert_eq!(page(&doc), ["line 23", "line 24", "> line 25", "line 26"]);
    doc.scroll_up(100, SIZE);
    assert_eq!(page(&doc)[0], "> command 0");
    doc.select_row(2, SIZE);
    assert_eq!(page(&doc)[2], "> line 2");
    doc.scroll_down(100, SIZE);
    assert!(page(&doc)[3].ends_with("line 29"));
}

#[test]
fn commands_are_jumped_to_with_what_is_before_them_in_sight() {
    let mut doc = Doc::at_end(lines(0..30), false, SIZE);
    let command = |l: &Shown<'_>| l.kind == Kind::Command;
    assert!(doc.jump(false, SIZE, command));
    assert_eq!(page(&doc), ["", "> command 20", "line 21", "line 22"]);
    assert!(doc.jump(false, SIZE, command));
    assert_eq!(doc.current().unwrap().text, "command 10");
    assert!(doc.jump(true, SIZE, command));
    assert_eq!(doc.current().unwrap().text, "command 20");
    assert!(!doc.jump(true, SIZE, command));
}

#[test]
fn a_match_deep_in_a_long_line_is_brought_into_sight() {
    let long = "x".repeat(200) + "needle" + &"y".repeat(200);
    let mut doc = Doc::at_end(
        [
            line(0, Kind::Plain, &long, false),
            line(1, Kind::Plain, "end", false),
        ],
        false,
        SIZE,
    );
    let needle = Needle::new("needle").unwrap();
    assert!(doc.find(&needle, false, SIZE));
    let page = doc.page(SIZE, Some(&needle));
    let Row::Text(piece) = &page.rows[page.cursor.unwrap()] else {
        panic!("a gap");
    };
    assert_eq!(&piece.text[piece.found[0].clone()], "needle");
}

#[test]
fn folding_keeps_the_reader_where_they_are() {
    let mut all = lines(0..11);
    all.extend((11..60).map(|n| line(n, Kind::Output, &format!("row {n}"), false)));
    all.extend(lines(60..70));
    let mut doc = Doc::at_end(all, false, SIZE);
    doc.up(20, SIZE);
    assert_eq!(doc.current().unwrap().text, "row 49");
    doc.fold(true, SIZE);
    let folded = doc.current().unwrap();
    assert_eq!(
        (folded.text.as_ref(), folded.folded),
        ("┄ 41 more lines ┄", 41)
    );
    doc.fold(false, SIZE);
    assert_eq!(doc.current().unwrap().text, "row 15");
}

#[test]
fn other_lines_leave_the_reader_on_the_same_one() {
    let mut doc = Doc::at_end(lines(20..40), false, SIZE);
    doc.up(5, SIZE);
    assert_eq!(doc.current().unwrap().text, "line 34");
    doc.replace(lines(0..60), SIZE);
    assert_eq!(doc.current().unwrap().text, "line 34");
    assert!(page(&doc).contains(&"> line 34".to_owned()));
    doc.go_to(45, SIZE);
    assert_eq!(doc.current().unwrap().text, "line 45");
}

#[test]
fn an_empty_document_and_a_pane_without_room_are_survived() {
    let mut doc = Doc::at_end([], false, SIZE);
    assert_eq!((doc.up(3, SIZE), doc.down(3, SIZE)), (3, 3));
    assert!(doc.page(SIZE, None).rows.is_empty() && doc.current().is_none());
    let none = Size::default();
    let mut doc = Doc::at_end(lines(0..30), true, none);
    doc.scroll_up(3, none);
    doc.up(3, none);
    doc.end(none);
    assert!(doc.page(none, None).rows.is_empty());
}

#[test]
fn another_size_keeps_the_cursor_on_its_line() {
    let long = "word ".repeat(40);
    let narrow = Size { width: 6, ..SIZE };
    let mut doc = Doc::at_end(
        [
            line(0, Kind::Reasoning, &long, false),
            line(1, Kind::Reasoning, &long, false),
        ],
        false,
        narrow,
    );
    let wide = Size { width: 80, ..SIZE };
    let page = doc.page(wide, None);
    assert_eq!((page.rows.len(), page.cursor), (4, Some(3)));
    doc.up(1, wide);
    doc.up(1, wide);
    doc.up(1, wide);
    assert_eq!(doc.current().unwrap().id, 0);
}
