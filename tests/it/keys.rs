//! Where a key is while a demo runs: in the memory of the dashboard and of its agent, and nobody
//! else of the same user reads it there.

use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const KEY: &str = "sk-ant-api03-where-is-this-key-0123456789";
const TOKEN: &str = "webhook-token-of-the-monitor";
/// A user without rights, where the test may become one.
const NOBODY: u32 = 65534;
const LIMIT: Duration = Duration::from_secs(120);

/// A command of an ordinary user.
fn ordinary(program: &str) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command
        .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
        .arg(program);
    command
}

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Everything that descends from `pid`, with its arguments.
fn tree(pid: Pid) -> Vec<(Pid, String)> {
    let mut all = operator_process::tree::descendants(pid);
    all.push(pid);
    all.into_iter()
        .map(|pid| (pid, operator_process::proc::command_line(pid)))
        .collect()
}

/// What an ordinary user reads of a file of a process. None: it is refused.
fn seen(pid: Pid, file: &str) -> Option<Vec<u8>> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    // Of memory no more than whether it may be opened: that is what a debugger needs too.
    let count = if file == "mem" { "0" } else { "1000000" };
    let output = ordinary("head")
        .args(["-c", count, &path])
        .output()
        .unwrap();
    output.status.success().then_some(output.stdout)
}

fn holds(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|w| w == word.as_bytes())
}

#[test]
fn a_key_is_in_no_other_process_and_its_holders_cannot_be_read() {
    let home = tempfile::tempdir().unwrap();
    // Where an ordinary user comes to the executable too.
    let exe = home.path().join("operator-tui");
    fs::copy(env!("CARGO_BIN_EXE_operator-tui"), &exe).unwrap();
    for path in [home.path(), &exe] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let records = home.path().join("home");
    fs::create_dir(&records).unwrap();
    if rustix::process::getuid().is_root() {
        chown(&records, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let demo = ordinary(exe.to_str().unwrap())
        .args(["demo", "--headless", "--auto", "--host-shell"])
        .env("OPERATOR_HOME", &records)
        .env("HOME", &records)
        .env_remove("OPERATOR_LAB_DIR")
        .env_remove("PD_ENDPOINT")
        .env("ANTHROPIC_API_KEY", KEY)
        // Nobody answers there: the agent goes on trying.
        .env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
        .env("OPERATOR_WEBHOOK_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let dashboard = Pid::from_child(&demo);
    let demo = Demo(demo);
    let named = |word: &str| {
        let all = tree(dashboard);
        all.into_iter().find(|(_, line)| line.contains(word))
    };
    until("the agent and the monitor", LIMIT, || {
        named(" agent --supervised").is_some() && named("monitor run").is_some()
    });
    let (agent, _) = named(" agent --supervised").unwrap();
    let (monitor, _) = named("monitor run").unwrap();
    // It takes its keys in first of all, but the name is there a moment before.
    until("the agent has its key", LIMIT, || {
        seen(agent, "environ").is_none()
    });
    for holder in [dashboard, agent, monitor] {
        assert_eq!(
            seen(holder, "environ"),
            None,
            "{holder:?} {:?}",
            tree(dashboard)
        );
        assert_eq!(seen(holder, "mem"), None, "{holder:?}");
        assert_eq!(seen(holder, "maps"), None, "{holder:?}");
    }
    // As root too, of what was never given: neither the key, nor the monitor's token for the agent.
    let environ = |pid: Pid| {
        let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
        fs::read(Path::new(&path)).unwrap_or_default()
    };
    for (pid, line) in tree(dashboard) {
        if pid != dashboard {
            assert!(!holds(&environ(pid), KEY), "{line}");
            assert!(!line.contains(KEY), "{line}");
        }
        if pid != dashboard && pid != monitor {
            assert!(!holds(&environ(pid), TOKEN), "{line}");
        }
    }
    drop(demo);
}
