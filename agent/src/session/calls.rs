//! Tool calls of a turn: recorded before they run, run one after the other, recorded after.

use super::{Halt, Session};
use crate::{
    control::Decision,
    emit::Emitter,
    event::{Kind, Mode, Stream},
    ledger::{EntryKind, NewEntry, OutputChunk},
    model::{Block, conversation::tool_result},
    output_log::OutputLog,
    prompt, summarize,
    tools::{
        read_only,
        shell::{self, HIGHEST_LIMIT, Output},
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// One call of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    id: String,
    name: String,
    input: Value,
}

/// The calls of a turn, in order.
pub fn of(content: &[Value]) -> Vec<Call> {
    content
        .iter()
        .filter_map(|b| match Block::of(b) {
            Block::ToolUse { id, name, input } => Some(Call {
                id: id.into(),
                name: name.into(),
                input: input.clone(),
            }),
            _ => None,
        })
        .collect()
}

/// What a call that ended leaves for the ones after it.
enum After {
    GoOn,
    /// This person interrupted: the remaining calls are not run.
    Interrupted(String),
}

/// The arguments of a shell call.
struct Shell<'c> {
    command: &'c str,
    reasoning: &'c str,
    limit: Duration,
}

impl<'c> Shell<'c> {
    fn read(input: &'c Value) -> Result<Self, String> {
        let command = input
            .get("command")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if command.trim().is_empty() {
            return Err(format!("shell needs a `command`; it was given {input}"));
        }
        if command.contains('\0') {
            return Err("a command cannot hold a zero byte".into());
        }
        let limit = match input.get("timeout_s").filter(|t| !t.is_null()) {
            None => shell::DEFAULT_LIMIT,
            Some(t) => match t.as_f64() {
                Some(s) if s > 0.0 => Duration::from_secs_f64(s.min(HIGHEST_LIMIT.as_secs_f64())),
                _ => return Err(format!("`timeout_s` must be a number of seconds, not {t}")),
            },
        };
        let reasoning = input
            .get("reasoning")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(Self {
            command,
            reasoning,
            limit,
        })
    }
}

