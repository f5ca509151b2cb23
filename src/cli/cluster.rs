//! `operator-tui cluster`: one look at the cluster.

use super::{
    CliResult,
    connection::{PdArgs, PrometheusArgs},
    out, runtime, table,
};
use crate::{
    cluster::{
        Client, ClusterSnapshot, Engine, Life, MemberState, Observed, Store, StoreState, Traffic,
        http::HttpError,
    },
    span,
};
use operator_ledger::{SystemId, clean::one_line};
use std::{io, process::ExitCode, time::Duration};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pd: PdArgs,
    #[command(flatten)]
    prometheus: PrometheusArgs,
}

/// Exit code 0 if PD could be asked, whatever it said; 1 if nothing is known.
pub fn run(args: Args) -> CliResult {
    let mut options = args.pd.options()?;
    options.prometheus = args.prometheus.client(options.timeout)?;
    let scraped = options.prometheus.is_none();
    let snapshot = runtime()?.block_on(async {
        let mut client = Client::new(options)?;
        let mut snapshot = client.observe().await;
        // A rate needs two looks, unless Prometheus looks all the while.
        if scraped && snapshot.stores.fresh().is_some_and(|s| !s.is_empty()) {
            tokio::time::sleep(Duration::from_millis(600)).await;
            snapshot = client.observe().await;
        }
        Ok::<_, HttpError>(snapshot)
    })?;
    if args.json {
        out::json(&snapshot)?;
    } else {
        print(&snapshot)?;
    }
    let blind = snapshot.pd.fresh().is_none() && snapshot.stores.fresh().is_none();
    Ok(if blind {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn print(s: &ClusterSnapshot) -> io::Result<()> {
    outln!(
        "cluster {}",
        s.cluster_id.as_ref().map_or("unknown", SystemId::as_str)
    )?;
    unknown("PD", &s.pd)?;
    if let Some(members) = s.pd.fresh() {
        let rows: Vec<[String; 3]> = members
            .iter()
            .map(|m| {
                let state = match m.state {
                    MemberState::Leader => "leader",
                    MemberState::Follower => "follower",
                    MemberState::Down => "DOWN",
                    MemberState::NeverStarted => "NEVER STARTED",
                    MemberState::Unknown => "unknown",
                };
                [m.name.clone(), state.into(), m.address.clone()]
            })
            .collect();
        outln!("")?;
        table::print(["PD", "STATE", "ADDRESS"], &rows)?;
    }
    if s.pd_leader.fresh() == Some(&None) {
        outln!("\nPD has no leader.")?;
    }
    outln!("")?;
    unknown("stores", &s.stores)?;
    if let Some(stores) = s.stores.fresh() {
        let number = |n: Option<u64>| n.map_or_else(|| "?".into(), |n| n.to_string());
        let rows: Vec<[String; 10]> = stores
            .iter()
            .map(|t| {
                let traffic = t.traffic.fresh();
                let none = || match (t.engine, traffic.and_then(|t| t.ops_per_s)) {
                    (Engine::Tiflash, _) => "TiFlash".to_owned(),
                    (Engine::Tikv, Some(_)) => "-".to_owned(),
                    (Engine::Tikv, None) => "?".to_owned(),
                };
                [
                    t.id.to_string(),
                    t.name.clone(),
                    state(t),
                    t.last_heartbeat
                        .map_or_else(|| "never".into(), |at| span::exact(span::since(at))),
                    number(t.leaders),
                    number(t.regions),
                    t.disk_used()
                        .map_or_else(|| "?".into(), |u| format!("{:.0} %", u * 100.0)),
                    traffic
                        .and_then(|t| t.ops_per_s)
                        .map_or_else(none, |o| format!("{o:.0}")),
                    traffic
                        .and_then(|t| t.p99_ms)
                        .map_or_else(none, |p| format!("{p:.1} ms")),
                    traffic
                        .and_then(Traffic::refused_share)
                        .map_or_else(none, |r| format!("{:.1} %", r * 100.0)),
                ]
            })
            .collect();
        let heading = [
            "ID",
            "STORE",
            "STATE",
            "HEARTBEAT",
            "LEADERS",
            "REGIONS",
            "DISK",
            "OPS/S",
            "P99",
            "REFUSED",
        ];
        table::print(heading, &rows)?;
    }
    outln!("")?;
    unknown("regions", &s.regions)?;
    if let Some(r) = s.regions.fresh().filter(|r| r.uncounted) {
        outln!(
            "{} regions, too many to list: nobody has counted how many can be served, for not every store is known to live",
            r.total
        )?;
    } else if let Some(r) = s.regions.fresh() {
        outln!(
            "{} regions: {} without leader, {} without quorum, {} with a peer down, {} with a peer missing, {} with a peer behind, {} in doubt",
            r.total,
            r.leaderless,
            r.no_quorum,
            r.down_peer,
            r.miss_peer,
            r.pending_peer,
            r.in_doubt
        )?;
    }
    Ok(())
}

/// What a store is, in one word: PD's, unless more is known than PD says.
fn state(store: &Store) -> String {
    match (store.life(), store.state) {
        (Life::Joining, _) => "JOINING".into(),
        (Life::Suspect(_), _) => "SUSPECT".into(),
        (Life::Unknown(_), _) => "UNKNOWN".into(),
        // A PD leader that is new in office does not know yet.
        (Life::Alive, StoreState::Up | StoreState::Disconnected | StoreState::Down) => "Up".into(),
        (Life::Silent, StoreState::Up) => "SILENT".into(),
        (Life::Silent, StoreState::Offline | StoreState::Tombstone | StoreState::Unknown) => {
            format!("SILENT, {}", format!("{:?}", store.state).to_uppercase())
        }
        (_, other) => format!("{other:?}").to_uppercase(),
    }
}

fn unknown<T>(what: &str, observed: &Observed<T>) -> io::Result<()> {
    if let Some(why) = &observed.error {
        outln!("{what} unknown: {}", one_line(why.as_str()))?;
    }
    Ok(())
}
