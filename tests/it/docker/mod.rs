//! The lab in Docker Compose and the agent's door to Docker, against a scripted Docker API: there
//! is no engine where these run.

mod scripted;
mod staged;

use assert_cmd::cargo::cargo_bin;
use futures_util::TryStreamExt;
use operator_lab::NodeState;
use operator_tui::{
    proxy::{Proxy, serve},
    stage::{
        compose::{self, Compose, Docker as Client},
        control::{Control, Verb},
    },
};
use scripted::{Docker, container};
use serde_json::{Value, json};
use staged::Staged;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LONG: Duration = Duration::from_secs(30);

fn cluster() -> Docker {
    Docker::start(vec![
        container("lab", "tikv1", "store", "running"),
        container("lab", "tikv0", "store", "running"),
        container("lab", "pd0", "pd", "running"),
        container("lab", "load", "load", "running"),
        container("lab", "agent", "agent", "running"),
        container("lab", "grafana", "", "running"),
        container("other", "tikv1", "store", "running"),
    ])
}

fn lab_in(docker: &Docker) -> Compose {
    Compose::new(Client::at(&docker.host(), Some("lab")).unwrap(), None)
}

#[tokio::test]
async fn nodes_are_told_by_their_labels() {
    let docker = cluster();
    docker.inner.lock().unwrap().containers[0].status = "paused";
    let nodes = lab_in(&docker).ps().await.unwrap();
    let names: Vec<&str> = nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(names, ["load", "pd0", "tikv0", "tikv1"]);
    assert_eq!(nodes[3].state, NodeState::Paused);
    assert_eq!(
        (nodes[2].state, nodes[2].pid),
        (NodeState::Running, Some(4711))
    );
    assert_eq!(nodes[2].status_address.as_deref(), Some("tikv0:20180"));
    assert!(nodes[2].since.starts_with("2026-11-22T10:00:00"));
}

#[tokio::test]
async fn every_verb_does_what_docker_calls_it() {
    let docker = cluster();
    let lab = lab_in(&docker);
    for verb in [
        Verb::Kill,
        Verb::Start,
        Verb::Pause,
        Verb::Resume,
        Verb::Stop,
    ] {
        lab.act(verb, "tikv1").await.unwrap();
    }
    let id = container("lab", "tikv1", "store", "running").id;
    let expected: Vec<String> = [
        "kill?signal=SIGKILL",
        "start",
        "pause",
        "unpause",
        "stop?t=25",
    ]
    .map(|verb| format!("POST /containers/{id}/{verb}"))
    .into();
    let changes: Vec<String> = docker
        .changes()
        .into_iter()
        .map(|c| c.trim_end_matches('?').to_string())
        .collect();
    assert_eq!(changes, expected);
    let nodes = lab.ps().await.unwrap();
    let tikv1 = nodes.iter().find(|n| n.node == "tikv1").unwrap();
    assert_eq!(
        (tikv1.state, tikv1.exit_code, tikv1.pid),
        (NodeState::Exited, Some(0), None)
    );
    lab.act(Verb::Start, "tikv1").await.unwrap();
    lab.act(Verb::Start, "tikv1")
        .await
        .expect("as it was to be is no error");
    lab.act(Verb::Kill, "tikv1").await.unwrap();
    let nodes = lab.ps().await.unwrap();
    let tikv1 = nodes.iter().find(|n| n.node == "tikv1").unwrap();
    assert_eq!((tikv1.signal, tikv1.exit_code), (Some(9), None));
    let again = lab.act(Verb::Kill, "tikv1").await.unwrap_err().to_string();
    assert!(
        again.contains("kill tikv1") && again.contains("409"),
        "{again}"
    );
    // Another project has a container of that service too; it was not touched.
    assert_eq!(docker.inner.lock().unwrap().containers[6].status, "running");
}

