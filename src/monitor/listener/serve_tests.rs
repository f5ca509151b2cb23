use super::*;
use operator_ledger::Check;
use std::time::Duration;

const BODY: &str = r#"{"version":"4","groupKey":"g","alerts":[{"status":"firing",
    "labels":{"alertname":"QueueFull"},"startsAt":"2026-01-30T10:00:00Z","fingerprint":"c3a5"}]}"#;

struct Desk {
    _dir: tempfile::TempDir,
    path: PathBuf,
    state: Arc<ListenerState>,
    http: reqwest::Client,
    url: String,
}

impl Desk {
    /// `local`: as if the port could be reached from this machine alone.
    async fn new(token: Option<&str>, local: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tickets.db");
        MonitorLedger::open(&path).await.unwrap();
        let state = Arc::new(ListenerState::default());
        state.watches(Some(&SystemId::new("7")));
        let mut listener = Listener::bind(":0").await.unwrap();
        let url = format!("http://{}", listener.address());
        if !local {
            listener.address.set_ip(Ipv4Addr::UNSPECIFIED.into());
        }
        let served = listener.serve(
            path.clone(),
            token.map(Token::new),
            AlertRules::default(),
            state.clone(),
        );
        tokio::spawn(served);
        Self {
            _dir: dir,
            path,
            state,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url,
        }
    }

    async fn post(&self, token: Option<&str>, body: impl Into<reqwest::Body>) -> (u16, String) {
        let mut request = self
            .http
            .post(format!("{}/webhook/alertmanager", self.url))
            .header("content-type", "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn look(&self, ok: bool) {
        MonitorLedger::open(&self.path)
            .await
            .unwrap()
            .record_check(Check {
                cluster_id: SystemId::new("7"),
                age: Duration::ZERO,
                observations: Vec::new(),
                metric_snapshot: None,
                subject_context: None,
                sample: None,
                changes: Vec::new(),
                place: String::new(),
                interval: Duration::from_secs(5),
                ok,
                detail: "http://pd: refused".into(),
            })
            .await
            .unwrap();
    }

    async fn standing(&self) -> usize {
        let ledger = Reader::open(&self.path).await.unwrap();
        let standing = ledger.standing_alerts(&SystemId::new("7")).await;
        standing.unwrap().alerts.len()
    }
}

#[tokio::test]
async fn a_notification_is_in_the_ledger_when_it_is_acknowledged() {
    let desk = Desk::new(None, true).await;
    assert_eq!(desk.post(None, BODY).await.0, 200);
    assert_eq!(desk.standing().await, 1);
    // And the loop is woken.
    desk.state.alert_received.notified().await;
}

#[tokio::test]
async fn without_the_token_nothing_is_taken() {
    let with = Desk::new(Some("correct horse"), true).await;
    for wrong in [None, Some("correct"), Some("")] {
        assert_eq!(with.post(wrong, BODY).await.0, 401);
    }
    assert_eq!(with.standing().await, 0);
    assert_eq!(with.post(Some("correct horse"), BODY).await.0, 200);
    // A port that can be reached from outside takes nothing without one.
    let open = Desk::new(None, false).await;
    let (status, why) = open.post(None, BODY).await;
    assert!(
        status == 403 && why.contains("OPERATOR_WEBHOOK_TOKEN"),
        "{why}"
    );
    assert_eq!(open.standing().await, 0);
    // What a page in a browser can send without asking first is not taken either.
    let local = Desk::new(None, true).await;
    let plain = local
        .http
        .post(format!("{}/webhook/alertmanager", local.url));
    assert_eq!(plain.body(BODY).send().await.unwrap().status(), 415);
    assert_eq!(local.standing().await, 0);
}

#[tokio::test]
async fn what_cannot_be_taken_is_answered_with_a_reason_and_counted() {
    let desk = Desk::new(None, true).await;
    let (status, why) = desk.post(None, &BODY[..60]).await;
    assert!(status == 400 && why.contains("EOF"), "{why}");
    desk.state.watches(None);
    let (status, why) = desk.post(None, BODY).await;
    assert!(status == 503 && why.contains("another"), "{why}");
    desk.state.watches(Some(&SystemId::new("7")));
    // A ledger that is away is tried again, and found when it is back.
    let aside = desk.path.with_extension("aside");
    std::fs::rename(&desk.path, &aside).unwrap();
    std::fs::create_dir(&desk.path).unwrap();
    assert_eq!(desk.post(None, BODY).await.0, 503);
    std::fs::remove_dir(&desk.path).unwrap();
    std::fs::rename(&aside, &desk.path).unwrap();
    assert_eq!(desk.post(None, BODY).await.0, 200);
    let (_, text) = desk.get("/metrics").await;
    for line in [
        "operator_webhook_notifications_total{result=\"malformed\"} 1",
        "operator_webhook_notifications_total{result=\"failed\"} 2",
        "operator_webhook_notifications_total{result=\"accepted\"} 1",
        "operator_webhook_alerts_total{kind=\"fired\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// So many alerts, each of a pod of its own.
fn storm(count: usize) -> String {
    let alerts: Vec<_> = (0..count)
        .map(|n| {
            format!(
                r#"{{"status":"firing","labels":{{"alertname":"PodDown","pod":"p{n}"}},"annotations":
                {{"description":"{}"}},"startsAt":"2026-01-30T10:00:00Z","fingerprint":"{n:016x}"}}"#,
                "long ".repeat(40)
            )
        })
        .collect();
    format!(
        r#"{{"alerts":[{}],"version":"4","groupKey":"g"}}"#,
        alerts.join(",")
    )
}

#[tokio::test]
async fn a_storm_is_taken_whole_and_is_one_ticket() {
    let desk = Desk::new(None, true).await;
    let body = storm(6000);
    assert!(body.len() > IN_MEMORY);
    assert_eq!(desk.post(None, body).await, (200, "taken\n".into()));
    let ledger = Reader::open(&desk.path).await.unwrap();
    let standing = ledger.standing_alerts(&SystemId::new("7")).await.unwrap();
    assert_eq!((standing.alerts.len(), standing.crowds.len()), (0, 1));
    assert_eq!(standing.crowds[0].firing, 6000);
}

#[tokio::test]
async fn one_odd_alert_is_said_and_costs_the_others_nothing() {
    let desk = Desk::new(None, true).await;
    let odd = BODY.replace(
        r#""alerts":["#,
        r#""alerts":[{"status":"firing","labels":7},"#,
    );
    let (status, text) = desk.post(None, odd).await;
    assert!(
        status == 200 && text.contains("but for 1: alerts[0]: labels"),
        "{text}"
    );
    assert_eq!(desk.standing().await, 1);
    let (_, figures) = desk.get("/metrics").await;
    let line = "operator_webhook_alerts_total{kind=\"set_aside\"} 1";
    assert!(figures.contains(line), "{figures}");
}

#[tokio::test]
async fn what_was_sent_is_kept_though_its_sender_hangs_up() {
    use tokio::io::AsyncWriteExt;
    let desk = Desk::new(None, true).await;
    let body = storm(3000);
    let address = desk.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /webhook/alertmanager HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    // The first alerts are in the ledger; nobody waits for the answer.
    desk.state.alert_received.notified().await;
    drop(stream);
    let ledger = Reader::open(&desk.path).await.unwrap();
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let standing = ledger.standing_alerts(&SystemId::new("7")).await.unwrap();
        let firing: u64 = standing.crowds.iter().map(|c| c.firing).sum();
        if firing == 3000 {
            break;
        }
        assert!(tokio::time::Instant::now() < limit, "{firing} of 3000");
        tokio::task::yield_now().await;
    }
    // The monitor was woken for the last of them too.
    desk.state.alert_received.notified().await;
}

