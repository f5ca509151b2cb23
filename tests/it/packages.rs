//! What the packages say of themselves: the oldest Rust that builds them. That our own code asks for
//! no younger one is clippy's to say (`incompatible_msrv`).

use serde_json::Value;
use std::{path::Path, process::Command};

/// `1.91` and `1.91.0` are the same.
fn version(text: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = text.split('.').map(|n| n.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

#[test]
fn no_dependency_asks_for_a_younger_rust_than_we_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &platform])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let promised = env!("CARGO_PKG_RUST_VERSION");
    let younger: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let wants = package["rust_version"].as_str()?;
            let is_younger = version(wants) > version(promised);
            is_younger.then(|| {
                format!(
                    "{} {} asks for {wants}",
                    package["name"], package["version"]
                )
            })
        })
        .collect();
    assert!(packages.len() > 100, "{}", packages.len());
    assert!(younger.is_empty(), "we promise {promised}: {younger:#?}");
}
