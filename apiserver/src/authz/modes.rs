//! The names of `--authorization-mode`.

/// An authorizer that can be named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A file of policies.
    Abac,
    /// Yes to everything.
    AlwaysAllow,
    /// No to everything.
    AlwaysDeny,
    /// Kubelets, by what is bound to their node.
    Node,
    /// Roles and bindings.
    Rbac,
    /// Somebody else, over the network.
    Webhook,
}

/// A value of `--authorization-mode` that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// No such mode anywhere.
    #[error("authorization-mode {0:?} is not a valid mode")]
    Unknown(String),
    /// The same mode twice.
    #[error("authorization-mode {} has mode specified more than once", crate::authz::rule::quoted(.0))]
    Repeated(Vec<String>),
}

impl Mode {
    /// All of them with their names, in the order of the names.
    pub const ALL: [(&str, Mode); 6] = [
        ("ABAC", Mode::Abac),
        ("AlwaysAllow", Mode::AlwaysAllow),
        ("AlwaysDeny", Mode::AlwaysDeny),
        ("Node", Mode::Node),
        ("RBAC", Mode::Rbac),
        ("Webhook", Mode::Webhook),
    ];

    /// The mode of a name.
    pub fn parse(name: &str) -> Option<Mode> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    /// Reads the names in the order given; none means upstream's default, `AlwaysAllow`.
    ///
    /// # Errors
    /// A name that is unknown or repeated.
    pub fn parse_all<S: AsRef<str>>(names: &[S]) -> Result<Vec<Mode>, ModeError> {
        if names.is_empty() {
            return Ok(vec![Mode::AlwaysAllow]);
        }
        let mut modes = Vec::new();
        for name in names {
            let name = name.as_ref();
            let mode = Self::parse(name).ok_or_else(|| ModeError::Unknown(name.to_owned()))?;
            if modes.contains(&mode) {
                return Err(ModeError::Repeated(names.iter().map(|n| n.as_ref().to_owned()).collect()));
            }
            modes.push(mode);
        }
        Ok(modes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_order_or_one_clear_sentence() {
        let check = |names: &[&str], wanted: Result<&[Mode], &str>| {
            let found = Mode::parse_all(names).map_err(|e| e.to_string());
            assert_eq!(found, wanted.map(<[Mode]>::to_vec).map_err(str::to_owned), "{names:?}");
        };
        check(&["Node", "RBAC"], Ok(&[Mode::Node, Mode::Rbac]));
        check(&["RBAC", "Node"], Ok(&[Mode::Rbac, Mode::Node]));
        check(&["Webhook", "ABAC"], Ok(&[Mode::Webhook, Mode::Abac]));
        check(&[], Ok(&[Mode::AlwaysAllow]));
        check(&["node"], Err(r#"authorization-mode "node" is not a valid mode"#));
        check(
            &["RBAC", "RBAC"],
            Err(r#"authorization-mode ["RBAC" "RBAC"] has mode specified more than once"#),
        );
    }
}
