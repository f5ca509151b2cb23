//! compose.yaml and the image, as far as they can be checked without an engine: what they must say
//! is in them, and what they name is there.

use serde_yaml_ng::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The file with its merge keys resolved.
fn compose() -> Value {
    let mut value: Value = serde_yaml_ng::from_str(&read("compose.yaml")).unwrap();
    value.apply_merge().unwrap();
    // One pass resolves the outermost; an anchor may be made of another.
    value.apply_merge().unwrap();
    value
}

fn services(compose: &Value) -> Vec<(String, &Value)> {
    let all = compose["services"].as_mapping().unwrap();
    all.iter()
        .map(|(k, v)| (k.as_str().unwrap().to_string(), v))
        .collect()
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_sequence().map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .map(|v| v.as_str().unwrap_or_default().to_string())
        .collect()
}

#[test]
fn three_and_three_with_roles_health_and_limits() {
    let compose = compose();
    for (prefix, role) in [("pd", "pd"), ("tikv", "store")] {
        for n in 0..3 {
            let service = &compose["services"][format!("{prefix}{n}")];
            assert_eq!(service["labels"]["operator.role"], role, "{prefix}{n}");
            assert!(service["healthcheck"]["test"].is_sequence());
            let image = service["image"].as_str().unwrap();
            assert!(
                image.contains("v8.5.7") && !image.contains("latest"),
                "{image}"
            );
            assert!(
                service.get("restart").is_none(),
                "a killed node stays down until it is repaired"
            );
            let command = strings(&service["command"]).join(" ");
            assert!(command.contains(&format!("{prefix}{n}:")), "{command}");
        }
    }
    let tikv = &compose["services"]["tikv1"];
    assert_eq!(tikv["ulimits"]["nofile"]["hard"], "${TIKV_NOFILE:-1000000}");
    assert!(tikv.get("mem_limit").is_some());
    let config: toml::Table = read("assets/tikv/tikv.toml").parse().unwrap();
    assert!(
        config["storage"]["reserve-space"].is_str() && config["raftstore"]["capacity"].is_str()
    );
}

#[test]
fn the_agents_cell_has_no_docker_socket_no_key_and_no_judge() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let mounts = strings(&service["volumes"]).join(" ");
        let socket = mounts.contains("docker.sock");
        assert_eq!(
            socket,
            matches!(name.as_str(), "docker" | "operator"),
            "{name}: {mounts}"
        );
        let environment = serde_yaml_ng::to_string(&service["environment"]).unwrap_or_default();
        assert_eq!(
            environment.contains("ANTHROPIC_API_KEY"),
            name == "operator",
            "{name}"
        );
        assert!(service.get("privileged").is_none(), "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(service.get("cap_add").is_some(), name == "agent", "{name}");
        assert_eq!(
            strings(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        for port in strings(&service["ports"]) {
            assert!(
                port.starts_with("127.0.0.1:${"),
                "{name}: {port}: loopback, by variable"
            );
        }
    }
    let agent = &compose["services"]["agent"];
    assert_eq!(agent["environment"]["DOCKER_HOST"], "tcp://docker:2375");
    assert_eq!(agent["environment"]["OPERATOR_LAB"], "compose");
    assert!(strings(&agent["volumes"]).is_empty(), "no ledger");
    let told = serde_yaml_ng::to_string(&agent["environment"]).unwrap();
    assert!(
        !told.contains("OPERATOR_HOME") && !told.contains("ledger"),
        "{told}"
    );
    assert_eq!(strings(&agent["command"]), ["sleep", "infinity"]);
    for limit in ["mem_limit", "pids_limit", "cpus"] {
        assert!(agent.get(limit).is_some(), "{limit}");
    }
    // Nobody but the agent shares a network with the door to Docker, and what judges shows its
    // figures where neither the agent nor a node of the cluster is.
    assert_eq!(on(&compose, "control"), ["docker", "agent"]);
    assert_eq!(
        on(&compose, "watch"),
        ["prometheus", "grafana", "monitor", "operator"]
    );
    let aliases = &compose["services"]["monitor"]["networks"]["watch"]["aliases"];
    assert_eq!(strings(aliases), ["figures"]);
    let command = strings(&compose["services"]["monitor"]["command"]).join(" ");
    assert!(command.contains("--listen figures:9105"), "{command}");
    let prometheus = strings(&compose["services"]["prometheus"]["command"]).join(" ");
    assert!(!prometheus.contains("--web.enable"), "{prometheus}");
}

/// The services on a network.
fn on(compose: &Value, network: &str) -> Vec<String> {
    let is_on = |service: &Value| {
        let networks = &service["networks"];
        strings(networks).contains(&network.to_string()) || networks.get(network).is_some()
    };
    let found = services(compose).into_iter().filter(|(_, s)| is_on(s));
    found.map(|(name, _)| name).collect()
}

#[test]
fn up_starts_all_but_the_dashboard() {
    let compose = compose();
    let later: Vec<String> = services(&compose)
        .into_iter()
        .filter(|(_, s)| s.get("profiles").is_some())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(later, ["operator"]);
    for (name, service) in services(&compose) {
        assert!(service["image"].is_string(), "{name}: one can be given");
    }
    // Whatever a service waits for is there when the service is.
    for (name, service) in services(&compose) {
        let needs: Vec<String> = match &service["depends_on"] {
            Value::Mapping(map) => map
                .keys()
                .map(|k| k.as_str().unwrap().to_string())
                .collect(),
            list => strings(list),
        };
        let profiles: BTreeSet<String> = strings(&service["profiles"]).into_iter().collect();
        for need in needs {
            let of_need = strings(&compose["services"][need.as_str()]["profiles"]);
            let there = of_need.is_empty() || of_need.iter().any(|p| profiles.contains(p));
            assert!(there, "{name} needs {need}, which is in another profile");
        }
    }
    for name in ["monitor", "operator"] {
        let volumes = strings(&compose["services"][name]["volumes"]);
        assert!(
            volumes.contains(&"ledger:/ledger".to_string()),
            "{name} shares the ledger"
        );
    }
    assert!(compose.get("name").is_none() && compose.get("version").is_none());
}

#[test]
fn what_compose_mounts_and_builds_is_in_the_repository() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().unwrap();
            if let Some(path) = source.strip_prefix("./") {
                assert!(root().join(path).exists(), "{name}: {source}");
            } else if !source.starts_with('/') {
                assert!(
                    compose["volumes"].get(source).is_some(),
                    "{name}: volume {source}"
                );
            }
        }
        if let Some(context) = service["build"]["context"].as_str() {
            let file = service["build"]["dockerfile"]
                .as_str()
                .unwrap_or("Dockerfile");
            assert!(
                root().join(context).join(file).exists(),
                "{name}: {context}/{file}"
            );
        }
    }
    let prometheus = read("assets/prometheus/prometheus.yml");
    for target in ["pd0:2379", "tikv2:20180", "figures:9105"] {
        assert!(prometheus.contains(target), "{target} is scraped");
    }
}

