//! From a script's text to its tree; refuses what the interpreter does not do, in sh's words.

use super::{
    syntax::{AndOr, Command, Kind, List, Pipeline, Redirect, Target, Word},
    words::ends_word,
};

/// Constructs within each other; deeper is refused, so that no script can exhaust the stack.
const DEEPEST: usize = 24;
/// A longer script is refused.
const LONGEST: usize = 256 << 10;

const RESERVED: &[&str] = &["then", "else", "elif", "fi", "do", "done", "}"];

/// Parses a whole script.
///
/// # Errors
/// What is wrong, in sh's words.
pub(crate) fn parse(text: &str) -> Result<List, String> {
    if text.len() > LONGEST {
        return Err(format!("script of {} bytes is longer than {LONGEST}", text.len()));
    }
    let mut parser = Parser { text: text.chars().collect(), at: 0, depth: 0 };
    let list = parser.list()?;
    parser.blank_lines();
    match parser.peek() {
        None => Ok(list),
        Some(_) => Err(parser.unexpected()),
    }
}

/// Whether more text could make a whole of what `why` complains about.
pub(crate) fn is_unfinished(why: &str) -> bool {
    why.ends_with("unexpected end of file") || why.ends_with("unterminated quoted string")
}

pub(super) struct Parser {
    pub(super) text: Vec<char>,
    pub(super) at: usize,
    depth: usize,
}

