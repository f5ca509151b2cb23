//! The agent's package from outside: its executable with scripted models, and its rooms through
//! their public faces. One binary, so that it is linked once: `cargo test -p agent_lab --test it NAME`.

#![allow(clippy::print_stderr, reason = "a test that skips says so")]

mod agent;
mod budget;
mod call_ids;
mod cell;
mod claude_session;
mod common;
mod dialogue;
mod finish;
mod gate;
mod holds;
mod keys;
mod ledger_away;
mod long_session;
mod messages_api;
mod record_key;
mod restarts;
mod services;
mod shell;
mod summaries;
mod survival;
mod turn_ends;
mod web;
