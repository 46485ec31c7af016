//! What a directory holds, and what is wrong with it. sled only ever sees copies.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sled::IVec;
use world::Clock;

use super::newest;
use crate::{
    Revision, StoreError,
    sled::{
        codec::Head,
        contents::{Contents, NOTHING},
        directory::{Directory, copy_dir, io_error, remove_dir},
        files::{Files, guarded},
        mark::{Found, Mark},
    },
};

/// What [`super::check()`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The store's directory.
    pub path: PathBuf,
    /// The newest revision of what can be read.
    pub revision: Revision,
    /// Up to which revision writes were acknowledged; `None` if that cannot be told.
    pub acknowledged: Option<Revision>,
    /// How many keys can be read.
    pub keys: usize,
    /// How many leases can be read.
    pub leases: usize,
    /// How many bytes sled's files take.
    pub bytes: u64,
    /// What is wrong, one sentence each. None: the store would open.
    pub complaints: Vec<String>,
    /// Whether everything that can be read is provably the newest, and nothing lacks but what `complaints` names.
    pub complete: bool,
}

impl Findings {
    /// Whether a store would open the directory.
    pub fn is_sound(&self) -> bool {
        self.complaints.is_empty()
    }
}

/// Findings, and what can be read.
pub(super) struct Examination {
    pub(super) findings: Findings,
    pub(super) contents: Contents,
    /// `None` also if there is a mark and it cannot be read.
    pub(super) mark: Option<Head>,
}

/// What is tried with a copy, one after the other, until sled opens it.
const ATTEMPTS: [(&str, bool, bool); 4] = [
    ("as they are", false, false),
    ("without its snapshot", true, false),
    ("with a new conf", false, true),
    ("without its snapshot and with a new conf", true, true),
];

pub(super) fn examine(dir: &Directory, clock: &Clock) -> Result<Examination, StoreError> {
    let mut complaints = Vec::new();
    if dir.repaired().exists() {
        complaints.push("a repair was cut short; repair it again".into());
    }
    let found = Mark::find(dir)?;
    let unreadable = matches!(found, Found::Unreadable);
    let mark = match found {
        Found::Mark(mark) => Some(mark.head()),
        Found::Unreadable | Found::Missing => None,
    };
    complaints.extend(dir.complaint_of_log()?);
    let items = if dir.sled().is_dir() {
        read(dir, clock, &mut complaints)?
    } else {
        if unreadable || mark.is_some_and(|head| head != NOTHING) {
            complaints.push(format!("{} is missing", dir.sled().display()));
        }
        Vec::new()
    };
    let contents = Contents::salvaged(items, dir)?;
    if unreadable && !contents.is_empty() {
        let what = "is unreadable: how far writes were acknowledged is not known";
        complaints.push(format!("{} {what}", dir.mark().display()));
    }
    complaints.extend(contents.damage.iter().map(|damage| {
        format!("{} lacks something, or does not match its checksum, and cannot be used", damage.what)
    }));
    let all_but_damage = contents.is_all_but_damage(mark);
    if contents.damage.is_empty() {
        complaints.extend(contents.complaint(mark, dir));
    } else if !all_but_damage {
        complaints.push(format!(
            "what can be read does not add up to revision {}: further records may be missing, or older than they were",
            contents.head.unwrap_or(NOTHING).revision
        ));
    }
    let findings = Findings {
        path: dir.path().to_owned(),
        revision: newest(&contents.image),
        acknowledged: mark.map(|head| head.revision),
        keys: contents.image.keys.len(),
        leases: contents.image.leases.len(),
        bytes: size(&dir.sled()),
        complete: complaints.is_empty() || all_but_damage,
        complaints,
    };
    Ok(Examination { findings, contents, mark })
}

/// Reads what sled makes of a copy of its files: nothing, if it makes nothing of it. The attempt that needs the least is
/// taken.
fn read(
    dir: &Directory,
    clock: &Clock,
    complaints: &mut Vec<String>,
) -> Result<Vec<(IVec, IVec)>, StoreError> {
    let fail = |op, e: &io::Error| io_error(op, &dir.sled(), dir.path(), e);
    let scratch = dir.scratch();
    let mut found = Vec::new();
    for (how, forget_snapshot, new_conf) in ATTEMPTS {
        remove_dir(&scratch).map_err(|e| fail("remove", &e))?;
        copy_dir(&dir.sled(), &scratch).map_err(|e| fail("copy", &e))?;
        prepare(&scratch, forget_snapshot, new_conf).map_err(|e| fail("copy", &e))?;
        let opened = guarded(dir, || {
            let files = Files::open_at(&scratch, dir, clock)?;
            Ok(files.legible_items(dir))
        });
        match opened {
            Ok((items, in_the_way)) => {
                if how != ATTEMPTS[0].0 {
                    complaints.push(format!("{how} sled opens its files"));
                }
                complaints.extend(in_the_way.map(|e| words(&e)));
                found = items.into_iter().collect();
                break;
            }
            Err(e @ StoreError::Corrupt { .. }) if how == ATTEMPTS[0].0 => complaints.push(words(&e)),
            Err(StoreError::Corrupt { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    remove_dir(&scratch).map_err(|e| fail("remove", &e))?;
    Ok(found)
}

/// What is damaged, without what every such error says.
fn words(e: &StoreError) -> String {
    match e {
        StoreError::Corrupt { what, .. } => what.clone(),
        other => other.to_string(),
    }
}

/// sled's snapshot only saves reading the log from its beginning; its conf is the same in every store.
fn prepare(copy: &Path, forget_snapshot: bool, new_conf: bool) -> io::Result<()> {
    if forget_snapshot {
        for entry in fs::read_dir(copy)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(b"snap.") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    if new_conf {
        let model = copy.with_extension("conf");
        remove_dir(&model)?;
        let made = Files::new_conf(&model);
        let copied = made.and_then(|()| fs::copy(model.join("conf"), copy.join("conf")).map(drop));
        remove_dir(&model)?;
        copied?;
    }
    Ok(())
}

fn size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
