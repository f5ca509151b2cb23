//! Clients of a cluster: PD over HTTP and each store's metrics, read from the store itself or from
//! Prometheus, into one [`ClusterSnapshot`].

pub mod access;
mod address;
pub mod client;
mod evidence;
mod exposition;
#[cfg(test)]
mod fixture_tests;
pub mod http;
mod join;
mod lenient;
pub mod pd;
pub mod prometheus;
mod rates;
mod region_count;
mod regions;
pub mod snapshot;

pub use client::{Client, Options};
pub use prometheus::Prometheus;
pub use rates::total;
pub use snapshot::{
    ClusterSnapshot, Contact, Doubt, Engine, Evidence, Life, MemberState, Observed, PdMember,
    Regions, Store, StoreState, Strain, Traffic, UnknownReason,
};
