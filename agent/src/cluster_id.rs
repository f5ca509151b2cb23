//! Which cluster this agent belongs to: it takes tickets of its own cluster only.
//!
//! Told by a flag, else read from the heartbeat of a living monitor of the same PD addresses, else
//! asked of PD; without an address, of whichever monitor writes the same ledger. Knows nothing else
//! about PD.

use crate::{
    access::{Access, AccessError},
    http,
};
use operator_ledger::{Reader, SystemId};
use reqwest::{Client, RequestBuilder, redirect::Policy};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{Notify, watch};

const TIMEOUT: Duration = Duration::from_secs(2);
/// PD is asked again, for a cluster can be made anew at the same address.
const AGAIN: Duration = Duration::from_secs(5);
/// An answer of PD that is longer than this is no answer.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub enum ClusterId {
    Given(SystemId),
    /// What PD said last.
    FromPd {
        told: watch::Receiver<Option<SystemId>>,
        /// Wakes the task that asks.
        wake: Arc<Notify>,
        endpoints: Vec<String>,
    },
    FromLedger,
}

impl ClusterId {
    /// `endpoints`: of PD. Needs a runtime: PD is asked by a task of its own, with what `access` says.
    pub fn find(given: Option<SystemId>, endpoints: Vec<String>, access: Access) -> Self {
        if let Some(id) = given {
            return Self::Given(id);
        }
        if endpoints.is_empty() {
            return Self::FromLedger;
        }
        let (tell, told) = watch::channel(None);
        let asked = endpoints.clone();
        let wake = Arc::new(Notify::new());
        let wanted = wake.clone();
        tokio::spawn(async move {
            let mut pd = Pd {
                encrypted: asked.iter().any(|url| url.starts_with("https:")),
                access,
                client: None,
            };
            loop {
                wanted.notified().await;
                for endpoint in &asked {
                    match pd.ask(endpoint).await {
                        Ok(Some(id)) => {
                            tell.send_if_modified(|known| {
                                let new = known.as_ref() != Some(&id);
                                *known = Some(id);
                                new
                            });
                            break;
                        }
                        Ok(None) => {}
                        Err(why) => tracing::warn!(%endpoint, %why, "PD cannot be asked"),
                    }
                }
                if tell.is_closed() {
                    return;
                }
                tokio::time::sleep(if tell.borrow().is_some() {
                    AGAIN
                } else {
                    AGAIN / 10
                })
                .await;
            }
        });
        Self::FromPd {
            told,
            wake,
            endpoints,
        }
    }

    /// The id as known now.
    pub async fn now(&self, ledger: &Reader) -> Option<SystemId> {
        match self {
            Self::Given(id) => Some(id.clone()),
            Self::FromPd {
                told,
                wake,
                endpoints,
            } => {
                let watched = ledger.cluster_at(endpoints).await.ok().flatten();
                if let Some(id) = &watched {
                    let beat = ledger.heartbeat(Some(id)).await.ok().flatten();
                    if beat.is_some_and(|beat| !beat.is_silent()) {
                        return watched;
                    }
                }
                wake.notify_one();
                let told = told.borrow().clone();
                // PD without a leader does not say; the monitor that watched it knew.
                told.or(watched)
            }
            Self::FromLedger => ledger
                .heartbeat(None)
                .await
                .ok()
                .flatten()
                .map(|beat| beat.cluster_id),
        }
    }
}

/// Who is asked.
struct Pd {
    access: Access,
    encrypted: bool,
    /// And of which files it was made.
    client: Option<(Stamp, Client)>,
}

type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Pd {
    /// The id as text: it can be above 2^53. No redirect is followed, as by the dashboard: it would
    /// lead past what people named.
    async fn ask(&mut self, endpoint: &str) -> Result<Option<SystemId>, AccessError> {
        let url = format!("{endpoint}/pd/api/v1/cluster");
        let request = self.client()?.get(&url);
        let request = self.access.dress(request, &url)?;
        Ok(answer(request).await)
    }

    fn client(&mut self) -> Result<&Client, AccessError> {
        let now = self.access.stamp();
        let made = self.client.take().filter(|(of, _)| *of == now);
        let made = match made {
            Some(made) => made,
            None => {
                let builder = Client::builder()
                    .timeout(TIMEOUT)
                    .redirect(Policy::none())
                    .no_proxy();
                let builder = self.access.secure(builder, self.encrypted)?;
                let client = builder.build();
                (now, client.map_err(|e| AccessError(http::cause(&e)))?)
            }
        };
        Ok(&self.client.insert(made).1)
    }
}

async fn answer(request: RequestBuilder) -> Option<SystemId> {
    let answer = request.send().await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let (body, false) = http::body(answer, MAX_ANSWER).await.ok()? else {
        return None;
    };
    let value: Value = serde_json::from_slice(&body).ok()?;
    value
        .get("id")?
        .as_u64()
        .filter(|id| *id != 0)
        .map(SystemId::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut sent = 0;
            while socket.write_all(&[b' '; 1024]).await.is_ok() {
                sent += 1;
            }
            sent
        });
        // No time limit: it ends by itself, as enough was read.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("http://{address}/pd/api/v1/cluster"));
        assert_eq!(answer(request).await, None);
        assert!(server.await.unwrap() > 64);
    }
}
