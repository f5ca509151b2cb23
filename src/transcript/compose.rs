//! From what a child says, events or plain lines, to lines of its transcript.
//!
//! Streams (text, thinking, output of a command) arrive in pieces that end anywhere; a line grows
//! in place until its newline. What the events mean for the state of the agent is not decided
//! here.

use super::{Kind, Ring, clean::Cleaner, clean::clean};
use operator_ledger::{
    Effect, FinishOutcome, Stored,
    event::{self, Event, Kind as What, Level, Outcome, Stream, VerifyState},
};
use std::{collections::VecDeque, fmt::Write as _};

/// Lines of one command that are shown; the ledger has them all.
const COMMAND_LINES: usize = 20;

/// Calls that are known by their ids, and letters of each.
const CALLS: usize = 200;
const SHORT: usize = 48;

fn short(input: &str) -> String {
    let line = input.lines().next().unwrap_or_default();
    match line.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if input.lines().nth(1).is_some() => format!("{line} …"),
        None => line.to_owned(),
    }
}

/// Turns the output of one child into the lines of one ring.
#[derive(Debug, Default)]
pub struct Composer {
    open: Option<Open>,
    /// The next line of text begins a paragraph.
    gap: bool,
    /// The newest calls by their ids, each in short: what a finish names as its evidence.
    calls: VecDeque<(String, String)>,
}

/// A line that is not ended.
#[derive(Debug)]
struct Open {
    id: u64,
    source: Source,
    cleaner: Cleaner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Text,
    Thinking,
    Output(String, Stream),
}

impl Source {
    fn kind(&self) -> Kind {
        match self {
            Self::Text => Kind::Reasoning,
            Self::Thinking => Kind::Thinking,
            Self::Output(_, Stream::Stdout) => Kind::Output,
            Self::Output(_, Stream::Stderr) => Kind::ErrorOutput,
        }
    }
}

impl Composer {
    /// A line that is not an event, without its newline. `omitted` bytes of it were cut before.
    pub fn plain(&mut self, ring: &mut Ring, kind: Kind, line: &[u8], omitted: u64) {
        self.open = None;
        let (text, over) = clean(line);
        ring.push_line(kind, text, omitted + over, false);
    }

    /// Lines were lost before they came here.
    pub fn lost(&mut self, ring: &mut Ring, lines: u64) {
        self.open = None;
        ring.skip(lines);
    }

    /// A line of ours.
    pub fn say(&mut self, ring: &mut Ring, kind: Kind, text: impl AsRef<str>) {
        self.open = None;
        for line in text.as_ref().lines() {
            let (text, omitted) = clean(line.as_bytes());
            ring.push_line(kind, text, omitted, false);
        }
    }

    pub fn event(&mut self, ring: &mut Ring, event: &Event) {
        match &event.kind {
            What::Text { delta, end } => self.stream(ring, &Source::Text, delta, *end),
            What::Thinking { delta, end } => self.stream(ring, &Source::Thinking, delta, *end),
            What::ToolOutput { call, stream, text } => {
                self.stream(ring, &Source::Output(call.clone(), *stream), text, false);
            }
            What::Usage { .. } | What::Incident { .. } | What::Unknown => {}
            other => self.block(ring, other),
        }
    }

    /// Calls as people know them: by what they ran.
    fn named(&self, evidence: &[String]) -> String {
        let name = |id: &String| {
            let found = self.calls.iter().rev().find(|(call, _)| call == id);
            found.map_or_else(|| id.clone(), |(_, text)| format!("`{text}`"))
        };
        let names: Vec<String> = evidence.iter().map(name).collect();
        names.join(", ")
    }