#[test]
fn every_line_of_the_kitchen_is_tested_by_the_images_own_last_step() {
    let dockerfile = read("agent/Dockerfile");
    let last = dockerfile.rfind("\nRUN ").expect("a last step");
    let (before, last) = dockerfile.split_at(last);
    for (package, tool) in [
        ("curl", "curl"),
        ("wget", "wget"),
        ("jq", "jq"),
        ("vim", "vim"),
        ("git", "git"),
        ("netcat-openbsd", "nc"),
        ("dnsutils", "dig"),
        ("iputils-ping", "ping"),
        ("htop", "htop"),
        ("tcpdump", "tcpdump"),
        ("traceroute", "traceroute"),
        ("nmap", "nmap"),
        ("COPY --from=docker", "docker"),
    ] {
        assert!(before.contains(package), "{package} is installed");
        assert!(
            last.split_whitespace()
                .any(|w| w.trim_matches([';', '\\']) == tool),
            "{tool} is tested"
        );
    }
    for (package, module) in [
        ("anthropic", "anthropic"),
        ("httpx", "httpx"),
        ("redis", "redis"),
        ("pyyaml", "yaml"),
        ("pandas", "pandas"),
        ("numpy", "numpy"),
        ("prometheus-client", "prometheus_client"),
    ] {
        assert!(
            before.contains(package) && last.contains(module),
            "{package}"
        );
    }
    for base in [
        "RUST_IMAGE=rust:1.91-",
        "DOCKER_IMAGE=docker:27.",
        "PYTHON_IMAGE=python:3.12-",
    ] {
        assert!(dockerfile.contains(&format!("ARG {base}")), "{base}");
    }
    // The builder that every engine has knows no mounts.
    assert!(!dockerfile.contains("--mount"));
}

#[test]
fn docker_compose_reads_it() {
    let Ok(found) = Command::new("docker-compose").arg("version").output() else {
        assert!(
            std::env::var_os("OPERATOR_TEST_ALL").is_none(),
            "docker-compose is not installed"
        );
        eprintln!("skipped: docker-compose is not installed");
        return;
    };
    assert!(found.status.success());
    for profile in [&["--profile", "dashboard"][..], &[]] {
        let done = Command::new("docker-compose")
            .args(["-f", "compose.yaml"])
            .args(profile)
            .args(["config", "--quiet"])
            .current_dir(root())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.is_empty(), "{said}");
    }
}

#[test]
fn the_dashboard_asks_the_datasource_that_is_provisioned() {
    let source: Value = serde_yaml_ng::from_str(&read(
        "assets/grafana/provisioning/datasources/prometheus.yml",
    ))
    .unwrap();
    let uid = source["datasources"][0]["uid"].as_str().unwrap();
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("assets/grafana/dashboards/operator.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{panel}"
        );
        assert!(!panel["description"].as_str().unwrap().is_empty());
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert_eq!(target["datasource"]["uid"], uid);
            // A rate over less than a few scrapes has holes.
            let expr = target["expr"].as_str().unwrap();
            assert_eq!(
                expr.contains("rate("),
                expr.contains("[$__rate_interval]"),
                "{expr}"
            );
        }
    }
    let rows: Vec<&str> = panels
        .iter()
        .filter(|p| p["type"] == "row")
        .map(|p| p["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        rows,
        ["Stores", "Traffic and latency", "Regions", "Operator"]
    );
}
