//! Tool calls of a turn, one after the other: recorded before they run, run, recorded after, and
//! all answered in one message. A `finish` among them is judged when the others have run.
//!
//! How a tool runs is in [`super::run_tool`], whether it may in [`super::gate`].

use super::{
    Halt, Session, Verdict,
    finish::{Judged, is_finish},
    gate::Denied,
    loops::Pace,
};
use crate::{
    effects::{self, Effect},
    model::conversation::tool_result,
    prompt, summarize,
    tools::call::{Call, Request, Tool},
};
use operator_ledger::{
    EntryKind, EntryMeta, Input, NewEntry, Stored,
    event::{Kind, Level},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Bytes of the input of a call that does not run that are recorded.
const REFUSED: usize = 8 * 1024;

/// How a call was answered.
pub(super) struct Answer {
    result: Value,
    /// This person interrupted: the remaining calls are not run.
    interrupted_by: Option<String>,
    /// The model goes in circles, and how often it did.
    stuck: Option<u32>,
}

impl Session<'_> {
    /// Runs the calls of a turn and gives the model all their results, and words of a person that
    /// came meanwhile. A verdict: the session is over.
    pub(super) async fn run_calls(
        &mut self,
        said: &str,
        calls: &[Call],
    ) -> Result<Option<Verdict>, Halt> {
        let (finishes, others): (Vec<&Call>, Vec<&Call>) =
            calls.iter().partition(|call| is_finish(call));
        self.dialogue.worked(said);
        if !others.is_empty() {
            self.odd = 0;
        }
        let mut results = Vec::with_capacity(calls.len());
        let (mut interrupted, mut stuck) = (None, None);
        for call in others {
            let answer = if interrupted.is_some() {
                self.refuse(call, "not run: a person interrupted the turn")
                    .await?
            } else {
                match call.request() {
                    Ok(request) => self.call(call, &request).await?,
                    Err(why) => self.refuse(call, &why).await?,
                }
            };
            let bytes = answer.result["content"].as_str().map_or(0, str::len);
            self.gauge.add(bytes);
            results.push(answer.result);
            interrupted = interrupted.or(answer.interrupted_by);
            if let Some(times) = answer.stuck {
                stuck = Some((call.name.clone(), times));
                break;
            }
        }
        let mut words = Vec::new();
        if let Some((last, earlier)) = finishes.split_last()
            && stuck.is_none()
        {
            for call in earlier {
                results.push(self.refuse(call, prompt::NOT_THE_LAST).await?.result);
            }
            words = self.take_messages().await?;
            let answer = if interrupted.is_some() || !words.is_empty() {
                // Whoever says something now may not want it to end so.
                self.refuse(last, prompt::A_PERSON_FIRST).await?
            } else {
                match self.judge(last).await? {
                    Judged::Over(verdict) => return Ok(Some(verdict)),
                    Judged::Faulty(why) => self.refuse(last, &why).await?,
                    Judged::Refuted { detail, .. } => {
                        let text = self.still_violated(&detail);
                        self.answer(last, &text).await?
                    }
                }
            };
            results.push(answer.result);
            stuck = answer.stuck.map(|times| (last.name.clone(), times));
        }
        if let Some((tool, times)) = stuck {
            let why =
                format!("went in circles: the same call of {tool} gave the same {times} times");
            return Ok(Some(Verdict::escalate(self.left_to_say(), why)));
        }
        self.conversation.user(results);
        let joined = self.joined().await?;
        if !joined.is_empty() {
            self.tell(&prompt::joined(&joined)).await?;
        }
        words.extend(self.take_messages().await?);
        if !self.pass_on(&words)
            && let Some(by) = interrupted
        {
            self.wait_for_words(&by).await?;
        }
        Ok(None)
    }

    /// Calls that must not run still need an answer.
    pub(super) async fn refuse_calls(&mut self, calls: &[Call], why: &str) -> Result<(), Halt> {
        let mut results = Vec::with_capacity(calls.len());
        for call in calls {
            results.push(self.refuse(call, why).await?.result);
        }
        if !results.is_empty() {
            self.conversation.user(results);
        }
        Ok(())
    }

    /// What a call that was taken is answered in words of ours, recorded.
    async fn answer(&mut self, call: &Call, text: &str) -> Result<Answer, Halt> {
        let meta = EntryMeta {
            by: Some("agent_lab".into()),
            ..EntryMeta::default()
        };
        self.record(NewEntry {
            call: Some(call.id.clone()),
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Message, text)
        })
        .await?;
        self.gauge.add(text.len());
        Ok(Answer {
            result: tool_result(&call.server_id, text, false),
            interrupted_by: None,
            stuck: None,
        })
    }

    /// A call that does not run is answered, and its input is on record all the same.
    pub(super) async fn refuse(&mut self, call: &Call, why: &str) -> Result<Answer, Halt> {
        let input = call.input.to_string();
        let pace = self.loops.note(&call.name, &input, why);
        let mut answer = why.to_string();
        if let Pace::Again(times) | Pace::Stuck(times) = pace {
            answer.push_str(&prompt::again(times));
        }
        let redactor = &self.context.redactor;
        let text = redactor.apply(&format!("{}: {why}", call.name));
        let cut = input.floor_char_boundary(REFUSED);
        let meta = EntryMeta {
            input: Some(Input::Call(redactor.apply(&input[..cut]))),
            server_call: Some(redactor.apply(&call.shown_server_id())),
            ..EntryMeta::default()
        };
        self.record(NewEntry {
            tool: Some(call.name.clone()),
            call: Some(call.id.clone()),
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Notice, text.as_str())
        })
        .await?;
        self.notice(Level::Warn, &text);
        Ok(Answer {
            result: tool_result(&call.server_id, &answer, true),
            interrupted_by: None,
            stuck: pace.stuck(),
        })
    }

    async fn call(&mut self, call: &Call, request: &Request<'_>) -> Result<Answer, Halt> {
        self.check()?;
        let tool = request.tool.name();
        let redactor = &self.context.redactor;
        let input = match request.tool {
            Tool::Shell => redactor.command(request.input),
            _ => redactor.apply(request.input),
        };
        let reasoning = redactor.apply(request.reasoning);
        let mut params = json!({ request.tool.input_key(): input, "reasoning": reasoning });
        if request.tool == Tool::Shell {
            params["timeout_s"] = request.limit.as_secs().into();
        }
        let effect = match request.tool {
            Tool::Shell => effects::judge(request.input),
            Tool::WebSearch | Tool::WebFetch => Effect::Reads,
        };
        let original_hash = if input == request.input {
            None
        } else {
            self.hash_of_whole(request.input).await?
        };
        let text = format!("{tool}: {}", summarize::command(&input));
        let server_call = Some(redactor.apply(&call.shown_server_id()));
        let meta = EntryMeta {
            server_call: server_call.clone(),
            ..EntryMeta::default()
        };
        // Durable when it returns: only then may it start.
        self.record(NewEntry {
            tool: Some(tool.into()),
            params: Some(params),
            call: Some(call.id.clone()),
            meta: Some(meta),
            effect: Some(effect),
            original_hash,
            ..NewEntry::new(EntryKind::ToolCall, text)
        })
        .await?;
        self.emit(Kind::ToolCall {
            call: call.id.clone(),
            tool: tool.into(),
            input,
            reasoning,
            effect: Some(Stored::Known(effect)),
            server_call,
        });
        if let Some(Denied {
            why,
            interrupted_by,
        }) = self.gate(call, request, effect).await?
        {
            self.actions.push(call, request, "not run: rejected");
            return Ok(Answer {
                interrupted_by,
                ..self.refuse(call, &why).await?
            });
        }
        self.ledger.check_lease(&self.writer.lease).await?;
        self.ledger.still_there().await?;
        let mut ran = self.run_tool(call, request).await?;
        if let Some(loss) = self.lease_keeper.lost() {
            return Err(Halt::Lost(loss));
        }
        let pace = self.loops.note(tool, request.input, &ran.fingerprint);
        if let Pace::Again(times) | Pace::Stuck(times) = pace {
            ran.text.push_str(&prompt::again(times));
        }
        let summary = summary_of(&ran.text);
        let number = self.actions.push(call, request, &summary);
        ran.text = prompt::numbered(&ran.text, number);
        let duration = u64::try_from(ran.duration.as_millis()).unwrap_or(u64::MAX);
        self.output.flush(Duration::from_millis(500)).await;
        let id = self
            .record(NewEntry {
                summary: Some(summary),
                tool: Some(tool.into()),
                call: Some(call.id.clone()),
                exit_code: ran.exit_code,
                duration_ms: Some(duration),
                timed_out: ran.timed_out,
                omitted_bytes: ran.unrecorded,
                meta: ran.meta,
                ..NewEntry::new(EntryKind::ToolResult, ran.text.as_str())
            })
            .await?;
        self.summarize(id, EntryKind::ToolResult, &ran.text);
        self.emit(Kind::ToolResult {
            call: call.id.clone(),
            exit_code: ran.exit_code,
            duration_ms: duration,
            timed_out: ran.timed_out,
            omitted_bytes: ran.unrecorded,
        });
        for text in ran.notices {
            self.record_notice(Level::Info, &text).await?;
        }
        if let Pace::Again(times) = pace {
            let text =
                format!("the same call gave the same result {times} times; the model is told");
            self.record_notice(Level::Warn, &text).await?;
        }
        self.check()?;
        Ok(Answer {
            result: tool_result(&call.server_id, &ran.text, ran.is_error),
            interrupted_by: ran.interrupted_by,
            stuck: pace.stuck(),
        })
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
