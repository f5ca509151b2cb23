//! From facts to the next step: look, find what is not running, read why, put it right, look
//! again. What it does not understand it escalates; it never guesses and never tries a remedy that
//! has failed.

use super::{
    ending::{Ending, actions, cause, complaint},
    facts::{CLUSTER, CLUSTER_AGAIN, Facts, NODES, Remedy, logs},
    read::Node,
};
use operator_ledger::{Confidence, FinishOutcome};

/// Looks after a remedy before it is taken to have failed; two seconds apart.
const PATIENCE: usize = 20;
/// Looks at a cluster that is not well though nothing was done: PD may only be late.
const DOUBT: usize = 5;
/// Times it lets itself be sent back.
const ROUNDS: usize = 2;

const UNREAD: &str = "Look at it by other means: I read only what I know.";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Say `text`, run `command`; `why` goes with the command.
    Run {
        text: String,
        command: String,
        why: String,
    },
    /// Say this to the person who wrote.
    Answer(String),
    /// Say `text`, and end so.
    Finish { text: String, ending: Box<Ending> },
}

fn run(text: impl Into<String>, command: impl Into<String>, why: impl Into<String>) -> Step {
    Step::Run {
        text: text.into(),
        command: command.into(),
        why: why.into(),
    }
}

/// Hands the ticket over: `text` for who reads along, `next` for who goes on.
fn escalate(facts: &Facts, text: impl Into<String>, next: &str) -> Step {
    let text = text.into();
    Step::Finish {
        ending: Box::new(Ending {
            outcome: FinishOutcome::Escalate,
            cause: cause(facts).map_or_else(|| text.clone(), |found| format!("{found} {text}")),
            actions: actions(facts),
            checked: String::new(),
            next: next.into(),
            confidence: Confidence::Low,
        }),
        text,
    }
}

pub(super) fn next(facts: &Facts) -> Step {
    if facts.unanswered
        && let Some(person) = &facts.person
    {
        return answer(facts, person);
    }
    if let Some(rejected) = &facts.rejected {
        let text = format!(
            "`{}` was rejected by {}: {} I know no other way, and leave it at that.",
            rejected.command,
            rejected.by,
            sentence(&rejected.why)
        );
        return escalate(facts, text, "Do it by hand, or let an agent do it.");
    }
    if let Some(command) = &facts.interrupted {
        let text = format!("A person interrupted `{command}`, so I cannot tell what it did.");
        return escalate(facts, text, "Look what it did, and go on from there.");
    }
    if let Some(ended) = &facts.ended {
        let text = format!(
            "A command of mine did not come to its end, so I cannot tell what it did. {ended}"
        );
        return escalate(facts, text, "Look what it did, and go on from there.");
    }
    if facts.round > ROUNDS {
        let text = format!(
            "The monitor still sees the violation after I finished {} times. {}",
            facts.round,
            history(facts)
        );
        return escalate(facts, text, "Find out what the monitor sees and I do not.");
    }
    let look = match &facts.look {
        None => return first_look(facts),
        Some(Err(why)) => {
            let text = format!("I cannot read the state of the cluster, so I touch nothing. {why}");
            return escalate(facts, text, UNREAD);
        }
        Some(Ok(look)) => look,
    };
    let nodes = match &facts.nodes {
        None => return second_look(facts, &look.complaints(&facts.invariant)),
        Some(Err(why)) => {
            let text =
                format!("I cannot read the state of the processes, so I touch nothing. {why}");
            return escalate(facts, text, UNREAD);
        }
        Some(Ok(nodes)) => nodes,
    };
    // PD first: without a majority of it the stores cannot report.
    let mut stopped: Vec<&Node> = nodes.iter().filter(|n| n.state != "running").collect();
    stopped.sort_by_key(|n| (!n.is_pd(), n.name.clone()));
    if let Some(node) = stopped.first() {
        return put_right(facts, node, stopped.len());
    }
    let complaints = look.complaints(&facts.invariant);
    if facts.invariant == "low_disk_space" {
        let text = format!(
            "Every process runs, and making room on a disk means deleting something: that is not \
             mine to choose. {}",
            facts.message
        );
        return escalate(facts, text, "Choose what may go, or add room.");
    }
    let acted = facts.applied_now().next().is_some();
    // A look from before the remedy proves nothing.
    if complaints.is_empty() && (!acted || facts.looks > 0) {
        return done(facts);
    }
    let patience = if acted { PATIENCE } else { DOUBT };
    if facts.looks < patience {
        return look_again(facts, &complaints, acted);
    }
    let text = format!(
        "Every process runs, and yet {}. That is beyond what I understand. {}",
        list(&complaints),
        history(facts)
    );
    escalate(facts, text, "Find out why, with every process there.")
}

