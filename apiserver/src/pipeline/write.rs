//! The second half of a write: from a decoded object to a committed revision.
//!
//! Every type here is made by the function of the stage before it, and the first one only from a
//! [`Permitted`] request.

mod commit;

use std::sync::Arc;

use api::status::Status;
use parking_lot::Mutex;
use serde_json::Value;

pub use commit::{Committed, delete};

use super::{Permitted, WriteOptions, outside::Outside};
use crate::{
    admission::{Aside, Operation, Review},
    allocate::Reservation,
    catalog::Served,
    context::Ctx,
    registry::rules,
};

/// What a write is about: fixed for all its attempts.
pub struct Scope<'r> {
    /// The request.
    pub permitted: &'r Permitted,
    /// The kind.
    pub served: Arc<Served>,
    /// Empty at the cluster scope.
    pub namespace: String,
    /// The name in the URL; empty for a create.
    pub name: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// The query's options.
    pub options: WriteOptions,
    duplicates: Mutex<Vec<String>>,
    /// Not asked for by a client as it stands, but what a request comes to: admission has seen the request.
    consequence: bool,
}

impl<'r> Scope<'r> {
    /// The scope of a permitted request.
    pub fn new(permitted: &'r Permitted, served: Arc<Served>, options: WriteOptions) -> Self {
        let info = permitted.info();
        // The namespace of a namespace's path is its own name.
        let namespace = if served.namespaced { info.namespace.clone() } else { String::new() };
        let (name, subresource) = (info.name.clone(), info.subresource.clone());
        Self {
            permitted,
            served,
            namespace,
            name,
            subresource,
            options,
            duplicates: Mutex::default(),
            consequence: false,
        }
    }

    /// Notes what field validation will say of keys that the body repeats.
    #[must_use]
    pub fn with_duplicates(self, complaints: Vec<String>) -> Self {
        Self { duplicates: Mutex::new(complaints), ..self }
    }

    /// What is to be said of keys that the body repeats; told once.
    pub fn duplicates(&self) -> Vec<String> {
        std::mem::take(&mut self.duplicates.lock())
    }

    /// Tells the client something that is no error, once, however often it is attempted.
    pub fn warn(&self, text: impl Into<String>) {
        self.permitted.request().remarks.warn(text);
    }

    /// The same request's write on another object, as an eviction deletes a pod: what admission let
    /// through is not asked about again.
    pub fn consequence(&self, served: Arc<Served>, name: &str, subresource: &str) -> Scope<'r> {
        Scope { consequence: true, ..self.on(served, name, subresource) }
    }

    /// The same request's write on one object of many.
    pub fn on(&self, served: Arc<Served>, name: &str, subresource: &str) -> Scope<'r> {
        Scope {
            permitted: self.permitted,
            namespace: if served.namespaced { self.namespace.clone() } else { String::new() },
            served,
            name: name.to_owned(),
            subresource: subresource.to_owned(),
            options: self.options.clone(),
            duplicates: Mutex::default(),
            consequence: false,
        }
    }

    /// Both passes of admission.
    async fn admit(
        &self,
        ctx: &Ctx,
        operation: Operation,
        object: Option<&mut Value>,
        old: Option<&Value>,
        options: Option<&Value>,
    ) -> Result<(), Status> {
        let outside = Outside::new(ctx, self, operation, options);
        let mut review = self.review(ctx, operation, object, old, &outside);
        ctx.admission.mutate(&mut review).await?;
        ctx.admission.validate(&review).await
    }

    fn review<'a>(
        &'a self,
        ctx: &Ctx,
        operation: Operation,
        object: Option<&'a mut Value>,
        old: Option<&'a Value>,
        outside: &'a Outside<'a>,
    ) -> Review<'a> {
        let request = self.permitted.request();
        let limit = match operation {
            // A stream has no end to wait for.
            Operation::Connect => None,
            _ => request.deadline(ctx.options.request_timeout).ok(),
        };
        Review {
            operation,
            group: &self.served.group,
            version: &self.served.version,
            resource: &self.served.plural,
            subresource: &self.subresource,
            kind: &self.served.kind,
            namespace: if self.served.plural == "namespaces" && self.served.group.is_empty() {
                &self.name
            } else {
                &self.namespace
            },
            name: &self.name,
            user: self.permitted.user(),
            object,
            old,
            dry_run: self.options.dry_run,
            now: request.received_at,
            remarks: &request.remarks,
            aside: Aside { until: limit.map(|limit| request.began + limit), outside: Some(outside) },
        }
    }

    /// Admission of a deletion: both passes, on what is there.
    ///
    /// # Errors
    /// 403 mostly, by whichever plugin says no.
    pub async fn admit_delete(&self, ctx: &Ctx, old: &Value, options: &Value) -> Result<(), Status> {
        if self.consequence {
            return Ok(());
        }
        self.admit(ctx, Operation::Delete, None, Some(old), Some(options)).await
    }

    /// Admission of something that is posted and not stored: a binding, an eviction, a token request.
    ///
    /// # Errors
    /// As [`Scope::admit_delete`].
    pub async fn admit_posted(&self, ctx: &Ctx, object: &mut Value) -> Result<(), Status> {
        self.admit(ctx, Operation::Create, Some(object), None, None).await
    }

    /// Admission of a stream, or of a request that is passed on, by its options.
    ///
    /// # Errors
    /// As [`Scope::admit_delete`].
    pub async fn admit_connect(&self, ctx: &Ctx, options: &mut Value) -> Result<(), Status> {
        self.admit(ctx, Operation::Connect, Some(options), None, None).await
    }
}

