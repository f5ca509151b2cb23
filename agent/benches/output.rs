//! What every byte that a command prints goes through: cleaning and redaction.

use agent_lab::redact::{RedactStream, Redactor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use operator_ledger::clean::Cleaner;

const CHUNK: usize = 16 * 1024;

/// Lines as TiKV logs them.
fn log(size: usize) -> String {
    let line = "[2026/11/22 10:11:12.345 +00:00] [INFO] [raft.rs:2646] [\"received a message\"] \
        [start_key=7480000000000000FF2D5F7280] [region_id=4] [from=http://127.0.0.1:20160]\n";
    line.repeat(size / line.len())
}

fn colours(size: usize) -> String {
    let line = "\x1b[32mok\x1b[0m  a test that passed in 0.01 s and says so in colour\n";
    line.repeat(size / line.len())
}

/// Manifests: a name that may say something, and a URL, on many a line.
fn yaml(size: usize) -> String {
    let text = "  - name: TIKV_TOKEN_FILE\n    value: /run/secrets/token\n    image: registry.example/tikv:v8.5\n\
        \u{20}   secretName: tls-of-the-cluster\n    args: [\"--pd=http://pd0:2379\", \"--status=http://0.0.0.0:20180\"]\n\
        \u{20}   password: hunter22\n";
    text.repeat(size / text.len())
}

/// What a rule begins with, and nothing that it goes on with.
fn teasing(size: usize) -> String {
    "eyJ-curl password=\"://SK".repeat(size / 26)
}

fn output(c: &mut Criterion) {
    let mut group = c.benchmark_group("output");
    for (name, text) in [
        ("log", log(1 << 20)),
        ("plain", "x".repeat(79) + "\n"),
        ("colour", colours(1 << 20)),
        ("yaml", yaml(1 << 20)),
        ("teasing", teasing(1 << 20)),
    ] {
        let text = if name == "plain" {
            text.repeat(1 << 14)
        } else {
            text
        };
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            let redactor = Redactor::new(["a-key-that-is-nowhere-in-it".to_string()]);
            b.iter(|| {
                let mut cleaner = Cleaner::default();
                let mut redact = RedactStream::new(redactor.clone());
                let mut bytes = 0;
                for chunk in text.as_bytes().chunks(CHUNK) {
                    let clean = cleaner.push(chunk);
                    bytes += redact.push(&clean).len();
                }
                bytes + redact.finish().len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, output);
criterion_main!(benches);
