//! What may be asked of Docker through the proxy. Pure: a request in, what it means or why not out.
//!
//! Nothing is passed on as it came: a request is read into one of the calls below and written anew,
//! so that no path, query or field that is not known here reaches Docker.

use hyper::Method;
use serde_json::{Map, Value};

/// Roles of containers that may be touched: the cluster itself.
pub(super) const SUBJECT: [&str; 2] = ["pd", "store"];

/// A request that may be made. Ids and names are as the client gave them, of harmless characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Ping,
    Version,
    /// All containers; the answer is cut down to those that may be touched.
    List,
    /// Something about one container: what is asked, with its query.
    Container {
        id: String,
        ask: &'static str,
        query: String,
    },
    /// A program to be run in a container; the body has to be read.
    ExecCreate {
        id: String,
    },
    ExecStart {
        exec: String,
    },
    ExecResize {
        exec: String,
        query: String,
    },
    ExecInspect {
        exec: String,
    },
}

/// Why a request is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal(pub String);

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(why.into()))
}

/// Reads a request.
pub(super) fn read(method: &Method, path: &str, query: Option<&str>) -> Result<Call, Refusal> {
    let parts: Vec<&str> = unversioned(path).split('/').skip(1).collect();
    let query = query.unwrap_or_default();
    let get = method == Method::GET;
    let post = method == Method::POST;
    match parts.as_slice() {
        ["_ping"] if get || method == Method::HEAD => Ok(Call::Ping),
        ["version"] if get => Ok(Call::Version),
        ["containers", "json"] if get => Ok(Call::List),
        ["containers", id, "json"] if get => container(id, "json", String::new()),
        ["containers", id, "logs"] if get => {
            let known = [
                "stdout",
                "stderr",
                "tail",
                "follow",
                "since",
                "until",
                "timestamps",
            ];
            container(id, "logs", only(query, &known)?)
        }
        ["containers", id, "top"] if get => container(id, "top", only(query, &["ps_args"])?),
        ["containers", id, "stats"] if get => {
            container(id, "stats", only(query, &["stream", "one-shot"])?)
        }
        ["containers", id, "start"] if post => container(id, "start", String::new()),
        ["containers", id, "stop"] if post => container(id, "stop", only(query, &["t", "signal"])?),
        ["containers", id, "restart"] if post => {
            container(id, "restart", only(query, &["t", "signal"])?)
        }
        ["containers", id, "kill"] if post => container(id, "kill", only(query, &["signal"])?),
        ["containers", id, "pause"] if post => container(id, "pause", String::new()),
        ["containers", id, "unpause"] if post => container(id, "unpause", String::new()),
        ["containers", id, "exec"] if post => Ok(Call::ExecCreate { id: name(id)? }),
        ["exec", exec, "start"] if post => Ok(Call::ExecStart { exec: name(exec)? }),
        ["exec", exec, "resize"] if post => Ok(Call::ExecResize {
            exec: name(exec)?,
            query: only(query, &["h", "w"])?,
        }),
        ["exec", exec, "json"] if get => Ok(Call::ExecInspect { exec: name(exec)? }),
        _ => refuse(format!("{method} {path} is not permitted here")),
    }
}

fn container(id: &str, ask: &'static str, query: String) -> Result<Call, Refusal> {
    Ok(Call::Container {
        id: name(id)?,
        ask,
        query,
    })
}

/// The path without `/v1.47`.
fn unversioned(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v1.") else {
        return path;
    };
    match rest.find('/') {
        Some(end) if rest[..end].bytes().all(|b| b.is_ascii_digit()) => &rest[end..],
        _ => path,
    }
}

/// A name or id: the characters that Docker itself allows, so that nothing has to be decoded.
fn name(text: &str) -> Result<String, Refusal> {
    let first = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && text.len() <= 255 {
        Ok(text.to_string())
    } else {
        refuse("that is no name of a container")
    }
}

/// The parameters that are known, of harmless characters; others are left out.
fn only(query: &str, known: &[&str]) -> Result<String, Refusal> {
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&key) {
            continue;
        }
        let harmless = value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'+'));
        if !harmless {
            return refuse(format!("the value of {key} is not permitted here"));
        }
        kept.push(format!("{key}={value}"));
    }
    Ok(kept.join("&"))
}

/// The body of a program to be run, written anew.
pub(super) fn exec_body(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    const KEPT: [&str; 10] = [
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "ConsoleSize",
        "DetachKeys",
        "Cmd",
        "Env",
        "WorkingDir",
        "User",
    ];
    let Ok(Value::Object(asked)) = serde_json::from_slice::<Value>(body) else {
        return refuse("the program to run must be a JSON object");
    };
    // Docker takes field names in any case.
    let privileged = |(key, value): (&String, &Value)| {
        key.eq_ignore_ascii_case("privileged") && !matches!(value, Value::Bool(false) | Value::Null)
    };
    if asked.iter().any(privileged) {
        return refuse("a privileged program is not permitted here");
    }
    let kept: Map<String, Value> = asked
        .into_iter()
        .filter(|(key, _)| KEPT.contains(&key.as_str()))
        .collect();
    Ok(Value::Object(kept).to_string().into_bytes())
}