impl Session<'_> {
    /// Runs the calls of a turn and gives the model all their results, and words of a person that
    /// came meanwhile.
    pub(super) async fn run_calls(&mut self, calls: &[Call]) -> Result<(), Halt> {
        let mut results = Vec::new();
        let mut interrupted = None;
        for call in calls {
            if interrupted.is_some() {
                let why = "not run: a person interrupted the turn";
                results.push(tool_result(&call.id, why, true));
                continue;
            }
            let (result, after) = match (call.name.as_str(), Shell::read(&call.input)) {
                ("shell", Ok(arguments)) => self.shell_call(call, &arguments).await?,
                ("shell", Err(why)) => (tool_result(&call.id, &why, true), After::GoOn),
                (other, _) => {
                    let why = format!("there is no tool called {other}");
                    (tool_result(&call.id, &why, true), After::GoOn)
                }
            };
            if result.get("is_error").is_some() {
                let why = result["content"].as_str().unwrap_or_default().to_string();
                self.record_refusal(call, &why)?;
            }
            results.push(result);
            if let After::Interrupted(by) = after {
                interrupted = Some(by);
            }
        }
        let words = self.take_messages()?;
        if !words.is_empty() {
            results.push(json!({ "type": "text", "text": words.join("\n\n") }));
        }
        self.conversation.user(results);
        if let Some(by) = interrupted
            && words.is_empty()
        {
            self.wait_for_words(&by).await?;
        }
        Ok(())
    }

    /// Calls that must not run still need an answer.
    pub(super) fn refuse_calls(&mut self, calls: &[Call], why: &str) -> Result<(), Halt> {
        let results: Vec<Value> = calls
            .iter()
            .map(|c| tool_result(&c.id, why, true))
            .collect();
        for call in calls {
            self.record_refusal(call, why)?;
        }
        if !results.is_empty() {
            self.conversation.user(results);
        }
        Ok(())
    }

    fn record_refusal(&mut self, call: &Call, why: &str) -> Result<(), Halt> {
        let text = self
            .setting
            .redactor
            .apply(&format!("{}: {why}", call.name));
        self.record(&NewEntry {
            tool: Some(&call.name),
            call: Some(&call.id),
            ..NewEntry::new(EntryKind::Notice, &text)
        })?;
        self.notice(crate::event::Level::Warn, &text);
        Ok(())
    }

    async fn shell_call(
        &mut self,
        call: &Call,
        arguments: &Shell<'_>,
    ) -> Result<(Value, After), Halt> {
        self.check()?;
        let redactor = &self.setting.redactor;
        let command = redactor.apply(arguments.command);
        let reasoning = redactor.apply(arguments.reasoning);
        let params = json!({
            "command": command,
            "reasoning": reasoning,
            "timeout_s": arguments.limit.as_secs(),
        });
        let text = format!("shell: {}", summarize::command(&command));
        // Durable when it returns: only then may the command start.
        self.record(&NewEntry {
            tool: Some("shell"),
            params: Some(&params),
            call: Some(&call.id),
            ..NewEntry::new(EntryKind::ToolCall, &text)
        })?;
        self.emit(Kind::ToolCall {
            call: call.id.clone(),
            tool: "shell".into(),
            input: command,
            reasoning,
        });
        if let Some(why) = self.gate(call, arguments.command).await? {
            return Ok((tool_result(&call.id, &why, true), After::GoOn));
        }
        self.ledger.check_lease(&self.writer.lease)?;
        self.shell.right_ends_ms = Some(self.leash.until().ms());
        let mut interrupted_by = None;
        let outcome = {
            let mut output = Live {
                emitter: &self.setting.emitter,
                session: &self.writer.id,
                call: &call.id,
                log: &self.output,
                seq: 0,
            };
            let (lost, stop) = (self.leash.until_lost(), self.setting.stop.until_asked());
            let (desk, who) = (&mut *self.desk, &mut interrupted_by);
            let end = async {
                tokio::select! {
                    _ = lost => {}
                    _ = stop => {}
                    by = desk.interrupt() => *who = Some(by),
                }
            };
            match self.shell.start(arguments.command, arguments.limit) {
                Ok(running) => running.wait(&mut output, end, self.leash.ends()).await,
                Err(e) => Err(e),
            }
        };
        if let Some(why) = self.leash.lost() {
            return Err(Halt::Lost(why));
        }
        let outcome = outcome.unwrap_or_else(|e| shell::Outcome {
            failed: Some(format!("it could not be started: {e}")),
            ..shell::Outcome::default()
        });
        let text = prompt::result(&outcome);
        let summary = summary_of(&text);
        let meta = json!({
            "signal": outcome.signal,
            "interrupted": outcome.interrupted,
            "interrupted_by": interrupted_by,
            "not_shown_to_model": outcome.omitted,
            "background": outcome.left,
        });
        let duration = u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX);
        self.output.flush(Duration::from_millis(500));
        self.record(&NewEntry {
            summary: Some(&summary),
            tool: Some("shell"),
            call: Some(&call.id),
            exit_code: outcome.exit_code,
            duration_ms: Some(duration),
            timed_out: outcome.timed_out,
            omitted_bytes: outcome.unrecorded,
            meta: Some(&meta),
            ..NewEntry::new(EntryKind::ToolResult, &text)
        })?;
        self.emit(Kind::ToolResult {
            call: call.id.clone(),
            exit_code: outcome.exit_code,
            duration_ms: duration,
            timed_out: outcome.timed_out,
            omitted_bytes: outcome.unrecorded,
        });
        if !outcome.left.is_empty() {
            let list: Vec<String> = outcome
                .left
                .iter()
                .map(|l| format!("{} {}", l.pid, l.command))
                .collect();
            self.record_notice(
                crate::event::Level::Info,
                &format!(
                    "runs on in the background until the session ends: {}",
                    list.join(", ")
                ),
            )?;
        }
        self.check()?;
        let after = interrupted_by.map_or(After::GoOn, After::Interrupted);
        Ok((tool_result(&call.id, &text, false), after))
    }

    /// Whether a command may run in this mode. `Some`: why it may not.
    async fn gate(&mut self, call: &Call, command: &str) -> Result<Option<String>, Halt> {
        let mode = self.setting.mode;
        if mode == Mode::Autonomous || read_only::is_read_only(command) {
            return Ok(None);
        }
        let Decision { approved, by, why } = if mode == Mode::Observe {
            Decision {
                approved: false,
                by: "mode observe".into(),
                why: "only commands known to change nothing run in this mode".into(),
            }
        } else {
            let why = "in this mode a person approves what may change something";
            self.record(&NewEntry {
                call: Some(&call.id),
                ..NewEntry::new(EntryKind::Proposal, why)
            })?;
            self.emit(Kind::Proposal {
                call: call.id.clone(),
                why: why.into(),
            });
            tokio::select! {
                why = self.leash.until_lost() => return Err(Halt::Lost(why)),
                why = self.setting.stop.until_asked() => return Err(Halt::Stopped(why)),
                decision = self.desk.decision(&call.id) => decision,
            }
        };
        let why = self.setting.redactor.apply(&why);
        let word = if approved { "approved" } else { "rejected" };
        let meta = json!({ "approved": approved, "by": by, "why": why });
        self.record(&NewEntry {
            call: Some(&call.id),
            meta: Some(&meta),
            ..NewEntry::new(EntryKind::Decision, &format!("{word} by {by}: {why}"))
        })?;
        self.emit(Kind::Decision {
            call: call.id.clone(),
            approved,
            by: by.clone(),
            why: why.clone(),
        });
        Ok((!approved).then(|| format!("not run: rejected by {by}: {why}")))
    }
}

/// The first line of a result and what it printed first.
fn summary_of(text: &str) -> String {
    let (end, output) = text.split_once('\n').unwrap_or((text, ""));
    let output = summarize::extract(output);
    if output.is_empty() {
        end.to_string()
    } else {
        format!("{end}: {output}")
    }
}

/// Output as it comes: to the screen, and behind the work to the ledger.
struct Live<'a> {
    emitter: &'a Emitter,
    session: &'a str,
    call: &'a str,
    log: &'a OutputLog,
    seq: u64,
}

impl Output for Live<'_> {
    fn text(&mut self, stream: Stream, text: &str, record: bool) {
        if record {
            self.log.push(OutputChunk {
                call: self.call.into(),
                seq: self.seq,
                stream,
                text: text.into(),
                at: Timestamp::now(),
            });
            self.seq += 1;
        }
        self.emitter.emit_in(
            Some(self.session),
            Kind::ToolOutput {
                call: self.call.into(),
                stream,
                text: text.into(),
            },
        );
    }
}