#[tokio::test]
async fn health_is_that_somebody_looks() {
    let desk = Desk::new(None, true).await;
    assert_eq!(desk.get("/healthz").await.0, 503);
    let (_, text) = desk.get("/metrics").await;
    assert!(!text.contains("operator_monitor_look_age"), "{text}");
    desk.look(true).await;
    assert_eq!(desk.get("/healthz").await, (200, "ok\n".into()));
    desk.look(false).await;
    let (status, text) = desk.get("/healthz").await;
    assert!(status == 200 && text.contains("refused"), "{text}");
    assert!(
        desk.get("/metrics")
            .await
            .1
            .contains("operator_monitor_sees 0")
    );
    desk.state.watches(Some(&SystemId::new("8")));
    assert_eq!(desk.get("/healthz").await.0, 503);
    assert_eq!(desk.get("/else").await.0, 404);
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_named() {
    let taken = Listener::bind(":0").await.unwrap();
    let port = taken.address().port();
    let why = Listener::bind(&format!(":{port}"))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        why.contains(&port.to_string()) && why.contains("in use"),
        "{why}"
    );
    let why = Listener::bind("here").await.err().unwrap().to_string();
    assert!(why.contains("HOST:PORT"), "{why}");
}

#[tokio::test]
async fn no_alert_is_taken_for_a_ledger_that_is_gone() {
    let desk = Desk::new(None, true).await;
    assert_eq!(desk.post(None, BODY).await.0, 200);
    desk.look(true).await;
    assert_eq!(desk.get("/healthz").await.0, 200);
    let aside = desk.path.with_file_name("aside.db");
    std::fs::rename(&desk.path, &aside).unwrap();
    let (status, why) = desk.post(None, BODY).await;
    assert!(
        status == 503 && why.contains("taken away"),
        "{status} {why}"
    );
    assert_eq!(desk.get("/healthz").await.0, 503);
    // A new one in its place is not the one that the monitor records in.
    MonitorLedger::open(&desk.path).await.unwrap();
    assert_eq!(desk.post(None, BODY).await.0, 503);
    assert_eq!(desk.standing().await, 0);
}

#[tokio::test]
async fn what_the_monitor_cannot_record_is_said_and_no_alert_is_taken_meanwhile() {
    let desk = Desk::new(None, true).await;
    desk.look(true).await;
    let full = LedgerError::Full {
        path: desk.path.clone(),
    };
    desk.state.records(Err(&full));
    for (status, why) in [desk.get("/healthz").await, desk.post(None, BODY).await] {
        assert!(
            status == 503 && why.contains("disk is full"),
            "{status} {why}"
        );
    }
    desk.state.records(Ok(()));
    assert_eq!(desk.get("/healthz").await.0, 200);
    assert_eq!(desk.post(None, BODY).await.0, 200);
}
