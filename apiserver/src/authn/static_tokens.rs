//! `--token-auth-file`: a table of tokens, read once at start.

use std::{collections::BTreeMap, path::PathBuf};

use sha2::{Digest as _, Sha256};
use world::{Disk, DiskError};

use crate::identity::User;

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StaticTokensError {
    /// No file, or no right to read it.
    #[error("cannot read the token file: {0}")]
    Read(#[from] DiskError),
    /// Not text.
    #[error("token file '{}' is not UTF-8 text; write lines of token,user name,user uid,\"group1,group2\"", .0.display())]
    NotText(PathBuf),
    /// A line with too little in it.
    #[error("token file '{}' must have at least 3 columns (token, user name, user uid), found {found}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// How many columns the line has.
        found: usize,
    },
}

/// Users by the hash of their token: a look-up tells nothing about the tokens.
pub struct StaticTokens(BTreeMap<[u8; 32], User>);

pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl StaticTokens {
    /// Reads the table.
    ///
    /// # Errors
    /// The file cannot be read, or a line has fewer than three columns.
    pub fn file(disk: &Disk, path: impl Into<PathBuf>) -> Result<Self, StaticTokensError> {
        let path = path.into();
        let text =
            String::from_utf8(disk.read(&path)?).map_err(|_| StaticTokensError::NotText(path.clone()))?;
        let mut users = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let columns = columns(line);
            let [token, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(StaticTokensError::Columns { path, found: columns.len() });
            };
            if token.is_empty() {
                tracing::warn!(
                    "empty token has been found in token file {path:?}, record number '{}'",
                    number + 1
                );
                continue;
            }
            let groups = rest.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned);
            let user =
                User { name: name.clone(), uid: uid.clone(), groups: groups.collect(), ..User::default() };
            if users.insert(hash(token), user).is_some() {
                tracing::warn!(
                    "duplicate token has been found in token file {path:?}, record number '{}'",
                    number + 1
                );
            }
        }
        Ok(Self(users))
    }

    pub(super) fn authenticate(&self, token: &str) -> Option<User> {
        self.0.get(&hash(token)).cloned()
    }
}

/// One line of CSV: a field in quotes may hold commas, and a quote by doubling it.
pub(super) fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(column) = columns.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                column.push('"');
            }
            '"' if quoted || column.is_empty() => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            c => column.push(c),
        }
    }
    columns
}

impl std::fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaticTokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use world::MemoryDisk;

    fn read(text: &str) -> Result<StaticTokens, StaticTokensError> {
        let disk = Disk::memory(Arc::new(MemoryDisk::default()));
        disk.write("/etc/tokens.csv", text, 0o600).unwrap();
        StaticTokens::file(&disk, "/etc/tokens.csv")
    }

    #[test]
    fn a_line_is_token_name_uid_and_groups() {
        let tokens = read("t1,jane,7,\"dev,ops\"\n\nt2,joe,8\n,nobody,9\nt2,jim,10,one\n").unwrap();
        let check = |token: &str, wanted: Option<(&str, &str, &[&str])>| {
            let found = tokens.authenticate(token);
            let found = found.as_ref().map(|u| (u.name.as_str(), u.uid.as_str(), u.groups.as_slice()));
            let wanted =
                wanted.map(|(n, u, g)| (n, u, g.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()));
            assert_eq!(found, wanted.as_ref().map(|(n, u, g)| (*n, *u, g.as_slice())), "{token}");
        };
        check("t1", Some(("jane", "7", &["dev", "ops"])));
        // The last line of a token wins.
        check("t2", Some(("jim", "10", &["one"])));
        check("", None);
        check("t3", None);
    }

    #[test]
    fn a_short_line_is_named() {
        assert_eq!(
            read("t1,jane\n").unwrap_err().to_string(),
            "token file '/etc/tokens.csv' must have at least 3 columns (token, user name, user uid), found 2",
        );
    }
}
