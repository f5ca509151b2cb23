//! The client of the Messages API against a scripted server.

use crate::common::{Answer, Server, error, event, events, shell, text, turn};
use agent_lab::{
    model::{
        Conversation, Model, ModelError, Sink, Stop, Turn,
        anthropic::{Anthropic, Api, Credential, Manner, Options},
    },
    tools,
};
use operator_ledger::usage::Usage;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Default)]
struct Seen {
    text: String,
    thinking: String,
    retries: Vec<(Option<u16>, Duration, String)>,
    used: Usage,
}

impl Sink for Seen {
    fn text(&mut self, delta: &str) {
        self.text.push_str(delta);
    }
    fn thinking(&mut self, delta: &str) {
        self.thinking.push_str(delta);
    }
    fn end_of_block(&mut self) {}
    fn retry(&mut self, status: Option<u16>, _: (u32, u32), wait: Duration, reason: &str) {
        self.retries.push((status, wait, reason.to_string()));
    }
    fn broken_off(&mut self, used: Usage) {
        self.used.add(used);
    }
}

fn client(server: &Server) -> Anthropic {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options {
        base: server.base.clone(),
        headers: "x-team: sre".into(),
        first_wait: Duration::from_millis(5),
        ..Options::new(Credential::Key("the-key-of-this-test".to_string().into()))
    };
    Anthropic {
        api: Api::new(&options).unwrap(),
        manner: Manner {
            model: "claude-test".into(),
            effort: Some("high".into()),
            thinking: false,
        },
        tries: options.tries,
    }
}

fn conversation() -> Conversation {
    let mut conversation = Conversation::new("system", tools::definitions(false));
    conversation.say("ticket");
    conversation
}

/// One turn from a script of answers.
async fn take(script: Vec<Answer>) -> (Result<Turn, ModelError>, Seen, Server) {
    let server = Server::start(script).await;
    let mut seen = Seen::default();
    let turn = client(&server).turn(&conversation(), 1000, &mut seen).await;
    (turn, seen, server)
}

#[tokio::test]
async fn a_turn_streams_and_its_blocks_are_kept_as_they_came() {
    let blocks = vec![
        json!({"type":"thinking","thinking":"hm, let me see","signature":"sig=="}),
        json!({"type":"redacted_thinking","data":"opaque"}),
        text("I look. ✓ 日本"),
        shell("toolu_1", "echo \"é\" && ls"),
        shell("toolu_2", "true"),
        json!({"type":"something_new","payload":{"z":1,"a":[1,2]}}),
    ];
    let (made, seen, server) = take(vec![turn(&blocks, "tool_use")]).await;
    let made = made.unwrap();
    assert_eq!(made.content, blocks);
    assert_eq!(made.stop, Stop::ToolUse);
    assert_eq!(
        made.usage,
        Usage {
            input: 100,
            output: 50,
            cache_read: 7,
            cache_write: 3,
            searches: 0,
        }
    );
    assert_eq!(
        (seen.text.as_str(), seen.thinking.as_str()),
        ("I look. ✓ 日本", "hm, let me see")
    );
    let asked = &server.asked()[0];
    assert_eq!(asked.header("x-api-key"), Some("the-key-of-this-test"));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(asked.header("x-team"), Some("sre"));
    assert_eq!(asked.body["stream"], true);
    assert_eq!(asked.body["max_tokens"], 1000);
    assert_eq!(asked.body["output_config"], json!({ "effort": "high" }));
    assert_eq!(asked.body["tools"][0]["name"], "shell");
}

#[tokio::test]
async fn any_cut_of_the_bytes_gives_the_same_turn() {
    let blocks = vec![text("naïve ✓ text"), shell("t", "echo '日本'")];
    let mut bytes: Vec<u8> = b": a comment\r\n\r\n".to_vec();
    for e in events(&blocks, "tool_use")
        .iter()
        .chain([&json!({"type":"message_stop"})])
    {
        bytes.extend(
            String::from_utf8(event(e))
                .unwrap()
                .replace('\n', "\r\n")
                .into_bytes(),
        );
    }
    for size in [1, 2, 3, 7, 64] {
        let chunks = bytes.chunks(size).map(<[u8]>::to_vec).collect();
        let (made, seen, _) = take(vec![Answer::Stream(chunks)]).await;
        assert_eq!(made.unwrap().content, blocks, "chunks of {size}");
        assert!(seen.retries.is_empty());
    }
}

