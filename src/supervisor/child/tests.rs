//! The supervisor against real children.

use super::*;
use crate::supervisor::Item;
use rustix::process::Pid;
use std::sync::Arc;
use tokio::{sync::Notify, time::timeout};

struct Child {
    handle: Handle,
    wake_up: Arc<Notify>,
    items: Vec<Item>,
}

fn shell(script: &str) -> Spec {
    Spec {
        name: "test",
        argv: ["sh", "-c", script].map(Into::into).to_vec(),
        ..Spec::default()
    }
}

fn sh(script: &str) -> Child {
    let wake_up = Arc::new(Notify::new());
    let handle = start(shell(script), Mailbox::new(wake_up.clone()));
    Child {
        handle,
        wake_up,
        items: Vec::new(),
    }
}

impl Child {
    /// Waits until an item satisfies `wanted`.
    async fn until(&mut self, wanted: impl Fn(&Item) -> bool) {
        let found = timeout(Duration::from_secs(30), async {
            loop {
                self.items.extend(self.handle.mailbox().drain());
                if self.items.iter().any(&wanted) {
                    return;
                }
                self.wake_up.notified().await;
            }
        });
        assert!(found.await.is_ok(), "not seen in {:#?}", self.items);
    }

    async fn until_fact(&mut self, wanted: impl Fn(&Fact) -> bool) {
        self.until(|item| matches!(item, Item::Fact(fact) if wanted(fact)))
            .await;
    }

    fn pid(&self) -> u32 {
        let started = self.items.iter().find_map(|item| match item {
            Item::Fact(Fact::Started { pid }) => Some(*pid),
            _ => None,
        });
        started.expect("it was started")
    }

    fn text(&self) -> Vec<String> {
        let lines = self.items.iter().filter_map(|item| match item {
            Item::Plain { line, .. } => Some(String::from_utf8_lossy(line).into_owned()),
            _ => None,
        });
        lines.collect()
    }
}

fn alive(pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed()).is_some_and(operator_process::proc::is_alive)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_child_that_exits_at_once_are_all_there() {
    let mut child = sh("echo one; echo two >&2; printf three");
    child.until_fact(|f| *f == Fact::OutputEnded).await;
    let mut text = child.text();
    text.sort();
    assert_eq!(text, ["one", "three", "two"]);
    child
        .until_fact(|f| matches!(f, Fact::Exited { success: true, .. }))
        .await;
    child.until_fact(|f| matches!(f, Fact::GaveUp { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_stops_and_shows_the_last_words() {
    let mut child = sh("echo broken config >&2; exit 3");
    child
        .until_fact(|f| matches!(f, Fact::Restarting { .. }))
        .await;
    child
        .until_fact(|f| {
            matches!(f, Fact::GaveUp { why, stderr }
        if why.contains("5 times") && stderr == &["broken config"])
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_watched_does_not_run_and_says_why() {
    let wake_up = Arc::new(Notify::new());
    let (spec, mailbox) = (shell("exec sleep 600"), Mailbox::new(wake_up.clone()));
    let (handle, orders) = Handle::new(mailbox.clone());
    let run = launch(&spec).unwrap();
    let pid = run.group.pid.unwrap();
    let listen = || Err(io::Error::other("no signals here"));
    tokio::spawn(supervise(spec, mailbox, orders, Ok(run), listen));
    let mut child = Child {
        handle,
        wake_up,
        items: Vec::new(),
    };
    child
        .until_fact(|f| matches!(f, Fact::GaveUp { why, .. } if why.contains("no signals here")))
        .await;
    timeout(Duration::from_secs(30), async {
        while operator_process::proc::is_alive(pid) {
            yield_now().await;
        }
    })
    .await
    .expect("it was ended");
    child.handle.stop();
    child.until_fact(|f| *f == Fact::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_somebody_outside_ended_is_named_and_started_again() {
    let mut child = sh("trap 'exit 143' TERM; echo up; while :; do sleep 0.05; done");
    child
        .until(|item| matches!(item, Item::Plain { line, .. } if line.as_slice() == b"up"))
        .await;
    let first = child.pid();
    let pid = Pid::from_raw(first.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    child
        .until_fact(|f| {
            matches!(f, Fact::Exited { how, success: false } if how.contains("somebody outside"))
        })
        .await;
    child
        .until_fact(|f| matches!(f, Fact::Restarting { .. }))
        .await;
    child
        .until_fact(|f| matches!(f, Fact::Started { pid } if *pid != first))
        .await;
    child.handle.stop();
    child.until_fact(|f| *f == Fact::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_does_not_exist_is_named() {
    let wake_up = Arc::new(Notify::new());
    let spec = Spec {
        argv: vec!["/no/such/agent".into()],
        ..Spec::default()
    };
    let handle = start(spec, Mailbox::new(wake_up.clone()));
    let mut child = Child {
        handle,
        wake_up,
        items: Vec::new(),
    };
    child
        .until_fact(|f| {
            matches!(f, Fact::GaveUp { why, .. }
        if why.contains("/no/such/agent"))
        })
        .await;
    child.handle.stop();
    child.until_fact(|f| *f == Fact::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_held_open_after_exit_is_named_and_its_holder_ended() {
    let mut child = sh("sleep 1000 & echo $!; exit 7");
    child.until_fact(|f| *f == Fact::PipeHeld).await;
    child
        .until_fact(|f| matches!(f, Fact::Exited { how, .. } if how == "exit code 7"))
        .await;
    let holder: u32 = child.text()[0].parse().unwrap();
    let gone = async {
        while alive(holder) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), gone)
        .await
        .expect("the holder was ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_term_is_killed_with_its_group() {
    let mut child =
        sh("trap '' TERM; (trap '' TERM; sleep 1000) & echo $!; while :; do sleep 1; done");
    child.until(|i| matches!(i, Item::Plain { .. })).await;
    let grandchild: u32 = child.text()[0].parse().unwrap();
    let pid = child.pid();
    child.handle.kill();
    child.until_fact(|f| *f == Fact::Stopped).await;
    assert!(!alive(pid) && !alive(grandchild));
}

#[tokio::test(flavor = "multi_thread")]
async fn control_lines_arrive_and_stop_closes_stdin() {
    let mut child = sh("cat; echo end of stdin");
    child.handle.control(Control::Message {
        by: String::new(),
        text: "hello".into(),
    });
    child
        .until(
            |i| matches!(i, Item::Plain { line, .. } if line.ends_with(b"\"hello\",\"by\":\"\"}")),
        )
        .await;
    child.handle.stop();
    child.until_fact(|f| *f == Fact::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_never_waits_for_the_reader_of_the_mailbox() {
    let mut child = sh("seq 1 1000000; printf 'bad \\377 utf8\\n'");
    child.until_fact(|f| *f == Fact::OutputEnded).await;
    let lost: u64 = child
        .items
        .iter()
        .map(|i| if let Item::Lost(n) = i { *n } else { 0 })
        .sum();
    let seen = child.text();
    assert_eq!(lost + seen.len() as u64, 1_000_001);
    assert_eq!(seen[seen.len() - 2], "1000000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_the_old_one_first() {
    let mut child = sh("echo $$; sleep 1000");
    child.until(|i| matches!(i, Item::Plain { .. })).await;
    let first = child.pid();
    child.handle.restart();
    child
        .until_fact(|f| matches!(f, Fact::Started { pid } if *pid != first))
        .await;
    assert!(!alive(first));
    child.handle.kill();
    child.until_fact(|f| *f == Fact::Stopped).await;
}
