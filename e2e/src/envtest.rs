//! `chronoplane envtest`: a folder for `KUBEBUILDER_ASSETS`, so that Go's envtest starts this program.
//!
//! envtest looks there for `kube-apiserver`, `etcd` and `kubectl`, and starts the first two with their upstreams' flags.
//! The entries are links to this program, which goes by the name that it is called by.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{cli::Refusal, components::Component};

/// The names that envtest starts.
const PROGRAMS: &[(&str, Component)] = &[("kube-apiserver", Component::Apiserver), ("etcd", Component::Etcd)];
const KUBECTL: &str = "kubectl";

/// `chronoplane envtest`.
#[derive(Args)]
pub struct EnvtestArgs {
    /// The folder; made if it is not there
    #[arg(long)]
    dir: PathBuf,
}

/// The component by whose name this process was called, and its arguments.
pub(crate) fn called_as() -> Option<(Component, Vec<String>)> {
    let mut args = std::env::args_os();
    let name = args.next()?;
    let name = Path::new(&name).file_name()?;
    let (_, component) = PROGRAMS.iter().find(|(known, _)| OsStr::new(known) == name)?;
    // What is no text cannot be a flag: the component says so.
    Some((*component, args.map(|arg| arg.to_string_lossy().into_owned()).collect()))
}

/// Makes the folder and says how to name it.
///
/// # Errors
/// It cannot be made, or holds other programs.
pub fn run(args: &EnvtestArgs) -> Result<ExitCode, Refusal> {
    let dir = std::path::absolute(&args.dir)?;
    fs::create_dir_all(&dir).map_err(|e| Refusal(format!("cannot make {}: {e}", dir.display())))?;
    let program = std::env::current_exe().and_then(fs::canonicalize);
    let program = program.map_err(|e| Refusal(format!("cannot find this program again: {e}")))?;
    for (name, _) in PROGRAMS {
        link(&program, &dir.join(name))?;
    }
    match on_path(KUBECTL) {
        Some(kubectl) => link(&kubectl, &dir.join(KUBECTL))?,
        None => eprintln!(
            "there is no kubectl on the PATH; only `ControlPlane.KubeCtl()` of envtest would need it"
        ),
    }
    outln!("export KUBEBUILDER_ASSETS={}", dir.display());
    Ok(ExitCode::SUCCESS)
}

/// Replaces a link, and nothing else.
fn link(program: &Path, at: &Path) -> Result<(), Refusal> {
    match fs::symlink_metadata(at) {
        Ok(there) if there.is_symlink() => fs::remove_file(at)?,
        Ok(_) => {
            return Err(Refusal(format!(
                "{} is there already, and no link; name another --dir, so that no other program is lost",
                at.display()
            )));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(Refusal(format!("cannot look at {}: {e}", at.display()))),
    }
    symlink(program, at).map_err(|e| Refusal(format!("cannot make {}: {e}", at.display())))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let runs =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(runs)
        .and_then(|found| fs::canonicalize(found).ok())
}
