//! Splits the text of a label selector into tokens.

/// What a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    End,
    Closed,
    Open,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    Word,
}

/// The tokens with their text. The last one is always [`Token::End`].
pub(super) fn scan(text: &str) -> Vec<(Token, &str)> {
    // Upstream's reader takes a NUL for the end of the text.
    let text = text.split('\0').next().unwrap_or(text);
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_space);
        let Some(first) = rest.chars().next() else { break };
        let length = if is_special(first) {
            symbol_length(rest)
        } else {
            rest.find(|c| is_special(c) || is_space(c)).unwrap_or(rest.len())
        };
        let (literal, tail) = rest.split_at(length);
        tokens.push((classify(literal), literal));
        rest = tail;
    }
    tokens.push((Token::End, ""));
    tokens
}

fn symbol_length(rest: &str) -> usize {
    if ["==", "!="].iter().any(|two| rest.starts_with(two)) { 2 } else { 1 }
}

fn classify(literal: &str) -> Token {
    match literal {
        ")" => Token::Closed,
        "(" => Token::Open,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" => Token::DoubleEquals,
        "=" => Token::Equals,
        "!=" => Token::NotEquals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "in" => Token::In,
        "notin" => Token::NotIn,
        _ => Token::Word,
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}
