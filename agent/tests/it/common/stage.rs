//! An agent with a ledger of its own, a ticket opened by hand and a scripted model.

use super::{Answer, Server};
use operator_ledger::{
    EntryRow, NewTicket, PersonLedger, Reply, SessionRow, Ticket,
    event::{Control, Event, Kind, parse},
};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const KEY: &str = "the-key-that-must-not-leak";
/// A model whose price is known.
pub(crate) const MODEL: &str = "claude-sonnet-5-5";

pub(crate) struct Stage {
    pub home: TempDir,
    pub server: Server,
    /// Whether the model may have a shell.
    pub consent: bool,
}

impl Stage {
    pub(crate) async fn new(script: Vec<Answer>) -> Self {
        let stage = Self::without_ticket(script).await;
        let ticket = NewTicket {
            message: "look into it".into(),
            by: "test".into(),
            ..Default::default()
        };
        stage.ledger().open_ticket(ticket).await.unwrap();
        stage
    }

    pub(crate) async fn without_ticket(script: Vec<Answer>) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            server: Server::start(script).await,
            consent: true,
        }
    }

    /// With a `config.toml`.
    pub(crate) async fn configured(script: Vec<Answer>, config: &str) -> Self {
        let stage = Self::new(script).await;
        std::fs::write(stage.home.path().join("config.toml"), config).unwrap();
        stage
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.home.path().join("tickets.db")
    }

    pub(crate) fn ledger(&self) -> PersonLedger {
        here(PersonLedger::open(&self.db())).unwrap()
    }

    pub(crate) fn ticket(&self) -> Ticket {
        here(self.ledger().ticket(1)).unwrap().unwrap()
    }

    /// The agent, to work on whatever tickets there are.
    pub(crate) fn agent(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_agent_lab"));
        command
            .arg("--json")
            .args(self.consent.then_some("--host-shell"))
            .args(args)
            .env("OPERATOR_HOME", self.home.path())
            .env("ANTHROPIC_BASE_URL", &self.server.base)
            .env("ANTHROPIC_API_KEY", KEY)
            .env_remove("BRAVE_API_KEY")
            .env_remove("PD_ENDPOINT")
            .kill_on_drop(true);
        for name in [
            "AUTH_TOKEN",
            "MODEL",
            "DEFAULT_HAIKU_MODEL",
            "CUSTOM_HEADERS",
            "BETAS",
        ] {
            command.env_remove(format!("ANTHROPIC_{name}"));
        }
        command
    }

    /// The agent, to work on the ticket.
    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = self.agent(&["--ticket", "1"]);
        command.args(args);
        command
    }

    /// Runs the agent on the ticket to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        let agent = self.command(args).stdin(Stdio::null()).output();
        tokio::time::timeout(LONG, agent)
            .await
            .expect("the agent ends")
            .unwrap()
    }

    /// Runs the agent to its end and answers its events with control lines.
    pub(crate) async fn steered(
        &self,
        args: &[&str],
        mut answer: impl FnMut(&Kind) -> Option<Control>,
    ) -> Vec<Event> {
        let mut command = self.command(args);
        let mut agent = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = agent.stdin.take().unwrap();
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
        let work = async {
            let mut events = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                let event = parse(&line).unwrap();
                if let Some(control) = answer(&event.kind) {
                    let line = serde_json::to_string(&control).unwrap() + "\n";
                    stdin.write_all(line.as_bytes()).await.unwrap();
                }
                events.push(event);
            }
            events
        };
        tokio::time::timeout(LONG, work)
            .await
            .expect("the agent ends")
    }

    /// The newest session on the ticket.
    pub(crate) fn session(&self) -> (SessionRow, Vec<EntryRow>) {
        let ledger = self.ledger();
        let session = here(ledger.sessions_of_ticket(1)).unwrap().pop().unwrap();
        let entries = here(ledger.entries(&session.session_id, 0, 10_000)).unwrap();
        (session, entries)
    }
}

/// Waits for an answer wherever this is: a test may block its runtime.
pub(crate) fn here<T: Send>(reply: Reply<T>) -> operator_ledger::Result<T> {
    std::thread::scope(|scope| scope.spawn(|| reply.wait()).join().unwrap())
}

pub(crate) fn events(output: &Output) -> Vec<Event> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|l| parse(l).unwrap_or_else(|| panic!("not an event: {l}")))
        .collect()
}

/// Results of the last message of a request: call id, text, and whether it is an error.
pub(crate) fn results(body: &Value) -> Vec<(String, String, bool)> {
    let last = body["messages"].as_array().unwrap().last().unwrap();
    let blocks = last["content"].as_array().unwrap().iter();
    blocks
        .filter(|b| b["type"] == "tool_result")
        .map(|b| {
            let text = |k: &str| b[k].as_str().unwrap().to_string();
            (text("tool_use_id"), text("content"), b["is_error"] == true)
        })
        .collect()
}

/// Everything a request said to the model, as text.
pub(crate) fn said(body: &Value) -> String {
    body["messages"].to_string()
}
