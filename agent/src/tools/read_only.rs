//! Which commands are known to change nothing. Static and narrow: one simple command from a short
//! list. Whoever is not sure says no; the model is never asked.

/// Programs that only read, whatever their arguments.
const READERS: &[&str] = &[
    "cat", "head", "tail", "ls", "wc", "grep", "pwd", "date", "uptime", "free", "df", "ps", "id",
    "whoami", "uname", "stat", "true", "echo", "cut", "nproc",
];
/// What `operator-tui` does without changing anything.
const OPERATOR: &[&[&str]] = &[
    &["cluster"],
    &["lab", "ps"],
    &["lab", "logs"],
    &["tickets", "list"],
    &["tickets", "show"],
    &["audit", "list"],
    &["audit", "show"],
];

/// Whether `command` is one simple command that only reads. Pipes between such commands count as
/// simple; anything else that means something to a shell does not.
pub fn is_read_only(command: &str) -> bool {
    // Nothing that expands, redirects, chains or quotes: what is left means what it says.
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(
                c,
                ' ' | '|' | '-' | '_' | '.' | '/' | ':' | ',' | '=' | '+' | '@' | '%'
            )
    };
    if command.trim().is_empty() || !command.chars().all(plain) || command.contains("||") {
        return false;
    }
    command.split('|').all(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        match words.as_slice() {
            ["operator-tui", rest @ ..] => OPERATOR.iter().any(|known| rest.starts_with(known)),
            [program, ..] => READERS.contains(program),
            [] => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::is_read_only;

    #[test]
    fn a_short_list_reads_and_everything_else_may_change_something() {
        for yes in [
            "operator-tui cluster --json",
            "operator-tui lab ps --json",
            "operator-tui lab logs tikv1 | tail -n 20",
            "cat /proc/loadavg",
        ] {
            assert!(is_read_only(yes), "{yes}");
        }
        for no in [
            "",
            "operator-tui lab start tikv1",
            "operator-tui lab",
            "operator-tui tickets resolve 1",
            "sleep 2; operator-tui cluster --json",
            "cat x > y",
            "cat $(rm x)",
            "ls `rm x`",
            "ls & rm x",
            "ls || rm x",
            "ls | xargs rm",
            "ls\nrm x",
            "PATH=/evil ls",
            "./cat x",
            "tail x | sh",
            "cat 'x'",
            "find / -delete",
            "sed -i s/a/b/ x",
        ] {
            assert!(!is_read_only(no), "{no}");
        }
    }
}
