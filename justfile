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

# What is quick enough for every save: format, lint, unit tests
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace --lib

# One test by (a part of) its name, with what it prints
one name:
    cargo test --workspace {{name}} -- --nocapture

# Screens that look otherwise than their snapshots: read each, accept or not
review:
    cargo insta test --workspace --lib --review

# Speed, beside what it is compared with
bench *args:
    cargo bench {{args}}

# What may be depended on, advisories included
deny:
    command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
    cargo deny check

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The pictures and the recording in assets/, from real runs
pictures:
    cargo build --release
    cargo run --example pictures

# What redaction catches of the texts beside its tests, and what of those that should stay
redaction:
    cargo test -p agent_lab --lib redaction_in_figures -- --nocapture

# Each reader of text from outside, and many texts that nobody thought of
fuzz cases="20000":
    PROPTEST_CASES={{cases}} cargo test --workspace --lib -- fuzz_ redact

# One process of a demo killed at a random moment, again and again (a quarter of an hour and more); a
# seed that lost something is played alone by `just kills 1 SEED`
kills rounds="200" seed="1000":
    OPERATOR_DRILL_ROUNDS={{rounds}} OPERATOR_DRILL_SEED={{seed}} cargo test -p operator-tui --test it \
        two_hundred_kills -- --ignored --nocapture

# Two agents, two people, kills and faults in whatever order they come; a seed that went wrong is played
# alone by `just interleavings 1 SEED`
interleavings rounds="50" seed="1000":
    OPERATOR_DRILL_ROUNDS={{rounds}} OPERATOR_DRILL_SEED={{seed}} cargo test -p operator-tui --test it \
        fifty_interleavings -- --ignored --nocapture

# The ledger taken away under a working agent in every way there is, with a line for each
taken-away:
    cargo test -p agent_lab --test it ledger_away -- --nocapture

# Kills at random moments again and again, the ledger taken away in every way there is, text that a
# terminal would obey through every source, and properties with many cases; takes long
drills rounds="20": kills interleavings taken-away redaction
    PROPTEST_CASES=20000 cargo test --workspace --lib
    cargo test -p operator-tui --test it injection
    for n in $(seq {{rounds}}); do cargo test -p agent_lab --test it survival && cargo test -p operator-tui --test it survival || exit 1; done