pub(super) type Parsed<T> = Result<T, String>;

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn starts(&self, what: &str) -> bool {
        what.chars().enumerate().all(|(i, c)| self.text.get(self.at + i) == Some(&c))
    }

    pub(super) fn take(&mut self, what: &str) -> bool {
        let there = self.starts(what);
        if there {
            self.at += what.chars().count();
        }
        there
    }

    pub(super) fn expect(&mut self, what: &str) -> Parsed<()> {
        if self.take(what) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn unexpected(&self) -> String {
        match self.peek() {
            None => "syntax error: unexpected end of file".into(),
            Some('\n') => "syntax error: unexpected newline".into(),
            Some('&') if !self.starts("&&") => "syntax error: background jobs (&) are not simulated".into(),
            Some(_) => {
                let rest: String = self.text[self.at..].iter().take_while(|c| !c.is_whitespace()).collect();
                format!("syntax error: unexpected \"{rest}\"")
            }
        }
    }

    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("syntax error: more than {DEEPEST} constructs within each other"));
        }
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    pub(super) fn blanks(&mut self) {
        loop {
            if self.take("\\\n") {
                continue;
            }
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    pub(super) fn blank_lines(&mut self) {
        loop {
            self.blanks();
            if !self.take("\n") {
                return;
            }
        }
    }

    /// The reserved word that stands here, if one does.
    fn reserved(&self, word: &str) -> bool {
        self.starts(word)
            && self
                .text
                .get(self.at + word.len())
                .is_none_or(|c| c.is_whitespace() || matches!(c, ';' | ')' | '&' | '|' | '>' | '<'))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let there = self.reserved(word);
        if there {
            self.at += word.len();
        }
        there
    }

    pub(super) fn list(&mut self) -> Parsed<List> {
        self.deeper(|p| {
            let mut all = Vec::new();
            loop {
                p.blank_lines();
                let end = p.peek().is_none_or(|c| c == ')') || RESERVED.iter().any(|word| p.reserved(word));
                if end {
                    return Ok(List(all));
                }
                all.push(p.and_or()?);
                p.blanks();
                let more = match p.peek() {
                    Some(';') if !p.starts(";;") => {
                        p.at += 1;
                        true
                    }
                    Some('\n') => true,
                    _ => false,
                };
                if !more {
                    return Ok(List(all));
                }
            }
        })
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = self.starts("&&");
            if !and && !self.starts("||") {
                return Ok(AndOr { first, rest });
            }
            self.at += 2;
            self.blank_lines();
            rest.push((and, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        self.blanks();
        let negated = self.keyword("!");
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.starts("||") || !self.take("|") {
                return Ok(Pipeline { negated, commands });
            }
            self.blank_lines();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.blanks();
        let kind = if self.keyword("if") {
            self.conditional()?
        } else if self.keyword("while") {
            self.repeat(false)?
        } else if self.keyword("until") {
            self.repeat(true)?
        } else if self.keyword("for") {
            self.iteration()?
        } else if self.keyword("{") {
            let list = self.list()?;
            self.closing("}")?;
            Kind::Group(list)
        } else if self.take("(") {
            let list = self.list()?;
            self.blank_lines();
            self.expect(")")?;
            Kind::Subshell(list)
        } else {
            return self.simple();
        };
        let mut redirects = Vec::new();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
        }
        Ok(Command { kind, redirects })
    }

    fn closing(&mut self, word: &str) -> Parsed<()> {
        self.blank_lines();
        if self.keyword(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn conditional(&mut self) -> Parsed<Kind> {
        let mut arms = Vec::new();
        loop {
            let condition = self.list()?;
            self.closing("then")?;
            arms.push((condition, self.list()?));
            self.blank_lines();
            if self.keyword("elif") {
                continue;
            }
            let otherwise = if self.keyword("else") { Some(self.list()?) } else { None };
            self.closing("fi")?;
            return Ok(Kind::If { arms, otherwise });
        }
    }

    fn body(&mut self) -> Parsed<List> {
        self.closing("do")?;
        let body = self.list()?;
        self.closing("done")?;
        Ok(body)
    }

    fn repeat(&mut self, until: bool) -> Parsed<Kind> {
        let condition = self.list()?;
        Ok(Kind::While { until, condition, body: self.body()? })
    }

    fn iteration(&mut self) -> Parsed<Kind> {
        self.blanks();
        let name = self.name();
        if name.is_empty() {
            return Err("syntax error: bad for loop variable".into());
        }
        self.blank_lines();
        let words = if self.keyword("in") {
            let mut words = Vec::new();
            loop {
                self.blanks();
                if self.peek().is_none_or(|c| matches!(c, ';' | '\n')) {
                    break;
                }
                words.push(self.word()?);
            }
            Some(words)
        } else {
            None
        };
        self.blanks();
        self.take(";");
        Ok(Kind::For { name, words, body: self.body()? })
    }

    fn simple(&mut self) -> Parsed<Command> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | '&' | '|' | ')' | '(') => break,
                _ => {}
            }
            if words.is_empty()
                && let Some(name) = self.assignment()
            {
                let value = if self.peek().is_none_or(ends_word) { Word::default() } else { self.word()? };
                assignments.push((name, value));
                continue;
            }
            words.push(self.word()?);
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command { kind: Kind::Simple { assignments, words }, redirects })
    }

    /// `name=` at this place.
    fn assignment(&mut self) -> Option<String> {
        let before = self.at;
        let name = self.name();
        if !name.is_empty() && self.take("=") {
            return Some(name);
        }
        self.at = before;
        None
    }

    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            let fits = c == '_' || c.is_ascii_alphabetic() || (!name.is_empty() && c.is_ascii_digit());
            if !fits {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        name
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        self.blanks();
        let digit = self
            .peek()
            .and_then(|c| c.to_digit(10))
            .filter(|_| self.text.get(self.at + 1).is_some_and(|c| matches!(c, '<' | '>')));
        if digit.is_some() {
            self.at += 1;
        }
        let stream = |default: u8| digit.and_then(|d| u8::try_from(d).ok()).unwrap_or(default);
        if self.starts("<<") {
            return Err("syntax error: here documents (<<) are not simulated".into());
        }
        let redirect = if self.take(">&") {
            let to = self.peek().and_then(|c| c.to_digit(10)).and_then(|d| u8::try_from(d).ok());
            self.at += 1;
            let to = to.ok_or("syntax error: bad fd number")?;
            Redirect { stream: stream(1), to: Target::Same(to) }
        } else if self.take(">>") {
            Redirect { stream: stream(1), to: Target::Append(self.file()?) }
        } else if self.take(">") {
            Redirect { stream: stream(1), to: Target::Write(self.file()?) }
        } else if self.take("<") {
            Redirect { stream: stream(0), to: Target::Read(self.file()?) }
        } else {
            return Ok(None);
        };
        Ok(Some(redirect))
    }

    fn file(&mut self) -> Parsed<Word> {
        self.blanks();
        self.word()
    }
}
