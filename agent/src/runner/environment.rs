//! The world a command sees: a clean environment, and a PATH that begins with this very executable
//! as `operator-tui`.
//!
//! An allowlist: what is not named here, and what the agent does not tell, does not reach a command.

use super::{folder::PrivateFolder, orphans::SESSION, protocol::Greeting};
use operator_ledger::home::LAB_DIR_VAR;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// Of the cell's own.
const PASSED_ON: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    LAB,
    "COMPOSE_PROJECT_NAME",
    "DOCKER_HOST",
];
/// Which lab there is around us: `embedded`, or `compose`, with the two after it.
pub const LAB: &str = "OPERATOR_LAB";
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
pub(super) const DASHBOARD: &str = "operator-tui";

/// Where the file is that bash reads first; unset before a command begins.
const START: &str = "OPERATOR_START";
/// What the agent tells, unless the cell knows better.
const TOLD: [&str; 3] = [LAB_DIR_VAR, "PD_ENDPOINT", "PROMETHEUS_URL"];

/// Whether a variable of the agent's own reaches the runner of a cell on the same host.
pub fn is_passed_on(name: &OsStr) -> bool {
    name == "PATH" || PASSED_ON.iter().any(|passed| name == *passed)
}

/// The environment of every command of one session. `own` is the runner's.
pub(super) fn environment(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    folder: &PrivateFolder,
    greeting: &Greeting,
) -> BTreeMap<OsString, OsString> {
    let own: BTreeMap<OsString, OsString> = own.into_iter().collect();
    let known = |name: &str| own.get(OsStr::new(name)).filter(|v| !v.is_empty());
    let mut env = BTreeMap::new();
    for name in PASSED_ON {
        if let Some(value) = own.get(OsStr::new(name)) {
            env.insert(OsString::from(name), value.clone());
        }
    }
    let mut set = |name: &str, value: OsString| env.insert(name.into(), value);
    for (name, value) in &greeting.environment {
        set(name, value.into());
    }
    if greeting.yields {
        for name in TOLD {
            if let Some(value) = known(name) {
                set(name, value.clone());
            }
        }
    }
    let mut path = folder.bin().into_os_string();
    path.push(":");
    path.push(known("PATH").map_or_else(|| OsString::from(DEFAULT_PATH), Clone::clone));
    set("PATH", path);
    set("TERM", "dumb".into());
    set("NO_COLOR", "1".into());
    set("PAGER", "cat".into());
    set("GIT_PAGER", "cat".into());
    set(SESSION, (&greeting.session).into());
    // Bash expands what it is told here, once: the name of a folder must not be what it expands.
    set("BASH_ENV", format!("${START}").into());
    set(START, folder.start().into_os_string());
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    fn greeting(yields: bool) -> Greeting {
        let told = [
            ("PD_ENDPOINT", "http://127.0.0.1:2379"),
            ("OPERATOR_TLS_CA", "/ca.crt"),
        ];
        Greeting {
            protocol: 1,
            version: String::new(),
            session: "s1".into(),
            environment: told.map(|(k, v)| (k.into(), v.into())).into(),
            yields,
            earlier: Vec::new(),
        }
    }

    #[test]
    fn only_what_is_allowed_gets_through() {
        let folder = PrivateFolder::create().unwrap();
        let own = vars(&[
            ("HOME", "/root"),
            ("PATH", "/bin"),
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_AUTH_TOKEN", "t"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("OPERATOR_HOME", "/h"),
            ("OPERATOR_CHAPTER", "4"),
            ("OPERATOR_FAULT", "kill"),
            ("OPERATOR_SEED", "7"),
            ("OPERATOR_LAB", "compose"),
            ("DOCKER_HOST", "tcp://docker:2375"),
            ("PD_ENDPOINT", "http://pd0:2379"),
            ("BASH_ENV", "/evil"),
            ("OPERATOR_TLS_KEY", ""),
            ("OPERATOR_PROMETHEUS_HEADERS", "Authorization: secret"),
            ("LD_PRELOAD", "/evil.so"),
        ]);
        let env = environment(own.clone(), &folder, &greeting(false));
        let names: Vec<&str> = env.keys().map(|k| k.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "BASH_ENV",
                "DOCKER_HOST",
                "GIT_PAGER",
                "HOME",
                "NO_COLOR",
                "OPERATOR_LAB",
                "OPERATOR_SESSION",
                "OPERATOR_START",
                "OPERATOR_TLS_CA",
                "PAGER",
                "PATH",
                "PD_ENDPOINT",
                "TERM"
            ]
        );
        assert_eq!(env[OsStr::new("BASH_ENV")], "$OPERATOR_START");
        assert_eq!(env[OsStr::new("PD_ENDPOINT")], "http://127.0.0.1:2379");
        let path = env[OsStr::new("PATH")].to_str().unwrap();
        assert!(path.starts_with(folder.path().to_str().unwrap()) && path.ends_with("/bin:/bin"));
        // A cell elsewhere knows its own network better.
        let env = environment(own, &folder, &greeting(true));
        assert_eq!(env[OsStr::new("PD_ENDPOINT")], "http://pd0:2379");
    }
}
