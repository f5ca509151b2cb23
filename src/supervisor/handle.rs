//! What a child can be told, from anywhere: orders to the task that has it. Never waits.

use super::mailbox::{Fact, Mailbox};
use operator_ledger::event::Control;
use tokio::sync::mpsc;

#[derive(Debug)]
pub(super) enum Order {
    Control(Control),
    Restart,
    Stop,
    Kill,
}

/// Orders for one child. Dropping it ends the child at once.
#[derive(Debug)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    mailbox: Mailbox,
}

impl Handle {
    pub(super) fn new(mailbox: Mailbox) -> (Self, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(64);
        (Self { orders, mailbox }, receiver)
    }

    /// Sends a control line. A child that is not there loses it, and its mailbox says so.
    pub fn control(&self, control: Control) {
        self.order(Order::Control(control));
    }

    /// Ends it if it runs, and starts it anew.
    pub fn restart(&self) {
        self.order(Order::Restart);
    }

    /// Asks it to end; [`Fact::Stopped`] follows within the grace time.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// Ends it without grace.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            let why = "too many control lines are waiting".to_owned();
            self.mailbox.fact(Fact::ControlLost { why });
        }
    }
}
