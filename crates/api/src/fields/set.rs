//! A set of field paths, as a trie.

use std::{collections::BTreeMap, fmt};

use super::element::Element;

/// Paths. A path being a member says nothing of the paths below it, nor of those above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: BTreeMap<Element, Node>,
}

/// What a set has at one element and below it. No set holds an empty node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Whether the path that ends here is a member.
    pub(super) member: bool,
    /// The paths that go on.
    pub(super) below: Set,
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    pub(super) fn leaf() -> Self {
        Self { member: true, below: Set::default() }
    }

    fn union(&self, other: &Self) -> Self {
        Self { member: self.member || other.member, below: self.below.union(&other.below) }
    }
}

impl Set {
    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.nodes.values().map(|node| usize::from(node.member) + node.below.len()).sum()
    }

    /// Adds a path; the empty path is the whole object, which nobody owns.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// A set of paths of fields, written with dots: `metadata.name`.
    pub fn of_fields(paths: &[&str]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path.split('.').map(Element::field).collect();
            set.insert(&path);
        }
        set
    }

    /// Whether a path is a member.
    pub fn contains(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.nodes.get(last).is_some_and(|node| node.member),
            [first, rest @ ..] => self.nodes.get(first).is_some_and(|node| node.below.contains(rest)),
        }
    }

    /// All paths of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (element, node) in &other.nodes {
            match out.nodes.get_mut(element) {
                Some(here) => *here = here.union(node),
                None => {
                    out.nodes.insert(element.clone(), node.clone());
                }
            }
        }
        out
    }

    /// The paths of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| Node {
            member: a.member && b.member,
            below: a.below.intersection(&b.below),
        })
    }

    /// The paths that the other does not have.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.without(other, |a, b| Node {
            member: a.member && !b.member,
            below: a.below.difference(&b.below),
        })
    }

    /// The paths that are neither in the other nor below one of its paths.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.without(other, |a, b| {
            if b.member {
                return Node::default();
            }
            Node { member: a.member, below: a.below.recursive_difference(&b.below) }
        })
    }

    fn combine(&self, other: &Self, of: impl Fn(&Node, &Node) -> Node) -> Self {
        let mut out = Self::default();
        for (element, node) in &self.nodes {
            if let Some(there) = other.nodes.get(element) {
                out.put(element.clone(), of(node, there));
            }
        }
        out
    }

    fn without(&self, other: &Self, of: impl Fn(&Node, &Node) -> Node) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut out = Self::default();
        for (element, node) in &self.nodes {
            match other.nodes.get(element) {
                Some(there) => out.put(element.clone(), of(node, there)),
                None => out.put(element.clone(), node.clone()),
            }
        }
        out
    }

    /// What there is at one element and below it.
    pub(super) fn node(&self, element: &Element) -> Option<&Node> {
        self.nodes.get(element)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.nodes.iter()
    }

    /// Puts what is at an element, unless that is nothing.
    pub(super) fn put(&mut self, element: Element, node: Node) {
        if !node.is_empty() {
            self.nodes.insert(element, node);
        }
    }

    /// Calls for every path: the members of a level first, then those below each of its elements.
    pub fn each(&self, mut call: impl FnMut(&[&Element])) {
        self.walk(&mut Vec::new(), &mut call);
    }

    fn walk<'s>(&'s self, path: &mut Vec<&'s Element>, call: &mut impl FnMut(&[&Element])) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            path.push(element);
            call(path);
            path.pop();
        }
        for (element, node) in &self.nodes {
            path.push(element);
            node.below.walk(path, call);
            path.pop();
        }
    }
}

/// One path per line.
impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        self.each(|path| lines.push(path.iter().map(ToString::to_string).collect::<String>()));
        f.write_str(&lines.join("\n"))
    }
}
