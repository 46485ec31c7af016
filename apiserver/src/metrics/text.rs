//! Prometheus' text format.

use std::{fmt::Write as _, sync::Arc};

use super::histogram::Histogram;

/// A page of families.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

/// Names and values, in order.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    pub(crate) fn finish(self) -> String {
        self.0
    }

    /// Opens a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(crate) fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.line(name, labels, None, value);
    }

    /// A family with what `write` says of each row, under the row's labels.
    pub(super) fn rows<R, const N: usize>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        rows: &[Arc<R>],
        labels: impl Fn(&R) -> [(&'static str, String); N],
        write: impl Fn(&mut Self, &R, Labels<'_>),
    ) {
        self.family(name, kind, help);
        for row in rows {
            let labels = labels(row);
            write(self, row, &labels.each_ref().map(|(key, value)| (*key, value.as_str())));
        }
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    pub(crate) fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let (buckets, sum, count) = histogram.read();
        let bucket = format!("{name}_bucket");
        for (bound, value) in buckets {
            self.line(&bucket, labels, Some(&number(bound)), value as f64);
        }
        self.line(&bucket, labels, Some("+Inf"), count as f64);
        self.line(&format!("{name}_sum"), labels, None, sum);
        self.line(&format!("{name}_count"), labels, None, count as f64);
    }

    fn line(&mut self, name: &str, labels: Labels<'_>, le: Option<&str>, value: f64) {
        self.0.push_str(name);
        let le = le.map(|le| ("le", le));
        let mut open = '{';
        for (key, value) in labels.iter().copied().chain(le) {
            self.0.push(open);
            open = ',';
            self.0.push_str(key);
            self.0.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if open == ',' {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {}", number(value));
    }
}

/// As Go writes the shortest form of a number: `5`, `0.005`, `2.592e+06`.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return value.to_string();
    }
    let shown = format!("{value:e}");
    let Some((mantissa, exponent)) = shown.split_once('e') else { return shown };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (5.0, "5"),
            (0.005, "0.005"),
            (604_800.0, "604800"),
            (1e6, "1e+06"),
            (2_592_000.0, "2.592e+06"),
            (31_104_000.0, "3.1104e+07"),
            (1.25, "1.25"),
            (0.000_05, "5e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("a", &[("b", "say \"x\\y\"\n")], 1.0);
        text.sample("c", &[], 2.5);
        assert_eq!(text.finish(), "a{b=\"say \\\"x\\\\y\\\"\\n\"} 1\nc 2.5\n");
    }
}
