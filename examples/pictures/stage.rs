//! A program in a pseudo-terminal, as somebody sits before it: keys in, a screen to wait on, and every
//! byte with its time.

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use std::{
    error::Error,
    io::{Read, Write},
    num::NonZero,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// What happens in a run happens within this.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Stage {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    pub size: (u16, u16),
}

struct Seen {
    screen: vt100::Parser,
    bytes: Vec<(Duration, Vec<u8>)>,
}

impl Stage {
    pub(crate) fn run(
        program: &Path,
        args: &[&str],
        env: &[(&str, &str)],
        size: (u16, u16),
    ) -> Result<Self, Box<dyn Error>> {
        let pty = native_pty_system().openpty(PtySize {
            cols: size.0,
            rows: size.1,
            pixel_width: 0,
            pixel_height: 0,
        })?;
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.env("TERM", "xterm-256color");
        for name in ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "NO_COLOR"] {
            command.env_remove(name);
        }
        for (name, value) in env {
            command.env(name, value);
        }
        let child = pty.slave.spawn_command(command)?;
        drop(pty.slave);
        let cells = |n: u16| NonZero::new(n).ok_or("a terminal has a size");
        let seen = Arc::new((
            Mutex::new(Seen {
                screen: vt100::Parser::new(cells(size.1)?, cells(size.0)?, 0),
                bytes: Vec::new(),
            }),
            Condvar::new(),
        ));
        let mut output = pty.master.try_clone_reader()?;
        let keys = pty.master.take_writer()?;
        let shared = seen.clone();
        let started = Instant::now();
        thread::spawn(move || {
            // The terminal ends with the thread that reads it.
            let _terminal = pty.master;
            let mut buffer = vec![0; 65536];
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                let mut seen = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                seen.screen.process(&buffer[..n]);
                seen.bytes.push((started.elapsed(), buffer[..n].to_vec()));
                shared.1.notify_all();
            }
        });
        Ok(Self {
            child,
            keys,
            seen,
            size,
        })
    }

    pub(crate) fn press(&mut self, keys: &str) -> Result<(), Box<dyn Error>> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }

    /// Waits until all these words are on the screen.
    pub(crate) fn until(&self, words: &[&str]) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + LIMIT;
        let mut seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let text = seen.screen.screen().contents();
            if words.iter().all(|w| text.contains(w)) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("not seen: {words:?}\n{text}").into());
            }
            let woken = self.seen.1.wait_timeout(seen, left);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The screen as it is, when what belongs to the same moment is drawn.
    pub(crate) fn look<T>(&self, work: impl FnOnce(&vt100::Screen) -> T) -> T {
        linger(0.15);
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(seen.screen.screen())
    }

    /// Every byte so far, with the time it came.
    pub(crate) fn bytes(&self) -> Vec<(Duration, Vec<u8>)> {
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.bytes.clone()
    }

    pub(crate) fn wait(&mut self) -> Result<(), Box<dyn Error>> {
        self.child.wait()?;
        Ok(())
    }
}

/// Lets somebody who looks on see it.
pub(crate) fn linger(seconds: f32) {
    thread::sleep(Duration::from_secs_f32(seconds));
}

impl Drop for Stage {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
