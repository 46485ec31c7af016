//! The course: every chapter is played in both languages, and both texts say the same things in the same places.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use chronoplane_cli::teach::{
    Chapter, Language, chapters, markdown, page,
    text::{Question, Step, Text},
};

fn text(chapter: &Chapter, lang: Language) -> Text {
    chapter.text(lang).unwrap_or_else(|e| panic!("{e}"))
}

/// What must be equal between the languages: all that the run fills in or answers.
fn shape(step: &Step) -> String {
    let values = |q: &Question| q.choices.iter().map(|choice| choice.value.clone()).collect::<Vec<_>>();
    format!("{} {:?} {:?}", step.id, step.places(), step.question.as_ref().map(values))
}

#[test]
fn both_languages_have_the_same_steps_questions_and_places() {
    assert_eq!(chapters::all().len(), 11);
    for chapter in chapters::all() {
        let (en, zh) = (text(chapter, Language::En), text(chapter, Language::Zh));
        let shapes = |text: &Text| text.steps.iter().map(shape).collect::<Vec<_>>();
        assert_eq!(shapes(&en), shapes(&zh), "{}", chapter.id);
        assert!(en.steps.len() >= 4, "{} is too short to be a chapter", chapter.id);
        assert!(en.steps.iter().any(|step| step.question.is_some()), "{} asks nothing", chapter.id);
    }
}

/// A text in Chinese is one: each paragraph has Chinese in it.
#[test]
fn no_paragraph_was_left_in_the_other_language() {
    let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    for chapter in chapters::all() {
        for (lang, wanted) in [(Language::En, false), (Language::Zh, true)] {
            let text = text(chapter, lang);
            let of_step = |step: &Step| {
                let question = step.question.as_ref().map(|q| q.text.clone());
                step.body.split("\n\n").map(str::to_owned).chain(question).collect::<Vec<_>>()
            };
            let paragraphs = text.steps.iter().flat_map(of_step).chain([text.intro.clone()]);
            for paragraph in paragraphs {
                // Only what is filled in or shown as code.
                let words: String = paragraph
                    .split('`')
                    .step_by(2)
                    .collect::<String>()
                    .split("{{")
                    .map(|p| p.rsplit("}}").next().unwrap_or_default())
                    .collect();
                if words.chars().filter(|c| c.is_alphabetic()).count() > 8 {
                    assert_eq!(words.chars().any(is_chinese), wanted, "{} {lang:?}: {paragraph}", chapter.id);
                }
            }
        }
    }
}

#[test]
fn every_chapter_shows_what_its_text_says_in_english() {
    all_chapters(Language::En);
}

#[test]
fn every_chapter_shows_what_its_text_says_in_chinese() {
    all_chapters(Language::Zh);
}

/// A line that the program begins: a question, a choice, an answer.
fn starts_as_ours(line: &str) -> bool {
    line.starts_with("**") || line.starts_with(|c: char| c.is_ascii_digit())
}

/// Nothing is found that is not shown, so nothing is shown in one language only.
fn all_chapters(lang: Language) {
    for chapter in chapters::all() {
        let told = chapter.steady(lang).unwrap_or_else(|refusal| panic!("{}", refusal.0));
        assert_eq!(told.unused, [] as [String; 0], "{}", chapter.id);
        for step in &told.steps {
            assert!(!step.body.contains("{{") && !step.title.contains("{{"), "{}: {step:?}", chapter.id);
            if let Some((question, answer)) = &step.question {
                assert_eq!(answer.is_some(), !question.choices.is_empty(), "{}: {step:?}", chapter.id);
            }
            // An artefact that turned out empty would be no artefact.
            assert!(!step.body.contains("```text\n\n```"), "{} {}: an empty artefact", chapter.id, step.id);
        }
        let markdown = markdown::of(&told);
        let ascii = ["猜.", "想.", "答案:", "`: "].into_iter().find(|signs| {
            lang == Language::Zh && markdown.lines().any(|line| starts_as_ours(line) && line.contains(signs))
        });
        assert_eq!(ascii, None, "{}: signs of another language", chapter.id);
        let html = page::of(&told);
        assert!(
            !html.contains("http://") && !html.contains("<script") && !html.contains("src="),
            "{}",
            chapter.id
        );
        assert!(html.contains(&format!("<html lang=\"{}\">", lang.tag())));
    }
}

/// Another seed is another run; what the text says is still so.
#[test]
fn a_chapter_holds_for_other_seeds_too() {
    for seed in [2, 77] {
        for id in ["tls-bootstrap", "join", "list-watch"] {
            let chapter = chapters::find(id).expect("a chapter");
            let told = chapter.tell(Language::En, seed, chronoplane_cli::teach::Voice::Silent);
            told.unwrap_or_else(|refusal| panic!("seed {seed}: {}", refusal.0));
        }
    }
}

#[test]
fn a_chapter_is_found_by_number_by_name_and_by_a_beginning_that_only_it_has() {
    let id = |wanted| chapters::find(wanted).map(|chapter| chapter.id);
    assert_eq!(id("1"), Some("loopback"));
    assert_eq!(id("11"), Some("expiry"));
    assert_eq!(id("tls"), Some("tls-bootstrap"));
    assert_eq!(id("0"), None);
    assert_eq!(id("12"), None);
    assert_eq!(id(""), None);
}

fn program(args: &[&str], typed: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chronoplane"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(typed.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// The same guess at each question: right where the run says so, and counted.
#[test]
fn step_by_step_a_guess_is_judged_by_the_run() {
    let ran = program(&["teach", "list-watch", "--step"], "2\n2\n\n3\n");
    let said = String::from_utf8(ran.stdout).expect("UTF-8");
    assert!(ran.status.success(), "{said}");
    // The first event is of plum, the second choice.
    assert!(said.contains("As you said: 2 plum"), "{said}");
    assert!(!said.contains('\u{1b}'), "colours on something that is no terminal: {said:?}");
    let told = chapters::find("list-watch").expect("there").steady(Language::En).expect("told");
    let answers: Vec<usize> = told.steps.iter().filter_map(|step| step.question.as_ref()?.1).collect();
    let guesses = [Some(1), Some(1), None, Some(2)];
    let judged = answers.iter().zip(guesses).filter_map(|(answer, guess)| Some(*answer == guess?));
    let judged: Vec<bool> = judged.collect();
    let tally = format!("{} of {} predicted.", judged.iter().filter(|right| **right).count(), judged.len());
    assert!(said.contains(&tally), "{tally}: {said}");
}

#[test]
fn a_chapter_becomes_a_page_in_a_file_and_what_cannot_be_written_is_said() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("pod.html");
    let ran = program(&["teach", "pod", "--lang", "zh", "--html", file.to_str().expect("UTF-8")], "");
    assert!(ran.status.success(), "{ran:?}");
    let html = std::fs::read_to_string(&file).expect("written");
    assert!(html.starts_with("<!doctype html>") && html.contains("<details>"), "{html}");
    let ran = program(&["teach", "pod", "--html", "/nowhere/at/all.html"], "");
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("name a file in a directory that exists"), "{said}");
    let ran = program(&["teach", "nothing"], "");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("`chronoplane teach` lists them"), "{ran:?}");
}
