//! The demo's lab, held by one task: brings it up, breaks it as the walk says, ends it.

use crate::{
    app::{event::Event, model::demo::LabNews},
    demo::{Fault, chapters::Load},
    stage::{
        control::Verb,
        running_lab::{self, Launch, Monitor, RunningLab},
    },
};
use jiff::Timestamp;
use operator_lab::{LabInfo, UpOptions};
use operator_ledger::{PersonLedger, SystemId};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

/// A lab whose keeper lost its lifeline is gone by then.
const GONE_LIMIT: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(super) enum Order {
    Inject { fault: Fault, node: String },
    SetLoad(Load),
    TearDown,
}

/// Orders for the task. Dropping it ends the lab, if it is tied to this process.
#[derive(Debug)]
pub(super) struct LabHandle {
    orders: mpsc::Sender<Order>,
    /// Set before [`LabNews::Ready`].
    pub info: Arc<OnceLock<(LabInfo, Launch)>>,
}

impl LabHandle {
    /// Begins to bring the lab up.
    pub(super) fn bring_up(
        options: UpOptions,
        ledger: PathBuf,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (sender, orders) = mpsc::channel(16);
        let info = Arc::new(OnceLock::new());
        let task = Task {
            options,
            ledger,
            events,
            info: info.clone(),
        };
        tokio::spawn(task.run(orders));
        Self {
            orders: sender,
            info,
        }
    }

    pub(super) fn order(&self, order: Order) {
        // The walk asks for a handful of things; if the task is gone, so is the lab.
        let _ = self.orders.try_send(order);
    }
}

struct Task {
    options: UpOptions,
    ledger: PathBuf,
    events: mpsc::Sender<Event>,
    info: Arc<OnceLock<(LabInfo, Launch)>>,
}

impl Task {
    async fn tell(&self, news: LabNews) {
        let _ = self.events.send(Event::Lab(news)).await;
    }

    async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let events = self.events.clone();
        let up = running_lab::bring_up(&self.options, move |progress| {
            // A step that is not shown does no harm; one that waits would.
            let _ = events.try_send(Event::Lab(LabNews::Progress(progress)));
        });
        let lab = tokio::select! {
            up = up => up,
            () = told_to_tear_down(&mut orders) => {
                // Dropping `up` cut the lifeline.
                self.wait_until_gone().await;
                return self.tell(LabNews::Gone).await;
            }
        };
        let mut lab = match lab {
            Ok(lab) => lab,
            Err(error) => return self.tell(LabNews::Failed(error.to_string())).await,
        };
        // What an earlier demo left behind was about a lab that is no more. If this cannot be
        // written now, neither can anything else be, and the children say so.
        if let Ok(ledger) = PersonLedger::open_existing(&self.ledger).await {
            let cluster = SystemId::from(lab.info.cluster_id);
            let why = "the lab that it was about is gone";
            let _ = ledger.retire_other_clusters(&cluster, why).await;
        }
        let _ = self.info.set((lab.info.clone(), lab.launch.clone()));
        self.tell(LabNews::Ready {
            pd: lab.info.pd_endpoints.join(","),
            monitor: match &lab.launch.monitor {
                Monitor::Start(_) => None,
                Monitor::There(place) => Some(place.clone()),
            },
        })
        .await;
        loop {
            let order = tokio::select! {
                order = orders.recv() => order,
                how = lab.ended() => return self.tell(LabNews::Ended(how)).await,
            };
            let Some(order) = order else { break };
            let result = match order {
                Order::TearDown => break,
                Order::SetLoad(load) => {
                    let rate = match load {
                        Load::On => None,
                        Load::Off => Some(0),
                        Load::Rate(rate) => Some(rate),
                    };
                    lab.control()
                        .load(rate)
                        .await
                        .map(|_| ())
                        .map_err(|e| e.to_string())
                }
                Order::Inject { fault, node } => self.inject(&lab, fault, node).await,
            };
            if let Err(why) = result {
                self.tell(LabNews::ActionFailed(why)).await;
            }
        }
        if let Err(error) = lab.tear_down(!self.options.lifeline).await {
            self.tell(LabNews::ActionFailed(error.to_string())).await;
        }
        self.tell(LabNews::Gone).await;
    }

    async fn inject(&self, lab: &RunningLab, fault: Fault, node: String) -> Result<(), String> {
        let verb = match fault {
            Fault::Kill => Verb::Kill,
            Fault::Pause => Verb::Pause,
            Fault::Stop => Verb::Stop,
        };
        let done = lab.control().act(verb, &node).await;
        done.map_err(|e| format!("cannot {} {node}: {e}", fault.as_str()))?;
        let kind = fault.as_str().to_owned();
        let at = Timestamp::now();
        self.tell(LabNews::Injected {
            kind: kind.clone(),
            node: node.clone(),
            at,
        })
        .await;
        // For replay; the agent is never shown it.
        let cluster = SystemId::from(lab.info.cluster_id);
        let recorded = async {
            let ledger = PersonLedger::open_existing(&self.ledger).await?;
            ledger.add_fault(&cluster, &kind, &node, "demo").await
        };
        match recorded.await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the fault is not in the ledger: {error}")),
        }
    }

    async fn wait_until_gone(&self) {
        let client = operator_lab::Client::new(self.options.dir.clone());
        let deadline = Instant::now() + GONE_LIMIT;
        while self.options.lifeline && client.is_held() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits for the order to tear the lab down; there is nothing yet that another one could be about.
async fn told_to_tear_down(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if matches!(order, Order::TearDown) {
            return;
        }
    }
}
