//! A directory made sound again, with what is left of it.
//!
//! ```text
//! 1 repaired/            a whole store with what is kept, and
//!   repaired/ASIDE       where the damaged files go             before this, nothing happened
//! 2 damaged-1/high-water a copy of the mark
//! 3 high-water           replaced by the new one                from here on no store opens the directory
//! 4 damaged-1/journal    the old journal
//! 5 damaged-1/sled       sled's old files
//! 6 sled                 the new ones                           and it is sound
//! ```
//!
//! Cut short after 1, the next repair goes on where it was, and puts the damaged files where the first one did.

use std::{fs, io, path::PathBuf};

use world::Clock;

use super::{
    Findings,
    examine::{Examination, examine},
    fill,
};
use crate::{
    Revision, StoreError,
    mvcc::GROUP,
    sled::{
        contents::NOTHING,
        directory::{Directory, io_error, remove_dir, sync, write_synced},
        journal::APPENDS,
    },
};

/// What [`super::repair()`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// What was found before.
    pub findings: Findings,
    /// Where the damaged files are; `None`: nothing had to be done.
    pub set_aside: Option<PathBuf>,
    /// The revision at which the store goes on.
    pub revision: Revision,
}

const ASIDE: &str = "ASIDE";

/// Revisions that were perhaps given out and of which nothing is left: more than a journal holds.
const UNSEEN: Revision = APPENDS as Revision * GROUP as Revision + 1;

pub(super) fn repair(dir: Directory, clock: &Clock) -> Result<Repair, StoreError> {
    let fail = |op, e: &io::Error| io_error(op, dir.path(), dir.path(), e);
    let Examination { findings, contents, mark } = examine(&dir, clock)?;
    if findings.is_sound() {
        return Ok(Repair { revision: findings.revision, findings, set_aside: None });
    }
    if dir.repaired().exists() {
        let set_aside = put_in_place(&dir).map_err(|e| fail("rename", &e))?;
        let revision = examine(&dir, clock)?.findings.revision;
        return Ok(Repair { findings, set_aside: Some(set_aside), revision });
    }
    let mut image = contents.image;
    let head = contents.head.unwrap_or(NOTHING);
    let known = [Some(head), mark, contents.journal].into_iter().flatten().map(|head| head.revision);
    let known = known.fold(findings.revision, Revision::max);
    // Whoever has seen what is lost must be told to look again: a revision that nobody has seen makes sure of it.
    image.revision = match (findings.complete, contents.damage.is_empty()) {
        (true, true) => known,
        (true, false) => known + 1,
        (false, _) => known + UNSEEN,
    };
    let partial = dir.path().join("repaired.partial");
    remove_dir(&partial).map_err(|e| fail("remove", &e))?;
    fill(&partial, clock, &image)?;
    let aside = dir.damaged();
    let name = aside.file_name().unwrap_or_default().as_encoded_bytes();
    write_synced(&partial.join(ASIDE), name).map_err(|e| fail("write", &e))?;
    fs::rename(&partial, dir.repaired()).and_then(|()| sync(dir.path())).map_err(|e| fail("rename", &e))?;
    let set_aside = put_in_place(&dir).map_err(|e| fail("rename", &e))?;
    Ok(Repair { findings, set_aside: Some(set_aside), revision: image.revision })
}

fn put_in_place(dir: &Directory) -> io::Result<PathBuf> {
    let new = dir.repaired();
    let old = match fs::read_to_string(new.join(ASIDE)) {
        Ok(name) => dir.path().join(name),
        // Begun before the name was written down.
        Err(e) if e.kind() == io::ErrorKind::NotFound => dir.damaged(),
        Err(e) => return Err(e),
    };
    fs::create_dir_all(&old)?;
    let new_mark = new.join("high-water");
    if new_mark.exists() {
        if dir.mark().exists() {
            fs::copy(dir.mark(), old.join("high-water"))?;
            sync(&old.join("high-water"))?;
        }
        sync(&old)?;
        fs::rename(new_mark, dir.mark())?;
        sync(dir.path())?;
    }
    let new_files = new.join("sled");
    if new_files.exists() {
        if dir.journal().exists() {
            fs::rename(dir.journal(), old.join("journal"))?;
            sync(dir.path())?;
        }
        if dir.sled().exists() {
            fs::rename(dir.sled(), old.join("sled"))?;
            sync(dir.path())?;
        }
        fs::rename(new_files, dir.sled())?;
        sync(dir.path())?;
    }
    // In one step: half of it left would be a repair that has forgotten where it was.
    let scratch = dir.scratch();
    remove_dir(&scratch)?;
    fs::rename(&new, &scratch)?;
    sync(dir.path())?;
    remove_dir(&scratch)?;
    Ok(old)
}
