//! What commands leave running: recorded, told, and ended where it must not stay.
//!
//! What is a service and what a job the runner says; see [`crate::runner`].

use super::{Halt, Session};
use crate::runner::command::{Left, Running};
use operator_ledger::NewService;
use std::fmt::Write as _;

impl Session<'_> {
    /// Writes services down, and takes secrets out of what is told of either kind.
    pub(super) async fn note_left(&mut self, call: &str, left: &mut Left) -> Result<(), Halt> {
        for process in left.services.iter_mut().chain(&mut left.jobs) {
            process.command = self.context.redactor.command(&process.command);
        }
        if left.services.is_empty() {
            return Ok(());
        }
        let services: Vec<NewService> = left.services.iter().map(service).collect();
        let call = call.to_owned();
        self.write(|ledger, session| ledger.record_services(session, &call, &services))
            .await?;
        Ok(())
    }

    /// Ends the jobs of the session's commands. Returns what they were, if there were any; the
    /// model hears of them when it is spoken to next.
    pub(super) async fn end_jobs(&mut self) -> Option<String> {
        let closed = self.shell.close().await;
        // One may have become independent after its command was over.
        let mut left = closed.left;
        if let Err(Halt::Ledger(e)) = self.note_left("", &mut left).await {
            tracing::warn!(error = %e, "services are not in the ledger");
        }
        let ended: Vec<String> = closed
            .ended
            .iter()
            .map(|job| self.context.redactor.apply(&job.to_string()))
            .collect();
        let list = ended.join("; ");
        self.ended_jobs.extend(ended);
        (!list.is_empty()).then_some(list)
    }
}

fn service(process: &Running) -> NewService {
    NewService {
        pid: process.pid,
        start_ticks: process.start_ticks,
        began: process.began(),
        command: process.command.clone(),
    }
}

/// What people should know of it.
pub(super) fn notices(left: &Left) -> Vec<String> {
    let list = |what: &str, all: &[Running]| {
        let mut text = format!("{what}: ");
        for (n, process) in all.iter().enumerate() {
            let _ = write!(text, "{}{process}", if n == 0 { "" } else { "; " });
        }
        (!all.is_empty()).then_some(text)
    };
    let stay = "left running, and stays (`operator-tui steer services` lists and ends it)";
    let end = "runs on in the background until it ends, or proof is asked for";
    [list(stay, &left.services), list(end, &left.jobs)]
        .into_iter()
        .flatten()
        .collect()
}
