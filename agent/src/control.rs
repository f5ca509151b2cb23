//! What comes in from whoever steers the agent: control lines on stdin, and signals.
//!
//! Turns them into one wish to stop and a queue of requests. What a request does is up to the
//! session.

use operator_ledger::{
    config::ConfigFile,
    event::{Control, MAX_MESSAGE},
    home::Home,
};
use std::{
    io::{self, BufRead, Read},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

/// Longest control line: a message as long as it may be, each byte of it escaped. What is longer is
/// complained of and left out.
const MAX_LINE: u64 = 6 * MAX_MESSAGE as u64 + 4096;
/// Requests that may wait; further ones are ignored.
const WAITING: usize = 256;

/// The wish to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Option<String>>>);

impl Stop {
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }

    /// Asks for the end. The first reason counts.
    pub fn ask(&self, why: &str) {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            if first {
                *asked = Some(why.to_string());
            }
            first
        });
    }

    /// Why the end was asked for, if it was.
    pub fn asked(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until the end is asked for; says why.
    pub fn until_asked(&self) -> impl Future<Output = String> + Send + 'static {
        let mut asked = self.0.subscribe();
        let keep = self.clone();
        async move {
            let why = asked.wait_for(Option::is_some).await;
            let why = why
                .map(|w| w.clone().unwrap_or_default())
                .unwrap_or_default();
            drop(keep);
            why
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// Requests of a person, as they come.
#[derive(Debug)]
pub struct ControlInbox {
    requests: mpsc::Receiver<Control>,
    /// For whatever else takes requests in: the ledger's commands.
    tell: mpsc::Sender<Control>,
    messages: Vec<Message>,
    /// An interrupt that came while nothing could be interrupted: for whatever comes next.
    interrupted_by: Option<String>,
}

/// What a person said, and who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub text: String,
    pub by: String,
}

/// What a person decided about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub approved: bool,
    /// It is no decision but an interrupt: the turn ends with it.
    pub interrupt: bool,
    pub by: String,
    pub why: String,
}

/// Who does something by hand at this machine, for the record: the `name` of the configuration file,
/// else who is logged in where.
pub fn person() -> String {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let file: Option<ConfigFile> = Home::from_env().ok().and_then(|home| home.config().ok());
        let known = file.and_then(|file| file.name).map(name);
        known.filter(|known| known != A_PERSON).unwrap_or_else(|| {
            let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
            let user =
                user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
            let host = rustix::system::uname();
            name(format!("{user}@{}", host.nodename().to_string_lossy()))
        })
    });
    NAME.clone()
}

/// A person whose name nobody said.
const A_PERSON: &str = "a person";

fn name(by: String) -> String {
    let by: String = operator_ledger::clean::clean(&by)
        .chars()
        .take(64)
        .collect();
    if by.trim().is_empty() {
        A_PERSON.into()
    } else {
        by.trim().into()
    }
}

impl ControlInbox {
    pub fn new() -> (mpsc::Sender<Control>, Self) {
        let (tell, requests) = mpsc::channel(WAITING);
        let inbox = Self {
            requests,
            tell: tell.clone(),
            messages: Vec::new(),
            interrupted_by: None,
        };
        (tell, inbox)
    }

    /// A way for requests that do not come by stdin.
    pub fn door(&self) -> mpsc::Sender<Control> {
        self.tell.clone()
    }

    /// Waits for an interrupt; says who wants it. Messages that come meanwhile are kept.
    pub async fn interrupt(&mut self) -> String {
        loop {
            if let Some(by) = self.interrupted_by.take() {
                return by;
            }
            let request = self.next().await;
            self.keep(request);
        }
    }

    /// Waits for a message.
    pub async fn message(&mut self) {
        while self.messages.is_empty() {
            let request = self.next().await;
            self.keep(request);
        }
        // What waits already is interrupted enough.
        self.interrupted_by = None;
    }

    /// Forgets what was meant for something that is over.
    pub fn clear(&mut self) {
        self.take_messages();
        self.interrupted_by = None;
    }

