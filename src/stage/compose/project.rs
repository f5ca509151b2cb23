//! Which compose project this process belongs to: the label of the container that it runs in says
//! it, whatever folder Compose was started in. Elsewhere it is the only project that has a lab.

use crate::stage::compose::{
    PROJECT_LABEL, PROJECT_VAR, ROLE_LABEL,
    docker::{Docker, DockerError},
};
use bollard::{
    models::ContainerInspectResponse,
    query_parameters::{InspectContainerOptions, ListContainersOptions},
};
use std::collections::{BTreeSet, HashMap};

/// The container that this process runs in. None: it runs in none, or this Docker does not say.
pub async fn own_container(
    docker: &Docker,
) -> Result<Option<ContainerInspectResponse>, DockerError> {
    // Docker names a container's host after its id.
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let ask = docker
        .api
        .inspect_container(&host, None::<InspectContainerOptions>);
    match docker.call("looking at this container", ask).await {
        Ok(seen) => {
            let own = seen.id.as_deref().is_some_and(|id| id.starts_with(&host));
            Ok(own.then_some(seen))
        }
        // It is no container, or the door to Docker does not show it.
        Err(DockerError::Refused {
            status: 403 | 404, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The project's name.
pub(super) async fn find(docker: &Docker) -> Result<String, DockerError> {
    let own = own_container(docker).await?;
    let labels = own.and_then(|c| c.config?.labels);
    if let Some(project) = labels.and_then(|mut l| l.remove(PROJECT_LABEL)) {
        return Ok(project);
    }
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([(
            "label".to_string(),
            vec![ROLE_LABEL.to_string()],
        )])),
        ..ListContainersOptions::default()
    };
    let list = docker.api.list_containers(Some(options));
    let found = docker.call("listing the containers", list).await?;
    let projects: BTreeSet<String> = found
        .into_iter()
        .filter_map(|c| c.labels?.remove(PROJECT_LABEL))
        .collect();
    let all: Vec<String> = projects.into_iter().collect();
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(DockerError::Settings(
            "Docker has no container of a lab; `docker compose up -d` in the folder of compose.yaml makes them".into(),
        )),
        several => Err(DockerError::Settings(format!(
            "Docker has labs of several projects ({}): {PROJECT_VAR} says which is meant",
            several.join(", ")
        ))),
    }
}
