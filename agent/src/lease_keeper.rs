//! Keeps the lease on a ticket, by a thread of its own: neither a long command, nor a wait, nor a
//! slow model ever lets it run out. When it is lost, everybody who works under it is told.

use operator_ledger::{AgentLedger, Lease, LedgerError, Result, Stopwatch};
use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Why the right to work is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub why: String,
    /// A person took it away.
    pub by_person: bool,
}

impl Loss {
    fn of_time(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            by_person: false,
        }
    }
}

/// For whoever finds out that the lease is lost before it is to be renewed.
#[derive(Debug, Clone)]
pub struct Alarm {
    tell_lost: watch::Sender<Option<Loss>>,
    renewal: Arc<Renewal>,
}

impl Alarm {
    pub fn ring(&self, loss: Loss) {
        self.renewal.is_lost();
        self.tell_lost.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(loss);
            }
            first
        });
    }
}

/// A lease that is being renewed. Dropping it ends the renewal, not the lease.
#[derive(Debug)]
pub struct LeaseKeeper {
    _stop: Sender<()>,
    lost: watch::Receiver<Option<Loss>>,
    alarm: Alarm,
    until: Until,
}

/// When the lease ends, as far as this process knows. Cheap to ask, from any thread.
#[derive(Debug, Clone)]
pub struct Until {
    clock: Stopwatch,
    /// On that clock.
    end: watch::Receiver<Duration>,
}

/// The other end of an [`Until`].
#[derive(Debug)]
pub struct Renewal {
    clock: Stopwatch,
    end: watch::Sender<Duration>,
}

impl Until {
    /// One that ends after `duration`, unless it is renewed.
    pub fn after(duration: Duration) -> (Renewal, Self) {
        let clock = Stopwatch::start();
        let (tell, end) = watch::channel(duration);
        (Renewal { clock, end: tell }, Self { clock, end })
    }

    /// Whether the lease still holds. An agent that was frozen finds out here first.
    pub fn holds(&self) -> bool {
        self.clock.elapsed() < *self.end.borrow()
    }

    /// For how many milliseconds it still does.
    pub fn left_ms(&self) -> u64 {
        let left = self.end.borrow().saturating_sub(self.clock.elapsed());
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until the end is another one. False: nobody renews it any more.
    pub async fn changed(&mut self) -> bool {
        self.end.changed().await.is_ok()
    }
}

impl Renewal {
    /// The time of a question that may take its own.
    pub fn asked(&self) -> Duration {
        self.clock.elapsed()
    }

    /// It goes on for `duration`, from when that was asked for.
    pub fn goes_on(&self, asked: Duration, duration: Duration) {
        self.end.send_replace(asked + duration);
    }

    fn is_lost(&self) {
        self.end.send_replace(Duration::ZERO);
    }
}

impl LeaseKeeper {
    /// Renews `lease` from now on; each renewal makes it last for `duration`. Nothing that takes
    /// long may be asked of `ledger` besides.
    pub async fn hold(ledger: AgentLedger, lease: Lease, duration: Duration) -> Result<Self> {
        // Counted from before the call.
        let (renewal, until) = Until::after(duration);
        ledger.renew(&lease, duration).await?;
        let (tell_lost, lost) = watch::channel(None);
        let renewal = Arc::new(renewal);
        let alarm = Alarm {
            tell_lost,
            renewal: Arc::clone(&renewal),
        };
        let bell = alarm.clone();
        let (stop, stopped) = channel();
        let holds = until.clone();
        std::thread::Builder::new()
            .name("lease".into())
            .spawn(move || {
                let mut wait = duration / 3;
                loop {
                    match stopped.recv_timeout(wait) {
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                    }
                    let asked = renewal.asked();
                    // One that comes after the lease was given back is refused.
                    let there = ledger.still_there().wait();
                    let renewed = there.and_then(|()| ledger.renew(&lease, duration).wait());
                    let loss = match renewed {
                        Ok(()) => {
                            renewal.goes_on(asked, duration);
                            wait = duration / 3;
                            continue;
                        }
                        Err(LedgerError::Fenced { why, by_person, .. }) => Loss { why, by_person },
                        Err(e @ LedgerError::Lost { .. }) => Loss::of_time(e.to_string()),
                        Err(_) if holds.holds() => {
                            wait = (duration / 10).min(Duration::from_millis(500));
                            continue;
                        }
                        Err(e) => Loss::of_time(format!("it could not be renewed: {e}")),
                    };
                    bell.ring(loss);
                    return;
                }
            })
            .map_err(|e| LedgerError::Refused(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            _stop: stop,
            lost,
            alarm,
            until,
        })
    }

    /// Why the lease is lost, if it is.
    pub fn lost(&self) -> Option<Loss> {
        if let Some(loss) = self.lost.borrow().clone() {
            return Some(loss);
        }
        (!self.until.holds()).then(|| Loss::of_time("it ran out before it was renewed"))
    }

    pub fn alarm(&self) -> Alarm {
        self.alarm.clone()
    }

    /// Waits until the lease is lost; says why.
    pub fn until_lost(&self) -> impl Future<Output = Loss> + Send + 'static {
        let mut lost = self.lost.clone();
        async move {
            match lost
                .wait_for(Option::is_some)
                .await
                .map(|loss| loss.clone())
            {
                Ok(Some(loss)) => loss,
                // Dropped, not lost.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    pub fn until(&self) -> Until {
        self.until.clone()
    }
}
