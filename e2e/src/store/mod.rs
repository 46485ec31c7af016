//! `chronoplane store`: a store's directory while nobody works in it.
//!
//! `check` names what is wrong, `repair` keeps what is provably right, `export` and `import` go through lines of JSON.
//! Exit codes: 0 all is well. 1 something is, or was, damaged. 2 it cannot be done, and why.

mod tell;

use std::{
    fs::File,
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use store::{Image, offline};
use world::Host;

use crate::{
    cli::{Output, Refusal},
    components::{self, Place},
    progress::Progress,
};

/// `chronoplane store`.
#[derive(Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    what: What,
    /// How to print what was found
    #[arg(long, value_enum, global = true, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Subcommand)]
enum What {
    /// Look at everything in a store's directory, and name what is wrong. Changes nothing
    Check {
        /// The apiserver's --data-dir with --storage-backend=sled, or etcd's --data-dir
        directory: PathBuf,
    },
    /// Keep what is provably as it was written, and say what had to be dropped. The damaged files stay beside it
    Repair {
        /// As for `check`
        directory: PathBuf,
    },
    /// Write everything out as lines of JSON
    Export {
        /// As for `check`
        directory: PathBuf,
        /// Where to; default: standard output. The file must not be there
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Make a new directory of what `export` wrote: the same keys at the same revisions
    Import {
        /// A directory that is empty, or that is not there
        directory: PathBuf,
        /// Where from; default: standard input
        #[arg(long)]
        file: Option<PathBuf>,
    },
}

/// Does what is asked.
///
/// # Errors
/// The directory is in use, is no store's, or a file cannot be read or written.
pub fn run(args: StoreArgs) -> Result<ExitCode, Refusal> {
    components::log_to_stderr("off");
    let runtime = components::runtime()?;
    let host = Place::of_this_process()?.host();
    // What is exported may go to this terminal, without a word about it.
    let piped = matches!(args.what, What::Export { file: None, .. });
    let _progress = (!piped).then(|| Progress::of("reading the store"));
    runtime.block_on(async {
        match args.what {
            What::Check { directory } => {
                let findings = offline::check(&host, &std::path::absolute(directory)?).await?;
                tell::findings(&findings, args.output);
                Ok(code(findings.is_sound()))
            }
            What::Repair { directory } => {
                let repair = offline::repair(&host, &std::path::absolute(directory)?).await?;
                tell::repair(&repair, args.output);
                Ok(code(repair.set_aside.is_none()))
            }
            What::Export { directory, file } => export(&host, &directory, file.as_deref(), args.output).await,
            What::Import { directory, file } => import(&host, &directory, file.as_deref(), args.output).await,
        }
    })
}

fn code(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn export(
    host: &Host,
    directory: &Path,
    file: Option<&Path>,
    output: Output,
) -> Result<ExitCode, Refusal> {
    let image = offline::load(host, &std::path::absolute(directory)?).await?;
    let Some(file) = file else {
        offline::write_lines(&image, &mut BufWriter::new(io::stdout().lock()))
            .map_err(|e| Refusal(format!("cannot write to standard output: {e}")))?;
        return Ok(ExitCode::SUCCESS);
    };
    let refused = |e: io::Error| {
        Refusal(format!(
            "cannot write {}: {e}; name a file that is not there, in a directory that is",
            file.display()
        ))
    };
    // Secrets are in there.
    let opened = private().write(true).create_new(true).open(file).map_err(refused)?;
    let mut out = BufWriter::new(&opened);
    offline::write_lines(&image, &mut out).map_err(refused)?;
    drop(out);
    opened.sync_all().map_err(refused)?;
    tell::moved("exported", &image, file, output);
    Ok(ExitCode::SUCCESS)
}

fn private() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.mode(0o600);
    options
}

async fn import(
    host: &Host,
    directory: &Path,
    file: Option<&Path>,
    output: Output,
) -> Result<ExitCode, Refusal> {
    let image: Image = match file {
        Some(file) => {
            let opened =
                File::open(file).map_err(|e| Refusal(format!("cannot read {}: {e}", file.display())))?;
            offline::read_lines(&mut BufReader::new(opened))
                .map_err(|e| Refusal(format!("{}: {e}", file.display())))?
        }
        None => offline::read_lines(&mut io::stdin().lock())?,
    };
    let directory = std::path::absolute(directory)?;
    offline::create(host, &directory, image.clone()).await?;
    tell::moved("imported", &image, &directory, output);
    Ok(ExitCode::SUCCESS)
}
