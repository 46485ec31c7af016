//! All stories, with the range of releases in which each happens and the words by which people know it.

use api::profile::Profile;
use serde_json::{Value, json};
use world::Gear;

use crate::{
    scenarios,
    story::{Settings, StoryError, Teller},
};

/// The story itself.
pub type Tell = fn(&Settings, &Teller) -> Result<(), StoryError>;

/// Whether a story is told in the real gear too, against separate processes whose hosts' clocks are files.
#[derive(Clone, Copy, Debug)]
pub enum InReal {
    /// It is, at least at its newest release.
    Told(Tell),
    /// It is not: a clause that says why.
    Not(&'static str),
}

/// Stories about one thing.
pub struct Family {
    /// What about.
    pub title: &'static str,
    /// In the order in which they are best read.
    pub entries: &'static [Entry],
}

/// One story.
#[derive(Debug)]
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
    /// And in the real gear.
    pub real: InReal,
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

    /// How it is told in that gear; or why it is not.
    ///
    /// # Errors
    /// It is told in the simulated gear only.
    pub fn tell_in(&self, gear: Gear) -> Result<Tell, &'static str> {
        match (gear, &self.real) {
            (Gear::Simulated, _) => Ok(self.tell),
            (Gear::Real, InReal::Told(tell)) => Ok(*tell),
            (Gear::Real, InReal::Not(why)) => Err(why),
        }
    }

    /// Whether it is told in the real gear too.
    pub fn is_real(&self) -> bool {
        matches!(self.real, InReal::Told(_))
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
            "gears": if self.is_real() { &["simulated", "real"][..] } else { &["simulated"][..] },
            "notReal": self.tell_in(Gear::Real).err(),
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

/// The ids alone, for scripts; those of the stories that are told in that gear.
pub fn ids(gear: Gear) -> String {
    let told = scenarios::all().filter(|e| e.tell_in(gear).is_ok());
    told.map(|e| format!("{}\n", e.id)).collect()
}

/// The catalogue for people.
pub fn table() -> String {
    let width = scenarios::all().map(|e| e.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for family in scenarios::FAMILIES {
        text += &format!("{}\n", family.title.to_uppercase());
        for e in family.entries {
            let real = if e.is_real() { "real" } else { "" };
            text += &format!("  {:<width$}  {:<10} {}\n", e.id, e.releases(), e.sentence);
            text += &format!("  {:<width$}  {real:<10} {}\n", "", e.reference);
        }
        text += "\n";
    }
    text += "Those with `real` are told in the real gear too: chronoplane run <story> --gear real\n";
    text += "chronoplane run <story> tells one; chronoplane explain \"<error text>\" finds the one that shows an error.\n";
    text
}
