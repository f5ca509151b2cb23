//! Reads what the commands the rehearsal relies on print for people. Strict: a heading, a word or a
//! line it does not know is an error that says so, never a guess. Further columns are ignored.

/// A node of the embedded lab, from `operator-tui lab ps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub name: String,
    pub role: String,
    pub state: String,
    /// `signal 9`, `code 1`; empty if it has not ended.
    pub exit: String,
}

impl Node {
    pub(super) fn is_pd(&self) -> bool {
        self.role == "pd"
    }

    /// How its process ended, in words.
    pub(super) fn ending(&self) -> String {
        match self.exit.split_once(' ') {
            Some(("signal", signal)) => format!("was ended by signal {signal}"),
            Some(("code", code)) => format!("ended by itself with code {code}"),
            _ => "ended, and nobody knows how".into(),
        }
    }
}

/// PD members and stores of the lab.
pub(super) fn nodes(output: &str) -> Result<Vec<Node>, String> {
    if output.trim().is_empty() {
        return Err("it printed nothing".into());
    }
    let rows = table(output, &["NODE", "ROLE", "STATE", "EXIT"])
        .ok_or("it did not print the list of nodes I know how to read")?;
    let nodes: Vec<Node> = rows
        .into_iter()
        .map(|[name, role, state, exit]| Node {
            name,
            role,
            state,
            exit: exit.trim_matches('-').to_string(),
        })
        .filter(|n| matches!(n.role.as_str(), "pd" | "store"))
        .collect();
    if nodes.is_empty() {
        return Err("it lists no PD member and no store".into());
    }
    for node in &nodes {
        if !matches!(node.state.as_str(), "running" | "exited" | "paused") {
            return Err(format!(
                "{} is in a state I do not know: {:?}",
                node.name, node.state
            ));
        }
        // A name becomes part of a command.
        if !node
            .name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        {
            return Err(format!(
                "a node has a name I would not type: {:?}",
                node.name
            ));
        }
    }
    Ok(nodes)
}

/// What `operator-tui cluster` says, as far as the rehearsal needs it. None: it says that this
/// could not be observed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Look {
    pd: Option<Vec<Seen>>,
    no_leader: bool,
    stores: Option<Vec<Seen>>,
    regions: Option<Regions>,
    /// The slowest store's, milliseconds.
    p99_ms: Option<f64>,
}

/// A PD member or store and the state it is seen in, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    name: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Regions {
    leaderless: u64,
    no_quorum: u64,
    down_peer: u64,
    miss_peer: u64,
    lagging: u64,
    in_doubt: u64,
}

pub(super) fn cluster(output: &str) -> Result<Look, String> {
    if output.trim().is_empty() {
        return Err("it printed nothing".into());
    }
    let unknown = |what: &str| {
        output
            .lines()
            .any(|l| l.starts_with(&format!("{what} unknown:")))
    };
    let strange = |what: &str| format!("what it says of {what} is not what I know how to read");
    let pd = match table(output, &["PD", "STATE"]) {
        Some(rows) => Some(rows.into_iter().map(seen).collect::<Vec<_>>()),
        None if unknown("PD") => None,
        None => return Err(strange("PD")),
    };
    let known = ["leader", "follower", "down", "never started", "unknown"];
    if pd
        .iter()
        .flatten()
        .any(|m| !known.contains(&m.state.as_str()))
    {
        return Err(strange("the PD members"));
    }
    let (stores, p99_ms) = match table(output, &["STORE", "STATE", "P99"]) {
        Some(rows) => {
            let p99 = rows
                .iter()
                .filter_map(|[.., p99]| p99.strip_suffix(" ms")?.parse().ok());
            let p99 = p99.reduce(f64::max);
            (
                Some(
                    rows.into_iter()
                        .map(|[name, state, _]| seen([name, state]))
                        .collect(),
                ),
                p99,
            )
        }
        None if unknown("stores") => (None, None),
        None => return Err(strange("the stores")),
    };
    let regions = match output.lines().find_map(regions) {
        Some(regions) => Some(regions),
        None if unknown("regions") => None,
        None => return Err(strange("the regions")),
    };
    let no_leader = output.lines().any(|l| l == "PD has no leader.");
    Ok(Look {
        pd,
        no_leader,
        stores,
        regions,
        p99_ms,
    })
}

