//! Keeps the lease on a ticket, by a thread of its own: neither a long command, nor a wait, nor a
//! slow model ever lets it run out. When it is lost, everybody who works under it is told.

use operator_ledger::{Lease, Ledger, LedgerError, Mono, Result};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::watch;

/// A lease that is being renewed. Dropping it ends the renewal, not the lease.
#[derive(Debug)]
pub struct LeaseKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    lost: watch::Receiver<Option<String>>,
    ends: watch::Receiver<i64>,
    until: Until,
}

/// When the lease ends, as far as this process knows. Cheap to ask, from any thread.
#[derive(Debug, Clone)]
pub struct Until(Arc<AtomicI64>);

impl Until {
    /// Whether the lease still holds. An agent that was frozen finds out here first.
    pub fn holds(&self) -> bool {
        Mono::now().ms < self.ms()
    }

    /// End of the lease, on the clock of [`Mono`].
    pub fn ms(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }
}

impl LeaseKeeper {
    /// Renews `lease` from now on; each renewal makes it last for `duration`.
    pub fn hold(ledger: &Path, lease: Lease, duration: Duration) -> Result<Self> {
        let mut ledger = Ledger::open(ledger)?;
        let asked = Mono::now().ms;
        ledger.renew(&lease, duration)?;
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4);
        let until = Until(Arc::new(AtomicI64::new(asked + millis)));
        let (tell_lost, lost) = watch::channel(None);
        let (tell_ends, ends) = watch::channel(asked + millis);
        let (stop, stopped) = channel();
        let thread_until = until.clone();
        let thread = std::thread::Builder::new()
            .name("lease".into())
            .spawn(move || {
                let until = thread_until;
                let mut wait = duration / 3;
                loop {
                    match stopped.recv_timeout(wait) {
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                    }
                    // Counted from before the call: it may take its time.
                    let asked = Mono::now().ms;
                    let why = match ledger.renew(&lease, duration) {
                        Ok(()) => {
                            until.0.store(asked + millis, Ordering::Release);
                            tell_ends.send_replace(asked + millis);
                            wait = duration / 3;
                            continue;
                        }
                        Err(LedgerError::Fenced { why, .. }) => why,
                        Err(_) if until.holds() => {
                            wait = (duration / 10).min(Duration::from_millis(500));
                            continue;
                        }
                        Err(e) => format!("it could not be renewed: {e}"),
                    };
                    until.0.store(0, Ordering::Release);
                    tell_lost.send_replace(Some(why));
                    return;
                }
            })
            .map_err(|e| LedgerError::Refused(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            lost,
            ends,
            until,
        })
    }

    /// Why the lease is lost, if it is.
    pub fn lost(&self) -> Option<String> {
        if let Some(why) = self.lost.borrow().clone() {
            return Some(why);
        }
        (!self.until.holds()).then(|| "it ran out before it was renewed".to_string())
    }

    /// Waits until the lease is lost; says why.
    pub fn until_lost(&self) -> impl Future<Output = String> + Send + 'static {
        let mut lost = self.lost.clone();
        async move {
            let why = lost.wait_for(Option::is_some).await.map(|why| why.clone());
            match why {
                Ok(why) => why.unwrap_or_default(),
                // Dropped, not lost.
                Err(_) => std::future::pending().await,
            }
        }
    }

    pub fn until(&self) -> Until {
        self.until.clone()
    }

    /// The end of the lease, each time it changes.
    pub fn ends(&self) -> watch::Receiver<i64> {
        self.ends.clone()
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Waits for a renewal that is under way, so that none comes after a release.
            let _ = thread.join();
        }
    }
}