/// The body of the start of a program, written anew.
pub(super) fn start_body(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let asked: Value = if body.trim_ascii().is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body).or_else(|_| refuse("the start must be a JSON object"))?
    };
    let flag = |name: &str| asked.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mut kept = Map::new();
    kept.insert("Detach".into(), flag("Detach").into());
    kept.insert("Tty".into(), flag("Tty").into());
    if let Some(size @ Value::Array(_)) = asked.get("ConsoleSize") {
        kept.insert("ConsoleSize".into(), size.clone());
    }
    Ok(Value::Object(kept).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scribble::{inputs, scribbled};
    use proptest::prelude::*;
    use serde_json::json;

    const FUZZ: &str = include_str!("../../tests/fuzz/proxy.txt");

    /// What is permitted is of harmless characters and is no path, and no program gets rights.
    fn is_harmless(input: &[u8]) -> bool {
        let text = String::from_utf8_lossy(input);
        let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method = method.parse().unwrap_or(Method::POST);
        let plain = |text: &str, more: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let name = |id: &str| !id.is_empty() && !id.starts_with('.') && plain(id, "_.-");
        let asked = match read(&method, path, Some(query)) {
            Ok(Call::Container { id, query, .. }) => name(&id) && plain(&query, "=&.-:+"),
            Ok(Call::ExecResize { exec, query }) => name(&exec) && plain(&query, "=&.-:+"),
            Ok(
                Call::ExecCreate { id: exec }
                | Call::ExecStart { exec }
                | Call::ExecInspect { exec },
            ) => name(&exec),
            Ok(_) | Err(_) => true,
        };
        let bodies = [exec_body(input), start_body(input)];
        asked
            && bodies.into_iter().flatten().all(|body| {
                let Ok(Value::Object(body)) = serde_json::from_slice(&body) else {
                    return false;
                };
                body.keys().all(|k| {
                    !["privileged", "mounts", "hostconfig", "binds"]
                        .contains(&k.to_lowercase().as_str())
                })
            })
    }

    #[test]
    fn fuzz_inputs_get_nobody_rights() {
        for input in inputs(FUZZ) {
            assert!(is_harmless(&input), "{}", String::from_utf8_lossy(&input));
        }
    }

    proptest! {
        #[test]
        fn fuzz_no_request_is_too_odd(input in scribbled(FUZZ)) {
            prop_assert!(is_harmless(&input), "{}", String::from_utf8_lossy(&input));
        }
    }

    fn ask(line: &str) -> Result<Call, Refusal> {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        read(&method.parse().unwrap(), path, query)
    }

    #[test]
    fn what_a_repair_needs_is_permitted() {
        for line in [
            "HEAD /_ping",
            "GET /v1.47/version",
            "GET /containers/json?all=1",
            "GET /v1.47/containers/lab-tikv1-1/json",
            "GET /containers/tikv1/logs?stdout=1&tail=20&follow=true",
            "GET /containers/tikv1/top?ps_args=aux",
            "GET /containers/tikv1/stats?stream=false&one-shot=1",
            "POST /containers/tikv1/start",
            "POST /containers/tikv1/stop?t=20",
            "POST /containers/tikv1/restart",
            "POST /containers/tikv1/kill?signal=SIGKILL",
            "POST /containers/tikv1/pause",
            "POST /containers/tikv1/unpause",
            "POST /containers/tikv1/exec",
            "POST /exec/0123abc/start",
            "POST /exec/0123abc/resize?h=40&w=120",
            "GET /exec/0123abc/json",
        ] {
            assert!(ask(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for line in [
            "POST /containers/create",
            "POST /v1.47/containers/create?name=x",
            "DELETE /containers/tikv1",
            "POST /containers/tikv1/update",
            "POST /containers/tikv1/rename?name=x",
            "POST /containers/tikv1/attach",
            "POST /containers/tikv1/stats",
            "GET /containers/tikv1/top?ps_args=%2Fetc",
            "GET /containers/tikv1/archive?path=/etc",
            "PUT /containers/tikv1/archive?path=/",
            "GET /containers/tikv1/export",
            "POST /containers/prune",
            "POST /commit",
            "POST /build",
            "POST /images/create?fromImage=x",
            "GET /images/json",
            "GET /info",
            "GET /events",
            "POST /networks/create",
            "POST /networks/x/connect",
            "POST /volumes/create",
            "GET /volumes",
            "POST /swarm/init",
            "POST /plugins/pull",
            "POST /session",
            "POST /grpc",
            "GET /containers/tikv1/start",
            "PUT /containers/tikv1/start",
            "GET /containers/../images/json",
            "GET /containers/%2e%2e/json",
            "POST /containers/a%2Fb/start",
            "GET /v1.47/../containers/json",
            "GET //containers/json",
            "GET /containers/json/",
            "POST /containers//start",
            "POST /containers/tikv1/kill?signal=9%00",
            "GET /",
        ] {
            assert!(ask(line).is_err(), "{line}");
        }
    }

    #[test]
    fn parameters_that_are_not_known_are_left_out() {
        assert_eq!(
            ask("POST /containers/a/stop?t=5&force=1&signal=TERM"),
            Ok(Call::Container {
                id: "a".into(),
                ask: "stop",
                query: "t=5&signal=TERM".into()
            })
        );
    }

    #[test]
    fn a_program_is_never_privileged_whatever_its_spelling() {
        for key in ["Privileged", "privileged", "PRIVILEGED"] {
            for value in [json!(true), json!("true"), json!(1)] {
                let body = json!({ "Cmd": ["sh"], key: value }).to_string();
                assert!(exec_body(body.as_bytes()).is_err(), "{body}");
            }
        }
        let body = json!({ "Cmd": ["ls"], "Privileged": false, "Tty": true, "New": 1 }).to_string();
        let kept: Value = serde_json::from_slice(&exec_body(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(kept, json!({ "Cmd": ["ls"], "Tty": true }));
        assert!(exec_body(b"[]").is_err() && exec_body(b"{").is_err());
        assert_eq!(start_body(b"").unwrap(), br#"{"Detach":false,"Tty":false}"#);
        assert_eq!(
            start_body(br#"{"Detach":true,"Privileged":true}"#).unwrap(),
            br#"{"Detach":true,"Tty":false}"#
        );
    }
}
