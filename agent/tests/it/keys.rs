//! The agent's key: taken from a pipe or the environment, and sent only where somebody agreed to.

use crate::common::{
    stage::{KEY, Stage},
    text, turn,
};
use std::process::Stdio;

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_alone_sends_no_key_of_the_environment_elsewhere() {
    let script = || vec![turn(&[text("ESCALATE: nothing")], "end_turn")];
    let stage = Stage::new(script()).await;
    let config = format!("[agent.api]\nbase_url = \"{}\"\n", stage.server.base);
    std::fs::write(stage.home.path().join("config.toml"), config).unwrap();
    let model = ["--model", "claude-opus-5-5"];
    let mut command = stage.command(&model);
    command
        .env_remove("ANTHROPIC_BASE_URL")
        .stdin(Stdio::null());
    let refused = command.output().await.unwrap();
    assert!(!refused.status.success());
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains(&stage.server.base), "{why}");
    assert!(why.contains("ANTHROPIC_BASE_URL"), "{why}");
    assert!(stage.server.asked().is_empty(), "nothing was sent");

    // Agreed to: the consent names that endpoint, and no other.
    let home = operator_ledger::home::Home::at(stage.home.path());
    let consent = |endpoint: &str| {
        agent_lab::consent::Consent::wanted(&stage.db(), 5.0, endpoint)
            .remember(&home)
            .unwrap();
    };
    consent("http://127.0.0.1:9/prefix");
    assert!(!command.output().await.unwrap().status.success());
    assert!(stage.server.asked().is_empty(), "nothing was sent");
    consent(&stage.server.base);
    command.output().await.unwrap();
    let asked = stage.server.asked();
    assert_eq!(asked[0].header("x-api-key"), Some(KEY));
}
