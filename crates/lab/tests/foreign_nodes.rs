//! The keeper with programs that know nothing of it: a shell, and a listener. It runs in a process
//! of its own, as it always does: this very executable, in the part of the test `keeper`.

use operator_lab::{
    Client, LabDir, NodeState, NodeStatus,
    keeper::{
        self,
        ports::{PortError, Ports},
        spec::{NodeSpec, Program, Ready},
    },
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Three times what anything here may take.
const LIMIT: Duration = Duration::from_secs(15);
const DIR: &str = "TEST_KEEPER_DIR";
const PORT: &str = "TEST_LISTENER_PORT";

/// Ends neither at the end of its input nor when it is asked to; its child is in its process group.
const STUBBORN: &str =
    "trap '' TERM HUP; echo begins $WORD; sleep 1000 & echo $$ child $!; while :; do sleep 1; done";

fn nodes(ports: &mut Ports) -> Result<Vec<NodeSpec>, PortError> {
    let port = ports.hold_any()?;
    let node = |name: &str, program, args: &[&str]| NodeSpec {
        name: name.into(),
        role: "stranger".into(),
        program: Program::Other(program),
        args: args.iter().map(Into::into).collect(),
        env: BTreeMap::from([("WORD".into(), "here".into())]),
        ports: Vec::new(),
        ready: Ready::Started,
    };
    let own = env::current_exe().unwrap();
    let part = ["listener", "--exact", "--ignored", "--nocapture"];
    Ok(vec![
        node("shell", "sh".into(), &["-c", STUBBORN]),
        node("short", "sh".into(), &["-c", "echo words >&2; exit 3"]),
        NodeSpec {
            env: BTreeMap::from([(PORT.into(), port.to_string())]),
            ports: vec![port],
            ready: Ready::Listens(port),
            ..node("listener", own, &part)
        },
        node("absent", "/no/such/program".into(), &[]),
    ])
}

#[test]
#[ignore = "the keeper's part, started by the others"]
fn keeper() {
    let options = keeper::Options {
        dir: LabDir::at(env::var_os(DIR).unwrap()),
        lifeline: true,
        fresh: false,
    };
    let _ = keeper::run(&options, nodes);
}

#[test]
#[ignore = "a program that listens, started by the keeper"]
fn listener() {
    let port: u16 = env::var(PORT).unwrap().parse().unwrap();
    // As most programs do: SO_REUSEADDR alone.
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for stream in listener.incoming() {
        let _ = stream.unwrap().write_all(b"hello");
    }
}

struct Lab {
    folder: tempfile::TempDir,
    keeper: Child,
}

impl Lab {
    fn up() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Command::new(env::current_exe().unwrap())
            .args(["keeper", "--exact", "--ignored", "--nocapture"])
            .env(DIR, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let lab = Self { folder, keeper };
        until("the keeper answers", || block_on(lab.client().ps()).is_ok());
        lab
    }

    fn client(&self) -> Client {
        Client::new(LabDir::at(self.folder.path()))
    }

    fn node(&self, name: &str) -> NodeStatus {
        let nodes = block_on(self.client().ps()).unwrap();
        nodes.into_iter().find(|n| n.node == name).unwrap()
    }

    /// The shell, and what it started and runs on in its group.
    fn pids(&self) -> [u32; 2] {
        let shell = self.node("shell").pid.unwrap();
        let before = format!("{shell} child ");
        let mut child = None;
        until("the shell has a child", || {
            let log = self.client().logs("shell", 10).unwrap();
            let line = log.lines().find_map(|l| l.strip_prefix(&before));
            child = line.and_then(|pid| pid.parse().ok());
            child.is_some()
        });
        [shell, child.unwrap()]
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Its lifeline: the lab ends with it.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process is there, and not merely waiting to be reaped.
fn exists(pid: u32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|s| {
        s.rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    })
}

#[test]
fn a_foreign_program_is_a_node_like_any_other() {
    let lab = Lab::up();
    let client = lab.client();
    let shell = lab.node("shell");
    assert_eq!(
        (shell.role.as_str(), shell.state),
        ("stranger", NodeState::Running)
    );
    assert!(shell.ready && shell.address.is_empty());
    until("its words are in its log", || {
        client.logs("shell", 5).unwrap().contains("begins here")
    });
    until("one that ends has an exit code", || {
        lab.node("short").exit_code == Some(3)
    });
    assert_eq!(client.logs("short", 5).unwrap(), "words\n");
    assert_eq!(lab.node("absent").state, NodeState::Exited);
    assert!(block_on(client.start("absent")).is_err());
    let unknown = block_on(client.start("nobody")).unwrap_err().to_string();
    assert!(
        unknown.contains("shell, short, listener, absent"),
        "{unknown}"
    );

    until("a listener is ready once it listens", || {
        lab.node("listener").ready
    });
    let mut said = String::new();
    let mut stream = TcpStream::connect(lab.node("listener").address).unwrap();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");

    block_on(client.pause("shell")).unwrap();
    assert_eq!(lab.node("shell").state, NodeState::Paused);
    block_on(client.resume("shell")).unwrap();
    assert_eq!(lab.node("shell").state, NodeState::Running);

    let pids = lab.pids();
    block_on(client.kill("shell")).unwrap();
    assert_eq!(lab.node("shell").signal, Some(9));
    until("what it started went with it", || {
        pids.iter().all(|pid| !exists(*pid))
    });
    block_on(client.start("shell")).unwrap();
    assert!(block_on(client.start("shell")).is_err());

    // It ignores TERM, and ends all the same.
    let pids = lab.pids();
    block_on(client.stop("shell")).unwrap();
    assert_eq!(lab.node("shell").state, NodeState::Exited);
    block_on(client.start("shell")).unwrap();
    let again = lab.pids();
    block_on(client.down()).unwrap();
    let pids = pids.into_iter().chain(again).collect::<Vec<_>>();
    until("all is gone", || pids.iter().all(|pid| !exists(*pid)));
}

#[test]
fn a_foreign_program_does_not_outlive_its_keeper() {
    let mut lab = Lab::up();
    let [shell, its_child] = lab.pids();
    let listener = lab.node("listener").pid.unwrap();
    // It cannot read any end of input now.
    block_on(lab.client().pause("listener")).unwrap();
    let keeper = Pid::from_child(&lab.keeper);
    kill_process(keeper, Signal::KILL).unwrap();
    lab.keeper.wait().unwrap();
    assert!(test_kill_process(keeper).is_err());
    until("the kernel ended them", || {
        !exists(shell) && !exists(listener)
    });
    // Only the nodes themselves: a keeper that had no time ends nobody else.
    let _ = kill_process(Pid::from_raw(its_child as i32).unwrap(), Signal::KILL);
}

#[test]
fn when_the_lifeline_ends_foreign_programs_end_with_all_they_started() {
    let mut lab = Lab::up();
    let pids = lab.pids();
    block_on(lab.client().pause("shell")).unwrap();
    drop(lab.keeper.stdin.take());
    lab.keeper.wait().unwrap();
    until("all is gone", || pids.iter().all(|pid| !exists(*pid)));
}
