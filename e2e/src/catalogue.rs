//! All stories, with the range of releases in which each happens.

use std::{future::Future, pin::Pin};

use api::profile::Profile;

use crate::{
    stories,
    story::{Settings, StoryError, Teller},
};

/// The story itself.
pub type Tell = fn(Settings, Teller) -> Pin<Box<dyn Future<Output = Result<(), StoryError>>>>;

/// One story.
pub struct Entry {
    /// What `chronoplane run` takes.
    pub id: &'static str,
    /// One sentence.
    pub sentence: &'static str,
    /// Where people met it.
    pub reference: &'static str,
    /// First and last minor of 1.x in which it happens as told.
    pub range: (u16, u16),
    /// How it is told.
    pub tell: Tell,
}

impl Entry {
    /// The newest release in its range.
    pub fn newest(&self) -> Profile {
        Profile::parse(&format!("1.{}", self.range.1)).unwrap_or_default()
    }
}

/// In the order in which they are best read.
pub const ALL: &[Entry] = &[Entry {
    id: "loopback-expiry",
    sentence: "An apiserver outlives its loopback certificate: writes are rejected with an x509 error, and health stays green.",
    reference: "kubernetes/kubernetes#86552, #121580",
    range: (8, 32),
    tell: |settings, teller| Box::pin(stories::loopback_expiry::tell(settings, teller)),
}];

/// The story of that id.
pub fn find(id: &str) -> Option<&'static Entry> {
    ALL.iter().find(|e| e.id == id)
}

/// The catalogue for people.
pub fn table() -> String {
    let mut text = String::from("ID               RELEASES    STORY\n");
    for e in ALL {
        text += &format!("{:<16} {:<11} {}\n", e.id, format!("1.{}–1.{}", e.range.0, e.range.1), e.sentence);
        text += &format!("{:<16} {:<11} {}\n", "", "", e.reference);
    }
    text
}
