//! A transaction: comparisons that decide which of two lists of operations is carried out.

use bytes::Bytes;

use crate::{Kv, Listing, Range, Revision};

/// What of a key is compared, and with what. Revisions and version of an absent key are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The revision of the last write.
    ModRevision(Revision),
    /// The revision of the creation.
    CreateRevision(Revision),
    /// The number of writes since the creation.
    Version(i64),
    /// The value. An absent key has none, so the comparison fails.
    Value(Bytes),
    /// The lease.
    Lease(i64),
}

/// How the key's side must relate to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same.
    Equal,
    /// Different.
    NotEqual,
    /// The key's side is greater.
    Greater,
    /// The key's side is less.
    Less,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: Bytes,
    /// What is compared, and with what.
    pub target: Target,
    /// How they must relate.
    pub relation: Relation,
}

impl Compare {
    /// Whether it holds only while the key does not exist: the condition of a creation.
    pub fn wants_absent(&self) -> bool {
        self.target == Target::ModRevision(0) && self.relation == Relation::Equal
    }

    /// The key was last written at `revision`; 0: the key does not exist.
    pub fn mod_revision(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self { key: key.into(), target: Target::ModRevision(revision), relation: Relation::Equal }
    }

    /// Whether the comparison holds for the key's present state.
    pub fn holds(&self, kv: Option<&Kv>) -> bool {
        let number = |of: fn(&Kv) -> i64, target: i64| kv.map_or(0, of).cmp(&target);
        let order = match &self.target {
            Target::ModRevision(r) => number(|kv| kv.mod_revision, *r),
            Target::CreateRevision(r) => number(|kv| kv.create_revision, *r),
            Target::Version(v) => number(|kv| kv.version, *v),
            Target::Lease(id) => number(|kv| kv.lease, *id),
            Target::Value(value) => match kv {
                Some(kv) => kv.value.cmp(value),
                None => return false,
            },
        };
        match self.relation {
            Relation::Equal => order.is_eq(),
            Relation::NotEqual => order.is_ne(),
            Relation::Greater => order.is_gt(),
            Relation::Less => order.is_lt(),
        }
    }
}

/// How a range is read. The default: everything, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// As of which revision; `None` (or 0) for now.
    pub at: Option<Revision>,
    /// At most so many keys; 0 for all.
    pub limit: usize,
    /// Leave the values empty.
    pub keys_only: bool,
    /// Only count.
    pub count_only: bool,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write a key.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease it dies with; 0 for none.
        lease: i64,
    },
    /// Delete all keys of a range.
    Delete {
        /// The range.
        range: Range,
    },
    /// Read a range, with the effect of the operations before this one.
    Get {
        /// The range.
        range: Range,
        /// How.
        options: ListOptions,
    },
}

impl Op {
    /// Writes a key without a lease.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: 0 }
    }

    /// Deletes one key.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete { range: Range::key(key) }
    }

    /// Reads one key.
    pub fn get(key: impl Into<Bytes>) -> Self {
        Self::Get { range: Range::key(key), options: ListOptions::default() }
    }
}

/// A transaction: `success` if every comparison holds, else `failure`. All of it or nothing, under
/// one revision; a transaction that changes nothing takes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold.
    pub compares: Vec<Compare>,
    /// What is done if they do.
    pub success: Vec<Op>,
    /// What is done if one does not.
    pub failure: Vec<Op>,
}

impl Txn {
    /// A transaction without a condition.
    pub fn unconditional(ops: Vec<Op>) -> Self {
        Self { success: ops, ..Self::default() }
    }
}

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// A put.
    Put {
        /// What was there before.
        prev: Option<Kv>,
    },
    /// A deletion.
    Delete {
        /// What was deleted, ascending.
        prev: Vec<Kv>,
    },
    /// A read.
    Get(Listing),
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResult {
    /// The transaction's revision; the store's, if nothing was changed.
    pub revision: Revision,
    /// Whether the comparisons held.
    pub succeeded: bool,
    /// One result per operation of the branch carried out.
    pub results: Vec<OpResult>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_hold_as_in_etcd() {
        let kv = Kv {
            key: "k".into(),
            value: "m".into(),
            create_revision: 3,
            mod_revision: 7,
            version: 2,
            lease: 9,
        };
        use Relation::*;
        // (target, relation, holds for the key, holds for an absent key)
        let rows = [
            (Target::ModRevision(7), Equal, true, false),
            (Target::ModRevision(0), Equal, false, true),
            (Target::ModRevision(6), Greater, true, false),
            (Target::ModRevision(8), Less, true, true),
            (Target::CreateRevision(3), Equal, true, false),
            (Target::Version(2), NotEqual, false, true),
            (Target::Version(0), Equal, false, true),
            (Target::Lease(9), Equal, true, false),
            (Target::Value("m".into()), Equal, true, false),
            (Target::Value("a".into()), Greater, true, false),
            // Not even "different from x" is true of no value.
            (Target::Value("x".into()), NotEqual, true, false),
        ];
        for (target, relation, present, absent) in rows {
            let compare = Compare { key: "k".into(), target, relation };
            assert_eq!(compare.holds(Some(&kv)), present, "{compare:?} of {kv:?}");
            assert_eq!(compare.holds(None), absent, "{compare:?} of nothing");
        }
    }
}
