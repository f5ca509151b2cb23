//! What happens to the dashboard, what it does, and who shows it.

use super::{
    model::{child::Child, demo::LabNews, detail::Detail, tickets::LedgerView},
    request::{Request, Write},
};
use crate::{
    app::model::{app::App, pane::Drawn},
    cluster::{ClusterSnapshot, Traffic},
    demo::{Fault, chapters::Load},
    history::{
        Incident, Page, SessionUpdate, Which,
        output::Output,
        scene::{Moment, Stretch},
    },
    supervisor::Item,
    terminal::signals::Signal,
};
use crossterm::event::{KeyEvent, MouseEvent};
use jiff::SignedDuration;
use operator_ledger::{ListedSession, event::Control};
use std::{collections::HashMap, io};

/// One thing that happened. They come in one order.
#[derive(Debug)]
pub enum Event {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    /// The terminal cannot be read or written any more.
    TerminalGone,
    Signal(Signal),
    Child(Child, Vec<Item>),
    /// A look at the cluster, and how old it may become before it says nothing any more.
    Cluster(Box<ClusterSnapshot>, SignedDuration),
    /// How the stores fared before we looked, by their ids: a value a second, the newest last.
    Past(HashMap<u64, Vec<Traffic>>),
    Ledger(Box<LedgerView>),
    /// The ledger was looked at, and nothing has changed.
    LedgerSame,
    /// News of the session of somebody else's agent.
    Followed(Box<SessionUpdate>),
    /// What was looked up in the ledger.
    Found(Response),
    /// What was written there, or why not.
    Written(Write, Result<String, String>),
    Lab(LabNews),
    /// A second has passed and ages roll over, or the walk of a demo wants to go on.
    Tick,
}

/// What was found, or why not.
#[derive(Debug, Clone)]
pub enum Response {
    Ticket(Box<Detail>),
    Sessions(Option<i64>, Result<Vec<ListedSession>, String>),
    Session(Result<String, String>),
    Page(Which, Result<Box<Page>, String>),
    Match {
        session: String,
        forward: bool,
        /// None: there is none.
        page: Result<Option<Box<Page>>, String>,
    },
    Output {
        call: String,
        output: Result<Box<Output>, String>,
    },
    Incident(String, Result<Box<Incident>, String>),
    Moment(String, Result<Box<Moment>, String>),
    Stretch(String, Result<Box<Stretch>, String>),
    Log {
        node: String,
        text: Result<String, String>,
    },
}

/// What `update` wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Control(Child, Control),
    Restart(Child),
    /// End all children with grace; their facts follow.
    StopAll,
    /// No more grace.
    KillAll,
    Exit(u8),
    /// The demo's lab is up: start what watches it.
    Populate,
    Inject {
        fault: Fault,
        node: String,
    },
    SetLoad(Load),
    /// End the demo's lab.
    TearDownLab,
    /// Give the terminal back and stop this process, as Ctrl-Z does.
    Suspend,
    /// The terminal is ours again: draw everything.
    Redraw,
    /// Look something up; [`Event::Found`] follows.
    Read(Request),
    /// Read the end of the log of a lab's node; [`Event::Found`] follows.
    ReadLog {
        node: String,
    },
    /// Write something down; [`Event::Written`] follows.
    Write(Write),
    /// Follow this session in the ledger, and none but it.
    Follow(Option<String>),
    Copy(String),
    Bell,
    /// The title of the terminal's window.
    Title(String),
    /// Whether the terminal reports its mouse to us.
    Mouse(bool),
}

/// Who shows the state: the terminal, or lines for a log.
#[expect(async_fn_in_trait, reason = "used generically, on one thread")]
pub trait Frontend {
    /// Whether what was drawn last has been taken. If not, [`Self::next`] tells when.
    fn ready(&self) -> bool {
        true
    }

    /// Shows the state. Prints nothing else, and waits for nobody. Returns the sizes of what
    /// it shows, for scrolling.
    fn draw(&mut self, app: &App) -> io::Result<Drawn>;

    /// The next key or paste; `None`: it is ready to draw again. Can be dropped and
    /// called again without losing one. Pends for ever where there are none.
    async fn next(&mut self) -> Option<Event>;

    /// Gives the terminal back until [`Self::resume`].
    fn suspend(&mut self) {}

    fn resume(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn copy(&mut self, _text: &str) {}

    fn bell(&mut self) {}

    fn title(&mut self, _text: &str) {}

    fn mouse(&mut self, _on: bool) {}
}