/// What it can truthfully say to somebody whose words it does not understand.
fn answer(facts: &Facts, person: &str) -> Step {
    let seen = match &facts.look {
        None => "I have not looked at the cluster yet.".into(),
        Some(Err(_)) => "I could not read the state of the cluster when I looked.".into(),
        Some(Ok(look)) => match look.complaints(&facts.invariant) {
            none if none.is_empty() => "The cluster looked well when I looked last.".into(),
            some => format!("When I looked last, {}.", list(&some)),
        },
    };
    let found = cause(facts).map_or(String::new(), |found| format!(" I found that {found}"));
    Step::Answer(format!(
        "{person} wrote to me. I am a rehearsal, a script: I do not understand what words mean, and \
         can follow no order in them. {seen}{found} {} So that I do nothing that I was asked not to \
         do, I change nothing more from here on; I only look, and hand over what is left to do.",
        history(facts)
    ))
}

/// With a full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn first_look(facts: &Facts) -> Step {
    let text = if facts.round > 0 {
        "The monitor still sees the violation. I look again from the start.".to_string()
    } else if let Some(earlier) = &facts.earlier {
        format!(
            "There was a session on this ticket before this one, {} I go by what is true now, so I \
             look first.",
            sentence(earlier)
        )
    } else {
        format!(
            "The ticket says {}. I look at the cluster before I touch anything.",
            if facts.message.is_empty() {
                "little"
            } else {
                &facts.message
            }
        )
    };
    run(
        text,
        CLUSTER,
        "see what PD and the stores say about themselves",
    )
}

fn second_look(facts: &Facts, complaints: &[String]) -> Step {
    if facts.applied_now().next().is_some() {
        return run(
            if facts.looks == 0 {
                "Now I check that the process really runs."
            } else {
                "It takes longer than it should. I look at the processes again."
            },
            NODES,
            "does it run, or did it stop again?",
        );
    }
    let text = if complaints.is_empty() {
        "The cluster looks well from here. I check the processes too before I believe it."
            .to_string()
    } else {
        format!(
            "I see that {}. That is the symptom; the cause is a process, or the path to it.",
            list(complaints)
        )
    };
    run(text, NODES, "is a process gone, or alive and stuck?")
}

