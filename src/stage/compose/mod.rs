//! The lab in Docker Compose: real TiKV in containers, controlled through the Docker API.
//!
//! `docker` is the way to the API, `project` says whose containers they are, `nodes` what the lab's
//! control does with them, `exec` runs a program in a container as a child of this process, `up`
//! waits until the cluster is well, and `around` looks at what else must run. Which containers
//! belong to the lab is said by their labels, never by their names. Does not make or remove
//! containers: that is `docker compose`'s.

pub mod around;
pub mod docker;
pub mod exec;
pub mod nodes;
pub mod project;
pub mod up;

pub use docker::{Docker, DockerError};
pub use nodes::Compose;

/// Label that Compose gives a container: the project.
pub const PROJECT_LABEL: &str = "com.docker.compose.project";
/// Label that Compose gives a container: the service.
pub const SERVICE_LABEL: &str = "com.docker.compose.service";
/// Our label in compose.yaml: `pd`, `store`, `load`, `agent` or `monitor`.
pub const ROLE_LABEL: &str = "operator.role";

/// Variable that names the compose project of a lab, where Docker is not to be asked.
pub const PROJECT_VAR: &str = "COMPOSE_PROJECT_NAME";
