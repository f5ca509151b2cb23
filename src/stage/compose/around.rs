//! What must run around the cluster before anything of it is broken: the container that the agent
//! works in, and the monitor. One that is missing is an error that says how to start it; one of
//! another build than this program's is said. Starts nothing itself.

use crate::stage::compose::{Compose, DockerError, project::own_container};
use bollard::models::ContainerSummary;

/// Roles of the containers, which are the names of their services too.
const ROLES: [&str; 2] = ["agent", "monitor"];
/// As many characters of an image's id as Docker itself shows.
const SHORT: usize = 12;

#[derive(Debug, thiserror::Error)]
pub enum AroundError {
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(
        "there is no container of the {role} in project {project}; `docker compose up -d {role}` makes it"
    )]
    Missing { role: &'static str, project: String },
    #[error("the container of the {role} is {state}; `docker compose {way} {role}` brings it back")]
    NotRunning {
        role: &'static str,
        state: String,
        way: &'static str,
    },
}

/// Looks at them. Returns what a person should know, one sentence each.
pub async fn check(compose: &Compose) -> Result<Vec<String>, AroundError> {
    let own = own_container(&compose.docker).await?.and_then(|c| c.image);
    let mut notices = Vec::new();
    for role in ROLES {
        let found = compose.of_role(role).await?;
        let Some(container) = found.first() else {
            return Err(AroundError::Missing {
                role,
                project: compose.docker.project().await?.into(),
            });
        };
        let state = state(container);
        if state != "running" {
            return Err(AroundError::NotRunning {
                role,
                way: if state == "paused" {
                    "unpause"
                } else {
                    "up -d"
                },
                state,
            });
        }
        notices.extend(other_build(
            role,
            container.image_id.as_deref(),
            own.as_deref(),
        ));
    }
    Ok(notices)
}

fn state(container: &ContainerSummary) -> String {
    container
        .state
        .map(|state| state.to_string())
        .unwrap_or_default()
}

/// That a container runs another image than this program's own, where both are known.
fn other_build(role: &str, theirs: Option<&str>, own: Option<&str>) -> Option<String> {
    let (theirs, own) = (theirs?, own?);
    (theirs != own).then(|| {
        format!(
            "the {role} runs another build (image {}) than this one (image {}); `docker compose up -d {role}` makes it anew",
            short(theirs),
            short(own)
        )
    })
}

fn short(image: &str) -> &str {
    let id = image.strip_prefix("sha256:").unwrap_or(image);
    id.get(..SHORT).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_build_is_said_with_both_images() {
        let (old, new) = ("sha256:0123456789abcdef", "sha256:fedcba9876543210");
        let said = other_build("agent", Some(old), Some(new)).unwrap();
        assert!(
            said.contains("0123456789ab)") && said.contains("fedcba987654)"),
            "{said}"
        );
        assert_eq!(other_build("agent", Some(old), Some(old)), None);
        assert_eq!(other_build("agent", Some(old), None), None);
    }
}