#[tokio::test]
async fn the_project_is_the_only_one_with_a_lab_or_has_to_be_said() {
    let ask = async |docker: &Docker| {
        let client = Client::at(&docker.host(), None).unwrap();
        let found = client.project().await.map(String::from);
        found.map_err(|e| e.to_string())
    };
    let one = Docker::start(vec![
        container("checkout-2", "tikv1", "store", "running"),
        container("checkout-2", "pd0", "pd", "running"),
    ]);
    assert_eq!(ask(&one).await.unwrap(), "checkout-2");
    let lab = Compose::new(Client::at(&one.host(), None).unwrap(), None);
    assert_eq!(lab.ps().await.unwrap().len(), 2);
    let two = ask(&cluster()).await.unwrap_err();
    assert!(
        two.contains("(lab, other)") && two.contains("COMPOSE_PROJECT_NAME"),
        "{two}"
    );
    let none = ask(&Docker::start(Vec::new())).await.unwrap_err();
    assert!(none.contains("docker compose up -d"), "{none}");
}

#[tokio::test]
async fn nothing_is_broken_before_agent_and_monitor_run() {
    let up = async |containers| {
        let docker = Docker::start(containers);
        let lab = lab_in(&docker);
        let error = compose::up::up(&lab, "http://127.0.0.1:1", |_| {}).await;
        assert!(docker.changes().is_empty());
        error.unwrap_err().to_string()
    };
    let agent = |status| container("lab", "agent", "agent", status);
    let monitor = || container("lab", "monitor", "monitor", "running");
    let store = || container("lab", "tikv0", "store", "exited");
    assert_eq!(
        up(vec![store(), agent("paused"), monitor()]).await,
        "the container of the agent is paused; `docker compose unpause agent` brings it back"
    );
    assert_eq!(
        up(vec![store(), agent("exited"), monitor()]).await,
        "the container of the agent is exited; `docker compose up -d agent` brings it back"
    );
    assert_eq!(
        up(vec![store(), agent("running")]).await,
        "there is no container of the monitor in project lab; `docker compose up -d monitor` makes it"
    );
    let nothing = up(vec![agent("running"), monitor()]).await;
    assert!(
        nothing.starts_with("no container of a cluster in project lab"),
        "{nothing}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is() {
    let docker = cluster();
    let error = lab_in(&docker)
        .act(Verb::Kill, "grafana")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no grafana in project lab; there are load, pd0, tikv0, tikv1"
    );
    assert!(docker.changes().is_empty());
}

#[tokio::test]
async fn logs_end_and_logs_that_are_followed_do_not() {
    let docker = cluster();
    let lab = lab_in(&docker);
    assert_eq!(lab.logs("tikv0", 3).await.unwrap(), "one\ntwo\nthree\n");
    let mut pieces = lab.follow("tikv0", 3).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 14 {
        let piece = tokio::time::timeout(LONG, pieces.try_next()).await.unwrap();
        seen.extend(piece.unwrap().unwrap());
    }
    let more = tokio::time::timeout(Duration::from_millis(100), pieces.try_next()).await;
    assert!(more.is_err(), "it waits for more");
}

#[tokio::test]
async fn errors_say_what_was_wanted_and_who_said_no() {
    let docker = cluster();
    docker.inner.lock().unwrap().instead.push((
        "GET /containers/json".into(),
        500,
        json!({ "message": "the daemon is \u{1b}[31mill" }).to_string(),
    ));
    let error = lab_in(&docker).ps().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "listing the containers: Docker says 500: the daemon is ill"
    );
    let nobody = Client::at("unix:///nowhere/docker.sock", Some("lab"));
    let error = match nobody {
        Ok(client) => Compose::new(client, None)
            .ps()
            .await
            .unwrap_err()
            .to_string(),
        Err(error) => error.to_string(),
    };
    assert!(
        error.contains("cannot reach Docker") && error.contains("/nowhere"),
        "{error}"
    );
    let garbage = cluster();
    garbage.inner.lock().unwrap().instead.push((
        "GET /containers/json".into(),
        200,
        "<html>".into(),
    ));
    let error = lab_in(&garbage).ps().await.unwrap_err().to_string();
    assert!(error.starts_with("listing the containers: "), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_docker_that_is_silent_is_given_up() {
    let docker = cluster();
    docker
        .inner
        .lock()
        .unwrap()
        .hangs
        .push("GET /containers/json".into());
    let error = lab_in(&docker).ps().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "listing the containers: Docker did not answer within 15 s"
    );
}

