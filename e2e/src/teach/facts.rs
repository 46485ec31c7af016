//! What a run has found for a step of its chapter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::text::TextError;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    words: BTreeMap<&'static str, String>,
    artefacts: BTreeMap<&'static str, String>,
    varies: Vec<(String, String)>,
    answer: Option<String>,
}

impl Facts {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A word or a number, for a place within a line.
    #[must_use]
    pub fn word(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.words.insert(name, value.to_string());
        self
    }

    /// No seed decides `value` (keys, and what hangs on them): in pages that must be the same every time `stand_in` takes
    /// its place, wherever it stands.
    #[must_use]
    pub fn varies(mut self, value: impl fmt::Display, stand_in: &str) -> Self {
        self.varies.push((value.to_string(), stand_in.to_owned()));
        self
    }

    /// A file, a certificate, requests: for a place that is a line of its own.
    #[must_use]
    pub fn show(mut self, name: &'static str, artefact: impl fmt::Display) -> Self {
        self.artefacts.insert(name, artefact.to_string());
        self
    }

    /// The answer to the step's question.
    #[must_use]
    pub fn answer(mut self, value: impl fmt::Display) -> Self {
        self.answer = Some(value.to_string());
        self
    }

    /// What stands for a place within a line.
    ///
    /// # Errors
    /// The run has found nothing of that name, or an artefact.
    pub(crate) fn value(&self, name: &str) -> Result<&str, TextError> {
        self.words.get(name).map(String::as_str).ok_or_else(|| {
            TextError::new(match self.artefacts.contains_key(name) {
                true => format!("{{{{{name}}}}} is an artefact, and must be a line of its own"),
                false => format!("the run has found nothing for {{{{{name}}}}}"),
            })
        })
    }

    pub(crate) fn artefact(&self, name: &str) -> Option<&str> {
        self.artefacts.get(name).map(String::as_str)
    }

    pub(crate) fn answer_opt(&self) -> Option<&str> {
        self.answer.as_deref()
    }

    /// The names of everything found, but for the answer.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.words.keys().chain(self.artefacts.keys()).map(|name| (*name).to_owned()).collect()
    }

    /// The same with stand-ins for what differs each time.
    pub(crate) fn steady(mut self) -> Self {
        for (value, stand_in) in std::mem::take(&mut self.varies) {
            for text in self.words.values_mut().chain(self.artefacts.values_mut()) {
                *text = text.replace(&value, &stand_in);
            }
        }
        self
    }

    /// Both together; what `later` has found again counts.
    #[must_use]
    pub(crate) fn and(mut self, later: Self) -> Self {
        self.words.extend(later.words);
        self.artefacts.extend(later.artefacts);
        self.varies.extend(later.varies);
        self.answer = later.answer.or(self.answer);
        self
    }
}