/// `node` does not run.
fn put_right(facts: &Facts, node: &Node, stopped: usize) -> Step {
    let name = &node.name;
    if let Some(person) = &facts.person {
        let how = if node.state == "paused" {
            "is paused".to_owned()
        } else {
            format!("does not run: its process {}", node.ending())
        };
        let text = format!(
            "{name} {how}. {person} wrote to me, and I cannot tell what I may still do: I touch \
             nothing more."
        );
        return escalate(facts, text, &format!("Bring {name} back, or say why not."));
    }
    if node.state == "paused" {
        if facts.tried(Remedy::Resume, name) {
            let text = format!(
                "{name} is paused again after I resumed it: somebody, or something, pauses it. {}",
                history(facts)
            );
            return escalate(facts, text, &format!("Find out what pauses {name}."));
        }
        return run(
            format!(
                "{name} is paused: the process is there and holds its connections, but it is \
                 frozen. It needs to go on, not to be started again.{}",
                others(stopped)
            ),
            Remedy::Resume.command(name),
            format!("let the frozen process of {name} go on"),
        );
    }
    let Some(log) = facts.logs.get(name) else {
        let text = if facts.tried(Remedy::Start, name) {
            format!(
                "{name} did not stay up: it {}. Its log should say why.",
                node.ending()
            )
        } else {
            format!(
                "{name} does not run: its process {}. Before I start it I read its last words.{}",
                node.ending(),
                others(stopped)
            )
        };
        return run(text, logs(name), format!("why did {name} stop?"));
    };
    let found = if log.is_empty() {
        "its log says nothing".to_string()
    } else {
        quoted(log)
    };
    if let Some(tried) = facts.applied.iter().rev().find(|a| a.node == *name) {
        let said = if tried.output.is_empty() {
            String::new()
        } else {
            quoted(&tried.output)
        };
        let text = format!(
            "I started {name}, and it does not stay up: it {}. Starting it again would not help, and \
             repairing or throwing away its data, which may be damaged, is not mine to decide.\n{said}\nThe \
             end of its log:\n{found}",
            node.ending()
        );
        return escalate(
            facts,
            text,
            &format!("Read the log of {name} and decide about its data."),
        );
    }
    let cause = match complaint(log) {
        Some(line) => format!("Its log ends with: {line}. A start is the least I can do."),
        None if node.exit.starts_with("signal") => {
            "The last lines of its log tell of no error, as when something else ends a process."
                .into()
        }
        None => "The last lines of its log tell of no error; a start is the least I can do.".into(),
    };
    run(
        format!("{cause} I start {name}."),
        Remedy::Start.command(name),
        format!("bring back the process of {name}; it keeps its data and its place"),
    )
}

fn look_again(facts: &Facts, complaints: &[String], acted: bool) -> Step {
    let text = match (acted, facts.looks) {
        (true, 0) => "It runs. Now the cluster must see it that way too.".to_string(),
        (true, _) => format!("Not there yet: {}.", list(complaints)),
        (false, _) => format!(
            "Every process runs, and yet {}. PD may only be late, so I wait and look again.",
            list(complaints)
        ),
    };
    run(text, CLUSTER_AGAIN, "has the cluster recovered?")
}

fn done(facts: &Facts) -> Step {
    let seen = "all stores are up, PD has a leader, and every region has its leader and its peers";
    let checked =
        format!("`operator-tui cluster` and `operator-tui lab ps`: {seen}; every process runs.");
    if facts.applied.is_empty() {
        return Step::Finish {
            text:
                "Every process runs, PD has a leader, all stores are up and every region has its \
                   leader and its peers. I find nothing broken, and I changed nothing."
                    .into(),
            ending: Box::new(Ending {
                outcome: FinishOutcome::NothingWrong,
                cause: "I found nothing broken: what the ticket says is not so now.".into(),
                actions: String::new(),
                checked,
                next: String::new(),
                confidence: Confidence::Medium,
            }),
        };
    }
    Step::Finish {
        text: format!(
            "{} {}{}. I believe it is repaired; the monitor must say so.",
            history(facts),
            seen[..1].to_uppercase(),
            &seen[1..]
        ),
        ending: Box::new(Ending {
            outcome: FinishOutcome::Repaired,
            cause: cause(facts).unwrap_or_else(|| "A process did not run.".into()),
            actions: actions(facts),
            checked,
            next: "Find out who or what stopped it: that is not in what I read.".into(),
            confidence: Confidence::Medium,
        }),
    }
}

/// What was done, in order.
fn history(facts: &Facts) -> String {
    let done: Vec<String> = facts
        .applied
        .iter()
        .map(|a| {
            let verb = match a.remedy {
                Remedy::Start => "started",
                Remedy::Resume => "resumed",
            };
            format!(
                "{verb} {}{}",
                a.node,
                if a.worked {
                    ""
                } else {
                    " (the command failed)"
                }
            )
        })
        .collect();
    if done.is_empty() {
        "I changed nothing.".into()
    } else {
        format!("I {}.", list(&done))
    }
}

fn others(stopped: usize) -> &'static str {
    if stopped > 1 {
        " It is not the only one; I take them one by one."
    } else {
        ""
    }
}

/// "a", "a and b", "a, b and c".
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => "nothing is known".into(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

fn quoted(text: &str) -> String {
    text.lines()
        .map(|l| format!("> {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}
