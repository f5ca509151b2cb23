//! The ledger through its public interface. One binary, so that it is linked once:
//! `cargo test -p operator-ledger --test it NAME`.

mod adoption;
mod bench;
mod files;
mod finishes;
mod incidents;
mod ledger_ends;
mod life_cycle;
mod observed;
mod tickets;
mod told;
mod verify;
