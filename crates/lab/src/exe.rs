//! Starting this executable again, in another role.

use std::process::Command;

/// A command that runs this executable, with nothing of our environment but what a program needs
/// to run: keys of the user have no business in the lab.
pub fn command() -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(operator_process::executable());
    command.arg0("operator-tui").env_clear();
    for name in ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
