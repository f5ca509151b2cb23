use super::*;
use axum::{Router, extract::State, http::StatusCode, routing::post};
use operator_ledger::config::{self, ConfigFile};
use operator_ledger::{Check, Observation, Reading, Severity};
use serde::de::IgnoredAny;
use std::path::Path;
use std::sync::Mutex;

/// Whoever is told: what it got, and what it answers first.
#[derive(Clone, Default)]
struct Ear {
    got: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<Vec<StatusCode>>>,
}

async fn hear(State(ear): State<Ear>, body: String) -> StatusCode {
    if let Some(status) = ear.refusals.lock().unwrap().pop() {
        return status;
    }
    ear.got.lock().unwrap().push(body);
    StatusCode::OK
}

impl Ear {
    async fn listen(&self) -> String {
        let app = Router::new()
            .route("/secret", post(hear))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }
}

async fn check(ledger: &MonitorLedger, store: u64, reading: Reading) {
    let observation = Observation {
        key: format!("store_down:{store}"),
        invariant: "store_down".into(),
        subject: Some(store.to_string()),
        subject_name: None,
        extent: None,
        reading,
        message: "tikv \"1\" is down".into(),
        severity: Severity::Critical,
        grace: Duration::ZERO,
        hold: Duration::ZERO,
        outside: None,
    };
    ledger
        .record_check(Check {
            cluster_id: SystemId::new("7"),
            age: Duration::ZERO,
            observations: vec![observation],
            metric_snapshot: None,
            subject_context: None,
            sample: None,
            changes: Vec::new(),
            place: String::new(),
            interval: Duration::from_secs(5),
            ok: true,
            detail: String::new(),
        })
        .await
        .unwrap();
}

fn notify(url: &str, more: &str) -> Result<Option<Notify>, String> {
    let text = format!("[notify]\nurl = '{url}'\n{more}");
    let file: Result<ConfigFile<IgnoredAny, IgnoredAny, NotifySection>, _> =
        config::parse(Path::new("config.toml"), text.as_bytes());
    let section = file.map_err(|e| e.to_string())?.notify;
    Notify::new(section, None).map_err(|e| e.to_string())
}

struct Desk {
    _dir: tempfile::TempDir,
    ledger: MonitorLedger,
    notifier: Notifier,
    warned: Vec<String>,
}

impl Desk {
    async fn new(url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut notify = notify(url, "").unwrap().unwrap();
        notify.client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            ledger: MonitorLedger::open(&dir.path().join("tickets.db"))
                .await
                .unwrap(),
            notifier: Notifier {
                notify,
                counts: Counts::default(),
                trouble: None,
                waits: waits(Duration::from_millis(10)),
            },
            warned: Vec::new(),
            _dir: dir,
        }
    }

    async fn tell(&mut self) {
        let path = self.ledger.path().to_owned();
        // As after a start: nothing but what the ledger keeps is known.
        let ledger = MonitorLedger::open(&path).await.unwrap();
        let warned = &mut self.warned;
        let mut warn = |text| warned.push(text);
        let cluster = SystemId::new("7");
        self.notifier
            .deliver(&ledger, &cluster, &mut warn)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn each_thing_is_told_once_whatever_is_in_between() {
    let ear = Ear::default();
    let mut desk = Desk::new(&ear.listen().await).await;
    check(&desk.ledger, 1, Reading::Violated).await;
    // That was before somebody asked to be told.
    desk.tell().await;
    assert_eq!(ear.got(), [""; 0]);
    check(&desk.ledger, 2, Reading::Violated).await;
    ear.refusals.lock().unwrap().extend([
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
    ]);
    desk.tell().await;
    desk.tell().await;
    let expected =
        r#"{"text": "[critical] Incident #1, ticket #2: store_down on 2: tikv \"1\" is down"}"#;
    assert_eq!(ear.got(), [expected]);
    // Seen again is no news, and neither is another cluster's.
    check(&desk.ledger, 2, Reading::Violated).await;
    desk.tell().await;
    assert_eq!(ear.got().len(), 1);
    assert!(
        desk.warned
            .iter()
            .all(|w| w.contains("127.0.0.1") && !w.contains("secret"))
    );
}

#[tokio::test]
async fn what_is_refused_for_good_does_not_hold_up_the_rest() {
    let ear = Ear::default();
    let mut desk = Desk::new(&ear.listen().await).await;
    desk.tell().await;
    ear.refusals.lock().unwrap().push(StatusCode::NOT_FOUND);
    check(&desk.ledger, 1, Reading::Violated).await;
    check(&desk.ledger, 2, Reading::Violated).await;
    desk.tell().await;
    assert_eq!(ear.got().len(), 1);
    assert!(ear.got()[0].contains("#2"), "{:?}", ear.got());
    assert!(desk.warned[0].contains("404"), "{:?}", desk.warned);
}

#[test]
fn mistakes_are_named_and_the_address_is_not() {
    let good = "http://h/secret";
    for (url, more, word) in [
        ("nowhere/secret", "", "url"),
        ("ftp://h/secret", "", "HTTP"),
        (good, "events = ['opend']", "opend"),
        (good, "template = '{\"text\": {{ nonsense'", "template"),
        (good, "template = '{\"text\": {{ text }}}'", "not JSON"),
        (good, "tempalte = ''", "tempalte"),
    ] {
        let why = notify(url, more).unwrap_err();
        assert!(why.contains(word) && !why.contains("secret"), "{why}");
    }
    let none = NotifySection::default;
    assert!(Notify::new(none(), None).unwrap().is_none());
    let from_environment = Notify::new(none(), Some(good.into()));
    assert_eq!(
        format!("{:?}", from_environment.unwrap().unwrap()),
        "Notify(h)"
    );
}

#[test]
fn a_template_of_ones_own_has_all_there_is() {
    let more = r#"template = '{"event": {{ event|tojson }}, "id": {{ ticket.id }}, "s": {{ ticket.store_id|tojson }}}'"#;
    let notify = notify("http://h", more).unwrap().unwrap();
    assert_eq!(
        notify.body(&example()).unwrap(),
        r#"{"event": "opened", "id": 1, "s": "1"}"#
    );
}
