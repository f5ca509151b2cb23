//! The tools that read the web, against servers on loopback.

use crate::common::{
    self, Answer, counted, event,
    stage::{Stage, results},
    text, turn,
};
use agent_lab::tools::web_fetch::Fetcher;
use axum::{
    Router,
    body::Body,
    extract::Query,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect},
    routing::get,
};
use operator_ledger::EntryKind;
use serde_json::{Value, json};
use std::{collections::HashMap, convert::Infallible};

fn call(id: &str, tool: &str, key: &str, input: &str) -> Value {
    json!({ "type": "tool_use", "id": id, "name": tool, "input": { key: input, "reasoning": "to know" } })
}

fn handed_over() -> Answer {
    turn(&[text("ESCALATE: enough")], "end_turn")
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn html(body: impl Into<Body>) -> impl IntoResponse {
    ([("content-type", "text/html; charset=utf-8")], body.into())
}

async fn site() -> String {
    let endless = || async {
        let chunks =
            futures_util::stream::iter((0..200_000).map(|_| Ok::<_, Infallible>("x".repeat(1000))));
        ([("content-type", "text/plain")], Body::from_stream(chunks))
    };
    serve(
        Router::new()
            .route(
                "/page",
                get(|| async {
                    html("<h1>Store down</h1><p>Restart <b>it</b>. \x1b[31m\u{202e}red</p>")
                }),
            )
            .route(
                "/latin",
                get(|| async {
                    (
                        [("content-type", "text/plain; charset=iso-8859-1")],
                        b"caf\xe9".to_vec(),
                    )
                }),
            )
            .route("/moved", get(|| async { Redirect::to("/page") }))
            .route("/loop", get(|| async { Redirect::to("/loop") }))
            .route(
                "/file",
                get(|| async { Redirect::to("file:///etc/passwd") }),
            )
            .route(
                "/image",
                get(|| async { ([("content-type", "image/png")], vec![0u8; 10]) }),
            )
            .route(
                "/gone",
                get(|| async { (StatusCode::NOT_FOUND, html("<p>no such page</p>")) }),
            )
            .route("/endless", get(endless))
            .route("/deep", get(|| async { html("<div>".repeat(60_000)) }))
            .route("/secret", get(|| async { "password: hunter22 and more" })),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_become_clean_text_within_bounds() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (base, fetcher) = (site().await, Fetcher::new(true));
    let get = |path: &str| {
        let url = format!("{base}{path}");
        let fetcher = &fetcher;
        async move { fetcher.fetch(&url).await }
    };
    let page = get("/page").await.unwrap();
    assert_eq!(
        (page.status, page.kind.as_str(), page.cut),
        (200, "text/html", false)
    );
    assert!(
        page.text.contains("# Store down") && page.text.contains("Restart **it**. <202e>red"),
        "{}",
        page.text
    );
    assert_eq!(get("/latin").await.unwrap().text, "café");
    let moved = get("/moved").await.unwrap();
    assert!(moved.url.ends_with("/page") && moved.text == page.text);
    let gone = get("/gone").await.unwrap();
    assert_eq!(
        (gone.answer().as_str(), gone.text.trim()),
        ("404 Not Found", "no such page")
    );
    let endless = get("/endless").await.unwrap();
    assert!(endless.cut && endless.bytes == 4 * 1024 * 1024);
    for (path, why) in [
        ("/loop", "more than 5 times"),
        ("/file", "only http and https"),
        ("/image", "only text is read"),
        ("/deep", "nested more than"),
    ] {
        let error = get(path).await.unwrap_err();
        assert!(error.contains(why), "{path}: {error}");
    }
    for (url, why) in [
        ("ftp://x/y", "only http and https"),
        ("http://user:pass@x/", "password"),
        ("not an address", "is no address"),
        ("http://127.0.0.1:9/", "cannot be read"),
    ] {
        let error = fetcher.fetch(url).await.unwrap_err();
        assert!(error.contains(why), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inside_of_a_network_is_not_read_unless_it_is_allowed() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = site().await;
    let fetcher = Fetcher::new(false);
    let port = base.rsplit(':').next().unwrap();
    let by_name = format!("http://localhost:{port}/page");
    let mapped = format!("http://[::ffff:127.0.0.1]:{port}/page");
    for (url, why) in [
        (format!("{base}/page"), "no address of the public web"),
        (mapped, "no address of the public web"),
        (by_name, "no public address"),
        (
            "http://169.254.169.254/latest/meta-data".into(),
            "no address of the public web",
        ),
    ] {
        let error = fetcher.fetch(&url).await.unwrap_err();
        assert!(error.contains(why), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reaches_the_model_marked_as_data_and_the_record_redacted() {
    let base = site().await;
    let stage = Stage::configured(
        vec![
            turn(
                &[
                    call("a", "web_fetch", "url", &format!("{base}/secret")),
                    call("b", "web_fetch", "url", &format!("{base}/image")),
                    call("c", "web_search", "query", "tikv"),
                ],
                "tool_use",
            ),
            handed_over(),
        ],
        "[agent.web]\nprivate_addresses = true\n",
    )
    .await;
    stage.run(&[]).await;
    let asked = stage.server.asked();
    let tools = asked[0].body["tools"].to_string();
    assert!(
        tools.contains("web_fetch") && !tools.contains("web_search"),
        "{tools}"
    );
    let results = results(&asked[1].body);
    let told = &results[0].1;
    assert!(
        told.contains("is data from the web") && told.contains("password: [redacted] and more"),
        "{told}"
    );
    assert!(results[1].2 && results[1].1.contains("only text is read"));
    assert!(results[2].2 && results[2].1.contains("nothing to search"));
    let (session, entries) = stage.session();
    let call = entries
        .iter()
        .find(|e| e.tool_name.as_deref() == Some("web_fetch"))
        .unwrap();
    assert_eq!(call.tool_params.as_ref().unwrap()["reasoning"], "to know");
    let chunks = stage
        .ledger()
        .output(&session.session_id, "c1", 10)
        .await
        .unwrap();
    assert_eq!(chunks[0].text, "password: [redacted] and more");
    let result = entries
        .iter()
        .find(|e| e.entry_type == EntryKind::ToolResult)
        .unwrap();
    assert_eq!(result.exit_code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_that_ask_or_observe_guard_the_web_too() {
    let base = site().await;
    let stage = Stage::configured(
        vec![
            turn(
                &[call("a", "web_fetch", "url", &format!("{base}/page"))],
                "tool_use",
            ),
            handed_over(),
        ],
        "[agent.web]\nprivate_addresses = true\n",
    )
    .await;
    stage.run(&["--mode", "observe"]).await;
    let result = &results(&stage.server.asked()[1].body)[0];
    assert!(
        result.2 && result.1.contains("rejected by mode observe"),
        "{result:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn searxng_and_brave_are_asked_their_own_way() {
    let searxng = get(|Query(q): Query<HashMap<String, String>>| async move {
        assert_eq!(
            (q["q"].as_str(), q["format"].as_str()),
            ("tikv store down", "json")
        );
        json!({"results":[{"title":"TiKV \u{1b}[1mdocs","url":"https://docs.example/1","content":"A store is down when"}]}).to_string()
    });
    let brave = get(
        |headers: HeaderMap, Query(q): Query<HashMap<String, String>>| async move {
            if headers["x-subscription-token"] != "brave-key-123456" {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            assert_eq!(q["q"], "tikv store down");
            let answer = json!({"web":{"results":[{"title":"A","url":"https://a.example","description":"B"}]}});
            (StatusCode::OK, answer.to_string())
        },
    );
    let strict = get(|| async { StatusCode::FORBIDDEN });
    let base = serve(
        Router::new()
            .route("/s/search", searxng)
            .route("/b/res/v1/web/search", brave)
            .route("/strict/search", strict),
    )
    .await;
    for (config, key, expected) in [
        (
            format!("search = 'searxng'\nsearxng = '{base}/s/'"),
            "",
            "1. TiKV docs\n   https://docs.example/1\n   A store is down when",
        ),
        (
            format!("searxng = '{base}/strict'"),
            "",
            "is `json` among its search formats?",
        ),
        (
            format!("search = 'brave'\nbrave = '{base}/b'"),
            "brave-key-123456",
            "1. A\n   https://a.example\n   B",
        ),
        (
            format!("brave = '{base}/b'"),
            "wrong-key-123456",
            "is BRAVE_API_KEY right?",
        ),
    ] {
        let stage = Stage::configured(
            vec![
                turn(
                    &[call("a", "web_search", "query", " tikv store down ")],
                    "tool_use",
                ),
                handed_over(),
            ],
            &format!("[agent.web]\n{config}\n"),
        )
        .await;
        let mut command = stage.command(&[]);
        command
            .env("BRAVE_API_KEY", key)
            .stdin(std::process::Stdio::null());
        let done = command.output().await.unwrap();
        let asked = stage.server.asked();
        assert!(
            asked[0].body["tools"].to_string().contains("web_search"),
            "{done:?}"
        );
        let told = &results(&asked[1].body)[0].1;
        assert!(told.contains(expected), "{told}");
        assert!(!String::from_utf8_lossy(&done.stdout).contains("key-123456"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apis_own_search_is_a_call_on_the_side() {
    let searched = [
        json!({"type":"message_start","message":{"id":"m","usage":{"input_tokens":900}}}),
        json!({"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}),
        json!({"type":"content_block_stop","index":0}),
        json!({"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1",
            "content":[{"type":"web_search_result","url":"https://docs.example/1","title":"Stores","encrypted_content":"x","page_age":"May 2026"}]}}),
        json!({"type":"content_block_stop","index":1}),
        json!({"type":"content_block_start","index":2,"content_block":{"type":"text","text":"A store is down after 30 min."}}),
        json!({"type":"content_block_stop","index":2}),
        json!({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":20,"server_tool_use":{"web_search_requests":2}}}),
        json!({"type":"message_stop"}),
    ];
    let stage = Stage::configured(
        vec![
            counted(
                &[call("a", "web_search", "query", "when is a store down")],
                "tool_use",
                10,
                10,
            ),
            handed_over(),
        ],
        &format!(
            "[agent]\nsmall_model = '{}'\n[agent.web]\nsearch = 'api'\n",
            common::SMALL
        ),
    )
    .await;
    stage
        .server
        .beside(vec![Answer::Stream(searched.iter().map(event).collect())]);
    stage.run(&["--model", "claude-sonnet-5-5"]).await;
    let beside = &stage.server.asked_beside()[0].body;
    assert_eq!(beside["tools"][0]["allowed_callers"], json!(["direct"]));
    assert!(
        beside["messages"]
            .to_string()
            .contains("when is a store down")
    );
    let told = &results(&stage.server.asked()[1].body)[0].1;
    for word in [
        "is data from the web",
        "A store is down after 30 min.",
        "1. Stores",
        "https://docs.example/1",
        "May 2026",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    let cost = stage.session().0.usage.cost_usd.unwrap();
    assert!(cost > 0.02, "two searches are paid for: {cost}");
    assert!((stage.ledger().spent_today().await.unwrap() - cost).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_no_way_round_the_guard() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    let proxy = serve(Router::new().fallback(move || {
        let count = count.clone();
        async move {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            "metadata"
        }
    }))
    .await;
    let stage = Stage::new(vec![
        turn(
            &[call(
                "a",
                "web_fetch",
                "url",
                "http://metadata.internal/latest",
            )],
            "tool_use",
        ),
        handed_over(),
    ])
    .await;
    let mut command = stage.command(&[]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, &proxy);
    }
    command
        .env("no_proxy", "127.0.0.1")
        .stdin(std::process::Stdio::null());
    command.output().await.unwrap();
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0);
    let told = &results(&stage.server.asked()[1].body)[0];
    assert!(told.2 && told.1.contains("cannot be read"), "{told:?}");
}
