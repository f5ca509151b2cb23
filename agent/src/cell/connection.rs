//! The agent's end of a runner: starts it, greets it, sends orders, and gives what comes back to
//! whoever waits for it.
//!
//! Knows nothing of what commands are for; a lost connection is told to all, with what is known of
//! why.

use super::Door;
use crate::runner::{
    command::{Job, Left, Report, Word},
    protocol::{self, Decoder, Filed, Frame, Greeting, Order, PROTOCOL, Place, Told},
};
use operator_ledger::event::Stream;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{HashMap, VecDeque},
    io,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout},
    sync::mpsc,
    time::timeout,
};

/// For the first frame of a runner.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// For an answer to what a runner does at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// A runner whose stdin has ended goes within this time.
const LEAVE: Duration = Duration::from_secs(2);
/// Output of one command that waits to be taken, in frames.
const QUEUE: usize = 64;
/// The number under which what is of no command comes.
const NO_COMMAND: u32 = 0;
/// Bytes kept of what is said on stderr.
const SAID: usize = 2000;
const BUFFER: usize = 64 * 1024;
/// Characters of a page in one frame.
const PIECE: usize = 64 * 1024;

/// What comes back of a command.
#[derive(Debug)]
pub enum Event {
    Started {
        pid: i32,
    },
    /// No bytes: the stream has ended.
    Output(Stream, Vec<u8>),
    Report {
        report: Report,
        folder: Option<PathBuf>,
        file: Option<Filed>,
    },
    Gone,
    Swept(Left),
    Kept(Option<Filed>),
}

/// A runner that is there.
#[derive(Debug)]
pub struct Connection {
    child: Child,
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
    /// What is of no command.
    events: mpsc::Receiver<Event>,
    pub place: Place,
}

#[derive(Debug)]
struct Shared {
    /// Who waits for what. None: the runner is lost.
    routes: Mutex<Option<HashMap<u32, mpsc::Sender<Event>>>>,
    heard: Mutex<Instant>,
    /// The end of what was said on stderr.
    said: Mutex<VecDeque<u8>>,
    /// What broke it, where it was not its end.
    broken: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn route(&self, id: u32) -> Option<mpsc::Sender<Event>> {
        lock(&self.routes).as_ref()?.get(&id).cloned()
    }

    fn said(&self) -> String {
        let said: Vec<u8> = lock(&self.said).iter().copied().collect();
        let said = operator_ledger::clean::clean(&String::from_utf8_lossy(&said));
        let lines = said.lines().filter(|l| !l.trim().is_empty());
        lines.collect::<Vec<_>>().join(" / ")
    }
}

impl Connection {
    /// Starts a runner and greets it. The error says what to do.
    pub async fn open(door: &Door, session: &str, earlier: Vec<i32>) -> Result<Self, String> {
        let cell = &door.cell;
        let unreachable =
            |why: String| format!("the cell {cell} cannot be used: {why}; {}", door.advice());
        let started = door.program().and_then(|(mut command, open)| {
            let child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            drop(open);
            child.map_err(|e| {
                let program = command.as_std().get_program().display().to_string();
                io::Error::new(e.kind(), format!("{program}: {e}"))
            })
        });
        let mut child = started.map_err(|e| unreachable(e.to_string()))?;
        let (Some(stdin), Some(mut stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(unreachable("it has no pipes".into()));
        };
        let (to_none, events) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared {
            routes: Mutex::new(Some(HashMap::from([(NO_COMMAND, to_none)]))),
            heard: Mutex::new(Instant::now()),
            said: Mutex::default(),
            broken: Mutex::default(),
        });
        tokio::spawn(listen(stderr, shared.clone()));
        let (orders, inbox) = mpsc::unbounded_channel();
        tokio::spawn(send(stdin, inbox));
        let _ = orders.send(Order::Hello(Greeting {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            session: session.into(),
            environment: door.environment(),
            yields: !cell.is_this_host(),
            earlier,
        }));
        let mut decoder = Decoder::default();
        let greeted = timeout(GREETING_LIMIT, greeted(&mut stdout, &mut decoder)).await;
        let place = match greeted {
            Ok(Ok(place)) if place.protocol == PROTOCOL => place,
            Ok(Ok(place)) => {
                let (own, theirs) = (env!("CARGO_PKG_VERSION"), place.version);
                return Err(unreachable(format!(
                    "its runner is of version {theirs} and does not understand {own}"
                )));
            }
            Ok(Err(why)) => {
                // What it says of itself may come a little later than its end.
                let _ = timeout(Duration::from_millis(300), child.wait()).await;
                let said = shared.said();
                let why = if said.is_empty() { why } else { said };
                let _ = child.start_kill();
                return Err(unreachable(why));
            }
            Err(_) => {
                let _ = child.start_kill();
                let limit = GREETING_LIMIT.as_secs();
                return Err(unreachable(format!("nothing answered within {limit} s")));
            }
        };
        tokio::spawn(receive(stdout, decoder, shared.clone()));
        Ok(Self {
            child,
            orders,
            shared,
            events,
            place,
        })
    }

