//! Where in an object a complaint is about: a chain on the stack, which becomes text only if somebody
//! complains.

use std::fmt;

/// A field path such as `spec.containers[0].name`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// A path from the top; dots in it are welcome.
    pub(super) const fn root(name: &'a str) -> Path<'a> {
        Path { parent: None, step: Step::Field(name) }
    }

    /// `this.name`
    pub(super) const fn child(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// `this[3]`
    pub(super) const fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// `this[name]`
    pub(super) const fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn paths_read_as_upstream_writes_them() {
        let spec = Path::root("spec");
        let containers = spec.child("containers");
        let third = containers.index(3);
        assert_eq!(third.child("name").to_string(), "spec.containers[3].name");
        assert_eq!(third.child("limits").key("cpu").to_string(), "spec.containers[3].limits[cpu]");
        assert_eq!(
            Path::root("spec.template.spec").child("volumes").to_string(),
            "spec.template.spec.volumes"
        );
    }
}
