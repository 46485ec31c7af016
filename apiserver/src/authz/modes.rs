//! The names of `--authorization-mode`.

/// An authorizer that can be named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Kubelets, by what is bound to their node.
    Node,
    /// Roles and bindings.
    Rbac,
    /// Yes to everything.
    AlwaysAllow,
    /// No to everything.
    AlwaysDeny,
}

/// A value of `--authorization-mode` that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// No such mode anywhere.
    #[error("authorization-mode {0:?} is not a valid mode")]
    Unknown(String),
    /// The same mode twice.
    #[error("authorization-mode {0:?} has mode specified more than once")]
    Repeated(Vec<String>),
    /// Upstream has it, this server does not.
    #[error(
        "authorization-mode {0:?} is not implemented here; use some of Node, RBAC, AlwaysAllow and AlwaysDeny \
         (kubeadm writes Node,RBAC)"
    )]
    NotImplemented(String),
}

impl Mode {
    /// Reads the names in the order given; none means upstream's default, `AlwaysAllow`.
    ///
    /// # Errors
    /// A name that is unknown, repeated, or not implemented.
    pub fn parse_all<S: AsRef<str>>(names: &[S]) -> Result<Vec<Mode>, ModeError> {
        if names.is_empty() {
            return Ok(vec![Mode::AlwaysAllow]);
        }
        let mut modes = Vec::new();
        for name in names {
            let mode = match name.as_ref() {
                "Node" => Mode::Node,
                "RBAC" => Mode::Rbac,
                "AlwaysAllow" => Mode::AlwaysAllow,
                "AlwaysDeny" => Mode::AlwaysDeny,
                known @ ("ABAC" | "Webhook") => return Err(ModeError::NotImplemented(known.to_owned())),
                other => return Err(ModeError::Unknown(other.to_owned())),
            };
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
        check(&[], Ok(&[Mode::AlwaysAllow]));
        check(&["node"], Err(r#"authorization-mode "node" is not a valid mode"#));
        check(
            &["RBAC", "RBAC"],
            Err(r#"authorization-mode ["RBAC", "RBAC"] has mode specified more than once"#),
        );
        assert!(matches!(Mode::parse_all(&["ABAC"]), Err(ModeError::NotImplemented(name)) if name == "ABAC"));
    }
}