    /// Starts a command under a number that no other had.
    pub fn start(&self, id: u32, job: Job) -> Route {
        let route = self.route(id);
        let _ = self.orders.send(Order::Start { id, job });
        route
    }

    fn route(&self, id: u32) -> Route {
        let (to, events) = mpsc::channel(QUEUE);
        if let Some(routes) = lock(&self.shared.routes).as_mut() {
            routes.insert(id, to);
        }
        Route {
            id,
            events,
            orders: self.orders.clone(),
            shared: self.shared.clone(),
        }
    }

    /// Ends what lost the process around it; what is left.
    pub async fn sweep(&mut self) -> Left {
        let _ = self.orders.send(Order::Sweep);
        let answer = async {
            loop {
                match self.events.recv().await {
                    Some(Event::Swept(left)) => return left,
                    Some(_) => {}
                    None => return Left::default(),
                }
            }
        };
        timeout(ANSWER_LIMIT, answer).await.unwrap_or_default()
    }

    /// Puts a text into a file of the cell.
    pub async fn keep(&mut self, id: u32, text: &str) -> Option<Filed> {
        let mut route = self.route(id);
        let mut rest = text;
        loop {
            let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE));
            rest = more;
            let last = rest.is_empty();
            let text = piece.to_owned();
            let _ = self.orders.send(Order::Keep { id, text, last });
            if last {
                break;
            }
        }
        match timeout(ANSWER_LIMIT, route.next()).await {
            Ok(Some(Event::Kept(file))) => file,
            _ => None,
        }
    }

    pub fn is_lost(&self) -> bool {
        lock(&self.shared.routes).is_none()
    }

    /// Why it is lost, as far as anybody said.
    pub fn loss(&self) -> String {
        let said = self.shared.said();
        match lock(&self.shared.broken).clone() {
            Some(why) if said.is_empty() => why,
            Some(why) => format!("{why}: {said}"),
            None if said.is_empty() => "its runner ended".into(),
            None => said,
        }
    }

    pub fn ping(&self) {
        let _ = self.orders.send(Order::Ping);
    }

    /// How long nothing was heard of it.
    pub fn silence(&self) -> Duration {
        lock(&self.shared.heard).elapsed()
    }

    /// Lets what was started here go on, if somebody stopped it.
    pub fn wake(&self) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Gives it up.
    pub fn kill(&mut self) {
        let _ = self.child.start_kill();
        *lock(&self.shared.routes) = None;
    }

    /// Ends it, and waits for that a little.
    pub async fn leave(mut self) {
        drop(self.orders);
        if timeout(LEAVE, self.child.wait()).await.is_err() {
            let _ = self.child.start_kill();
        }
    }
}

/// What one command says, and a way to speak to it. Dropped, it ends, but for services.
#[derive(Debug)]
pub struct Route {
    id: u32,
    events: mpsc::Receiver<Event>,
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
}

