//! A lab, a Prometheus that scrapes it, an Alertmanager, and Operator's monitor that listens to it:
//! all of one test, on free ports of loopback. What it started ends with it.

use crate::port::port;
pub(super) use crate::wait::until;
use operator_ledger::{Reader, SessionRow, SystemId, Ticket};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const TOKEN: &str = "correct-horse-battery";

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn operator() -> &'static str {
    env!("CARGO_BIN_EXE_operator-tui")
}

/// A child that ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let _ = self.0.wait();
    }
}

pub(super) struct Stage {
    // In this order they end.
    agent: Option<Running>,
    _monitor: Running,
    _alertmanager: Running,
    prometheus: Option<Running>,
    listens: String,
    asks: String,
    router: String,
    pd: String,
    told: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.agent = None;
        let _ = self.command(&["lab", "down"]).output();
        if thread::panicking() {
            for name in ["prometheus", "alertmanager", "monitor", "agent"] {
                let text = fs::read_to_string(self.path(&format!("{name}.log")));
                eprintln!("== {name}\n{}", text.unwrap_or_default());
            }
        }
    }
}

impl Stage {
    pub(super) fn up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let lab = Command::new(operator())
            .args(["lab", "up", "--rate", "100"])
            .env("OPERATOR_HOME", folder.path())
            .env_remove("OPERATOR_LAB_DIR")
            .output()
            .unwrap();
        assert!(
            lab.status.success(),
            "{}",
            String::from_utf8_lossy(&lab.stderr)
        );
        let ps = Command::new(operator())
            .args(["lab", "ps", "--json"])
            .env("OPERATOR_HOME", folder.path())
            .env_remove("OPERATOR_LAB_DIR")
            .output()
            .unwrap();
        let nodes: Value = serde_json::from_slice(&ps.stdout).unwrap();
        let addresses = |role: &str, field: &str| -> Vec<String> {
            let nodes = nodes.as_array().unwrap().iter();
            nodes
                .filter(|n| n["role"] == role)
                .map(|n| n[field].as_str().unwrap().to_owned())
                .collect()
        };
        let pd = addresses("pd", "address");
        let stores = addresses("store", "status_address");