    /// Whole lines, one block an event.
    fn block(&mut self, ring: &mut Ring, what: &What) {
        self.open = None;
        self.gap = false;
        match what {
            What::Hello {
                agent,
                version,
                pid,
                model,
                mode,
                cell,
                ..
            } => {
                let mode = format!("{mode:?}").to_lowercase();
                let cell = match cell.as_str() {
                    "" => String::new(),
                    cell => format!(" · cell {cell}"),
                };
                self.say(
                    ring,
                    Kind::Notice,
                    format!("{agent} {version} · {model} · {mode}{cell} · pid {pid}"),
                );
            }
            What::SessionStart { ticket, title, .. } => {
                spaced(ring, Kind::Session, &format!("#{ticket} {title}"));
                self.gap = true;
            }
            What::SessionEnd {
                outcome,
                resolution,
                summary,
                duration_ms,
                ..
            } => {
                let mut text = format!("session {}", outcome.as_str());
                if let Some(resolution) = resolution {
                    let _ = write!(text, ", {resolution}");
                }
                let _ = write!(text, " · {}", seconds(*duration_ms));
                spaced(ring, Kind::Session, &text);
                let kind = if *outcome == Outcome::Resolved {
                    Kind::Reasoning
                } else {
                    Kind::Notice
                };
                self.say(ring, kind, summary);
            }
            What::ToolCall {
                call,
                tool,
                input,
                reasoning,
                effect,
                ..
            } => {
                self.calls.push_back((call.clone(), short(input)));
                if self.calls.len() > CALLS {
                    self.calls.pop_front();
                }
                let shell = tool == "shell";
                let lines = input.lines().count();
                for (n, line) in input.lines().take(COMMAND_LINES).enumerate() {
                    match (n, shell) {
                        (0, true) => spaced(ring, Kind::Command, line),
                        (0, false) => spaced(ring, Kind::Command, &format!("{tool}: {line}")),
                        _ => self.say(ring, Kind::CommandMore, line),
                    }
                }
                if lines > COMMAND_LINES {
                    let more = format!("… {} more lines", lines - COMMAND_LINES);
                    self.say(ring, Kind::CommandMore, more);
                }
                let why = reasoning.replace('\n', " ");
                let (kind, mark) = match effect.as_ref().and_then(Stored::known) {
                    // What reads is not marked, and what an older agent did not judge cannot be.
                    None | Some(Effect::Reads) => return self.say(ring, Kind::Why, why),
                    Some(Effect::Changes) => (Kind::Changes, "CHANGES"),
                    Some(Effect::Unknown) => (Kind::MayChange, "MAY CHANGE"),
                };
                if why.is_empty() {
                    self.say(ring, kind, mark);
                } else {
                    self.say(ring, kind, format!("{mark} · why: {why}"));
                }
            }
            What::Proposal { why, .. } => {
                self.say(ring, Kind::Warning, format!("waits for approval: {why}"));
            }
            What::Decision {
                approved, by, why, ..
            } => {
                let word = if *approved { "approved" } else { "rejected" };
                let kind = if *approved { Kind::Good } else { Kind::Bad };
                let why = if why.is_empty() {
                    String::new()
                } else {
                    format!(": {why}")
                };
                self.say(ring, kind, format!("{word} by {by}{why}"));
            }
            What::ToolResult {
                exit_code,
                duration_ms,
                timed_out,
                omitted_bytes,
                ..
            } => {
                let mut text = match (timed_out, exit_code) {
                    (true, _) => format!("timed out after {}", seconds(*duration_ms)),
                    (_, Some(code)) => format!("exit {code} · {}", seconds(*duration_ms)),
                    (_, None) => format!("ended without an exit code · {}", seconds(*duration_ms)),
                };
                if *omitted_bytes > 0 {
                    let _ = write!(text, " · {omitted_bytes} bytes not shown");
                }
                let good = !timed_out && *exit_code == Some(0);
                self.say(ring, if good { Kind::Good } else { Kind::Bad }, text);
                self.gap = true;
            }
            What::Finish(said) => {
                let kind = match said.outcome.known() {
                    Some(FinishOutcome::Repaired) => Kind::Waiting,
                    Some(FinishOutcome::NothingWrong) => Kind::Notice,
                    Some(FinishOutcome::Escalate) | None => Kind::Warning,
                };
                let (text, omitted) = clean(said.headline().as_bytes());
                ring.push_line(kind, format!("finish: {text}"), omitted, true);
                for (name, text) in said.fields() {
                    let text = if name == "evidence" {
                        self.named(&said.evidence)
                    } else {
                        text
                    };
                    self.say(ring, Kind::CommandMore, format!("{name}: {text}"));
                }
            }
            What::Verify { state, detail } => {
                let (kind, word) = match state {
                    VerifyState::Waiting => (Kind::Waiting, "claimed, waiting for proof"),
                    VerifyState::Proven => (Kind::Good, "proven"),
                    VerifyState::External => {
                        (Kind::Good, "cleared (reported from outside, not proven)")
                    }
                    VerifyState::Failed => (Kind::Bad, "not proven"),
                    VerifyState::Unverifiable => (Kind::Bad, "claimed, could not be verified"),
                    VerifyState::Withdrawn => (Kind::Waiting, "claim taken back"),
                };
                let detail = if detail.is_empty() {
                    String::new()
                } else {
                    format!(": {detail}")
                };
                self.say(ring, kind, format!("{word}{detail}"));
            }
            What::Retry {
                status,
                attempt,
                of,
                wait_ms,
                reason,
            } => {
                let text = event::retry(*status, reason, *attempt, *of, *wait_ms);
                self.say(ring, Kind::Warning, format!("model: {text}"));
            }
            What::Notice {
                level,
                text,
                dropped,
                ..
            } => {
                let kind = if *level == Level::Info {
                    Kind::Notice
                } else {
                    Kind::Warning
                };
                self.say(ring, kind, text);
                if *dropped > 0 {
                    self.say(
                        ring,
                        Kind::Warning,
                        format!("{dropped} events were lost on the way"),
                    );
                }
            }
            What::Text { .. }
            | What::Thinking { .. }
            | What::ToolOutput { .. }
            | What::Usage { .. }
            | What::Incident { .. }
            | What::Unknown => {}
        }
    }

