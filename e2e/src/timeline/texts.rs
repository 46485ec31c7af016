//! Texts by number: paths, names and words come again and again.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Texts {
    numbers: BTreeMap<String, usize>,
}

impl Texts {
    /// The number of `text`, counted from 0 in the order of first use.
    pub(super) fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// All of them, by number.
    pub(super) fn all(self) -> Vec<String> {
        let mut all: Vec<(usize, String)> = self.numbers.into_iter().map(|(text, n)| (n, text)).collect();
        all.sort_unstable_by_key(|(n, _)| *n);
        all.into_iter().map(|(_, text)| text).collect()
    }
}
