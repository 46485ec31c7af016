//! An apply that wants what others own.

use std::fmt::Write as _;

use super::entries::{Id, Operation};
use crate::status::{Details, Status};

/// One field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Whose it is.
    pub owner: Id,
    /// Which.
    pub path: Vec<super::Element>,
}

impl Conflict {
    fn shown(&self) -> String {
        self.path.iter().map(ToString::to_string).collect()
    }
}

fn name(owner: &Id) -> String {
    let mut name = format!("{:?}", owner.manager);
    if !owner.subresource.is_empty() {
        let _ = write!(name, " with subresource {:?}", owner.subresource);
    }
    if owner.operation == Operation::Update {
        let _ = write!(name, " using {}", owner.api_version);
    }
    name
}

/// 409 with a cause for each field, in upstream's words.
pub(super) fn refusal(conflicts: &[Conflict]) -> Status {
    let words = match conflicts {
        [one] => format!("Apply failed with 1 conflict: conflict with {}: {}", name(&one.owner), one.shown()),
        many => {
            let mut lines = Vec::new();
            let mut last = None;
            for conflict in many {
                if last != Some(&conflict.owner) {
                    lines.push(format!("conflicts with {}:", name(&conflict.owner)));
                    last = Some(&conflict.owner);
                }
                lines.push(format!("- {}", conflict.shown()));
            }
            format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    let mut status = Status { details: Some(Details::default()), ..Status::new(409, "Conflict", words) };
    for conflict in conflicts {
        let words = format!("conflict with {}", name(&conflict.owner));
        status.push_cause("FieldManagerConflict", &words, &conflict.shown());
    }
    status
}