    fn stream(&mut self, ring: &mut Ring, source: &Source, text: &str, end: bool) {
        let prose = matches!(source, Source::Text | Source::Thinking);
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.source != *source)
        {
            self.open = None;
        }
        let mut pieces = text.split('\n').peekable();
        while let Some(piece) = pieces.next() {
            let ended = pieces.peek().is_some();
            // Paragraphs of prose are set apart by a gap, not by a line of their own.
            let blank = prose && self.open.is_none() && piece.trim().is_empty();
            if blank {
                self.gap |= ended;
            } else if !piece.is_empty() || ended {
                self.grow(ring, source, piece);
            }
            if ended {
                self.open = None;
            }
        }
        if end {
            self.open = None;
            self.gap = true;
        }
    }

    fn grow(&mut self, ring: &mut Ring, source: &Source, piece: &str) {
        // The open line may have been evicted or followed by another.
        let last = ring.last().map(|l| l.id);
        if self.open.as_ref().is_none_or(|open| last != Some(open.id)) {
            let prose = matches!(source, Source::Text | Source::Thinking);
            let gap = prose && std::mem::take(&mut self.gap);
            let id = ring.push_line(source.kind(), String::new(), 0, gap);
            self.open = Some(Open {
                id,
                source: source.clone(),
                cleaner: Cleaner::default(),
            });
        }
        if let (Some(open), Some(line)) = (&mut self.open, ring.last_mut()) {
            open.cleaner.feed(piece, &mut line.text);
            line.omitted = open.cleaner.omitted();
        }
    }
}

fn spaced(ring: &mut Ring, kind: Kind, text: &str) {
    let (text, omitted) = clean(text.as_bytes());
    ring.push_line(kind, text, omitted, true);
}

