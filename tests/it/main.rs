//! The whole program from outside: its commands, labs, demos and dashboards, as real processes.
//! One binary, so that it is linked once: `cargo test --test it NAME`.

#![allow(clippy::print_stderr, reason = "a test that skips says so")]

mod audit;
mod cli;
mod compose;
mod control_run;
mod demo;
mod docker;
mod injection;
mod interleavings;
mod keys;
mod lab;
mod ledger;
mod monitoring;
mod packages;
#[path = "../../agent/tests/it/common/port.rs"]
mod port;
mod pty;
mod rehearsal;
mod services;
mod wait;
