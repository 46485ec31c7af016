//! How a word of a script is read: its quotes, and the expansions in it.

use super::{
    parse::{Parsed, Parser},
    syntax::{Part, Word},
};

impl Parser {
    pub(super) fn word(&mut self) -> Parsed<Word> {
        let mut word = Word::default();
        let begin = self.at;
        while let Some(c) = self.peek() {
            match c {
                '\'' => {
                    self.at += 1;
                    let mut text = String::new();
                    loop {
                        match self.peek() {
                            None => return Err("syntax error: unterminated quoted string".into()),
                            Some('\'') => break,
                            Some(c) => text.push(c),
                        }
                        self.at += 1;
                    }
                    self.at += 1;
                    word.push(text);
                }
                '"' => {
                    self.at += 1;
                    self.quoted(&mut word, '"')?;
                }
                '$' => self.dollar(&mut word, false)?,
                '`' => return Err("syntax error: backquotes are not simulated, use $(…)".into()),
                '\\' => {
                    self.at += 1;
                    if let Some(c) = self.peek() {
                        self.at += 1;
                        if c != '\n' {
                            word.push(c.to_string());
                        }
                    }
                }
                c if ends_word(c) => break,
                c => {
                    self.at += 1;
                    word.push(c.to_string());
                }
            }
        }
        if self.at == begin {
            return Err(self.unexpected());
        }
        Ok(word)
    }

    /// Up to and with `end`; expansions in it are not split.
    fn quoted(&mut self, word: &mut Word, end: char) -> Parsed<()> {
        word.push(String::new());
        loop {
            match self.peek() {
                None => return Err("syntax error: unterminated quoted string".into()),
                Some(c) if c == end => {
                    self.at += 1;
                    return Ok(());
                }
                Some('$') => self.dollar(word, true)?,
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => {}
                        Some(c) if matches!(c, '$' | '`' | '"' | '\\') || c == end => {
                            word.push(c.to_string())
                        }
                        Some(c) => word.push(format!("\\{c}")),
                        None => continue,
                    }
                    self.at += 1;
                }
                Some(c) => {
                    word.push(c.to_string());
                    self.at += 1;
                }
            }
        }
    }

    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Parsed<()> {
        self.at += 1;
        let simple = |name: String| Part::Variable { name, otherwise: None, length: false, quoted };
        if self.take("((") {
            let expression = self.deeper(Self::arithmetic)?;
            word.0.push(Part::Arithmetic { expression, quoted });
        } else if self.take("(") {
            let list = self.list()?;
            self.blank_lines();
            self.expect(")")?;
            word.0.push(Part::Command { list, quoted });
        } else if self.take("{") {
            let part = self.deeper(|p| p.braced(quoted))?;
            word.0.push(part);
        } else if let Some(c) = self.peek().filter(|c| c.is_ascii_digit() || "?$#@*!".contains(*c)) {
            self.at += 1;
            word.0.push(simple(c.to_string()));
        } else {
            let name = self.name();
            if name.is_empty() {
                word.push("$".into());
            } else {
                word.0.push(simple(name));
            }
        }
        Ok(())
    }

    fn braced(&mut self, quoted: bool) -> Parsed<Part> {
        let bad = || "syntax error: bad substitution".to_owned();
        let length = self.peek() == Some('#') && !self.starts("#}") && self.take("#");
        let name = match self.peek() {
            Some(c) if c.is_ascii_digit() || "?$#@*".contains(c) => {
                self.at += 1;
                c.to_string()
            }
            _ => self.name(),
        };
        if name.is_empty() {
            return Err(bad());
        }
        if self.take("}") {
            return Ok(Part::Variable { name, otherwise: None, length, quoted });
        }
        let empty_counts = self.take(":");
        let operator = self.peek().filter(|c| "-=+?".contains(*c)).ok_or_else(bad)?;
        self.at += 1;
        let mut word = Word::default();
        self.quoted(&mut word, '}')?;
        Ok(Part::Variable { name, otherwise: Some((operator, empty_counts, word)), length, quoted })
    }

    /// Up to and with the closing `))`.
    fn arithmetic(&mut self) -> Parsed<Word> {
        let (mut word, mut open) = (Word::default(), 0_usize);
        loop {
            if open == 0 && self.take("))") {
                return Ok(word);
            }
            match self.peek() {
                None => return Err("syntax error: missing '))'".into()),
                Some('$') => {
                    self.dollar(&mut word, true)?;
                    continue;
                }
                Some(c) => {
                    open = match c {
                        '(' => open + 1,
                        ')' => open.saturating_sub(1),
                        _ => open,
                    };
                    word.push(c.to_string());
                    self.at += 1;
                }
            }
        }
    }
}

pub(super) fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')')
}

impl Word {
    /// Adds text, to the text before it if there is some.
    fn push(&mut self, text: String) {
        match self.0.last_mut() {
            Some(Part::Text(before)) => before.push_str(&text),
            _ => self.0.push(Part::Text(text)),
        }
    }
}