        let told = Arc::default();
        let ear = listen(&told);
        let asks = format!("http://127.0.0.1:{}", port());
        let (monitor, listens) = monitor(folder.path(), &asks, &ear);
        let router = port();
        configure(folder.path(), &pd, &stores, &listens, router);
        let log = File::create(path("alertmanager.log")).unwrap();
        let alertmanager = Command::new("prometheus-alertmanager")
            .arg(format!(
                "--config.file={}",
                path("alertmanager.yml").display()
            ))
            .arg(format!("--storage.path={}", path("alertmanager").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{router}"))
            .arg("--cluster.listen-address=")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut stage = Self {
            agent: None,
            _monitor: monitor,
            _alertmanager: Running(alertmanager),
            prometheus: None,
            listens,
            asks,
            router: format!("http://127.0.0.1:{router}"),
            pd: pd.join(","),
            told,
            folder,
        };
        stage.start_prometheus();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(operator());
        command.args(args).env("OPERATOR_HOME", self.folder.path());
        command
    }

    pub(super) fn start_prometheus(&mut self) {
        let log = File::create(self.path("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                self.path("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                self.path("prometheus").display()
            ))
            .arg(format!(
                "--web.listen-address={}",
                &self.asks["http://".len()..]
            ))
            // An alert that is not sent again for four times this is over for Alertmanager.
            .arg("--rules.alert.resend-delay=2s")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.prometheus = Some(Running(child));
        let url = format!("{}/-/ready", self.asks);
        until("Prometheus is ready", Duration::from_secs(30), || {
            get(&url).is_some_and(|(status, _)| status == 200)
        });
    }

    /// Nobody is told of any alert from now on, not even of its end.
    pub(super) fn silence(&self) {
        let done = Command::new("amtool")
            .args(["--alertmanager.url", &self.router, "silence", "add"])
            .args([
                "--author",
                "ana",
                "--comment",
                "maintenance",
                "--duration",
                "1h",
            ])
            .arg("alertname=~.+")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
    }

    /// Without a chance to say anything to Alertmanager.
    pub(super) fn kill_prometheus(&mut self) {
        let mut running = self.prometheus.take().unwrap();
        running.0.kill().unwrap();
    }

    /// Starts an agent: the rehearsal, on tickets of this monitor.
    pub(super) fn agent(&mut self) {
        let log = File::create(self.path("agent.log")).unwrap();
        let child = self
            .command(&[
                "agent",
                "--model",
                "rehearsal",
                "--cluster-id",
                "alerts",
                "--pd",
                &self.pd,
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(Running(child));
    }

    pub(super) fn lab(&self, args: &[&str]) {
        let done = self.command(&[&["lab"], args].concat()).output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// One look at the cluster: through Prometheus, or at the stores themselves.
    pub(super) fn cluster(&self, prometheus: bool) -> Value {
        let url = if prometheus { self.asks.as_str() } else { "" };
        let args = ["cluster", "--json", "--pd", &self.pd, "--prometheus", url];
        let done = self.command(&args).output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// What Prometheus answers; an error is a failed test.
    pub(super) fn query(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/api/v1/query", self.asks);
        let (status, text) = ask(&url, &[("query", query)]).unwrap();
        assert_eq!(status, 200, "{query}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// Status and text of a page of the monitor.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        get(&format!("{}{path}", self.listens)).unwrap()
    }

    pub(super) fn ledger(&self) -> Reader {
        Reader::open(&self.path("tickets.db")).wait().unwrap()
    }

    /// All tickets, the oldest first.
    pub(super) fn tickets(&self) -> Vec<Ticket> {
        let mut tickets = self.ledger().tickets(100).wait().unwrap();
        tickets.sort_by_key(|t| t.id);
        tickets
    }

    /// The first ticket.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.tickets().into_iter().next()
    }

    pub(super) fn sessions(&self) -> Vec<SessionRow> {
        let listed = self.ledger().session_list(None, 100).wait().unwrap();
        let mut sessions: Vec<_> = listed.into_iter().map(|l| l.session).collect();
        sessions.reverse();
        sessions
    }

    /// Looks of the monitor so far.
    pub(super) fn looks(&self) -> u64 {
        let beat = self
            .ledger()
            .heartbeat(Some(&SystemId::new("alerts")))
            .wait()
            .unwrap();
        beat.map_or(0, |b| b.checks)
    }

    /// Bodies that were sent outward.
    pub(super) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

/// What compose mounts, with the targets of this lab, and an Alertmanager.
fn configure(folder: &Path, pd: &[String], stores: &[String], listens: &str, router: u16) {
    let mounted = fs::read_to_string(root().join("assets/prometheus/prometheus.yml")).unwrap();
    let quoted = |list: &[String]| {
        let list: Vec<_> = list.iter().map(|a| format!("{a:?}")).collect();
        format!("[{}]", list.join(", "))
    };
    let operator = [listens["http://".len()..].to_owned()];
    let mut text = mounted;
    for (theirs, ours) in [
        (r#"["pd0:2379", "pd1:2379", "pd2:2379"]"#, quoted(pd)),
        (
            r#"["tikv0:20180", "tikv1:20180", "tikv2:20180"]"#,
            quoted(stores),
        ),
        (r#"["figures:9105"]"#, quoted(&operator)),
        (
            "rules/*.yml",
            root()
                .join("assets/prometheus/rules/*.yml")
                .display()
                .to_string(),
        ),
    ] {
        assert!(text.contains(theirs), "{theirs} is not in prometheus.yml");
        text = text.replace(theirs, &ours);
    }
    text += &format!(
        "alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [\"127.0.0.1:{router}\"]\n"
    );
    fs::write(folder.join("prometheus.yml"), text).unwrap();
    let text = format!(
        "route:\n  receiver: operator\n  group_by: [alertname]\n  group_wait: 1s\n  group_interval: 2s\n  \
         repeat_interval: 1h\nreceivers:\n  - name: operator\n    webhook_configs:\n      - url: \
         {listens}/webhook/alertmanager\n        send_resolved: true\n        http_config:\n          \
         authorization:\n            credentials: {TOKEN}\n"
    );
    fs::write(folder.join("alertmanager.yml"), text).unwrap();
}

/// Operator's monitor, and where it listens.
fn monitor(folder: &Path, prometheus: &str, ear: &str) -> (Running, String) {
    let log = File::create(folder.join("monitor.log")).unwrap();
    let mut child = Command::new(operator())
        .args(["monitor", "run", "--interval", "1s", "--no-cluster"])
        .args(["--listen", "127.0.0.1:0", "--prometheus", prometheus])
        .env("OPERATOR_HOME", folder)
        .env_remove("OPERATOR_LAB_DIR")
        .env("OPERATOR_WEBHOOK_TOKEN", TOKEN)
        .env("OPERATOR_NOTIFY_URL", ear)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    let url = first.rsplit(' ').next().unwrap().trim().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{first}");
    // What it says later must not block it.
    thread::spawn(move || std::io::copy(&mut said, &mut std::io::stderr()));
    (Running(child), url)
}

/// Somebody who is told: takes every POST and keeps its body.
fn listen(told: &Arc<Mutex<Vec<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let told = told.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = take(stream, &told);
        }
    });
    url
}

fn take(mut stream: TcpStream, told: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(n) = lower.strip_prefix("content-length:") {
            length = n.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    told.lock()
        .unwrap()
        .push(String::from_utf8_lossy(&body).into_owned());
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn get(url: &str) -> Option<(u16, String)> {
    ask(url, &[])
}

fn ask(url: &str, query: &[(&str, &str)]) -> Option<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = operator_lab::http::client(Duration::from_secs(5)).unwrap();
        let answer = client.get(url).query(query).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    })
}