impl Route {
    /// None: the runner is lost.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    pub fn say(&self, word: Word) {
        let _ = self.orders.send(Order::Word { id: self.id, word });
    }

    /// Lets what is around it go on, if somebody stopped it.
    pub fn wake(&self) {
        let _ = self.orders.send(Order::Wake { id: self.id });
    }

    /// What it prints is not wanted any more.
    pub fn discard(&self) {
        let _ = self.orders.send(Order::Discard { id: self.id });
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Release { id: self.id });
        if let Some(routes) = lock(&self.shared.routes).as_mut() {
            routes.remove(&self.id);
        }
    }
}

/// Waits for the first frame. The error is what came in its place.
async fn greeted(from: &mut ChildStdout, decoder: &mut Decoder) -> Result<Place, String> {
    let mut buffer = vec![0; BUFFER];
    let mut marked = false;
    loop {
        let read = from.read(&mut buffer).await.map_err(|e| e.to_string())?;
        if read == 0 {
            let rest = String::from_utf8_lossy(decoder.rest()).into_owned();
            let rest = operator_ledger::clean::one_line(&rest);
            return Err(match rest.trim() {
                "" => "nothing answered".into(),
                said => format!("it is not a runner that answered: {said}"),
            });
        }
        decoder.push(&buffer[..read]);
        marked = marked || decoder.skip_to_mark();
        if !marked {
            if decoder.rest().len() > BUFFER {
                return Err("it is not a runner that answers".into());
            }
            continue;
        }
        match decoder.frame().map_err(|e| e.to_string())? {
            Some(Frame::Told(Told::Hello(place))) => return Ok(place),
            Some(_) => return Err("its first frame is no greeting".into()),
            None => {}
        }
    }
}

/// Gives what comes in to whoever waits for it, to the end.
async fn receive(mut from: ChildStdout, mut decoder: Decoder, shared: Arc<Shared>) {
    let mut buffer = vec![0; BUFFER];
    let broken = loop {
        match decoder.frame() {
            Ok(Some(frame)) => {
                if let Some((id, event)) = event(frame)
                    && let Some(to) = shared.route(id)
                {
                    let _ = to.send(event).await;
                }
                continue;
            }
            Ok(None) => {}
            Err(e) => break Some(format!("what its runner says makes no sense: {e}")),
        }
        match from.read(&mut buffer).await {
            Ok(0) => break None,
            Ok(read) => decoder.push(&buffer[..read]),
            Err(e) => break Some(e.to_string()),
        }
        *lock(&shared.heard) = Instant::now();
    };
    *lock(&shared.broken) = broken;
    // Nobody waits for what will not come.
    *lock(&shared.routes) = None;
}

fn event(frame: Frame) -> Option<(u32, Event)> {
    let told = match frame {
        Frame::Output(id, stream, bytes) => return Some((id, Event::Output(stream, bytes))),
        Frame::Told(told) => told,
        Frame::Order(_) => return None,
    };
    match told {
        Told::Started { id, pid } => Some((id, Event::Started { pid })),
        Told::Report {
            id,
            report,
            folder,
            file,
        } => Some((
            id,
            Event::Report {
                report,
                folder,
                file,
            },
        )),
        Told::Gone { id } => Some((id, Event::Gone)),
        Told::Swept { left } => Some((NO_COMMAND, Event::Swept(left))),
        Told::Kept { id, file } => Some((id, Event::Kept(file))),
        Told::Hello(_) | Told::Pong => None,
    }
}

async fn send(mut to: ChildStdin, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        let Ok(bytes) = protocol::encode(&order) else {
            continue;
        };
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Keeps the end of what is said beside the frames.
async fn listen(mut from: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut buffer = [0; 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let mut said = lock(&shared.said);
        said.extend(&buffer[..read]);
        let over = said.len().saturating_sub(SAID);
        said.drain(..over);
    }
}
