//! From "I repaired it" to proof: the monitor is asked, and its evidence alone decides.

use super::{Halt, Session};
use operator_ledger::{
    EntryKind, EntryMeta, NewEntry, Stored,
    event::{Kind, Level, VerifyState},
};
use std::time::{Duration, Instant};

/// Times the model is told that it is still violated and may go on.
pub const FAILURES_ALLOWED: u32 = 2;
/// How often the ledger is asked. The monitor looks about once a second.
const POLL: Duration = Duration::from_millis(200);
/// A monitor that lives but does not take a request up for so long never will: it does not know
/// the invariant any more.
const TAKEN_UP: Duration = Duration::from_secs(60);
/// No proof takes longer.
const MAX_VERIFY: Duration = Duration::from_secs(20 * 60);

pub(super) enum Proof {
    Proven(String),
    /// Gone by the word of another system.
    External(String),
    /// Still violated; what the monitor sees.
    Failed(String),
    /// Taken back: one more ticket is of the incident.
    Withdrawn(String),
    /// Nobody could say.
    Unverifiable(String),
}

impl Session<'_> {
    /// Records the claim, asks for proof and waits for it.
    pub(super) async fn prove(&mut self, claim: &str) -> Result<Proof, Halt> {
        // A repair that only lasts while the session does is none.
        if let Some(ended) = self.end_jobs().await {
            self.record_notice(
                Level::Info,
                &format!("ended before proof is asked for, which must be of what stays: {ended}"),
            )
            .await?;
        }
        let claim = self.context.redactor.apply(claim);
        self.write(|ledger, session| ledger.set_diagnosis(&session.lease, &claim))
            .await?;
        let request = self
            .write(|ledger, session| ledger.request_verification(&session.lease, &session.id))
            .await?;
        let asked = Instant::now();
        let mut stopped = None;
        let mut shown = String::from("the monitor is asked to look");
        self.verify(VerifyState::Waiting, &shown).await?;
        loop {
            let v = self.ledger.verification(request).await?;
            // Asked to end while the monitor was deciding: its verdict, if there is one, counts.
            if !matches!(v.state, VerifyState::Proven | VerifyState::External)
                && let Some(why) = stopped
            {
                return Err(Halt::Stopped(why));
            }
            let silent = self.monitor_is_silent().await?;
            match v.state {
                VerifyState::Proven => {
                    self.verify(v.state, &v.detail).await?;
                    return Ok(Proof::Proven(v.detail));
                }
                VerifyState::External => {
                    self.verify(v.state, &v.detail).await?;
                    return Ok(Proof::External(v.detail));
                }
                VerifyState::Failed => {
                    self.verify(v.state, &v.detail).await?;
                    return Ok(Proof::Failed(v.detail));
                }
                VerifyState::Withdrawn => {
                    self.verify(v.state, &v.detail).await?;
                    return Ok(Proof::Withdrawn(v.detail));
                }
                VerifyState::Unverifiable => return self.unverifiable(v.detail).await,
                VerifyState::Waiting => {}
            }
            if let Some(why) = silent {
                return self.unverifiable(why).await;
            }
            let waited = asked.elapsed();
            if (v.deadline_in.is_none() && waited > TAKEN_UP) || waited > MAX_VERIFY {
                let why = format!("the monitor did not decide in {} s", waited.as_secs());
                return self.unverifiable(why).await;
            }
            if !v.detail.is_empty() && v.detail != shown {
                shown.clone_from(&v.detail);
                self.emit(Kind::Verify {
                    state: VerifyState::Waiting,
                    detail: v.detail,
                });
            }
            tokio::select! {
                loss = self.lease_keeper.until_lost() => return Err(Halt::Lost(loss)),
                why = self.context.stop.until_asked() => stopped = Some(why),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn unverifiable(&mut self, why: String) -> Result<Proof, Halt> {
        self.verify(VerifyState::Unverifiable, &why).await?;
        Ok(Proof::Unverifiable(why))
    }

    /// Nobody has looked for three intervals: why there will be no proof.
    pub(super) async fn monitor_is_silent(&self) -> Result<Option<String>, Halt> {
        let beat = self
            .ledger
            .heartbeat(self.ticket.cluster_id.as_ref())
            .await?;
        Ok(match beat {
            None => Some("no monitor has ever looked at this cluster".into()),
            Some(beat) if beat.is_silent() => {
                let since = if beat.age == Duration::MAX {
                    "since before this machine started".into()
                } else {
                    format!("for {} s", beat.age.as_secs())
                };
                Some(format!("the monitor has been silent {since}"))
            }
            Some(_) => None,
        })
    }

    async fn verify(&mut self, state: VerifyState, detail: &str) -> Result<(), Halt> {
        let meta = EntryMeta {
            state: Some(Stored::Known(state)),
            detail: Some(detail.to_owned()),
            ..EntryMeta::default()
        };
        let text = format!("{state}: {detail}");
        self.record(NewEntry {
            meta: Some(meta),
            ..NewEntry::new(EntryKind::Verify, text)
        })
        .await?;
        self.emit(Kind::Verify {
            state,
            detail: detail.into(),
        });
        Ok(())
    }
}
