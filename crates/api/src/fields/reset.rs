//! Fields that a write cannot change through its endpoint: whoever sends them does not own them.

use super::{
    compare::Comparison,
    element::Element,
    set::{Node, Set},
};

/// What of a change counts.
#[derive(Clone, Debug, Default)]
pub enum Reset {
    /// Everything.
    #[default]
    Nothing,
    /// Everything but these fields and what is below them.
    All(Set),
    /// Nothing but what is below one of these paths, in which `*` stands for any element.
    AllBut(Vec<Vec<&'static str>>),
}

impl Reset {
    /// What of a set counts.
    pub(super) fn filter(&self, set: Set) -> Set {
        match self {
            _ if set.is_empty() => set,
            Self::Nothing => set,
            Self::All(fields) => set.recursive_difference(fields),
            Self::AllBut(patterns) => {
                let patterns: Vec<&[&str]> = patterns.iter().map(Vec::as_slice).collect();
                below(&set, &patterns)
            }
        }
    }

    pub(super) fn filtered(&self, changes: Comparison) -> Comparison {
        Comparison {
            added: self.filter(changes.added),
            modified: self.filter(changes.modified),
            removed: self.filter(changes.removed),
        }
    }
}

/// The elements on the way to a pattern count as well, where they are members.
fn below(set: &Set, patterns: &[&[&str]]) -> Set {
    let mut out = Set::default();
    for (element, node) in set.nodes() {
        let fits = |part: &str| part == "*" || matches!(element, Element::Field(name) if &**name == part);
        let rest: Vec<&[&str]> = patterns
            .iter()
            .filter_map(|pattern| pattern.split_first().filter(|(part, _)| fits(part)).map(|(_, rest)| rest))
            .collect();
        if rest.is_empty() {
            continue;
        }
        let inner = if rest.iter().any(|rest| rest.is_empty()) {
            node.below.clone()
        } else {
            below(&node.below, &rest)
        };
        out.put(element.clone(), Node { member: node.member, below: inner });
    }
    out
}
