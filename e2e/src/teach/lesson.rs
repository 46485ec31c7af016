//! One telling of a chapter: the text asks, the world goes on, the text says what was seen.

use std::{cell::RefCell, io::BufRead as _};

use serde_json::{Value, json};

use super::{
    Chapter,
    facts::Facts,
    terminal,
    text::{Language, Question, Step, Text, TextError, fill},
};
use crate::story::StoryError;

/// How a lesson is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Not at all; it is kept.
    Silent,
    /// As text, while the world goes on.
    Aloud,
    /// As text, and waits at each question.
    Asking,
    /// Not at all, and kept with stand-ins for what differs each time.
    Steady,
}

/// A step that was told.
#[derive(Clone, Debug)]
pub struct ToldStep {
    /// By which the run knows it.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What was asked, and which choice it was, counted from 0.
    pub question: Option<(Question, Option<usize>)>,
    /// What was shown, as Markdown.
    pub body: String,
}

/// A chapter that was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its name.
    pub id: &'static str,
    /// In which language.
    pub lang: Language,
    /// By which seed.
    pub seed: u64,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub intro: String,
    /// What it showed.
    pub steps: Vec<ToldStep>,
    /// What the run found beyond what the text shows, and the reverse: step and name.
    pub unused: Vec<String>,
}

impl Told {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let steps = self.steps.iter().map(|step| {
            let question = step.question.as_ref().map(|(question, answer)| {
                let choices: Vec<_> =
                    question.choices.iter().map(|c| json!({"value": c.value, "text": c.text})).collect();
                let value = answer.and_then(|n| question.choices.get(n)).map(|choice| &choice.value);
                json!({"text": question.text, "choices": choices, "answer": value})
            });
            json!({"step": step.id, "title": step.title, "question": question, "markdown": step.body})
        });
        json!({
            "chapter": self.id, "lang": self.lang.code(), "seed": self.seed, "title": self.title,
            "intro": self.intro, "steps": steps.collect::<Vec<_>>(),
        })
    }
}

struct Asked {
    step: usize,
    facts: Facts,
    guess: Option<usize>,
}

#[derive(Default)]
struct State {
    asked: Option<Asked>,
    told: Vec<ToldStep>,
    unused: Vec<String>,
    right: usize,
    guesses: usize,
}

/// See the module.
pub struct Lesson {
    id: &'static str,
    text: Text,
    lang: Language,
    /// Decides all chance.
    pub seed: u64,
    voice: Voice,
    state: RefCell<State>,
}

impl Lesson {
    pub(super) fn new(chapter: &Chapter, lang: Language, seed: u64, voice: Voice) -> Result<Self, TextError> {
        let text = chapter.text(lang)?;
        let lesson = Self { id: chapter.id, text, lang, seed, voice, state: RefCell::default() };
        if lesson.is_heard() {
            terminal::begin(&lesson.text.title, &lesson.text.intro);
        }
        Ok(lesson)
    }

    fn is_heard(&self) -> bool {
        matches!(self.voice, Voice::Aloud | Voice::Asking)
    }

    fn wrong(&self, why: impl std::fmt::Display) -> StoryError {
        StoryError(format!("chapter {} ({}): {why}", self.id, self.lang.code()))
    }

    fn next(&self, id: &str) -> Result<(usize, &Step), StoryError> {
        let n = self.state.borrow().told.len();
        let step =
            self.text.steps.get(n).ok_or_else(|| self.wrong(format!("the text has no step {id:?}")))?;
        match step.id == id {
            true => Ok((n, step)),
            false => Err(self.wrong(format!("the run shows {id:?} where the text has {:?}", step.id))),
        }
    }

    /// Asks what `id` will show, before the run finds it out. `facts`: what the question itself needs.
    ///
    /// # Errors
    /// It is not the next step of the text, or that asks nothing there.
    pub fn ask(&self, id: &str, facts: Facts) -> Result<(), StoryError> {
        let (n, step) = self.next(id)?;
        let facts = self.as_heard(facts);
        let question =
            step.question.as_ref().ok_or_else(|| self.wrong(format!("step {id:?} asks nothing")))?;
        let question = question.filled(&facts).map_err(|e| self.wrong(e))?;
        let mut guess = None;
        if self.is_heard() {
            let title = fill(&step.title, &facts).map_err(|e| self.wrong(e))?;
            terminal::heading(n + 1, self.text.steps.len(), &title);
            terminal::question(&question, self.lang);
            if self.voice == Voice::Asking {
                guess = self.wait(&question);
            }
        }
        self.state.borrow_mut().asked = Some(Asked { step: n, facts, guess });
        Ok(())
    }