#[tokio::test]
async fn passing_failures_are_retried_as_the_server_asks() {
    let limited = Answer::Plain {
        status: 429,
        headers: vec![("retry-after-ms", "20".into())],
        body: r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#
            .into(),
    };
    let html = Answer::Plain {
        status: 200,
        headers: vec![("content-type", "text/html".into())],
        body: "<h1>portal</h1>".into(),
    };
    let script = vec![
        error(529, "overloaded_error", "Overloaded"),
        limited,
        error(500, "api_error", "oops"),
        html,
        turn(&[text("whole")], "end_turn"),
    ];
    let (made, seen, server) = take(script).await;
    assert_eq!(made.unwrap().content, [text("whole")]);
    assert_eq!(server.asked().len(), 5);
    let first = &server.asked()[0].body;
    assert!(
        server.asked().iter().all(|a| a.body == *first),
        "the same request each time"
    );
    assert_eq!(seen.retries.len(), 4);
    assert_eq!(seen.retries[0].0, Some(529));
    assert_eq!(seen.retries[1].1, Duration::from_millis(20));
    assert!(seen.retries[1].2.contains("slow down"));
    assert_eq!(seen.used, Usage::default(), "none of that costs anything");
}

#[tokio::test]
async fn what_broke_off_after_it_was_counted_goes_back_to_whoever_pays() {
    let mut cut: Vec<Vec<u8>> = events(&[text("half")], "end_turn")
        .iter()
        .map(event)
        .collect();
    cut.truncate(3);
    let in_stream = |kind: &str| {
        Answer::Stream(vec![
            event(&events(&[], "end_turn")[0]),
            event(&json!({"type":"error","error":{"type":kind,"message":"Overloaded"}})),
        ])
    };
    for (answer, words) in [
        (Answer::Stream(cut.clone()), "ended before"),
        (Answer::Cut(cut), "broke off"),
        (in_stream("overloaded_error"), "Overloaded"),
    ] {
        let (made, seen, server) = take(vec![answer]).await;
        let Err(ModelError::BrokeOff { reason, .. }) = made else {
            panic!("{made:?}");
        };
        assert!(reason.contains(words), "{reason}");
        assert_eq!((server.asked().len(), seen.used.input), (1, 100));
    }
    // An error that stays is one in a stream too.
    let (made, ..) = take(vec![in_stream("authentication_error")]).await;
    assert!(matches!(made, Err(ModelError::Hopeless(_))));
    // What was not counted is not paid for, and is asked for again.
    let empty = Answer::Stream(vec![event(&json!({"type":"ping"}))]);
    let (made, seen, server) = take(vec![empty, turn(&[text("whole")], "end_turn")]).await;
    assert!(made.is_ok());
    assert_eq!((server.asked().len(), seen.retries.len()), (2, 1));
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up() {
    let script = vec![error(529, "overloaded_error", "Overloaded"); 20];
    let (made, seen, server) = take(script).await;
    assert!(matches!(made, Err(ModelError::Unavailable(why)) if why.contains("Overloaded")));
    assert_eq!((seen.retries.len(), server.asked().len()), (7, 8));
    let mut nobody = Server::start(vec![]).await;
    nobody.base = "http://127.0.0.1:9".into();
    let made = client(&nobody)
        .turn(&conversation(), 1000, &mut Seen::default())
        .await;
    assert!(matches!(made, Err(ModelError::Unavailable(why)) if why.contains("cannot be reached")));
}

#[tokio::test]
async fn what_cannot_be_helped_ends_at_once_in_the_servers_own_words() {
    let (made, _, server) = take(vec![error(
        401,
        "authentication_error",
        "invalid x-api-key",
    )])
    .await;
    assert!(matches!(made, Err(ModelError::Hopeless(why)) if why.contains("invalid x-api-key")));
    assert_eq!(server.asked().len(), 1);
    let (made, ..) = take(vec![error(
        400,
        "invalid_request_error",
        "prompt is too long",
    )])
    .await;
    assert!(matches!(made, Err(ModelError::Refused(why)) if why.contains("prompt is too long")));
    let elsewhere = Answer::Plain {
        status: 307,
        headers: vec![("location", "http://127.0.0.1:9/steal".into())],
        body: String::new(),
    };
    let (made, ..) = take(vec![elsewhere]).await;
    assert!(matches!(made, Err(ModelError::Hopeless(why)) if why.contains("not followed")));
}

#[tokio::test]
async fn a_json_body_where_a_stream_was_promised_is_a_turn_too() {
    let body = json!({"id":"msg_1","type":"message","role":"assistant","content":[text("whole")],
        "stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":6}});
    let plain = Answer::Plain {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: body.to_string(),
    };
    let (made, seen, _) = take(vec![plain]).await;
    let made = made.unwrap();
    assert_eq!(
        (made.content, made.stop),
        (vec![text("whole")], Stop::EndTurn)
    );
    assert_eq!(
        (made.usage.input, made.usage.output, seen.text.as_str()),
        (5, 6, "whole")
    );
}

