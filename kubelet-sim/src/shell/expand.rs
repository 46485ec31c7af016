//! Words become fields: variables, substitutions, arithmetic, splitting. No patterns.

use futures::future::BoxFuture;

use super::{
    arithmetic,
    evaluate::Shell,
    streams::Streams,
    syntax::{Part, Word},
};

/// What the expansion of one command may come to.
const LONGEST: usize = 1 << 20;

impl Shell {
    /// The fields that `words` become.
    ///
    /// # Errors
    /// sh's words; the script ends with them.
    pub(super) async fn fields(&mut self, words: &[Word], streams: &Streams) -> Result<Vec<String>, String> {
        let (mut fields, mut bytes) = (Vec::new(), 0);
        for word in words {
            let mut field: Option<String> = None;
            for part in &word.0 {
                if let Part::Variable { name, otherwise: None, quoted: true, .. } = part
                    && name == "@"
                {
                    let args = self.args.clone();
                    for (i, arg) in args.into_iter().enumerate() {
                        if i > 0 {
                            fields.extend(field.take());
                        }
                        field.get_or_insert_default().push_str(&arg);
                    }
                    continue;
                }
                let (text, split) = self.part(part, streams).await?;
                bytes += text.len();
                if bytes > LONGEST {
                    return Err("argument list too long".into());
                }
                if !split {
                    field.get_or_insert_default().push_str(&text);
                    continue;
                }
                if text.starts_with(char::is_whitespace) {
                    fields.extend(field.take());
                }
                let mut pieces = text.split_whitespace().peekable();
                while let Some(piece) = pieces.next() {
                    field.get_or_insert_default().push_str(piece);
                    if pieces.peek().is_some() || text.ends_with(char::is_whitespace) {
                        fields.extend(field.take());
                    }
                }
            }
            fields.extend(field);
        }
        Ok(fields)
    }

    /// The one text that `word` becomes, as in an assignment.
    ///
    /// # Errors
    /// As [`Shell::fields`].
    pub(super) fn text<'a>(
        &'a mut self,
        word: &'a Word,
        streams: &'a Streams,
    ) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let mut text = String::new();
            for part in &word.0 {
                text.push_str(&self.part(part, streams).await?.0);
                if text.len() > LONGEST {
                    return Err("word too long".into());
                }
            }
            Ok(text)
        })
    }

    /// What a part becomes, and whether it is split into fields.
    async fn part(&mut self, part: &Part, streams: &Streams) -> Result<(String, bool), String> {
        match part {
            Part::Text(text) => Ok((text.clone(), false)),
            Part::Command { list, quoted } => {
                let (captured, buffer) = streams.captured();
                let mut inner = self.clone();
                inner.run(list, &captured).await;
                self.status = inner.status;
                self.substituted = true;
                self.pace = inner.pace;
                let mut text = std::mem::take(&mut *buffer.lock());
                text.truncate(text.trim_end_matches('\n').len());
                Ok((text, !quoted))
            }
            Part::Arithmetic { expression, quoted } => {
                let text = self.text(expression, streams).await?;
                let value = arithmetic::evaluate(&text, &|name| self.variable(name).unwrap_or_default())?;
                Ok((value.to_string(), !quoted))
            }
            Part::Variable { name, otherwise, length, quoted } => {
                let value = self.variable(name);
                let Some((operator, empty_counts, word)) = otherwise else {
                    if value.is_none() && self.nounset && !matches!(name.as_str(), "@" | "*") {
                        return Err(format!("{name}: parameter not set"));
                    }
                    let value = value.unwrap_or_default();
                    let text = if *length { value.chars().count().to_string() } else { value };
                    return Ok((text, !quoted));
                };
                let there = value.filter(|v| !(*empty_counts && v.is_empty()));
                let text = match (operator, there) {
                    ('+', None) => String::new(),
                    ('+', Some(_)) | ('-', None) => self.text(word, streams).await?,
                    ('=', None) => {
                        let text = self.text(word, streams).await?;
                        self.set(name, text.clone());
                        text
                    }
                    ('?', None) => {
                        let words = self.text(word, streams).await?;
                        let words = if words.is_empty() { "parameter not set".to_owned() } else { words };
                        return Err(format!("{name}: {words}"));
                    }
                    (_, Some(value)) => value,
                    (_, None) => String::new(),
                };
                Ok((text, !quoted))
            }
        }
    }

    /// A variable's value, or that of a special parameter.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "$" => Some("1".into()),
            "#" => Some(self.args.len().to_string()),
            "@" | "*" => Some(self.args.join(" ")),
            "0" => Some(self.name.clone()),
            "!" => None,
            _ => match name.parse::<usize>() {
                Ok(n) => self.args.get(n.wrapping_sub(1)).cloned(),
                Err(_) => self.variables.get(name).cloned(),
            },
        }
    }
}