/// What is in the store now.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As shown, resource version set.
    pub object: Arc<Value>,
    /// The revision that wrote it.
    pub revision: i64,
    /// Its lease; 0 for none.
    pub lease: i64,
    /// Whether it is stored in another version than objects are stored in now: every write brings it there.
    pub stale: bool,
}

/// An object as the client wants it.
pub struct Decoded<'s, 'r> {
    scope: &'s Scope<'r>,
    object: Value,
    old: Option<&'s Stored>,
}

impl<'s, 'r> Decoded<'s, 'r> {
    /// `old` absent: a create.
    pub fn new(scope: &'s Scope<'r>, object: Value, old: Option<&'s Stored>) -> Self {
        Self { scope, object, old }
    }

    /// The mutating pass of admission, and what no writer may do with what it made.
    ///
    /// # Errors
    /// By whichever plugin says no; 403 for a role or binding that grants more than its writer holds.
    pub async fn mutate(mut self, ctx: &Ctx) -> Result<Mutated<'s, 'r>, Status> {
        let scope = self.scope;
        if !scope.consequence {
            let operation = if self.old.is_some() { Operation::Update } else { Operation::Create };
            let old = self.old.map(|o| &*o.object);
            let outside = Outside::new(ctx, scope, operation, None);
            let mut review = scope.review(ctx, operation, Some(&mut self.object), old, &outside);
            ctx.admission.mutate(&mut review).await?;
            ctx.admission.check_escalation(&review).await?;
        }
        Ok(Mutated { scope: self.scope, object: self.object, old: self.old })
    }
}

/// An object as admission wants it.
pub struct Mutated<'s, 'r> {
    scope: &'s Scope<'r>,
    object: Value,
    old: Option<&'s Stored>,
}

impl<'s, 'r> Mutated<'s, 'r> {
    /// System fields, allocations, the kind's strategy, validation.
    ///
    /// # Errors
    /// 422 with every complaint; 409 for a stale version or another UID.
    pub async fn prepare(mut self, ctx: &Ctx) -> Result<Prepared<'s, 'r>, Status> {
        let scope = self.scope;
        let now = scope.permitted.request().received_at;
        let reservation = match self.old {
            None => {
                rules::fill_system_fields(scope, &mut self.object, ctx, now)?;
                let reservation = ctx.allocator.reserve(scope, &mut self.object, None).await?;
                rules::before_create(scope, &mut self.object, now)?;
                reservation
            }
            Some(old) => {
                ctx.allocator.keep(&scope.served, &mut self.object, &old.object);
                rules::before_update(scope, &mut self.object, &old.object, now)?;
                ctx.allocator.reserve(scope, &mut self.object, Some(&old.object)).await?
            }
        };
        Ok(Prepared { scope, object: self.object, old: self.old, reservation })
    }
}

/// An object that could be stored.
pub struct Prepared<'s, 'r> {
    scope: &'s Scope<'r>,
    object: Value,
    old: Option<&'s Stored>,
    reservation: Reservation,
}

impl<'s, 'r> Prepared<'s, 'r> {
    /// The validating pass of admission.
    ///
    /// # Errors
    /// By whichever plugin says no.
    pub async fn admit(mut self, ctx: &Ctx) -> Result<Admitted<'s, 'r>, Status> {
        let scope = self.scope;
        if !scope.consequence {
            let operation = if self.old.is_some() { Operation::Update } else { Operation::Create };
            let old = self.old.map(|o| &*o.object);
            let outside = Outside::new(ctx, scope, operation, None);
            let review = scope.review(ctx, operation, Some(&mut self.object), old, &outside);
            ctx.admission.validate(&review).await?;
        }
        Ok(Admitted { scope: self.scope, object: self.object, old: self.old, reservation: self.reservation })
    }
}

/// An object that may be stored.
pub struct Admitted<'s, 'r> {
    scope: &'s Scope<'r>,
    object: Value,
    old: Option<&'s Stored>,
    reservation: Reservation,
}