fn seen([name, state]: [String; 2]) -> Seen {
    Seen {
        name,
        state: state.to_lowercase(),
    }
}

/// `6 regions: 0 without leader, 0 without quorum, 0 with a peer down, …`
fn regions(line: &str) -> Option<Regions> {
    let (_, counts) = line.split_once(" regions: ")?;
    let count = |what: &str| -> Option<u64> {
        counts
            .split(", ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    Some(Regions {
        leaderless: count("without leader")?,
        no_quorum: count("without quorum")?,
        down_peer: count("with a peer down")?,
        miss_peer: count("with a peer missing")?,
        lagging: count("with a peer behind")?,
        in_doubt: count("in doubt").unwrap_or(0),
    })
}

/// The rows of the first table whose heading has all of `columns`, cut to these. It ends with the
/// first empty line.
fn table<const N: usize>(output: &str, columns: &[&str; N]) -> Option<Vec<[String; N]>> {
    let mut lines = output.lines();
    let spans = lines.by_ref().find_map(|line| spans(line, columns))?;
    let rows = lines
        .take_while(|line| !line.trim().is_empty())
        .map(|line| {
            spans.map(|(from, to)| {
                let cell: String = line.chars().skip(from).take(to - from).collect();
                cell.trim().to_string()
            })
        })
        .collect();
    Some(rows)
}

/// Where the columns of a heading begin and end, in characters. Headings stand two spaces apart.
fn spans<const N: usize>(heading: &str, columns: &[&str; N]) -> Option<[(usize, usize); N]> {
    let mut starts: Vec<(usize, &str)> = Vec::new();
    let mut at = 0;
    for part in heading.split("  ") {
        let title = part.trim();
        if !title.is_empty() {
            let lead = part.chars().take_while(|c| *c == ' ').count();
            starts.push((at + lead, title));
        }
        at += part.chars().count() + 2;
    }
    let mut spans = [(0, 0); N];
    for (span, column) in spans.iter_mut().zip(columns) {
        let i = starts.iter().position(|(_, title)| title == column)?;
        *span = (
            starts[i].0,
            starts.get(i + 1).map_or(usize::MAX, |next| next.0),
        );
    }
    Some(spans)
}

/// p99 above which the cluster counts as slow, milliseconds; the monitor's own default.
const SLOW_MS: f64 = 100.0;

impl Look {
    /// What is not as it should be, in words; empty if all is well. What could not be observed
    /// counts as not well.
    pub(super) fn complaints(&self, invariant: &str) -> Vec<String> {
        let mut out = Vec::new();
        match &self.pd {
            None => out.push("the PD members cannot be observed".into()),
            Some(members) => out.extend(
                members
                    .iter()
                    .filter(|m| !matches!(m.state.as_str(), "leader" | "follower"))
                    .map(|m| format!("PD member {} is {}", m.name, m.state)),
            ),
        }
        let led = self.pd.iter().flatten().any(|m| m.state == "leader");
        if self.no_leader || (self.pd.is_some() && !led) {
            out.push("PD has no leader".into());
        }
        match &self.stores {
            None => out.push("the stores cannot be observed".into()),
            Some(stores) if stores.is_empty() => out.push("PD knows no store".into()),
            Some(stores) => out.extend(
                stores
                    .iter()
                    .filter(|s| s.state != "up")
                    .map(|s| format!("PD sees {} as {}", s.name, s.state)),
            ),
        }
        match &self.regions {
            None => out.push("the regions cannot be observed".into()),
            Some(r) => {
                for (n, what) in [
                    (r.leaderless, "without a leader"),
                    (r.no_quorum, "without a quorum"),
                    (r.down_peer, "with a peer down"),
                    (r.miss_peer, "with a peer missing"),
                    (r.in_doubt, "in doubt"),
                ] {
                    if n > 0 {
                        out.push(format!("{n} regions are {what}"));
                    }
                }
                if r.lagging > 0 && invariant == "under_replicated" {
                    out.push(format!("{} regions have a peer that lags", r.lagging));
                }
            }
        }
        if invariant == "high_latency" {
            match self.p99_ms {
                None => out.push("the latency cannot be observed".into()),
                Some(p99) if p99 > SLOW_MS => out.push(format!("p99 is {p99:.0} ms")),
                Some(_) => {}
            }
        }
        out
    }
}