    /// What the reader types: one of the choices, or nothing. Whoever closes standard input wants no more questions.
    fn wait(&self, question: &Question) -> Option<usize> {
        let words = self.lang.words();
        terminal::prompt(if question.choices.is_empty() { words.enter } else { words.guess });
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).ok()?;
        let number: usize = line.trim().parse().ok()?;
        (1..=question.choices.len()).contains(&number).then(|| number - 1)
    }

    /// Says what `id` shows.
    ///
    /// # Errors
    /// It is not the next step of the text; the text needs what was not found; what was found is none of the choices.
    pub fn tell(&self, id: &str, facts: Facts) -> Result<(), StoryError> {
        let (n, step) = self.next(id)?;
        let asked = self.state.borrow_mut().asked.take();
        let facts = self.as_heard(facts);
        let (facts, guess, was_asked) = match asked {
            Some(asked) if asked.step == n => (asked.facts.and(facts), asked.guess, true),
            _ => (facts, None, false),
        };
        if step.question.is_some() && !was_asked {
            return Err(self.wrong(format!("step {id:?} was shown before its question was asked")));
        }
        let title = fill(&step.title, &facts).map_err(|e| self.wrong(format!("step {id:?}: {e}")))?;
        let body = fill(&step.body, &facts).map_err(|e| self.wrong(format!("step {id:?}: {e}")))?;
        let question = match &step.question {
            None => None,
            Some(question) => Some(self.answered(id, question, &facts)?),
        };
        if self.is_heard() {
            if !was_asked {
                terminal::heading(n + 1, self.text.steps.len(), &title);
            }
            if let Some((question, Some(answer))) = &question {
                terminal::answer(question, *answer, guess, self.lang);
            }
            terminal::body(&body);
        }
        let mut state = self.state.borrow_mut();
        if let (Some((_, Some(answer))), Some(guess)) = (&question, guess) {
            state.guesses += 1;
            state.right += usize::from(*answer == guess);
        }
        let (found, wanted) = (facts.names(), step.places());
        state.unused.extend(found.symmetric_difference(&wanted).map(|name| format!("{id}: {name}")));
        state.told.push(ToldStep { id: id.to_owned(), title, question, body });
        Ok(())
    }

    fn answered(
        &self,
        id: &str,
        question: &Question,
        facts: &Facts,
    ) -> Result<(Question, Option<usize>), StoryError> {
        let question = question.filled(facts).map_err(|e| self.wrong(format!("step {id:?}: {e}")))?;
        if question.choices.is_empty() {
            return match facts.answer_opt() {
                None => Ok((question, None)),
                Some(value) => {
                    Err(self.wrong(format!("step {id:?}: {value:?} answers a question without choices")))
                }
            };
        }
        let value = facts.answer_opt().unwrap_or_default();
        let answer = question.choices.iter().position(|choice| choice.value == value);
        match answer {
            Some(_) => Ok((question, answer)),
            None => {
                Err(self.wrong(format!("step {id:?}: the run found {value:?}, which is none of the choices")))
            }
        }
    }

    fn as_heard(&self, facts: Facts) -> Facts {
        match self.voice {
            Voice::Steady => facts.steady(),
            _ => facts,
        }
    }

    /// What the text takes for granted, checked in the run.
    ///
    /// # Errors
    /// It is not so.
    pub fn holds(&self, what: &str, held: bool, seen: impl std::fmt::Display) -> Result<(), StoryError> {
        match held {
            true => Ok(()),
            false => Err(self.wrong(format!("it is not so that {what}: {seen}"))),
        }
    }

    /// The end: nothing may be left of the text.
    pub(super) fn end(self) -> Result<Told, StoryError> {
        let state = self.state.take();
        if let Some(step) = self.text.steps.get(state.told.len()) {
            return Err(self.wrong(format!("the run ended before step {:?}", step.id)));
        }
        if self.voice == Voice::Asking && state.guesses > 0 {
            terminal::tally(state.right, state.guesses, self.lang);
        }
        Ok(Told {
            id: self.id,
            lang: self.lang,
            seed: self.seed,
            title: self.text.title,
            intro: self.text.intro,
            steps: state.told,
            unused: state.unused,
        })
    }
}
