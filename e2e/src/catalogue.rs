//! All stories, with the range of releases in which each happens and the words by which people know it.

use api::profile::Profile;
use serde_json::{Value, json};

use crate::{
    scenarios,
    story::{Settings, StoryError, Teller},
};

/// The story itself.
pub type Tell = fn(&Settings, &Teller) -> Result<(), StoryError>;

/// Stories about one thing.
pub struct Family {
    /// What about.
    pub title: &'static str,
    /// In the order in which they are best read.
    pub entries: &'static [Entry],
}

/// One story.
pub struct Entry {
    /// What `chronoplane run` takes.
    pub id: &'static str,
    /// One sentence.
    pub sentence: &'static str,
    /// Where people met it.
    pub reference: &'static str,
    /// What people saw, word for word; `…` stands for what differs from case to case. The story checks each.
    pub symptoms: &'static [&'static str],
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

    /// The oldest release in its range.
    pub fn oldest(&self) -> Profile {
        Profile::parse(&format!("1.{}", self.range.0)).unwrap_or_default()
    }

    /// The releases, as people write them.
    pub fn releases(&self) -> String {
        match self.range {
            (from, to) if from == to => format!("1.{from}"),
            (from, to) => format!("1.{from}–1.{to}"),
        }
    }
}

impl Entry {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "story": self.id, "sentence": self.sentence, "reference": self.reference, "symptoms": self.symptoms,
            "from": format!("1.{}", self.range.0), "to": format!("1.{}", self.range.1),
        })
    }
}

/// The catalogue for programs.
pub fn to_json() -> Value {
    let families = scenarios::FAMILIES.iter().map(|family| {
        let stories: Vec<Value> = family.entries.iter().map(Entry::to_json).collect();
        json!({"family": family.title, "stories": stories})
    });
    json!({"families": families.collect::<Vec<_>>()})
}

/// The story of that id.
pub fn find(id: &str) -> Option<&'static Entry> {
    scenarios::all().find(|e| e.id == id)
}

/// The ids alone, for scripts.
pub fn ids() -> String {
    scenarios::all().map(|e| format!("{}\n", e.id)).collect()
}

/// The catalogue for people.
pub fn table() -> String {
    let width = scenarios::all().map(|e| e.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for family in scenarios::FAMILIES {
        text += &format!("{}\n", family.title.to_uppercase());
        for e in family.entries {
            text += &format!("  {:<width$}  {:<10} {}\n", e.id, e.releases(), e.sentence);
            text += &format!("  {:<width$}  {:<10} {}\n", "", "", e.reference);
        }
        text += "\n";
    }
    text += "chronoplane run <story> tells one; chronoplane explain \"<error text>\" finds the one that shows an error.\n";
    text
}
