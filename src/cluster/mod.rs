//! Clients of a cluster: PD over HTTP and each store's metrics, into one [`ClusterSnapshot`].

pub mod snapshot;

pub use snapshot::{
    ClusterSnapshot, MemberState, Observed, PdMember, Regions, Store, StoreState, Traffic,
};
