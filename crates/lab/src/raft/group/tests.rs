//! Three replicas in one process: leadership spread and returned under writes.

use crate::{
    frame,
    raft::{group::*, network::peers, patience},
};
use tokio::net::TcpListener;

struct Replica {
    group: Arc<Group>,
    server: tokio::task::JoinHandle<()>,
}

async fn replicas(folder: &std::path::Path) -> Vec<Replica> {
    let mut listeners = BTreeMap::new();
    for id in 1..=3 {
        listeners.insert(id, TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses: BTreeMap<u64, String> = listeners
        .iter()
        .map(|(id, l)| (*id, l.local_addr().unwrap().to_string()))
        .collect();
    let mut all = Vec::new();
    for (id, listener) in listeners {
        let disk = Disk::open(&folder.join(format!("{id}/raft.db"))).unwrap();
        let group = Group::start(1, id, peers(id, addresses.clone()), &disk)
            .await
            .unwrap();
        let group = Arc::new(group);
        tokio::spawn(patience::guard(id, vec![group.clone()]));
        let served = group.clone();
        let server = tokio::spawn(frame::serve(listener, move |body| {
            let group = served.clone();
            async move { encode(&group.answer(decode(&body).unwrap()).await) }
        }));
        all.push(Replica { group, server });
    }
    all
}

async fn leader(all: &[Replica]) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(index) = all.iter().position(|r| r.group.leads()) {
            return index;
        }
        assert!(Instant::now() < deadline, "no leader");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn leadership_goes_where_it_is_sent_under_writes_and_back() {
    let tmp = tempfile::tempdir().unwrap();
    let all = replicas(tmp.path()).await;
    all[0].group.bootstrap().await;
    let mut at = leader(&all).await;

    let groups: Vec<_> = all.iter().map(|r| r.group.clone()).collect();
    let writer = tokio::spawn(async move {
        let mut acknowledged = 0;
        for n in 0.. {
            for group in &groups {
                if group.put("k".into(), n.to_string()).await.is_ok() {
                    acknowledged = n;
                    break;
                }
            }
            if acknowledged >= 200 {
                return acknowledged;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        unreachable!()
    });
    for _ in 0..2 {
        let to = (at + 1) % 3;
        let deadline = Instant::now() + Duration::from_secs(30);
        while all[at].group.hand_over(to as u64 + 1).await.is_err() {
            assert!(Instant::now() < deadline, "never handed over");
            tokio::time::sleep(Duration::from_millis(200)).await;
            at = leader(&all).await;
            if at == to {
                break;
            }
        }
        at = leader(&all).await;
        assert_eq!(at, to);
    }
    let acknowledged = writer.await.unwrap();
    let at = leader(&all).await;
    let read: u64 = all[at].group.get("k").unwrap().unwrap().parse().unwrap();
    assert!(read >= acknowledged);
    for replica in all {
        replica.server.abort();
    }
}
