//! Who may ask the ledger for what: four roles, each a cheap handle that may be cloned and kept on
//! any thread. What a role must not do it has no method for.
//!
//! The work is the engine's; a line here says which of its calls a role has. Each opened handle has
//! a thread of its own ([`crate::thread`]), and every call returns a [`Reply`] at once.
//!
//! ```no_run
//! # fn roles(path: &std::path::Path) -> operator_ledger::Result<()> {
//! use operator_ledger::{AgentLedger, MonitorLedger, PersonLedger, Reader};
//! Reader::open(path).wait()?.ticket(1).wait()?;
//! AgentLedger::open(path).wait()?.claim(todo!());
//! MonitorLedger::open(path).wait()?.record_check(todo!());
//! PersonLedger::open(path).wait()?.resolve_by_person(1, "ada").wait()?;
//! # Ok(())
//! # }
//! ```
//!
//! Who reads claims nothing:
//!
//! ```compile_fail
//! fn claims(ledger: &operator_ledger::Reader) {
//!     let _ = ledger.claim(todo!());
//! }
//! ```
//!
//! An agent proves nothing:
//!
//! ```compile_fail
//! fn proves(ledger: &operator_ledger::AgentLedger) {
//!     let _ = ledger.record_check(todo!());
//! }
//! ```
//!
//! Nor does it decide for people:
//!
//! ```compile_fail
//! fn resolves(ledger: &operator_ledger::AgentLedger) {
//!     let _ = ledger.resolve_by_person(1, "ada");
//! }
//! ```
//!
//! The monitor works on no ticket:
//!
//! ```compile_fail
//! fn writes(ledger: &operator_ledger::MonitorLedger, session: &operator_ledger::SessionWriter) {
//!     let _ = ledger.append(session, todo!());
//! }
//! ```
//!
//! A person does not prove either:
//!
//! ```compile_fail
//! fn proves(ledger: &operator_ledger::PersonLedger) {
//!     let _ = ledger.record_check(todo!());
//! }
//! ```

mod reads;
mod writes;

use crate::{Reply, carry::Carry, engine::Engine, thread::Handle};
use std::{ops::Deref, path::Path};

/// Reads. Its connection cannot write, unless it belongs to a role that does.
#[derive(Debug, Clone)]
pub struct Reader(Handle);

/// What an agent does: claims, sessions and their entries, spending. Reads what a [`Reader`] does.
#[derive(Debug, Clone)]
pub struct AgentLedger(Reader);

/// What the monitor does: checks and the proofs they bring, alerts, what people were notified of.
#[derive(Debug, Clone)]
pub struct MonitorLedger(Reader);

/// What people do, and programs on their behalf: tickets, holds, decisions, commands to agents.
#[derive(Debug, Clone)]
pub struct PersonLedger(Reader);

impl Reader {
    /// Opens an existing ledger for reading only. Waits for nobody and changes nothing. A file of an
    /// earlier version, or of the reference system, is read in a private copy, and so is one that
    /// cannot be read where it is. What is at the path later is what is read then.
    pub fn open(path: &Path) -> Reply<Self> {
        Handle::open(path, Engine::open_reader, Self)
    }

    fn handle(&self) -> &Handle {
        &self.0
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Does what was asked for before, then closes the file. Whatever is asked for later fails.
    pub fn close(&self) -> Reply<()> {
        self.0.close()
    }
}

/// A role that writes: opened alike, and a reader besides.
macro_rules! writes {
    ($($role:ident),*) => {$(
        impl $role {
            /// Opens the ledger at `path`, makes it (mode 0600) if there is none, brings its schema
            /// up to date and adopts a file of the reference system in place. Refuses a database of
            /// somebody else. Once the file is not the one at the path any more, every call is
            /// [`LedgerError::Lost`](crate::LedgerError::Lost).
            pub fn open(path: &Path) -> Reply<Self> {
                Handle::open(path, Engine::open, |handle| Self(Reader(handle)))
            }

            /// The same, of a ledger that must be there: one that is gone is not made anew.
            pub fn open_existing(path: &Path) -> Reply<Self> {
                Handle::open(path, Engine::open_existing, |handle| Self(Reader(handle)))
            }
        }

        impl Deref for $role {
            type Target = Reader;

            fn deref(&self) -> &Reader {
                &self.0
            }
        }
    )*};
}

writes!(AgentLedger, MonitorLedger, PersonLedger);

/// Methods that have the engine carry out its call of the same name.
macro_rules! calls {
    ($role:ident {$(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $out:ty;
    )*}) => {
        impl $role {$(
            $(#[$doc])*
            pub fn $name(&self $(, $arg: $type)*) -> Reply<$out> {
                $(let $arg = <$type as Carry>::own($arg);)*
                self.handle()
                    .ask(move |engine| engine.$name($(<$type as Carry>::lend(&$arg)),*))
            }
        )*}
    };
}

use calls;