/// Milliseconds as people read them: `0.1 s`, `42 s`, `3 m 5 s`.
pub fn seconds(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        _ => format!("{} m {} s", ms / 60_000, ms / 1000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(json: &[&str]) -> Vec<String> {
        let (mut ring, mut composer) = (Ring::default(), Composer::default());
        for (seq, body) in json.iter().enumerate() {
            let line = format!(r#"{{"v":1,"seq":{seq},"at":"2026-01-30T10:00:00Z",{body}}}"#);
            let event = event::parse(&line).expect(&line);
            composer.event(&mut ring, &event);
        }
        show(&ring)
    }

    fn show(ring: &Ring) -> Vec<String> {
        ring.iter()
            .map(|l| {
                let gap = if l.gap { "\n" } else { "" };
                format!("{gap}{}{}", l.kind.marker(), l.text)
            })
            .collect()
    }

    #[test]
    fn a_call_is_marked_unless_it_only_reads_or_nobody_judged_it() {
        let shown = |effect: &str, why: &str| {
            let call = format!(
                r#""type":"tool_call","call":"c","tool":"shell","input":"x","reasoning":"{why}"{effect}"#
            );
            lines(&[&call])
        };
        assert_eq!(shown("", "so"), ["\n$ x", "  why: so"]);
        assert_eq!(shown(r#","effect":"reads""#, "so"), ["\n$ x", "  why: so"]);
        assert_eq!(
            shown(r#","effect":"changes""#, "so"),
            ["\n$ x", "  CHANGES · why: so"]
        );
        assert_eq!(shown(r#","effect":"changes""#, ""), ["\n$ x", "  CHANGES"]);
        assert_eq!(
            shown(r#","effect":"unknown""#, "so"),
            ["\n$ x", "  MAY CHANGE · why: so"]
        );
        // A word of a later version is none of these.
        assert_eq!(shown(r#","effect":"sings""#, "so"), ["\n$ x", "  why: so"]);
    }

    #[test]
    fn a_session_reads_like_a_story() {
        let shown = lines(&[
            r#""type":"session_start","ticket":4,"title":"store_down tikv1""#,
            r#""type":"text","delta":"I'll ask PD ""#,
            r#""type":"text","delta":"first.\n\nThen the store.""#,
            r#""type":"text","delta":"","end":true"#,
            r#""type":"tool_call","call":"c","tool":"shell","input":"operator-tui lab ps","reasoning":"gone or stuck?""#,
            r#""type":"tool_output","call":"c","stream":"stdout","text":"tikv0  up\nti""#,
            r#""type":"tool_output","call":"c","stream":"stdout","text":"kv1  exited\n""#,
            r#""type":"tool_output","call":"c","stream":"stderr","text":"warning\n""#,
            r#""type":"tool_result","call":"c","exit_code":0,"duration_ms":120"#,
            r#""type":"finish","outcome":"repaired","cause":"killed\u001b[2J by signal 9\nfrom outside","evidence":["c"],"actions":"started tikv1","checked":"","confidence":"high""#,
            r#""type":"verify","state":"proven","detail":"held for 24 s""#,
            r#""type":"session_end","outcome":"resolved","resolution":"proven","summary":"Started tikv1.","duration_ms":41000"#,
        ]);
        assert_eq!(
            shown,
            [
                "\n── #4 store_down tikv1",
                "\nI'll ask PD first.",
                "\nThen the store.",
                "\n$ operator-tui lab ps",
                "  why: gone or stuck?",
                "│ tikv0  up",
                "│ tikv1  exited",
                "┆ warning",
                "✓ exit 0 · 0.1 s",
                "\n~ finish: says it is repaired",
                "  cause: killed by signal 9",
                "  from outside",
                "  actions: started tikv1",
                "  confidence: high",
                "  evidence: `operator-tui lab ps`",
                "✓ proven: held for 24 s",
                "\n── session resolved, proven · 41 s",
                "Started tikv1.",
            ]
        );
    }

    #[test]
    fn failures_and_waits_have_words() {
        let shown = lines(&[
            r#""type":"finish","outcome":"escalate","cause":"the disk is gone","next":"replace it""#,
            r#""type":"finish","outcome":"nothing_wrong","cause":"a late look""#,
            r#""type":"finish","outcome":"shrugs""#,
            r#""type":"tool_result","call":"c","exit_code":1,"duration_ms":15000"#,
            r#""type":"tool_result","call":"c","exit_code":null,"duration_ms":120000,"timed_out":true,"omitted_bytes":9"#,
            r#""type":"retry","status":529,"attempt":2,"wait_ms":4000,"reason":"overloaded""#,
            r#""type":"verify","state":"waiting""#,
            r#""type":"notice","level":"warn","text":"lease lost","dropped":3"#,
        ]);
        assert_eq!(
            shown,
            [
                "\n! finish: hands it to a person",
                "  cause: the disk is gone",
                "  next: replace it",
                "\n· finish: says nothing is wrong",
                "  cause: a late look",
                "\n! finish: shrugs",
                "✗ exit 1 · 15 s",
                "✗ timed out after 2 m 0 s · 9 bytes not shown",
                "! model: 529 overloaded, try 2, 4.0 s",
                "~ claimed, waiting for proof",
                "! lease lost",
                "! 3 events were lost on the way",
            ]
        );
    }

    #[test]
    fn text_in_events_is_cleaned_too() {
        let shown = lines(&[
            r#""type":"tool_output","call":"c","stream":"stdout","text":"a\u001b[3""#,
            r#""type":"tool_output","call":"c","stream":"stdout","text":"1mb\u202e\u001b]52;c;x\u0007""#,
            r#""type":"tool_call","call":"d","tool":"shell","input":"echo \u001b[2Jhi","reasoning":"""#,
        ]);
        assert_eq!(shown, ["│ ab<202e>", "\n$ echo hi"]);
    }

    #[test]
    fn an_empty_line_of_output_is_a_line_and_a_plain_line_is_itself() {
        let (mut ring, mut composer) = (Ring::default(), Composer::default());
        composer.plain(&mut ring, Kind::Plain, b"{not json} [server.rs:123]\xff", 7);
        assert_eq!(show(&ring), ["{not json} [server.rs:123]\u{fffd}"]);
        assert_eq!(ring.last().unwrap().omitted, 7);
        let shown =
            lines(&[r#""type":"tool_output","call":"c","stream":"stdout","text":"a\n\nb\n""#]);
        assert_eq!(shown, ["│ a", "│ ", "│ b"]);
    }
}