#[tokio::test]
async fn the_load_is_a_number_in_a_file() {
    let docker = cluster();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rate");
    let lab = Compose::new(
        Client::at(&docker.host(), Some("lab")).unwrap(),
        Some(file.clone()),
    );
    assert_eq!(lab.load(Some(120)).await.unwrap(), 120);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "120\n");
    assert_eq!(lab.load(None).await.unwrap(), 500);
    assert_eq!(lab.load(Some(0)).await.unwrap(), 0);
    assert!(
        lab_in(&docker)
            .load(None)
            .await
            .unwrap_err()
            .to_string()
            .contains("OPERATOR_LOAD_FILE")
    );
}

fn operator(docker: &Docker) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(cargo_bin("operator-tui"));
    command
        .env("OPERATOR_LAB", "compose")
        .env("COMPOSE_PROJECT_NAME", "lab")
        .env("DOCKER_HOST", docker.host())
        .kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_is_the_same_for_both_labs() {
    let docker = cluster();
    let done = operator(&docker)
        .args(["lab", "ps"])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(text.starts_with("NODE   ROLE   STATE"), "{text}");
    assert!(text.contains("tikv1  store  running  -"), "{text}");
    let done = operator(&docker)
        .args(["lab", "kill", "tikv1"])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "tikv1 killed\n");
    let done = operator(&docker)
        .args(["lab", "logs", "tikv0"])
        .output()
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "one\ntwo\nthree\n");
    let done = operator(&docker)
        .args(["lab", "pause", "nobody"])
        .output()
        .await
        .unwrap();
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("no nobody in project lab"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_agent_works_where_all_of_docker_can_be_reached() {
    let home = tempfile::tempdir().unwrap();
    let done = operator(&cluster())
        .args(["agent", "--once", "--model", "rehearsal"])
        .env("OPERATOR_HOME", home.path())
        .env_remove("OPERATOR_LAB_DIR")
        .output()
        .await
        .unwrap();
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("not the container of the agent"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_a_container_is_like_a_child() {
    let docker = cluster();
    let mut child = operator(&docker)
        .args(["lab", "exec", "--in", "agent"])
        .args(["--", "agent_lab", "--supervised"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 256];
    stdin.write_all(b"control\n").await.unwrap();
    while !seen.contains("CONTROL") {
        let n = tokio::time::timeout(LONG, stdout.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert!(seen.starts_with("hello\n"));
    drop(stdin);
    let done = tokio::time::timeout(LONG, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(done.status.code(), Some(7), "its exit code is ours");
    assert_eq!(
        String::from_utf8_lossy(&done.stderr),
        "bye\n",
        "its stdin ended with ours"
    );
    let inner = docker.inner.lock().unwrap();
    let made: Value = inner
        .bodies
        .iter()
        .zip(&inner.asked)
        .find(|(_, asked)| asked.ends_with("/exec"))
        .map(|(body, _)| serde_json::from_str(body).unwrap())
        .unwrap();
    assert_eq!(made["Cmd"], json!(["agent_lab", "--supervised"]));
    assert!(made.get("Env").is_none(), "nothing of ours goes in");
    assert!(made.get("Privileged").is_none());
}

/// The proxy before a scripted Docker: its address.
async fn proxy(docker: &Docker) -> String {
    door(docker.socket.clone(), "lab").await
}

async fn door(socket: PathBuf, project: &str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let proxy = Proxy {
        socket,
        project: project.into(),
    };
    tokio::spawn(serve(listener, proxy));
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_walkthrough_goes_through_docker() {
    let staged = Staged::start().await;
    let (code, topology) = staged.lab(&["lab", "up"]).await;
    assert_eq!(code, Some(0), "{topology}");
    let pd = topology
        .lines()
        .find_map(|l| l.strip_prefix("PD "))
        .unwrap()
        .trim()
        .to_string();
    let door = format!("tcp://{}", door(staged.socket(), Staged::project()).await);
    let staged = staged.serve(&door, &pd);
    let operator = |args: &[&str]| {
        let mut command = tokio::process::Command::new(cargo_bin("operator-tui"));
        command
            .args(args)
            .env("OPERATOR_LAB", "compose")
            .env("OPERATOR_HOME", staged.path("ledger"))
            .env_remove("OPERATOR_LAB_DIR")
            .env("OPERATOR_LOAD_FILE", staged.path("rate"))
            .env("COMPOSE_PROJECT_NAME", Staged::project())
            .env(
                "DOCKER_HOST",
                format!("unix://{}", staged.socket().display()),
            )
            .env("PD_ENDPOINT", &pd)
            .env("ANTHROPIC_API_KEY", "")
            .env_remove("ANTHROPIC_AUTH_TOKEN")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    };
    // In Compose it is there before the demo is.
    let mut monitor = operator(&["monitor", "run", "--interval", "1s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Left by an earlier demo: it is started again before the chapters begin.
    assert_eq!(staged.lab(&["lab", "kill", "tikv0"]).await.0, Some(0));
    let log = std::fs::File::create(staged.path("demo.log")).unwrap();
    let mut demo = operator(&[
        "demo",
        "--auto",
        "--headless",
        "--seed",
        "7",
        "--fault",
        "stop",
    ])
    .stdout(log.try_clone().unwrap())
    .stderr(log)
    .spawn()
    .unwrap();
    let done = tokio::time::timeout(Duration::from_secs(240), demo.wait()).await;
    let text = std::fs::read_to_string(staged.path("demo.log")).unwrap();
    assert!(done.is_ok_and(|exit| exit.unwrap().success()), "{text}");
    let summary = text.lines().rfind(|l| l.contains("summary")).unwrap();
    assert!(
        summary.contains(" proven · tikv") && summary.contains("stopped"),
        "{text}"
    );
    assert!(text.contains("start tikv0"), "{text}");
    // The agent repaired through its door, from its container.
    assert!(text.contains("$ operator-tui lab start tikv"), "{text}");
    assert_eq!(std::fs::read_to_string(staged.path("rate")).unwrap(), "0\n");
    monitor.kill().await.unwrap();
}

async fn ask(address: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let method = method.parse().unwrap();
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .request(method, format!("http://{address}{path}"));
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

#[tokio::test]
async fn through_the_proxy_only_the_cluster_of_the_project_is_there() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let docker = cluster();
    let address = proxy(&docker).await;
    let (status, list) = ask(&address, "GET", "/v1.47/containers/json", json!({})).await;
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["Names"][0].as_str().unwrap())
        .collect();
    assert_eq!(
        (status, names),
        (200, vec!["/lab-tikv1-1", "/lab-tikv0-1", "/lab-pd0-1"])
    );
    for outside in [
        "lab-agent-1",
        "lab-grafana-1",
        "lab-load-1",
        "other-tikv1-1",
    ] {
        for (method, path) in [
            ("GET", "json"),
            ("GET", "logs?stdout=1"),
            ("POST", "kill"),
            ("POST", "stop"),
            ("POST", "restart"),
            ("POST", "exec"),
        ] {
            let path = format!("/containers/{outside}/{path}");
            let (status, said) = ask(&address, method, &path, json!({ "Cmd": ["id"] })).await;
            assert_eq!(status, 403, "{method} {path}");
            assert!(
                said["message"]
                    .as_str()
                    .unwrap()
                    .contains("no container of the cluster")
            );
        }
    }
    assert!(docker.changes().is_empty(), "{:?}", docker.changes());
    let (status, _) = ask(&address, "POST", "/containers/lab-tikv1-1/kill", json!({})).await;
    assert_eq!(status, 204);
    let id = container("lab", "tikv1", "store", "running").id;
    assert_eq!(
        docker.changes(),
        [format!("POST /containers/{id}/kill")],
        "by its full id"
    );
    assert_eq!(
        ask(&address, "GET", "/containers/nobody/json", json!({}))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn through_the_proxy_nothing_is_made_mounted_or_privileged() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let docker = cluster();
    let address = proxy(&docker).await;
    for (method, path, body) in [
        (
            "POST",
            "/containers/create",
            json!({ "Image": "alpine", "HostConfig": { "Binds": ["/:/host"] } }),
        ),
        ("POST", "/v1.47/containers/lab-tikv1-1/update", json!({})),
        ("PUT", "/containers/lab-tikv1-1/archive?path=/", json!({})),
        ("POST", "/images/create?fromImage=alpine", json!({})),
        ("POST", "/networks/create", json!({})),
        ("POST", "/volumes/create", json!({})),
        (
            "POST",
            "/containers/lab-tikv1-1/exec",
            json!({ "Cmd": ["sh"], "Privileged": true }),
        ),
        (
            "POST",
            "/containers/lab-tikv1-1/exec",
            json!({ "Cmd": ["sh"], "privileged": true }),
        ),
        ("POST", "/containers/lab-tikv1-1/exec", json!("sh")),
        ("GET", "/info", json!({})),
    ] {
        let (status, said) = ask(&address, method, path, body).await;
        assert_eq!(status, 403, "{method} {path}: {said}");
        assert!(!said["message"].as_str().unwrap().is_empty());
    }
    assert!(docker.changes().is_empty(), "{:?}", docker.changes());
    // A program of another container cannot be started, looked at or resized through its id.
    docker.inner.lock().unwrap().execs.insert(
        "exec9".into(),
        container("lab", "agent", "agent", "running").id,
    );
    for (method, path) in [
        ("POST", "start"),
        ("GET", "json"),
        ("POST", "resize?h=1&w=1"),
    ] {
        let (status, _) = ask(&address, method, &format!("/exec/exec9/{path}"), json!({})).await;
        assert_eq!(status, 403, "{path}");
    }
}

#[tokio::test]
async fn a_repair_through_the_proxy_is_like_one_without() {
    let docker = cluster();
    let address = proxy(&docker).await;
    let lab = Compose::new(
        Client::at(&format!("tcp://{address}"), Some("lab")).unwrap(),
        None,
    );
    let nodes = lab.ps().await.unwrap();
    let names: Vec<&str> = nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!(names, ["pd0", "tikv0", "tikv1"]);
    lab.act(Verb::Pause, "tikv1").await.unwrap();
    lab.act(Verb::Resume, "tikv1").await.unwrap();
    assert_eq!(lab.logs("tikv1", 3).await.unwrap(), "one\ntwo\nthree\n");
    // And one that enters a container.
    let api = &lab.docker.api;
    let config = bollard::models::ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        cmd: Some(vec!["sh".into()]),
        ..Default::default()
    };
    let made = api.create_exec("lab-tikv1-1", config).await.unwrap();
    let started = api
        .start_exec(&made.id, None::<bollard::exec::StartExecOptions>)
        .await
        .unwrap();
    let bollard::exec::StartExecResults::Attached {
        mut output,
        mut input,
    } = started
    else {
        panic!("not attached");
    };
    input.write_all(b"ls\n").await.unwrap();
    let mut seen = String::new();
    while !seen.contains("LS") {
        let piece = tokio::time::timeout(LONG, output.try_next()).await.unwrap();
        seen.push_str(&piece.unwrap().unwrap().to_string());
    }
    input.shutdown().await.unwrap();
    while let Some(piece) = tokio::time::timeout(LONG, output.try_next())
        .await
        .unwrap()
        .unwrap()
    {
        seen.push_str(&piece.to_string());
    }
    assert!(seen.ends_with("bye\n"), "{seen}");
    assert_eq!(api.inspect_exec(&made.id).await.unwrap().exit_code, Some(7));
}

#[tokio::test]
async fn a_docker_that_is_gone_is_said_to_be() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let docker = cluster();
    let address = proxy(&docker).await;
    std::fs::remove_file(&docker.socket).unwrap();
    let (status, said) = ask(&address, "GET", "/containers/json", json!({})).await;
    assert_eq!(status, 502);
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .contains("cannot reach Docker"),
        "{said}"
    );
}
