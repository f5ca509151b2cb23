# Short names for what the README and CI do. `just --list` shows them.

# The demo on a screen
demo *args:
    cargo run --release -- demo {{args}}

# The demo without a screen
headless *args:
    cargo run --release -- demo --headless --auto {{args}}

test:
    cargo test --workspace

# What CI runs
ci:
    bash .ci/run

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The pictures and the recording in assets/, from real runs
pictures:
    cargo build --release
    cargo run --example pictures
