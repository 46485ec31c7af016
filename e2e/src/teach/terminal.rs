//! A lesson on a terminal: Markdown as wrapped and, where that is welcome, coloured text.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use textwrap::{WordSeparator, core::Word};

use super::text::{Language, Question};
use crate::{
    out,
    style::{BAD, CODE, FAINT, GOOD, HEADING, STRONG},
};

/// Longer lines are hard to read.
const WIDTH: usize = 92;

pub(super) fn begin(title: &str, intro: &str) {
    outln!("{HEADING}{title}{HEADING:#}\n");
    body(intro);
}

pub(super) fn heading(number: usize, of: usize, title: &str) {
    outln!("{FAINT}{number}/{of}{FAINT:#} {HEADING}{}{HEADING:#}\n", plain(title));
}

pub(super) fn question(question: &Question, lang: Language) {
    let words = lang.words();
    let what = if question.choices.is_empty() { words.think } else { words.predict };
    outln!("{STRONG}{what}{STRONG:#}");
    outln!("{}", render(&question.text, "  "));
    for (n, choice) in question.choices.iter().enumerate() {
        let text = format!("`{}`{}{}", choice.value, words.colon, choice.text);
        let lines = render(&text, "     ");
        outln!("  {}{}", n + 1, lines.strip_prefix("   ").unwrap_or(&lines));
    }
    outln!("");
}

pub(super) fn prompt(words: &str) {
    out::write(format_args!("{FAINT}{words}{FAINT:#} "));
    out::flush();
}

pub(super) fn answer(question: &Question, answer: usize, guess: Option<usize>, lang: Language) {
    let words = lang.words();
    let (style, verdict) = match guess {
        None => (STRONG, words.answer),
        Some(guess) if guess == answer => (GOOD, words.right),
        Some(_) => (BAD, words.wrong),
    };
    let value = question.choices.get(answer).map(|choice| choice.value.as_str()).unwrap_or_default();
    outln!("{style}{verdict}{style:#}{}{} {CODE}{value}{CODE:#}\n", words.colon, answer + 1);
}

pub(super) fn body(markdown: &str) {
    outln!("{}\n", render(markdown, ""));
}

pub(super) fn tally(right: usize, asked: usize, lang: Language) {
    let text = lang.words().tally.replace("{right}", &right.to_string());
    outln!("{STRONG}{}{STRONG:#}\n", text.replace("{asked}", &asked.to_string()));
}

/// Without Markdown's marks.
fn plain(markdown: &str) -> String {
    Parser::new(markdown)
        .filter_map(|event| match event {
            Event::Text(text) | Event::Code(text) => Some(text.into_string()),
            _ => None,
        })
        .collect()
}

/// Paragraphs, lists and artefacts as lines that begin with `indent`.
fn render(markdown: &str, indent: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut artefact = false;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => artefact = true,
            Event::End(TagEnd::CodeBlock) => {
                let bar = |line: &str| format!("{indent}  {FAINT}│{FAINT:#} {line}");
                blocks.push(text.lines().map(bar).collect::<Vec<_>>().join("\n"));
                text.clear();
                artefact = false;
            }
            Event::End(TagEnd::Paragraph) => {
                blocks.push(wrap(&text, indent, indent));
                text.clear();
            }
            Event::End(TagEnd::Item) if !text.is_empty() => {
                let (first, rest) = (format!("{indent}• "), format!("{indent}  "));
                // Items of one list stand close together.
                let item = wrap(&text, &first, &rest);
                match blocks.last_mut().filter(|last| last.trim_start().starts_with('•')) {
                    Some(list) => *list = format!("{list}\n{item}"),
                    None => blocks.push(item),
                }
                text.clear();
            }
            Event::Start(Tag::Strong | Tag::Emphasis) => text += &STRONG.render().to_string(),
            Event::End(TagEnd::Strong | TagEnd::Emphasis) => text += &STRONG.render_reset().to_string(),
            Event::Code(code) => text += &format!("{CODE}{code}{CODE:#}"),
            Event::Text(part) => text += &part,
            Event::SoftBreak if !artefact => text.push(' '),
            _ => {}
        }
    }
    if !text.is_empty() {
        blocks.push(wrap(&text, indent, indent));
    }
    blocks.join("\n\n")
}

fn wrap(text: &str, first: &str, rest: &str) -> String {
    let options =
        textwrap::Options::new(WIDTH).initial_indent(first).subsequent_indent(rest).break_words(false);
    textwrap::fill(text, options.word_separator(WordSeparator::Custom(pieces)))
}

/// What stays together in a line: words, and of Chinese, which has no blanks, each character with the signs that no
/// line begins with.
fn pieces(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let mut from = 0;
    let mut before: Option<char> = None;
    let mut cuts = Vec::new();
    for (at, c) in line.char_indices() {
        let last = before.replace(c);
        let after_blank = last == Some(' ') && c != ' ';
        let in_chinese = (last.is_some_and(is_wide) || is_wide(c)) && !CLINGS.contains(c) && c != ' ';
        let opened = last.is_some_and(|last| OPENS.contains(last));
        if at > from && (after_blank || in_chinese && !opened) {
            cuts.push(from..at);
            from = at;
        }
    }
    cuts.push(from..line.len());
    Box::new(cuts.into_iter().map(move |range| Word::from(&line[range])))
}

/// No line begins with these. Colours end with the word that they belong to.
const CLINGS: &str = "，。、；：？！）》」”’…—\u{1b}";
/// No line ends with these.
const OPENS: &str = "（《「“‘";

fn is_wide(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(markdown: &str, lines: &[&str]) {
        let shown = anstream::adapter::strip_str(&render(markdown, "")).to_string();
        assert_eq!(shown.lines().collect::<Vec<_>>(), lines, "{shown}");
    }

    #[test]
    fn markdown_becomes_lines() {
        check("One **two** `three`\nfour.\n\nNext.", &["One two three four.", "", "Next."]);
        check("Of these:\n\n- a\n- b `c`", &["Of these:", "", "• a", "• b c"]);
        check("File:\n\n```text\na  b\n c\n```\n\nEnd.", &["File:", "", "  │ a  b", "  │  c", "", "End."]);
    }

    #[test]
    fn chinese_is_wrapped_by_its_width() {
        let text = "证书".repeat(40);
        let shown = render(&text, "");
        let widths: Vec<usize> = shown.lines().map(textwrap::core::display_width).collect();
        assert!(widths.len() == 2 && widths.iter().all(|width| *width <= WIDTH), "{widths:?}");
    }
}
