//! Text without a call: an answer to a person who asked, a ticket handed over, or neither; and
//! words of people on their way to the model. No text is ever taken for a claim.

use super::{Halt, Session, Verdict, escalation::escalation};
use crate::prompt;

/// What was asked and said, as far as it decides what a text is.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    /// The model was given words of a person and has not answered them.
    asked: bool,
    /// The model was told how to end, and has done nothing since.
    nudged: bool,
}

/// What a text without a call is.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Answer,
    /// Nobody asked; it may not know how to end.
    First,
    /// Nobody asked, and it knows.
    Again,
}

impl Dialogue {
    /// Words of a person are given to the model.
    fn heard(&mut self) {
        self.asked = true;
        self.nudged = false;
    }

    /// A turn with calls. A text beside them may be the answer.
    pub(super) fn worked(&mut self, said: &str) {
        self.nudged = false;
        self.asked &= said.trim().is_empty();
    }

    fn said(&mut self) -> Said {
        if std::mem::take(&mut self.asked) {
            Said::Answer
        } else if std::mem::replace(&mut self.nudged, true) {
            Said::Again
        } else {
            Said::First
        }
    }
}

impl Session<'_> {
    /// Gives the model what people said meanwhile. Whether that was anything.
    pub(super) async fn hear(&mut self) -> Result<bool, Halt> {
        let words = self.take_messages().await?;
        Ok(self.pass_on(&words))
    }

    /// Gives the model words of people. Whether there are any.
    pub(super) fn pass_on(&mut self, words: &[String]) -> bool {
        if words.is_empty() {
            return false;
        }
        self.say(&words.join("\n\n"));
        self.dialogue.heard();
        // It is a conversation, and none in which nothing comes of the turns.
        self.odd = 0;
        true
    }

    /// The model ended its turn with a text and no call. A verdict: the session is over.
    pub(super) async fn text_alone(&mut self, said: &str) -> Result<Option<Verdict>, Halt> {
        // A person comes first, whatever the text is.
        if self.hear().await? {
            return Ok(None);
        }
        if let Some(words) = escalation(said) {
            let why = "the agent hands it to a person";
            return Ok(Some(self.hand_over(&words, why).await?));
        }
        match self.dialogue.said() {
            Said::Answer => {
                self.odd = 0;
                self.tell(prompt::ANSWERED).await?;
                Ok(None)
            }
            Said::First => {
                self.tell(prompt::NOT_AN_END).await?;
                Ok(None)
            }
            Said::Again => {
                let why = "it stopped without saying how the ticket stands, and was told to";
                Ok(Some(self.hand_over(said, why).await?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_an_answer_once_for_each_time_a_person_asked() {
        let mut dialogue = Dialogue::default();
        dialogue.heard();
        assert_eq!(dialogue.said(), Said::Answer);
        assert_eq!(dialogue.said(), Said::First);
        assert_eq!(dialogue.said(), Said::Again);
        dialogue.heard();
        assert_eq!(dialogue.said(), Said::Answer);
        assert_eq!(
            dialogue.said(),
            Said::First,
            "a person's words begin it anew"
        );
    }

    #[test]
    fn an_answer_may_stand_beside_calls_and_work_begins_it_anew() {
        let mut dialogue = Dialogue::default();
        dialogue.heard();
        dialogue.worked(" ");
        assert_eq!(
            dialogue.said(),
            Said::Answer,
            "the answer came after the work"
        );
        dialogue.heard();
        dialogue.worked("It is down. I look why.");
        assert_eq!(dialogue.said(), Said::First);
        dialogue.worked("");
        assert_eq!(dialogue.said(), Said::First);
        assert_eq!(dialogue.said(), Said::Again);
    }
}
