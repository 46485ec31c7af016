//! `$((…))`: integers, as sh has them.

/// The value of `text`; names are looked up with `value`.
///
/// # Errors
/// sh's words for what is wrong.
pub(crate) fn evaluate(text: &str, value: &dyn Fn(&str) -> String) -> Result<i64, String> {
    let mut reader =
        Reader { text: text.chars().filter(|c| !c.is_whitespace()).collect(), at: 0, value, depth: 0 };
    let result = reader.binary(0)?;
    if reader.at == reader.text.len() { Ok(result) } else { Err("arithmetic syntax error".into()) }
}

struct Reader<'a> {
    text: Vec<char>,
    at: usize,
    value: &'a dyn Fn(&str) -> String,
    depth: usize,
}

/// Weakest first; of two that begin alike the longer first.
const LEVELS: &[&[&str]] =
    &[&["||"], &["&&"], &["==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

impl Reader<'_> {
    fn take(&mut self, what: &str) -> bool {
        let there = what.chars().enumerate().all(|(i, c)| self.text.get(self.at + i) == Some(&c));
        if there {
            self.at += what.len();
        }
        there
    }

    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().copied().find(|o| self.take(o)) {
            let right = self.binary(level + 1)?;
            left = match operator {
                "||" => i64::from(left != 0 || right != 0),
                "&&" => i64::from(left != 0 && right != 0),
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "+" => left.wrapping_add(right),
                "-" => left.wrapping_sub(right),
                "*" => left.wrapping_mul(right),
                _ if right == 0 => return Err("divide by zero".into()),
                "/" => left.wrapping_div(right),
                _ => left.wrapping_rem(right),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > 64 {
            return Err("expression too complex".into());
        }
        let result = if self.take("-") {
            self.unary()?.wrapping_neg()
        } else if self.take("+") {
            self.unary()?
        } else if self.take("!") {
            i64::from(self.unary()? == 0)
        } else if self.take("(") {
            let inner = self.binary(0)?;
            if !self.take(")") {
                return Err("arithmetic syntax error".into());
            }
            inner
        } else {
            self.atom()?
        };
        self.depth -= 1;
        Ok(result)
    }

    fn atom(&mut self) -> Result<i64, String> {
        let rest = &self.text[self.at..];
        let text: String = rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').collect();
        self.at += text.len();
        let number =
            if text.starts_with(|c: char| c.is_ascii_digit()) { text.clone() } else { (self.value)(&text) };
        match number.trim() {
            "" if text.is_empty() => Err("arithmetic syntax error".into()),
            "" => Ok(0),
            number => number.parse().map_err(|_| format!("bad number '{number}'")),
        }
    }
}
