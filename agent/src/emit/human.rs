//! Events as a person reads them in a terminal: reasoning, `$ command`, its output, its end.
//!
//! Plain text without colour; the dashboard has a form of its own.

use operator_ledger::event::{Event, Kind, VerifyState, retry};
use std::io::{self, Write};

/// Lines and bytes of one command that are shown; the ledger has them all.
const LINES: usize = 40;
const BYTES: usize = 8 * 1024;

/// Remembers whether the last delta left a line open, and how much a command has printed.
#[derive(Debug, Default)]
pub(super) struct Human {
    line_open: bool,
    lines: usize,
    bytes: usize,
    /// For commands that read the ledger: where it is, if not where they look by themselves.
    db: String,
}

impl Human {
    pub(super) fn write(&mut self, event: &Event, out: &mut impl Write) -> io::Result<()> {
        match &event.kind {
            Kind::Text { delta, end } | Kind::Thinking { delta, end } => {
                out.write_all(delta.as_bytes())?;
                self.after(delta);
                if *end {
                    self.close_line(out)?;
                }
                return Ok(());
            }
            Kind::ToolOutput { text, .. } => {
                for line in text.split_inclusive('\n') {
                    self.bytes += line.len();
                    if self.lines < LINES && self.bytes < BYTES {
                        if !self.line_open {
                            out.write_all("│ ".as_bytes())?;
                        }
                        out.write_all(line.as_bytes())?;
                        self.line_open = !line.ends_with('\n');
                    }
                    self.lines += usize::from(line.ends_with('\n'));
                }
                return Ok(());
            }
            _ => self.close_line(out)?,
        }
        match &event.kind {
            Kind::Hello {
                version,
                model,
                mode,
                cell,
                ledger,
                ..
            } => {
                let usual = operator_ledger::home::Home::from_env().map(|h| h.ledger());
                if usual.is_ok_and(|usual| usual.as_os_str() != ledger.as_str()) {
                    self.db = format!(" --db {ledger}");
                }
                writeln!(
                    out,
                    "agent_lab {version} · {model} · {} · cell {cell} · {ledger}",
                    format!("{mode:?}").to_lowercase()
                )
            }
            Kind::SessionStart { ticket, title, .. } => writeln!(out, "\n== #{ticket} {title}\n"),
            Kind::SessionEnd {
                outcome,
                summary,
                duration_ms,
                ..
            } => writeln!(
                out,
                "\n== {} after {:.1} s\n{summary}",
                outcome.as_str(),
                *duration_ms as f64 / 1000.0
            ),
            Kind::ToolCall {
                tool,
                input,
                reasoning,
                ..
            } => {
                let sign = if tool == "shell" {
                    "$".to_string()
                } else {
                    format!("[{tool}]")
                };
                writeln!(out, "\n{sign} {input}")?;
                if reasoning.is_empty() {
                    Ok(())
                } else {
                    writeln!(out, "  why: {reasoning}")
                }
            }
            Kind::ToolResult {
                exit_code,
                duration_ms,
                timed_out,
                omitted_bytes,
                ..
            } => {
                let (lines, bytes) = (self.lines, self.bytes);
                (self.lines, self.bytes) = (0, 0);
                if lines > LINES || bytes >= BYTES {
                    let all = format!("{lines} lines, {bytes} bytes");
                    writeln!(out, "│ ... {all}: operator-tui audit show --all{}", self.db)?;
                }
                let seconds = *duration_ms as f64 / 1000.0;
                match exit_code {
                    _ if *timed_out => write!(out, "✗ time limit · {seconds:.1} s")?,
                    Some(0) => write!(out, "✓ exit 0 · {seconds:.1} s")?,
                    Some(code) => write!(out, "✗ exit {code} · {seconds:.1} s")?,
                    None => write!(out, "✗ ended · {seconds:.1} s")?,
                }
                if *omitted_bytes > 0 {
                    write!(out, " · {omitted_bytes} bytes not recorded")?;
                }
                out.write_all(b"\n\n")
            }
            Kind::Proposal { call, why } => writeln!(
                out,
                "? it waits: {why}\n  operator-tui steer approve {call}{0}\n  operator-tui steer reject {call} --why TEXT{0}",
                self.db
            ),
            Kind::Decision {
                approved, by, why, ..
            } => {
                writeln!(
                    out,
                    "{} by {by} {why}",
                    if *approved { "approved" } else { "rejected" }
                )
            }
            Kind::Finish(said) => {
                writeln!(out, "\n= finish: {}", said.headline())?;
                for (name, text) in said.fields() {
                    writeln!(out, "  {name}: {text}")?;
                }
                Ok(())
            }
            Kind::Verify { state, detail } => {
                let sign = match state {
                    VerifyState::Waiting => "~ waiting for proof",
                    VerifyState::Proven => "✓ proven",
                    VerifyState::External => "✓ cleared (reported from outside, not proven)",
                    VerifyState::Failed => "✗ not proven",
                    VerifyState::Unverifiable => "? could not be verified",
                    VerifyState::Withdrawn => "↶ claim taken back",
                };
                writeln!(out, "{sign}: {detail}")
            }
            Kind::Retry {
                status,
                attempt,
                of,
                wait_ms,
                reason,
            } => writeln!(out, "! {}", retry(*status, reason, *attempt, *of, *wait_ms)),
            Kind::Notice { text, .. } => writeln!(out, "! {text}"),
            _ => Ok(()),
        }
    }

    fn after(&mut self, text: &str) {
        if !text.is_empty() {
            self.line_open = !text.ends_with('\n');
        }
    }

    fn close_line(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.line_open) {
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}
