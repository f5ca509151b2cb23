//! Reads every acknowledged write back, to find lost ones.

use crate::{
    http,
    load::{
        number_of,
        router::{RouteError, Router},
    },
    topology::{NodeRole, Topology},
};
use futures_util::{StreamExt, stream};
use std::{collections::BTreeMap, fmt, time::Duration};

const CONCURRENT: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the load does not say what was acknowledged: {0}")]
    Load(reqwest::Error),
    #[error("{key} cannot be read: {source}")]
    Read { key: String, source: RouteError },
}

/// Result of reading everything back.
#[derive(Debug, Default)]
pub struct Verified {
    /// Records of which an update was acknowledged.
    pub records: usize,
    /// Records that are older than what was acknowledged.
    pub lost: Vec<String>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged records read back, {} lost",
            self.records,
            self.lost.len()
        )?;
        self.lost
            .iter()
            .take(10)
            .try_for_each(|key| write!(f, "\n{key}"))
    }
}

/// Compares what the load process was told is done with what the cluster holds.
pub async fn verify(topology: &Topology) -> Result<Verified, VerifyError> {
    let client = http::client(Duration::from_secs(5)).map_err(VerifyError::Load)?;
    let mut acknowledged = BTreeMap::<String, u64>::new();
    for load in topology.of_role(NodeRole::Load) {
        let url = format!("http://{}/acknowledged", load.address());
        let answer = client.get(url).send().await.map_err(VerifyError::Load)?;
        acknowledged = answer.json().await.map_err(VerifyError::Load)?;
    }
    let router = Router::new(topology).map_err(VerifyError::Load)?;
    let records = acknowledged.len();
    let checks = stream::iter(acknowledged)
        .map(|(key, number)| {
            let router = &router;
            async move {
                match router.read(&key).await {
                    Err(source) => Err(VerifyError::Read { key, source }),
                    Ok(value) => {
                        let found = value.as_deref().and_then(number_of);
                        Ok((found < Some(number)).then_some(key))
                    }
                }
            }
        })
        .buffer_unordered(CONCURRENT);
    let mut checks = std::pin::pin!(checks);
    let mut verified = Verified {
        records,
        lost: Vec::new(),
    };
    while let Some(check) = checks.next().await {
        verified.lost.extend(check?);
    }
    Ok(verified)
}
