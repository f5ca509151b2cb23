//! What was done in a session, call by call, in one line each: what stays with the model when the
//! conversation is cut, and by which number it names a call.

use crate::tools::call::{Call, Request};
use std::fmt::Write as _;

/// Characters of a call, of why it was made, and of how it ended.
const MAX_LEN: usize = 300;

#[derive(Debug, Default)]
pub(super) struct Actions {
    lines: Vec<String>,
    /// The id of each call, and the server's.
    calls: Vec<(String, String)>,
}

impl Actions {
    /// A call that ended: `how` in one line. Returns its number, the first being 1.
    pub(super) fn push(&mut self, call: &Call, request: &Request<'_>, how: &str) -> usize {
        let sign = match request.tool.name() {
            "shell" => "$".to_string(),
            other => format!("[{other}]"),
        };
        let mut line = format!("{sign} {}", short(request.input));
        if !request.reasoning.is_empty() {
            let _ = write!(line, "  (why: {})", short(request.reasoning));
        }
        let _ = write!(line, " -> {}", short(how));
        self.lines.push(line);
        self.calls.push((call.id.clone(), call.server_id.clone()));
        self.calls.len()
    }

    /// The id of the call that has this number, or this id. The model knows no ids but the server's;
    /// of several that have one, the newest is meant.
    pub(super) fn call(&self, name: &str) -> Option<String> {
        let number = name.parse::<usize>().ok();
        let numbered = number.and_then(|n| self.calls.get(n.checked_sub(1)?));
        let mut newest = self.calls.iter().rev();
        numbered
            .or_else(|| newest.find(|(_, theirs)| theirs == name))
            .or_else(|| self.calls.iter().find(|(ours, _)| ours == name))
            .map(|(ours, _)| ours.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The list, numbered, in at most about `room` bytes: of a longer one the beginning and the end
    /// are kept.
    pub(super) fn list(&self, room: usize) -> String {
        let lines = |range: std::ops::Range<usize>| {
            let numbered = self.lines[range.clone()].iter().zip(range);
            numbered.fold(String::new(), |mut out, (line, n)| {
                let _ = writeln!(out, "{}. {line}", n + 1);
                out
            })
        };
        let whole = lines(0..self.lines.len());
        if whole.len() <= room {
            return whole;
        }
        // A quarter of the room for how it began, the rest for the newest.
        let reach = |mut room: usize, sizes: &mut dyn Iterator<Item = usize>| {
            sizes
                .take_while(|size| {
                    let fits = *size <= room;
                    room = room.saturating_sub(*size);
                    fits
                })
                .count()
        };
        let size = |line: &String| line.len() + 8;
        let first = reach(room / 4, &mut self.lines.iter().map(size));
        let last = reach(room / 4 * 3, &mut self.lines.iter().rev().map(size));
        let from = self.lines.len() - last;
        format!(
            "{}... {} actions not listed ...\n{}",
            lines(0..first),
            from - first,
            lines(from..self.lines.len())
        )
    }
}

fn short(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(MAX_LEN) {
        Some((end, _)) => format!("{}...", &flat[..end]),
        None => flat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::call::Tool;
    use std::time::Duration;

    #[test]
    fn a_long_list_keeps_its_beginning_and_its_end() {
        let mut actions = Actions::default();
        for n in 0..1_000 {
            let input = format!("cmd {n} {}", "x".repeat(400));
            actions.push(
                &Call {
                    id: format!("c{}", n + 1),
                    server_id: format!("call_{n}"),
                    name: "shell".into(),
                    input: serde_json::Value::Null,
                },
                &Request {
                    tool: Tool::Shell,
                    input: &input,
                    reasoning: "to see",
                    limit: Duration::ZERO,
                },
                "exit 0",
            );
        }
        let list = actions.list(20_000);
        assert!(list.len() <= 20_100, "{}", list.len());
        assert!(list.starts_with("1. $ cmd 0 "));
        assert!(list.contains("1000. $ cmd 999 ") && list.contains("actions not listed"));
        for name in ["1000", "call_999", "c1000"] {
            assert_eq!(actions.call(name).as_deref(), Some("c1000"));
        }
        for name in ["0", "1001", "-1", "call_1000", ""] {
            assert_eq!(actions.call(name), None, "{name}");
        }
    }
}
