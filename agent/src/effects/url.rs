//! Addresses that are asked by GET: which ones change something all the same, and options of ssh.

use super::{
    Effect,
    word::{Arg, Tail},
};

/// Parts of a path, or values of a query, by which servers are known to do something when they are
/// asked: TiDB scatters tables so, TiKV profiles its heap, others end.
const DOES: &[&str] = &[
    "abort",
    "abortabortabort",
    "activate",
    "add",
    "apply",
    "clear",
    "cleanup",
    "compact",
    "create",
    "deactivate",
    "decr",
    "del",
    "delete",
    "deploy",
    "delete_series",
    "disable",
    "drain",
    "drop",
    "enable",
    "evict",
    "exec",
    "expire",
    "fail",
    "flush",
    "_flush",
    "_refresh",
    "flushall",
    "flushdb",
    "forcemerge",
    "_forcemerge",
    "heap_activate",
    "heap_deactivate",
    "hset",
    "incr",
    "kill",
    "lpush",
    "mset",
    "pause",
    "purge",
    "quit",
    "quitquitquit",
    "reload",
    "remove",
    "reset",
    "reset_counters",
    "resign",
    "restart",
    "resume",
    "rollback",
    "rotate",
    "rpush",
    "run",
    "sadd",
    "save",
    "scatter",
    "set",
    "_shutdown",
    "shutdown",
    "start",
    "stop",
    "stop-scatter",
    "switch",
    "toggle",
    "trigger",
    "truncate",
    "undeploy",
    "update",
    "upgrade",
    "write",
    "zadd",
];
/// How such a part begins that needs no more to be known.
const BEGINS: &[&str] = &[
    "delete", "destroy", "purge", "remove", "restart", "shutdown", "undeploy",
];
/// Parameters whose value is what is to be done.
const ASKS: &[&str] = &[
    "action",
    "cmd",
    "command",
    "do",
    "exec",
    "op",
    "operation",
    "method",
];
/// What curl takes from the name of a host where no scheme is given.
const GUESSED: &[&str] = &[
    "ftp.", "dict.", "ldap.", "imap.", "smtp.", "pop3.", "gopher.",
];

pub(super) fn judge(arg: &Arg) -> Effect {
    let text = arg.text.to_ascii_lowercase();
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = match rest {
        Some(rest) => rest,
        // Another scheme sends what is in the path as commands.
        None if !is_host(&text, arg.tail) => return Effect::Unknown,
        None => text.as_str(),
    };
    if !arg.is_one() {
        return Effect::Unknown;
    }
    let path = host.find(['/', '?']).map_or("", |at| &host[at..]);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // An escape may spell any of them.
    let spelt = path.contains('%');
    let begins = |part: &str| BEGINS.iter().any(|verb| part.starts_with(verb));
    let does = path
        .split('/')
        .any(|part| DOES.contains(&part) || begins(part));
    let asks = query.split(['&', '#']).any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        ASKS.contains(&name) || DOES.contains(&value) || DOES.contains(&name)
    });
    if spelt || does || asks {
        return Effect::Unknown;
    }
    Effect::Reads
}

/// `host`, `host:port` and what comes after it, where no scheme is given: curl takes http then.
fn is_host(text: &str, tail: Tail) -> bool {
    let end = text.find(['/', '?']);
    let host = &text[..end.unwrap_or(text.len())];
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    // What is not known of it may be another scheme's, and a colon without a port is that.
    let port_is_there =
        !host.contains(':') || !port.is_empty() || (end.is_none() && tail != Tail::Nothing);
    let whole = tail == Tail::Nothing || name == "localhost" || name.contains('.');
    !name.is_empty()
        && name.chars().all(plain)
        && port.bytes().all(|b| b.is_ascii_digit())
        && !GUESSED.iter().any(|guess| name.starts_with(guess))
        && port_is_there
        && whole
}

/// A header as it is given to curl, by its name: some make a server take GET for another method.
pub(super) fn is_header(header: &str) -> bool {
    let Some((name, _)) = header.split_once(':') else {
        return false;
    };
    !name.starts_with('@') && !name.to_ascii_lowercase().contains("override")
}

/// Options of ssh that only say how it connects.
pub(super) fn is_ssh_option(option: &str) -> bool {
    let name = option.split(['=', ' ']).next().unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let value = option.get(name.len() + 1..).unwrap_or_default();
    match name.as_str() {
        "connecttimeout"
        | "connectionattempts"
        | "serveraliveinterval"
        | "serveralivecountmax"
        | "batchmode"
        | "loglevel"
        | "port"
        | "user"
        | "passwordauthentication"
        | "identitiesonly"
        | "addressfamily"
        | "compression" => true,
        // Otherwise a host that nobody knew is written down.
        "stricthostkeychecking" => value.eq_ignore_ascii_case("yes"),
        "userknownhostsfile" => value == "/dev/null",
        _ => false,
    }
}
