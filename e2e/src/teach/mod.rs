//! `chronoplane teach`: how a cluster comes to be and stays alive, chapter by chapter, shown on a simulated one.
//!
//! ```text
//!   chapters/<id>.rs ------ plays a world, finds the facts ----+
//!   chapters/<id>.en.md --- says what they mean, and asks ---- Lesson -- terminal   live, --step waits at questions
//!   chapters/<id>.zh.md                                                 page       --html FILE
//!                                                                       markdown   the book
//! ```
//!
//! * [`chapters`]: what there is to learn, in the order in which it is best read.
//! * [`Lesson`]: one telling of a chapter: the world's facts put into the text, step by step.
//! * [`text`]: how a chapter's text is written, and what is wrong with it if it is not.
//! * [`facts`]: what a run has found: words, artefacts, and the answer to a question.
//!
//! No answer is written down anywhere: a text has the choices, and the world says which of them it was.

pub mod chapters;
pub mod decode;
pub mod facts;
mod lesson;
pub mod markdown;
pub mod page;
mod terminal;
pub mod text;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use crate::{
    cli::{Output, Refusal},
    components, out,
    progress::Progress,
};
pub use chapters::Chapter;
pub use lesson::{Lesson, Told, ToldStep, Voice};
pub use text::Language;

/// `chronoplane teach`.
#[derive(Args)]
pub struct TeachArgs {
    /// Which chapter: its name or its number. Without one, they are listed
    chapter: Option<String>,
    /// Language of the course
    #[arg(long, value_enum, default_value_t = Language::En)]
    lang: Language,
    /// Wait at each question for a guess, or for Enter
    #[arg(long, conflicts_with_all = ["html", "output"])]
    step: bool,
    /// Write the chapter as a page to this file; `-`: to standard output
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    html: Option<PathBuf>,
    /// Decides all chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How to print: what there is, or what a chapter shows
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Lists the chapters, or tells one.
///
/// # Errors
/// There is no such chapter, its run did not show what its text says, or the page cannot be written.
pub fn run(args: &TeachArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let Some(wanted) = &args.chapter else {
        list(args)?;
        return Ok(ExitCode::SUCCESS);
    };
    let chapter = chapters::find(wanted).ok_or_else(|| {
        Refusal(format!(
            "there is no chapter {wanted:?}; `chronoplane teach` lists them, by number and by name"
        ))
    })?;
    let live = args.html.is_none() && args.output == Output::Text;
    let voice = match (live, args.step) {
        (false, _) => Voice::Silent,
        (true, false) => Voice::Aloud,
        (true, true) => Voice::Asking,
    };
    let progress = (!live).then(|| Progress::of(format!("playing {}", chapter.id)));
    let told = chapter.tell(args.lang, args.seed, voice)?;
    drop(progress);
    if args.output == Output::Json {
        outln!("{}", told.to_json());
    }
    if let Some(path) = &args.html {
        let html = page::of(&told);
        if path.as_os_str() == "-" {
            out::write(format_args!("{html}"));
        } else {
            std::fs::write(path, html).map_err(|e| {
                Refusal(format!(
                    "cannot write the chapter to {}: {e}; name a file in a directory that exists",
                    path.display()
                ))
            })?;
            outln!("{}: {}", path.display(), told.title);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &TeachArgs) -> Result<(), Refusal> {
    let mut rows = Vec::new();
    for (n, chapter) in chapters::all().iter().enumerate() {
        let text = chapter.text(args.lang)?;
        rows.push((n + 1, chapter.id, text.title, text.steps.len()));
    }
    if args.output == Output::Json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(n, id, title, steps)| json!({"number": n, "chapter": id, "title": title, "steps": steps}))
            .collect();
        outln!("{}", json!({"lang": args.lang.code(), "chapters": rows}));
        return Ok(());
    }
    let width = rows.iter().map(|(_, id, _, _)| id.len()).max().unwrap_or_default();
    for (n, id, title, _) in rows {
        outln!("{n:>3}  {id:<width$}  {title}");
    }
    outln!("\n{}", args.lang.words().list);
    Ok(())
}
