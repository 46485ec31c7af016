//! `Authorization: Basic`, of old releases: a table of passwords (`--basic-auth-file`, up to 1.18), and Keystone
//! (`--experimental-keystone-url`, up to 1.9).

use std::{collections::BTreeMap, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use world::Disk;

use super::{Opinion, keystone::Keystone, static_tokens::columns};
use crate::identity::User;

const INVALID: &str = "invalid username/password combination";

/// A table of users with their passwords, read once at start.
pub struct PasswordFile(BTreeMap<String, (String, User)>);

impl PasswordFile {
    /// Reads the table.
    ///
    /// # Errors
    /// The file cannot be read, or a line has fewer than three columns.
    pub fn file(disk: &Disk, path: impl Into<PathBuf>) -> Result<Self, PasswordFileError> {
        let path = path.into();
        let text = disk.read_to_string(&path).map_err(|e| PasswordFileError::Read(e.to_string()))?;
        let mut users = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let columns = columns(line);
            let [password, name, uid, rest @ ..] = columns.as_slice() else {
                return Err(PasswordFileError::Columns { path, found: columns.len() });
            };
            let groups = rest.first().into_iter().flat_map(|groups| groups.split(',')).map(str::to_owned);
            let user =
                User { name: name.clone(), uid: uid.clone(), groups: groups.collect(), ..User::default() };
            if users.insert(name.clone(), (password.clone(), user)).is_some() {
                tracing::warn!(
                    "duplicate username '{name}' has been found in password file '{}', record number '{}'",
                    path.display(),
                    number + 1
                );
            }
        }
        Ok(Self(users))
    }

    fn authenticate(&self, name: &str, password: &str) -> Opinion {
        // An unknown name takes as long as a wrong password.
        let (held, user) = self.0.get(name).map_or(("", None), |(held, user)| (held.as_str(), Some(user)));
        match user {
            Some(user) if pki::token::same_secret(held, password) => Opinion::User(user.clone()),
            _ => Opinion::Bad(INVALID.to_owned()),
        }
    }
}

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFileError {
    /// No file, no right to read it, or not text.
    #[error("cannot read the password file: {0}")]
    Read(String),
    /// A line with too little in it.
    #[error("password file '{}' must have at least 3 columns (password, user name, user uid), found {found}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// How many columns the line has.
        found: usize,
    },
}

/// Everything that knows passwords.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    pub(super) file: Option<PasswordFile>,
    pub(super) keystone: Option<Keystone>,
}

impl Passwords {
    /// What each says of the name and password that the request carries, in order; nothing without any.
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Vec<Opinion> {
        let mut opinions = Vec::new();
        if self.file.is_none() && self.keystone.is_none() {
            return opinions;
        }
        let Some((name, password)) = basic(headers) else { return opinions };
        if let Some(file) = &self.file {
            opinions.push(file.authenticate(&name, &password));
        }
        let is_known = opinions.iter().any(|o| matches!(o, Opinion::User(_)));
        if let Some(keystone) = self.keystone.as_ref().filter(|_| !is_known) {
            opinions.push(keystone.authenticate(&name, &password).await);
        }
        opinions
    }
}

/// Name and password, as Go reads them.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case("basic ") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

impl std::fmt::Debug for PasswordFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordFile({} users)", self.0.len())
    }
}
