//! The one place that changes the terminal's modes, and puts them back: on return, on an error,
//! on a panic and on a signal. Restoring is idempotent and never fails.
//!
//! Signals themselves arrive in [`super::signals`]; they end the main loop, and the guard's drop
//! restores. A panic restores in the hook, before the message is printed, because a panic in a
//! task does not unwind the main thread.

use super::tty;
use crossterm::{cursor, event, queue, style, terminal};
use std::{
    cell::Cell,
    io::{self, IsTerminal},
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A terminal that takes nothing for so long is given back as it is: nobody waits for it.
const STUCK: Duration = Duration::from_millis(500);

static ACTIVE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Set while code runs whose panics are caught and handled (see [`contained`]).
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// The title of the window, put aside and taken out again (xterm's own stack of them).
const KEEP_TITLE: &str = "\x1b[22;0t";
const GIVE_TITLE_BACK: &str = "\x1b[23;0t";

/// The terminal is ours while this lives.
#[derive(Debug)]
pub struct Guard(());

#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error(
        "{0} is not a terminal, and the dashboard draws on one; run it in a terminal, or use a subcommand that prints (`operator-tui --help`)"
    )]
    NotATerminal(&'static str),
    #[error(
        "the dashboard needs a terminal that can move its cursor, and TERM is {0}; `demo --headless --auto` and the subcommands print lines (`operator-tui --help`)"
    )]
    Dumb(String),
    #[error("cannot set up the terminal: {0}")]
    Io(#[from] io::Error),
}

impl Guard {
    /// Raw mode, alternate screen, cursor hidden, bracketed paste.
    ///
    /// Fails without a change if stdin or stdout is not a terminal, or one without a cursor.
    pub fn enter() -> Result<Self, GuardError> {
        if !io::stdin().is_terminal() {
            return Err(GuardError::NotATerminal("stdin"));
        }
        if !io::stdout().is_terminal() {
            return Err(GuardError::NotATerminal("stdout"));
        }
        if let Some(term) = std::env::var("TERM").ok().filter(|term| is_dumb(term)) {
            return Err(GuardError::Dumb(term));
        }
        hook_panics();
        tty::reopen();
        // Under NO_COLOR crossterm writes a bare reset for every colour, which also takes bold
        // and reverse away. The theme leaves colours out instead.
        style::force_color_output(true);
        let guard = Self(());
        guard.resume()?;
        Ok(guard)
    }

    /// Takes the terminal, again after [`Self::suspend`].
    pub fn resume(&self) -> io::Result<()> {
        // Somebody else may have changed it while we were stopped: from what was found.
        if ACTIVE.swap(true, Ordering::SeqCst) {
            terminal::disable_raw_mode()?;
        }
        terminal::enable_raw_mode()?;
        let mut bytes = Vec::new();
        queue!(
            bytes,
            style::Print(KEEP_TITLE),
            terminal::EnterAlternateScreen,
            event::EnableBracketedPaste,
            cursor::Hide
        )?;
        tty::write_within(&bytes, STUCK)
    }

    /// Gives the terminal back, to stop or to run something else on it.
    pub fn suspend(&self) {
        restore();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Terminals by whose own name they have no cursor to move: in an editor's shell, on a printer.
fn is_dumb(term: &str) -> bool {
    matches!(term, "dumb" | "unknown")
}

/// Puts the terminal back as it was found. Does nothing when it already is.
pub fn restore() {
    if !ACTIVE.swap(false, Ordering::SeqCst) {
        return;
    }
    // The end of a string first: a frame may have been cut anywhere.
    let mut bytes = b"\x1b\\".to_vec();
    let _ = queue!(
        bytes,
        terminal::EndSynchronizedUpdate,
        style::ResetColor,
        style::SetAttribute(style::Attribute::Reset),
        event::DisableMouseCapture,
        event::DisableBracketedPaste,
        terminal::LeaveAlternateScreen,
        style::Print(GIVE_TITLE_BACK),
        cursor::Show
    );
    // Each step for itself: a terminal that is gone, or stands still, must not skip the rest.
    let _ = tty::write_within(&bytes, STUCK);
    let _ = terminal::disable_raw_mode();
}

/// Runs `work`; a panic in it is caught, returned as `None` and not printed over the screen.
pub fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    CONTAINED.set(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(work));
    CONTAINED.set(false);
    result.ok()
}

fn hook_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = panic::take_hook();
        let main = std::thread::current().id();
        panic::set_hook(Box::new(move |info| {
            if CONTAINED.get() {
                return;
            }
            let ours = ACTIVE.load(Ordering::SeqCst);
            restore();
            earlier(info);
            // The main thread unwinds and ends its children. Elsewhere a runtime would swallow
            // the panic and the main loop would go on drawing; the children end with their stdin.
            if ours && std::thread::current().id() != main {
                std::process::exit(101);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_panic_is_a_value() {
        assert_eq!(contained(|| 1), Some(1));
        hook_panics();
        assert_eq!(contained(|| -> i32 { panic!("read error") }), None);
        assert!(!CONTAINED.get());
    }

    #[test]
    fn without_a_terminal_nothing_is_changed() {
        // Test runners give no terminal on stdin or stdout; where one does, there is no error.
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let err = Guard::enter().unwrap_err().to_string();
            assert!(err.contains("is not a terminal"), "{err}");
            assert!(!ACTIVE.load(Ordering::SeqCst));
        }
    }
}
