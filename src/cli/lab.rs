//! `operator-tui lab`: control of the lab, and the hidden roles of its processes.

use super::{CliResult, out, runtime, table};
use crate::{
    proxy,
    stage::{
        self, compose, control,
        control::{Control, Verb},
        error::StageError,
        running_lab,
    },
};
use color_eyre::eyre::{Context, eyre};
use futures_util::TryStreamExt;
use operator_lab::{
    Client, LabDir, LabError, LabInfo, NodeState, NodeStatus, Progress, UpOptions, keeper, tikv,
};
use operator_ledger::clean::Cleaner;
use std::{io, path::PathBuf, process::ExitCode};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start the lab and wait until it is healthy
    Up {
        /// Remove the data of an earlier lab first
        #[arg(long)]
        fresh: bool,
        /// Start without load
        #[arg(long, conflicts_with = "rate")]
        no_load: bool,
        /// Operations a second, instead of what suits this disk
        #[arg(long)]
        rate: Option<u32>,
    },
    /// End the lab and all its processes; its data stay
    Down,
    /// Show the lab's processes and how they are
    Ps {
        #[arg(long)]
        json: bool,
    },
    /// Show the end of a node's log
    Logs {
        node: String,
        /// How many lines
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: usize,
        /// Go on with what is added
        #[arg(short, long)]
        follow: bool,
    },
    /// Start nodes that are not running
    Start(Nodes),
    /// Ask nodes to end (TERM), and end them if they do not (KILL)
    Stop(Nodes),
    /// End nodes at once (KILL)
    Kill(Nodes),
    /// Freeze nodes: the processes stay, and do nothing
    Pause(Nodes),
    /// Let frozen nodes go on
    Resume(Nodes),
    /// Set the load
    Load {
        /// Operations a second, `on` or `off`
        rate: String,
    },
    /// Serve the part of Docker's API that a repair needs, for containers of the cluster alone
    Proxy {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2375")]
        listen: String,
        /// Docker's own socket
        #[arg(long, value_name = "PATH", default_value = "/var/run/docker.sock")]
        socket: PathBuf,
        /// The compose project [default: that of the container it runs in]
        #[arg(long, env = compose::PROJECT_VAR, hide_env_values = true, value_name = "NAME")]
        project: Option<String>,
    },
    /// Run a program in a container of the lab, as if it ran here
    #[command(hide = true)]
    Exec {
        /// A container: its role in the lab, or its name
        #[arg(long = "in", value_name = "CONTAINER")]
        container: String,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Read every write back that the load was told is done
    #[command(hide = true)]
    Verify,
    #[command(hide = true)]
    Keeper {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        lifeline: bool,
        #[arg(long)]
        fresh: bool,
        #[arg(long)]
        rate: Option<u32>,
    },
    #[command(hide = true)]
    Node {
        name: String,
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Nodes {
    /// Names, as `lab ps` shows them
    #[arg(required = true)]
    nodes: Vec<String>,
}

pub fn run(args: Args) -> CliResult {
    match args.command {
        Command::Keeper {
            dir,
            lifeline,
            fresh,
            rate,
        } => {
            let options = keeper::Options {
                dir: LabDir::at(dir),
                lifeline,
                fresh,
            };
            Ok(tikv::keep(&options, rate))
        }
        Command::Node { name, dir } => Ok(tikv::run_node(&LabDir::at(dir), &name)),
        other => {
            let runtime = runtime()?;
            let done = runtime.block_on(command(other));
            // One of its threads may sit in a read of stdin that nothing ends.
            runtime.shutdown_background();
            done
        }
    }
}

async fn command(command: Command) -> CliResult {
    match command {
        Command::Up {
            fresh,
            no_load,
            rate,
        } => {
            let load = if no_load { Some(0) } else { rate };
            if fresh {
                stage::check_can_start_over()?;
            }
            return up(&UpOptions {
                dir: LabDir::from_env()?,
                lifeline: false,
                fresh,
                load,
            })
            .await;
        }
        Command::Down => stage::down().await?,
        Command::Ps { json } => {
            let nodes = control()?.ps().await?;
            if json {
                out::json(&nodes)?;
            } else {
                print_nodes(&nodes)?;
            }
        }
        Command::Logs {
            node,
            lines,
            follow,
        } => logs(control()?.as_ref(), &node, lines, follow).await?,
        Command::Start(nodes) => act(Verb::Start, &nodes).await?,
        Command::Stop(nodes) => act(Verb::Stop, &nodes).await?,
        Command::Kill(nodes) => act(Verb::Kill, &nodes).await?,
        Command::Pause(nodes) => act(Verb::Pause, &nodes).await?,
        Command::Resume(nodes) => act(Verb::Resume, &nodes).await?,
        Command::Load { rate } => {
            let rate = match rate.as_str() {
                "on" => None,
                "off" => Some(0),
                number => Some(
                    number
                        .parse()
                        .map_err(|_| eyre!("`{number}` is neither a number nor on nor off"))?,
                ),
            };
            match control()?.load(rate).await? {
                0 => outln!("load off")?,
                rate => outln!("load {rate}/s")?,
            }
        }
        Command::Verify => {
            let result = stage::verify_load().await?;
            outln!("{result}")?;
            if !result.lost.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Proxy {
            listen,
            socket,
            project,
        } => {
            let host = format!("unix://{}", socket.display());
            let project = project.filter(|name| !name.is_empty());
            let docker = compose::Docker::at(&host, project.as_deref())?;
            let project = docker.project().await?.to_string();
            let listener = tokio::net::TcpListener::bind(&listen)
                .await
                .wrap_err_with(|| format!("cannot listen on {listen}"))?;
            errln!("Docker for the cluster of project {project}, on {listen}");
            proxy::serve(listener, proxy::Proxy { socket, project }).await?;
        }
        Command::Exec { container, command } => {
            return Ok(compose::exec::run(&container, command).await?);
        }
        Command::Keeper { .. } | Command::Node { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the steps on the way up.
fn progress() -> impl FnMut(Progress) {
    let started = std::time::Instant::now();
    move |p| {
        errln!(
            "{:>5.1} s  [{}/{}] {}",
            started.elapsed().as_secs_f64(),
            p.done,
            p.total,
            p.step
        );
    }
}

async fn up(options: &UpOptions) -> CliResult {
    let result = running_lab::bring_up(options, progress()).await;
    match result {
        Ok(lab) => {
            print_info(&lab.info)?;
            lab.tear_down(true).await?;
        }
        Err(StageError::Lab(LabError::AlreadyUp(home))) => {
            errln!("the lab in {} is already up", home.display());
            for node in Client::new(options.dir.clone()).ps().await? {
                if node.state != NodeState::Running {
                    let (name, state) = (&node.node, node.state.name());
                    errln!("  but {name} is {state}: `operator-tui lab ps` shows more");
                }
            }
            print_info(&operator_lab::up::info(&options.dir)?)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_info(info: &LabInfo) -> io::Result<()> {
    outln!("PD    {}", info.pd_endpoints.join(","))?;
    if !info.load_metrics.is_empty() {
        outln!("load  {}", info.load_metrics)?;
    }
    Ok(())
}

async fn act(verb: Verb, nodes: &Nodes) -> color_eyre::Result<()> {
    let control = control()?;
    for node in &nodes.nodes {
        control.act(verb, node).await?;
        outln!("{node} {}", verb.done())?;
    }
    Ok(())
}

async fn logs(
    control: &dyn Control,
    node: &str,
    lines: usize,
    follow: bool,
) -> color_eyre::Result<()> {
    if !follow {
        return Ok(out::text(&control.logs(node, lines).await?)?);
    }
    let mut pieces = control.follow(node, lines).await?;
    // A piece may end anywhere, in a sequence too.
    let mut cleaner = Cleaner::default();
    while let Some(piece) = pieces.try_next().await? {
        out::text(&cleaner.push(&piece))?;
    }
    Ok(out::text(&cleaner.finish())?)
}

/// `ps` for people. Where metrics and status are served is in `--json`.
fn print_nodes(nodes: &[NodeStatus]) -> io::Result<()> {
    let rows: Vec<[String; 7]> = nodes
        .iter()
        .map(|node| {
            [
                node.node.clone(),
                node.role.clone(),
                node.state.name().into(),
                or_dash(node.exit()),
                age(node.since_seconds),
                or_dash(node.pid.map(|pid| pid.to_string()).unwrap_or_default()),
                node.address.clone(),
            ]
        })
        .collect();
    let heading = ["NODE", "ROLE", "STATE", "EXIT", "SINCE", "PID", "ADDRESS"];
    table::print(heading, &rows)
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// `12s`, `3m05s`, `2h10m`.
fn age(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use operator_lab::NodeState;

    #[test]
    fn a_killed_node_shows_its_signal_and_age() {
        let node = NodeStatus {
            node: "tikv1".into(),
            role: "store".into(),
            state: NodeState::Exited,
            ready: false,
            pid: None,
            exit_code: None,
            signal: Some(9),
            since: "2026-01-01T00:00:00Z".into(),
            since_seconds: 185.2,
            address: "127.0.0.1:20001".into(),
            status_address: Some("127.0.0.1:20002".into()),
        };
        assert_eq!(node.exit(), "signal 9");
        assert_eq!(age(node.since_seconds), "3m05s");
        assert_eq!(or_dash(String::new()), "-");
    }
}
