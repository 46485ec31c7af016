//! Between our terms and the messages of etcd's API, in both directions.

use tonic::{Code, Status};

use crate::{Compare, EventKind, Kv, ListOptions, Op, Range, Relation, StoreError, Target, Txn, proto};

impl From<Kv> for proto::KeyValue {
    fn from(kv: Kv) -> Self {
        Self {
            key: kv.key,
            value: kv.value,
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<proto::KeyValue> for Kv {
    fn from(kv: proto::KeyValue) -> Self {
        Self {
            key: kv.key,
            value: kv.value,
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

impl From<crate::Event> for proto::Event {
    fn from(event: crate::Event) -> Self {
        let kind = match event.kind {
            EventKind::Put => proto::EventType::Put,
            EventKind::Delete => proto::EventType::Delete,
        };
        Self { r#type: kind.into(), kv: Some(event.kv.into()), prev_kv: event.prev.map(Into::into) }
    }
}

impl From<proto::Event> for crate::Event {
    fn from(event: proto::Event) -> Self {
        let kind = match event.r#type() {
            proto::EventType::Put => EventKind::Put,
            proto::EventType::Delete => EventKind::Delete,
        };
        Self { kind, kv: event.kv.unwrap_or_default().into(), prev: event.prev_kv.map(Into::into) }
    }
}

impl From<&Compare> for proto::Compare {
    fn from(compare: &Compare) -> Self {
        use proto::{CompareResult, CompareTarget, TargetUnion};
        let (target, union) = match &compare.target {
            Target::ModRevision(r) => (CompareTarget::Mod, TargetUnion::ModRevision(*r)),
            Target::CreateRevision(r) => (CompareTarget::Create, TargetUnion::CreateRevision(*r)),
            Target::Version(v) => (CompareTarget::Version, TargetUnion::Version(*v)),
            Target::Value(value) => (CompareTarget::Value, TargetUnion::Value(value.clone())),
            Target::Lease(id) => (CompareTarget::Lease, TargetUnion::Lease(*id)),
        };
        let result = match compare.relation {
            Relation::Equal => CompareResult::Equal,
            Relation::NotEqual => CompareResult::NotEqual,
            Relation::Greater => CompareResult::Greater,
            Relation::Less => CompareResult::Less,
        };
        Self {
            result: result.into(),
            target: target.into(),
            key: compare.key.clone(),
            target_union: Some(union),
            range_end: Default::default(),
        }
    }
}

impl TryFrom<proto::Compare> for Compare {
    type Error = Status;

    fn try_from(compare: proto::Compare) -> Result<Self, Status> {
        use proto::{CompareResult, CompareTarget, TargetUnion};
        if !compare.range_end.is_empty() {
            return Err(Status::unimplemented("a comparison of a whole range is not supported here"));
        }
        // As protobuf has it: what is not there is zero.
        let target = match (compare.target(), compare.target_union) {
            (CompareTarget::Version, Some(TargetUnion::Version(v))) => Target::Version(v),
            (CompareTarget::Version, _) => Target::Version(0),
            (CompareTarget::Create, Some(TargetUnion::CreateRevision(r))) => Target::CreateRevision(r),
            (CompareTarget::Create, _) => Target::CreateRevision(0),
            (CompareTarget::Mod, Some(TargetUnion::ModRevision(r))) => Target::ModRevision(r),
            (CompareTarget::Mod, _) => Target::ModRevision(0),
            (CompareTarget::Value, Some(TargetUnion::Value(value))) => Target::Value(value),
            (CompareTarget::Value, _) => Target::Value(Default::default()),
            (CompareTarget::Lease, Some(TargetUnion::Lease(id))) => Target::Lease(id),
            (CompareTarget::Lease, _) => Target::Lease(0),
        };
        let relation = match CompareResult::try_from(compare.result) {
            Ok(CompareResult::Equal) | Err(_) => Relation::Equal,
            Ok(CompareResult::NotEqual) => Relation::NotEqual,
            Ok(CompareResult::Greater) => Relation::Greater,
            Ok(CompareResult::Less) => Relation::Less,
        };
        Ok(Self { key: compare.key, target, relation })
    }
}

impl proto::RangeRequest {
    /// The request for a range of ours.
    pub(crate) fn of(range: &Range, options: &ListOptions) -> Self {
        let (key, range_end) = range.to_etcd();
        Self {
            key,
            range_end,
            limit: options.limit as i64,
            revision: options.at.unwrap_or(0),
            keys_only: options.keys_only,
            count_only: options.count_only,
            ..Self::default()
        }
    }
}

impl From<&Op> for proto::RequestOp {
    fn from(op: &Op) -> Self {
        use proto::Request;
        let request = match op {
            Op::Put { key, value, lease } => Request::Put(proto::PutRequest {
                key: key.clone(),
                value: value.clone(),
                lease: *lease,
                prev_kv: true,
                ..Default::default()
            }),
            Op::Delete { range } => {
                let (key, range_end) = range.to_etcd();
                Request::DeleteRange(proto::DeleteRangeRequest { key, range_end, prev_kv: true })
            }
            Op::Get { range, options } => Request::Range(proto::RangeRequest::of(range, options)),
        };
        Self { request: Some(request) }
    }
}

impl From<&Txn> for proto::TxnRequest {
    fn from(txn: &Txn) -> Self {
        Self {
            compare: txn.compares.iter().map(Into::into).collect(),
            success: txn.success.iter().map(Into::into).collect(),
            failure: txn.failure.iter().map(Into::into).collect(),
        }
    }
}

/// How etcd's server reports our errors.
impl From<StoreError> for Status {
    fn from(e: StoreError) -> Self {
        let code = match &e {
            StoreError::Compacted { .. }
            | StoreError::FutureRevision { .. }
            | StoreError::LeaseTooLong { .. } => Code::OutOfRange,
            StoreError::DuplicateKey { .. }
            | StoreError::EmptyKey
            | StoreError::TooManyOps { .. }
            | StoreError::TooLarge { .. } => Code::InvalidArgument,
            StoreError::LeaseNotFound { .. } => Code::NotFound,
            StoreError::LeaseExists { .. } => Code::FailedPrecondition,
            StoreError::Full { .. } => Code::ResourceExhausted,
            StoreError::Closed => return Self::unavailable("etcdserver: server stopped"),
            StoreError::Transport(_)
            | StoreError::Lagged { .. }
            | StoreError::TimedOut
            | StoreError::NoLeader
            | StoreError::Learner => Code::Unavailable,
            StoreError::Remote { code, message } => return Self::new(Code::from(*code), message.clone()),
            StoreError::Locked { .. }
            | StoreError::Missing { .. }
            | StoreError::Occupied { .. }
            | StoreError::Format { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Io { .. } => Code::Unknown,
        };
        Self::new(code, e.to_string())
    }
}

/// What a request was about: the evidence that etcd's errors leave out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) revision: i64,
    pub(crate) lease: i64,
    pub(crate) seconds: u64,
}

impl Asked {
    /// An answer of etcd's server as an error of ours. Numbers that etcd does not tell are 0.
    pub(crate) fn error(&self, status: &Status) -> StoreError {
        let known = [
            StoreError::Compacted { requested: self.revision, oldest: 0 },
            StoreError::FutureRevision { requested: self.revision, current: 0 },
            StoreError::DuplicateKey { key: Default::default() },
            StoreError::EmptyKey,
            StoreError::TooManyOps { ops: 0, limit: 0 },
            StoreError::TooLarge { bytes: 0, limit: 0 },
            StoreError::LeaseNotFound { id: self.lease },
            StoreError::LeaseExists { id: self.lease },
            StoreError::LeaseTooLong { seconds: self.seconds },
            StoreError::TimedOut,
            StoreError::NoLeader,
            StoreError::Learner,
        ];
        let message = status.message();
        known
            .into_iter()
            .find(|e| e.to_string() == message)
            .unwrap_or_else(|| StoreError::Remote { code: status.code().into(), message: message.to_owned() })
    }
}
