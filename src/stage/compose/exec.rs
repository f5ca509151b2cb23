//! Runs a program in a container as if it were a child of this process: stdin, stdout and stderr go
//! through, and its exit code becomes ours.
//!
//! When this process ends, however, its connection ends, and with it the program's stdin: a
//! program that takes that as the end, as a runner does, leaves nothing behind. When the program
//! ends, or its container does, this process ends too, whether or not its own stdin does.

use crate::stage::compose::{Compose, Docker, DockerError};
use bollard::{
    container::LogOutput,
    exec::{StartExecOptions, StartExecResults},
    models::ExecConfig,
};
use futures_util::StreamExt;
use std::{process::ExitCode, time::Duration};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How long Docker may need to say how a program ended whose output is over.
const EXIT_LIMIT: Duration = Duration::from_secs(5);

/// Runs `command` in a container: the one of this role where this process knows of a lab in
/// Compose, or the one of this name.
pub async fn run(container: &str, command: Vec<String>) -> Result<ExitCode, DockerError> {
    let compose = Compose::from_env()?;
    let docker = &compose.docker;
    let what = format!(
        "running {} in {container}",
        command.first().map_or("nothing", String::as_str)
    );
    let of_lab = compose.container_of(container).await.ok();
    let container = of_lab.unwrap_or_else(|| container.to_owned());
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command),
        ..ExecConfig::default()
    };
    let made = docker
        .call(&what, docker.api.create_exec(&container, config))
        .await?;
    let started = docker
        .call(
            &what,
            docker.api.start_exec(&made.id, None::<StartExecOptions>),
        )
        .await?;
    let StartExecResults::Attached { mut output, input } = started else {
        return Err(DockerError::Broken {
            what,
            why: "Docker did not attach to it".into(),
        });
    };
    let feeding = tokio::spawn(feed(input));
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some(piece) = output.next().await {
        let piece = piece.map_err(|e| docker.explain(&what, &e))?;
        let written = match &piece {
            LogOutput::StdErr { message } => pass_on(&mut stderr, message).await,
            other => pass_on(&mut stdout, other.as_ref()).await,
        };
        // Nobody reads any more: to end is to tell the program so.
        if written.is_err() {
            break;
        }
    }
    feeding.abort();
    let code = exit_code(docker, &made.id).await?;
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

async fn pass_on(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Our stdin to the program's, to its end.
async fn feed(mut input: std::pin::Pin<Box<dyn AsyncWrite + Send>>) {
    let mut stdin = tokio::io::stdin();
    let _ = tokio::io::copy(&mut stdin, &mut input).await;
    let _ = input.shutdown().await;
}

/// How the program ended. Docker may know it a little after the end of the output.
async fn exit_code(docker: &Docker, exec: &str) -> Result<i64, DockerError> {
    let deadline = tokio::time::Instant::now() + EXIT_LIMIT;
    loop {
        let seen = docker
            .call("asking how it ended", docker.api.inspect_exec(exec))
            .await?;
        match (seen.running, seen.exit_code) {
            (Some(false), Some(code)) => return Ok(code),
            _ if tokio::time::Instant::now() > deadline => {
                return Err(DockerError::Broken {
                    what: "asking how it ended".into(),
                    why: "it still runs, though its output is over".into(),
                });
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
