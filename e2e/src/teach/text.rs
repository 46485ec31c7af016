//! The text of a chapter: Markdown with a heading for each step, a question in front of some, and places for what the
//! run finds.
//!
//! ```text
//!   # Title
//!   What the chapter is about.
//!
//!   ## A step {#its-id}
//!
//!   > The question.
//!   >
//!   > - `value` what choosing it means
//!
//!   What was to be seen: `{{word}}` within a line, and on a line of its own
//!
//!   {{artefact}}
//! ```
//!
//! The value of a choice is what the run would find if it were the answer. A question without choices is for thought.

use std::{collections::BTreeSet, fmt};

use clap::ValueEnum;

use super::facts::Facts;

/// What a course is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Chinese, simplified.
    Zh,
}

/// What the course itself says, besides its chapters.
#[derive(Debug)]
pub struct Words {
    pub(crate) predict: &'static str,
    pub(crate) think: &'static str,
    pub(crate) guess: &'static str,
    pub(crate) enter: &'static str,
    pub(crate) right: &'static str,
    pub(crate) wrong: &'static str,
    pub(crate) answer: &'static str,
    /// After a sentence, and between a name and what it is.
    pub(crate) stop: &'static str,
    pub(crate) colon: &'static str,
    pub(crate) show: &'static str,
    pub(crate) tally: &'static str,
    pub(crate) list: &'static str,
    pub(crate) again: &'static str,
    pub(crate) contents: &'static str,
    pub(crate) other: &'static str,
    pub(crate) about: &'static str,
}

const ENGLISH: Words = Words {
    predict: "Predict",
    think: "Think first",
    guess: "Your guess (a number, or Enter to see):",
    enter: "Enter shows what happens.",
    right: "As you said",
    wrong: "Not so",
    answer: "Answer",
    stop: ".",
    colon: ": ",
    show: "Show what happens",
    tally: "{right} of {asked} predicted.",
    list: "chronoplane teach <chapter> --step tells one and waits for your predictions; --html FILE makes a page of it;\n--lang zh 用中文讲。",
    again: "Everything on this page was found by a run of this command:",
    contents: "The course",
    other: "中文",
    about: "Each chapter is a run of a simulated cluster with real certificates and real TLS: everything shown was found in it, and so were the answers. Guess before you unfold them. `chronoplane teach <chapter> --step` asks you in the terminal.",
};

const CHINESE: Words = Words {
    predict: "先猜一猜",
    think: "先想一想",
    guess: "你的选择（输入序号，或直接回车看答案）：",
    enter: "回车，看看会发生什么。",
    right: "猜对了",
    wrong: "不是这样",
    answer: "答案",
    stop: "。",
    colon: "：",
    show: "看看会发生什么",
    tally: "{asked} 个问题猜对了 {right} 个。",
    list: "chronoplane teach <chapter> --lang zh --step 讲一章，并在每个问题处等你先猜；--html FILE 生成网页。",
    again: "本页内容全部来自这条命令的一次实际运行：",
    contents: "课程",
    other: "English",
    about: "每一章都是一个模拟集群的一次运行，证书和 TLS 都是真的：展示的内容都是在运行中找到的，答案也是。展开之前请先猜一猜。`chronoplane teach <chapter> --lang zh --step` 会在终端里提问。",
};

impl Language {
    /// As in `--lang` and in the names of files.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// As in HTML's `lang`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }

    /// What the course itself says in it.
    pub fn words(self) -> &'static Words {
        match self {
            Self::En => &ENGLISH,
            Self::Zh => &CHINESE,
        }
    }
}

/// What is wrong with a chapter: its text, or its text and its run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError(String);

impl TextError {
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A chapter's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub intro: String,
    /// What it shows, in order.
    pub steps: Vec<Step>,
}

/// A part of a chapter that is shown at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// By which the run knows it.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What is asked before it is shown.
    pub question: Option<Question>,
    /// What is shown.
    pub body: String,
}

/// Asked before something is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Of what to choose; none: a question for thought.
    pub choices: Vec<Choice>,
}

/// One of several answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What the run finds if it is this.
    pub value: String,
    /// What that means.
    pub text: String,
}

impl Text {
    /// Reads a chapter's text.
    ///
    /// # Errors
    /// The file is not in the form that the module describes; says where.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut sections = text.split("\n## ");
        let head = sections.next().unwrap_or_default().trim();
        let (title, intro) = head.split_once('\n').unwrap_or((head, ""));
        let title =
            title.strip_prefix("# ").ok_or_else(|| TextError::new("does not begin with `# Title`"))?;
        let steps: Vec<Step> = sections.map(Step::parse).collect::<Result<_, _>>()?;
        let ids: BTreeSet<&str> = steps.iter().map(|step| step.id.as_str()).collect();
        if ids.len() != steps.len() {
            return Err(TextError::new("two steps have the same id"));
        }
        Ok(Self { title: title.trim().to_owned(), intro: intro.trim().to_owned(), steps })
    }
}

