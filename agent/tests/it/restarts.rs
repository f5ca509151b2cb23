//! Incidents whose repair is a restart: real servers, started by the agent's shell in the ways that
//! people start them. Each ends proven, and the server is there when the agent is gone.
//!
//! Servers that are not installed are skipped, unless OPERATOR_TEST_ALL is set.

use crate::{
    agent::{CLUSTER, Monitor},
    common::{
        finish,
        port::port,
        shell,
        stage::{LONG, Stage, here},
        turn,
    },
    services::Guest,
    shell::alive,
};
use operator_ledger::{Resolution, SessionStatus, Status};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Where a program is, if it is installed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain(debian)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        // The gate installs it, and skips nothing.
        assert!(
            std::env::var_os("OPERATOR_TEST_ALL").is_none(),
            "{name} is not installed"
        );
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Whether somebody at this port answers `ask` with what begins like `answer`.
fn answers(port: u16, ask: &[u8], answer: &[u8]) -> bool {
    let say = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(ask).ok()?;
        let mut said = vec![0; answer.len()];
        stream.read_exact(&mut said).ok()?;
        Some(said)
    };
    say().is_some_and(|said| said == answer)
}

/// The agent restarts a server by this command; nothing else is done. `up` is what the monitor
/// looks at.
async fn repaired_by(command: &str, up: impl Fn() -> bool + Clone + Send + 'static) {
    assert!(!up(), "it is down before the repair");
    let stage = Stage::without_ticket(vec![
        turn(
            &[shell("toolu_a", command), shell("toolu_b", "sleep 300 &")],
            "tool_use",
        ),
        turn(&[finish("f", "repaired")], "tool_use"),
    ])
    .await;
    let ledger = stage.ledger();
    let _monitor = {
        let (db, up) = (stage.db(), up.clone());
        let start = move || Monitor::of(&db, up, Duration::from_millis(500));
        tokio::task::spawn_blocking(start).await.unwrap()
    };
    let agent = stage
        .agent(&["--once", "--cluster-id", CLUSTER])
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(LONG, agent).await.expect("it ends");
    let guests: Vec<Guest> = here(ledger.services())
        .unwrap()
        .iter()
        .map(|service| Guest(service.pid))
        .collect();
    let (session, entries) = stage.session();
    let said = || {
        let said: Vec<&str> = entries.iter().map(|e| e.content.as_str()).collect();
        format!("{command}: {session:?} {said:#?}")
    };
    assert!(output.unwrap().status.success(), "{}", said());
    assert_eq!(session.status, SessionStatus::Resolved, "{}", said());
    let ticket = here(ledger.ticket(1)).unwrap().unwrap();
    assert_eq!(ticket.status, Status::Resolved, "{}", said());
    assert_eq!(ticket.resolution, Some(Resolution::Proven), "{}", said());
    assert_eq!(guests.len(), 1, "{}", said());
    assert!(alive(guests[0].0) && up(), "{}", said());
}

fn redis(dir: &Path) -> Option<(String, impl Fn() -> bool + Clone + Send + 'static)> {
    let server = program("redis-server")?;
    let port = port();
    let command = format!(
        "cd {}; {} --port {port} --bind 127.0.0.1 --save '' --appendonly no",
        dir.display(),
        server.display()
    );
    Some((command, move || answers(port, b"PING\r\n", b"+PONG")))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_as_people_start_it() {
    for (before, after) in [
        (" ", "--daemonize yes"),
        ("nohup ", ">redis.log 2>&1 & sleep 0.5"),
        // Its output is where the command's is, and it writes more than nothing.
        ("nohup ", "--loglevel debug & sleep 0.5"),
        ("setsid ", "</dev/null & sleep 0.5"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let Some((command, up)) = redis(dir.path()) else {
            return;
        };
        let (folder, server) = command.split_once("; ").unwrap();
        repaired_by(&format!("{folder}; {before}{server} {after}"), up).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_as_people_start_it() {
    let Some(server) = program("nginx") else {
        return;
    };
    let (dir, port) = (tempfile::tempdir().unwrap(), port());
    let config = dir.path().join("nginx.conf");
    let here = dir.path().display();
    let text = format!(
        "pid {here}/nginx.pid; error_log {here}/error.log;\nevents {{}}\nhttp {{ access_log off; \
         client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c; \
         uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 well; }} }} }}\n"
    );
    fs::write(&config, text).unwrap();
    let command = format!("{} -c {}", server.display(), config.display());
    let up = move || answers(port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200");
    repaired_by(&command, up).await;
}

/// A cluster of its own, made by a user that PostgreSQL accepts; and how to become that user.
fn postgres() -> Option<(TempDir, String, PathBuf)> {
    let (initdb, ctl) = (program("initdb")?, program("pg_ctl")?);
    let dir = tempfile::tempdir().unwrap();
    let root = rustix::process::getuid().is_root();
    let become_ = if root {
        let path = dir.path().to_str().unwrap();
        let chown = Command::new("chown").args(["postgres", path]).status();
        assert!(chown.unwrap().success(), "there is a user postgres");
        "runuser -u postgres -- "
    } else {
        ""
    };
    let made = Command::new("bash")
        .arg("-c")
        .arg(format!(
            "cd /; {become_}{} -A trust -N -D {}/data",
            initdb.display(),
            dir.path().display()
        ))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    Some((dir, become_.to_owned(), ctl))
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_as_people_start_it() {
    // With a log of its own, and with none: then it goes on printing where the command did.
    for log in ["-l LOG", ""] {
        let Some((dir, become_, ctl)) = postgres() else {
            return;
        };
        let (here, port) = (dir.path().display(), port());
        let log = log.replace("LOG", &format!("{here}/log"));
        let command = format!(
            "cd /; {become_}{} -D {here}/data {log} -w \
             -o '-p {port} -k {here} -c listen_addresses=127.0.0.1 -c log_connections=on' start",
            ctl.display()
        );
        // What it answers to a request for TLS: it has none.
        let up = move || answers(port, &[0, 0, 0, 8, 4, 210, 22, 47], b"N");
        repaired_by(&command, up).await;
    }
}