    /// Waits for a decision about `call`. An interrupt rejects.
    pub async fn decision(&mut self, call: &str) -> Decision {
        loop {
            if let Some(by) = self.interrupted_by.take() {
                return Decision {
                    approved: false,
                    interrupt: true,
                    by,
                    why: "interrupted".into(),
                };
            }
            let (approved, by, why) = match self.next().await {
                Control::Approve { call: c, why, by } if c == call => (true, by, why),
                Control::Reject { call: c, why, by } if c == call => (false, by, why),
                other => {
                    self.keep(other);
                    continue;
                }
            };
            return Decision {
                approved,
                interrupt: false,
                by: name(by),
                why,
            };
        }
    }

    /// Messages that came since the last call, without waiting.
    pub fn take_messages(&mut self) -> Vec<Message> {
        while let Ok(request) = self.requests.try_recv() {
            self.keep(request);
        }
        std::mem::take(&mut self.messages)
    }

    fn keep(&mut self, request: Control) {
        match request {
            Control::Message { text, by } => self.messages.push(Message { text, by: name(by) }),
            Control::Interrupt { by } => self.interrupted_by = Some(name(by)),
            _ => {}
        }
    }

    async fn next(&mut self) -> Control {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

/// Reads control lines from stdin by a thread of its own. With `supervised`, the end of stdin asks
/// for the end of the agent.
pub fn read_stdin(supervised: bool, stop: Stop, requests: mpsc::Sender<Control>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            let mut input = io::stdin().lock();
            let mut line = Vec::new();
            loop {
                line.clear();
                match input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                    Ok(0) => break,
                    Ok(_) if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE => {
                        operator_ledger::clean::complain(format_args!(
                            "agent_lab: a control line of more than {MAX_LINE} bytes is left out"
                        ));
                        if skip_line(&mut input).is_err() {
                            break;
                        }
                    }
                    Ok(_) => match serde_json::from_slice(&line) {
                        Ok(Control::Shutdown) => stop.ask("asked to shut down"),
                        Ok(Control::Unknown) => {}
                        Ok(request) => {
                            let _ = requests.try_send(request);
                        }
                        Err(_) if line.trim_ascii().is_empty() => {}
                        Err(e) => operator_ledger::clean::complain(format_args!(
                            "agent_lab: a control line is not understood: {e}"
                        )),
                    },
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            if supervised {
                stop.ask("whoever supervised it is gone");
            }
        })?;
    Ok(())
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|b| *b == b'\n');
        let n = end.map_or(buffer.len(), |end| end + 1);
        input.consume(n);
        if end.is_some() {
            return Ok(());
        }
    }
}

static TERMINATED: AtomicBool = AtomicBool::new(false);

/// Whether it was SIGTERM that asked for the end first.
pub fn terminated() -> bool {
    TERMINATED.load(Ordering::Relaxed)
}

/// SIGTERM, SIGINT and SIGHUP ask for the end.
pub fn handle_signals(stop: &Stop) -> io::Result<()> {
    for (kind, name) in [
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::hangup(), "SIGHUP"),
    ] {
        let mut signals = signal(kind)?;
        let stop = stop.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if stop.asked().is_none() && kind == SignalKind::terminate() {
                    TERMINATED.store(true, Ordering::Relaxed);
                }
                stop.ask(name);
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interrupt_that_comes_between_two_things_is_for_the_next() {
        let (tell, mut inbox) = ControlInbox::new();
        let message = |text: &str| Control::Message {
            text: text.into(),
            by: "ada".into(),
        };
        tell.send(message("one")).await.unwrap();
        tell.send(Control::Interrupt { by: "ada".into() })
            .await
            .unwrap();
        assert_eq!(inbox.take_messages().len(), 1);
        assert_eq!(inbox.interrupt().await, "ada");
        // One that comes while it waits anyway is no second one.
        tell.send(Control::Interrupt { by: "ada".into() })
            .await
            .unwrap();
        tell.send(message("two")).await.unwrap();
        inbox.message().await;
        let none = tokio::time::timeout(std::time::Duration::from_millis(50), inbox.interrupt());
        assert!(none.await.is_err());
        tell.send(Control::Interrupt { by: String::new() })
            .await
            .unwrap();
        let decision = inbox.decision("c").await;
        assert!(decision.interrupt && !decision.approved && decision.by == A_PERSON);
    }
}