#[tokio::test]
async fn every_reason_to_stop_is_told_apart() {
    for (reason, stop) in [
        ("end_turn", Stop::EndTurn),
        ("stop_sequence", Stop::EndTurn),
        ("max_tokens", Stop::MaxTokens),
        ("pause_turn", Stop::Pause),
        ("model_context_window_exceeded", Stop::ContextFull),
        ("compaction", Stop::Other("compaction".into())),
    ] {
        let (made, ..) = take(vec![turn(&[text("x")], reason)]).await;
        assert_eq!(made.unwrap().stop, stop);
    }
    let (made, ..) = take(vec![turn(&[], "refusal")]).await;
    assert!(matches!(made.unwrap().stop, Stop::Refusal(_)));
}

#[tokio::test]
async fn broken_and_missing_input_of_a_tool_is_never_a_command() {
    let stream = |partial: &str| {
        let mut list = events(&[shell("t", "ls")], "tool_use");
        list.retain(|e| e["delta"]["type"] != "input_json_delta");
        let delta = json!({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":partial}});
        list.insert(2, delta);
        list.push(json!({"type":"message_stop"}));
        Answer::Stream(list.iter().map(event).collect())
    };
    for (partial, input) in [
        (
            r#"{"command":"rm -"#,
            json!({"INVALID_JSON":"{\"command\":\"rm -"}),
        ),
        ("", json!({})),
        ("[1]", json!({"INVALID_JSON":"[1]"})),
    ] {
        let (made, ..) = take(vec![stream(partial)]).await;
        let made: Vec<Value> = made.unwrap().content;
        assert_eq!(made[0]["input"], input, "{partial}");
    }
}

#[tokio::test]
async fn small_differences_of_other_servers_are_taken() {
    let list = [
        json!({"type":"ping"}),
        json!({"type":"message_start","message":{"id":"m","usage":{"input_tokens":0}}}),
        json!({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"yes"}}),
        json!({"type":"content_block_delta","index":0,"delta":{"type":"brand_new_delta","x":1}}),
        json!({"type":"brand_new_event"}),
        json!({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":" no start"}}),
        json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":42,"output_tokens":9}}),
    ];
    let mut chunks: Vec<Vec<u8>> = list.iter().map(event).collect();
    chunks.push(b"data: not json\n\n".to_vec());
    chunks.push(b"data:{\"type\":\"message_stop\"}\n\n".to_vec());
    let (made, seen, _) = take(vec![Answer::Stream(chunks)]).await;
    let made = made.unwrap();
    assert_eq!(made.content, [text("yes"), text(" no start")]);
    assert_eq!(
        (made.usage.input, made.usage.output, seen.thinking.as_str()),
        (42, 9, "hm")
    );
}
