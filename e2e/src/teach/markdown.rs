//! A lesson as Markdown: a page of the book. What comes after a question is folded away.

use super::Told;

/// The page, with a heading of the first level.
pub fn of(told: &Told) -> String {
    let words = told.lang.words();
    let mut page = format!("# {}\n\n{}\n", told.title, told.intro);
    for step in &told.steps {
        page += &format!("\n## {}\n\n", step.title);
        let Some((question, answer)) = &step.question else {
            page += &format!("{}\n", step.body);
            continue;
        };
        let what = if question.choices.is_empty() { words.think } else { words.predict };
        // Without a space, Markdown would not see where bold type ends.
        page += &format!("**{what}{}** {}\n\n", words.stop, question.text);
        for (n, choice) in question.choices.iter().enumerate() {
            page += &format!("{}. `{}`{}{}\n", n + 1, choice.value, words.colon, choice.text);
        }
        page += &format!("\n<details><summary>{}</summary>\n\n", words.show);
        if let Some((n, choice)) = answer.and_then(|n| Some((n + 1, question.choices.get(n)?))) {
            page += &format!("**{}{}{n}{}** `{}`\n\n", words.answer, words.colon, words.stop, choice.value);
        }
        page += &format!("{}\n\n</details>\n", step.body);
    }
    page += &format!("\n---\n\n{} `{}`\n", words.again, command(told));
    page
}

/// What shows the same again.
fn command(told: &Told) -> String {
    let lang = match told.lang {
        super::Language::En => String::new(),
        other => format!(" --lang {}", other.code()),
    };
    let seed = if told.seed == 1 { String::new() } else { format!(" --seed {}", told.seed) };
    format!("chronoplane teach {}{lang}{seed}", told.id)
}
