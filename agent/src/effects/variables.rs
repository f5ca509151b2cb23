//! Values of variables, as far as the text itself says them.

use super::word::{Arg, Tail};
use std::collections::BTreeMap;

/// Set by whoever starts the command, to one word without a space.
const GIVEN: &[&str] = &[
    "HOME",
    "HOSTNAME",
    "LOGNAME",
    "OPERATOR_LAB_DIR",
    "OPERATOR_SESSION",
    "PPID",
    "RANDOM",
    "SECONDS",
    "UID",
    "EUID",
    "USER",
];
/// The same, and the word is an address that begins with `http://` or `https://`.
const ADDRESSES: &[&str] = &["PD_ENDPOINT", "PROMETHEUS_URL"];

/// Upper-case names that mean nothing to a program; lower-case ones never do, but for a few.
const HARMLESS: &[&str] = &[
    "ADDR",
    "CONTAINER",
    "DB",
    "DIR",
    "END",
    "ENDPOINT",
    "FILE",
    "HOST",
    "HOSTS",
    "ID",
    "IDS",
    "INSTANCE",
    "IP",
    "IPS",
    "NAME",
    "NAMES",
    "NODE",
    "NODES",
    "NOW",
    "NS",
    "NAMESPACE",
    "PD",
    "PID",
    "PIDS",
    "POD",
    "PODS",
    "PORT",
    "PROM",
    "REGION",
    "SINCE",
    "START",
    "STORE",
    "STORES",
    "SVC",
    "TIKV",
    "TS",
    "URL",
    "UNIT",
];
const MEANT: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "auto_resume",
    "histchars",
];
/// What a program may be given in front of its name; none makes it run or write anything.
const ENVIRONMENT: &[&str] = &[
    "CLICOLOR",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "ETCDCTL_API",
    "ETCDCTL_ENDPOINTS",
    "GREP_COLOR",
    "GREP_COLORS",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "LINES",
    "MYSQL_PWD",
    "NO_COLOR",
    "PD_ENDPOINT",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGHOST",
    "PGPASSWORD",
    "PGPORT",
    "PGSSLMODE",
    "PGUSER",
    "PROMETHEUS_URL",
    "REDISCLI_AUTH",
    "SYSTEMD_COLORS",
    "TERM",
    "TZ",
    "VAULT_ADDR",
];
/// Programs that show pages; only those that are none are harmless.
const PAGERS: &[&str] = &["PAGER", "GIT_PAGER", "SYSTEMD_PAGER", "MANPAGER"];

/// Whether a variable of the shell may be called so.
pub(super) fn is_harmless(name: &str) -> bool {
    let lower = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    // One character is the last argument, and digits are no names.
    let named = name != "_" && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    named && ((lower && !MEANT.contains(&name)) || HARMLESS.contains(&name))
}

/// Whether a program may be given this.
pub(super) fn is_harmless_environment(name: &str, value: &Arg) -> bool {
    ENVIRONMENT.contains(&name)
        || (PAGERS.contains(&name) && (value.is("cat") || value.is("")))
        || (HARMLESS.contains(&name) || is_harmless(name))
}

/// What is known of variables at one place of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Variables(BTreeMap<String, Arg>);

impl Variables {
    /// None: it could be anything.
    pub(super) fn get(&self, name: &str) -> Option<Arg> {
        if let Some(value) = self.0.get(name) {
            return Some(value.clone());
        }
        let given = GIVEN.contains(&name);
        let address = ADDRESSES.contains(&name);
        (given || address).then(|| Arg {
            text: if address {
                "http://".into()
            } else {
                String::new()
            },
            tail: Tail::Plain,
        })
    }

    pub(super) fn set(&mut self, name: &str, value: Arg) {
        self.0.insert(name.to_owned(), value);
    }

    /// What is known where either is what happened.
    pub(super) fn or(&mut self, other: &Self) {
        let names: Vec<String> = self.0.keys().chain(other.0.keys()).cloned().collect();
        for name in names {
            let either = match (self.get(&name), other.get(&name)) {
                (Some(a), Some(b)) => a.or(&b),
                _ => Arg::anything(),
            };
            self.0.insert(name, either);
        }
    }
}