impl Step {
    fn parse(section: &str) -> Result<Self, TextError> {
        let (head, rest) = section.split_once('\n').unwrap_or((section, ""));
        let bad = |what: &str| TextError::new(format!("step {head:?}: {what}"));
        let (title, id) = head.split_once("{#").ok_or_else(|| bad("its heading has no {#id}"))?;
        let id = id.trim().strip_suffix('}').ok_or_else(|| bad("its {#id} has no end"))?;
        let rest = rest.trim();
        let quoted = rest.lines().take_while(|line| line.starts_with('>'));
        let quoted: Vec<&str> =
            quoted.map(|line| line.trim_start_matches('>').strip_prefix(' ').unwrap_or_default()).collect();
        let body = rest.lines().skip(quoted.len()).collect::<Vec<_>>().join("\n");
        let question = match quoted.is_empty() {
            true => None,
            false => Some(Question::parse(&quoted).map_err(|why| bad(&why))?),
        };
        Ok(Self { id: id.to_owned(), title: title.trim().to_owned(), question, body: body.trim().to_owned() })
    }

    /// The names of what the run must find for it, but for the answer.
    pub fn places(&self) -> BTreeSet<String> {
        let question = self.question.iter().flat_map(|question| {
            let choices =
                question.choices.iter().flat_map(|choice| places(&choice.value).chain(places(&choice.text)));
            places(&question.text).chain(choices)
        });
        question.chain(places(&self.body)).chain(places(&self.title)).map(str::to_owned).collect()
    }
}

impl Question {
    fn parse(lines: &[&str]) -> Result<Self, String> {
        let is_choice = |line: &&str| line.starts_with("- ");
        let text = lines.iter().take_while(|line| !is_choice(line)).copied().collect::<Vec<_>>().join("\n");
        let choice = |line: &&str| {
            let rest =
                line.strip_prefix("- `").ok_or_else(|| format!("{line:?} is no choice: - `value` words"))?;
            let (value, text) =
                rest.split_once('`').ok_or_else(|| format!("the value in {line:?} has no end"))?;
            Ok(Choice { value: value.to_owned(), text: text.trim().to_owned() })
        };
        let choices: Vec<Choice> =
            lines.iter().skip_while(|line| !is_choice(line)).map(choice).collect::<Result<_, String>>()?;
        if choices.len() == 1 {
            return Err("one choice is no choice".into());
        }
        Ok(Self { text: text.trim().to_owned(), choices })
    }

    /// The same with what the run has found in its places.
    ///
    /// # Errors
    /// See [`fill`].
    pub(crate) fn filled(&self, facts: &Facts) -> Result<Self, TextError> {
        let choices = self.choices.iter().map(|choice| {
            Ok(Choice { value: fill(&choice.value, facts)?, text: fill(&choice.text, facts)? })
        });
        Ok(Self { text: fill(&self.text, facts)?, choices: choices.collect::<Result<_, TextError>>()? })
    }
}

fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}").map(|(name, _)| name))
}

/// Puts what was found into its places.
///
/// # Errors
/// The run has not found something of that name, or an artefact does not stand alone on its line.
pub(crate) fn fill(text: &str, facts: &Facts) -> Result<String, TextError> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"))
            && let Some(artefact) = facts.artefact(name)
        {
            lines.push(format!("```text\n{}\n```", artefact.trim_end()));
            continue;
        }
        let mut parts = line.split("{{");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part
                .split_once("}}")
                .ok_or_else(|| TextError::new(format!("{line:?} has a place without end")))?;
            filled += facts.value(name)?;
            filled += rest;
        }
        lines.push(filled);
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# A title\n\nWhat about.\n\n## First {#one}\n\n> Who?\n>\n> - `me` I, {{name}}\n> - `you` you\n\nIt was `{{name}}`:\n\n{{thing}}\n\n## Second {#two}\n\n> And then?\n\nNothing.\n";

    #[test]
    fn a_text_has_steps_with_questions_and_places() {
        let text = Text::parse(GOOD).unwrap();
        assert_eq!((text.title.as_str(), text.intro.as_str()), ("A title", "What about."));
        let [one, two] = &text.steps[..] else { panic!("{text:?}") };
        let question = one.question.as_ref().unwrap();
        assert_eq!(question.text, "Who?");
        let values: Vec<&str> = question.choices.iter().map(|c| c.value.as_str()).collect();
        assert_eq!(values, ["me", "you"]);
        assert_eq!(one.places(), ["name", "thing"].map(str::to_owned).into());
        assert_eq!(two.question.as_ref().unwrap().choices, []);
        assert_eq!(two.body, "Nothing.");
    }

    #[track_caller]
    fn check_refused(text: &str, words: &str) {
        let why = Text::parse(text).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }

    #[test]
    fn what_is_wrong_with_a_text_is_said() {
        check_refused("No title\n", "# Title");
        check_refused("# T\n\n## Step\n\nbody\n", "no {#id}");
        check_refused("# T\n\n## A {#a}\n\nx\n\n## B {#a}\n\ny\n", "the same id");
        check_refused("# T\n\n## A {#a}\n\n> q\n> - `x` only\n\ny\n", "no choice");
        check_refused("# T\n\n## A {#a}\n\n> q\n> - x\n> - y\n\ny\n", "is no choice");
    }

    #[test]
    fn what_was_found_takes_its_place_and_what_was_not_is_named() {
        let facts = Facts::new().word("name", "x1").show("thing", "a\nb\n");
        assert_eq!(
            fill("It was `{{name}}`:\n\n{{thing}}", &facts).unwrap(),
            "It was `x1`:\n\n```text\na\nb\n```"
        );
        assert!(fill("{{other}}", &facts).unwrap_err().to_string().contains("other"));
        assert!(fill("in line: {{thing}}", &facts).unwrap_err().to_string().contains("thing"));
    }
}
