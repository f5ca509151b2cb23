use super::*;
use axum::{Router, extract::State, http::StatusCode, routing::post};
use operator_ledger::{Check, Mono, Observation, Reading, Severity};
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

fn check(ledger: &mut Ledger, store: u64, reading: Reading) {
    let observation = Observation {
        key: format!("store_down:{store}"),
        invariant: "store_down".into(),
        store_id: Some(store.to_string()),
        subject_name: None,
        reading,
        message: "tikv \"1\" is down".into(),
        severity: Severity::Critical,
        grace: Duration::ZERO,
        hold: Duration::ZERO,
        outside: None,
    };
    ledger
        .record_check(&Check {
            cluster_id: "7",
            data: Mono::now(),
            observations: &[observation],
            metric_snapshot: None,
            subject_context: None,
            sample: None,
            place: "",
            interval: Duration::from_secs(5),
            ok: true,
            detail: "",
        })
        .unwrap();
}

fn notify(url: &str, more: &str) -> Result<Option<Notify>, NotifyError> {
    let table = format!("[notify]\nurl = '{url}'\n{more}");
    Notify::from_table(&table.parse().unwrap(), None)
}

struct Desk {
    _dir: tempfile::TempDir,
    ledger: Ledger,
    teller: Teller,
    warned: Vec<String>,
}

impl Desk {
    fn new(url: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        Self {
            ledger: Ledger::open(&dir.path().join("tickets.db")).unwrap(),
            teller: Teller {
                notify: notify(url, "").unwrap().unwrap(),
                client: reqwest::Client::builder().no_proxy().build().unwrap(),
                counts: Counts::default(),
                trouble: None,
                wait: Duration::from_millis(10),
            },
            warned: Vec::new(),
            _dir: dir,
        }
    }

    async fn tell(&mut self) {
        let path = self.ledger.path().to_owned();
        // As after a start: nothing but what the ledger keeps is known.
        let mut ledger = Ledger::open(&path).unwrap();
        let warned = &mut self.warned;
        let mut warn = |text| warned.push(text);
        self.teller.tell(&mut ledger, "7", &mut warn).await.unwrap();
    }
}

#[tokio::test]
async fn each_thing_is_told_once_whatever_is_in_between() {
    let ear = Ear::default();
    let mut desk = Desk::new(&ear.listen().await);
    check(&mut desk.ledger, 1, Reading::Violated);
    // That was before somebody asked to be told.
    desk.tell().await;
    assert_eq!(ear.got(), [""; 0]);
    check(&mut desk.ledger, 2, Reading::Violated);
    ear.refusals.lock().unwrap().extend([
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
    ]);
    desk.tell().await;
    desk.tell().await;
    let expected = r#"{"text": "[critical] #2 store_down on 2: tikv \"1\" is down"}"#;
    assert_eq!(ear.got(), [expected]);
    // Seen again is no news, and neither is another cluster's.
    check(&mut desk.ledger, 2, Reading::Violated);
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
    let mut desk = Desk::new(&ear.listen().await);
    desk.tell().await;
    ear.refusals.lock().unwrap().push(StatusCode::NOT_FOUND);
    check(&mut desk.ledger, 1, Reading::Violated);
    check(&mut desk.ledger, 2, Reading::Violated);
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
        let why = notify(url, more).unwrap_err().to_string();
        assert!(why.contains(word) && !why.contains("secret"), "{why}");
    }
    assert!(
        Notify::from_table(&toml::Table::new(), None)
            .unwrap()
            .is_none()
    );
    let from_environment = Notify::from_table(&toml::Table::new(), Some(good.into()));
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
