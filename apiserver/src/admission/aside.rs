//! What a plugin may want of a request beyond the object: its options, its time, the forms in which
//! others know the object.

use api::status::Status;
use async_trait::async_trait;
use serde_json::Value;
use world::Mono;

/// A resource in one of its versions, and the kind that its objects have there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the parts of upstream's GroupVersionResource and GroupVersionKind")]
pub struct Form {
    pub group: String,
    pub version: String,
    pub resource: String,
    pub kind_group: String,
    pub kind_version: String,
    pub kind: String,
}

impl Form {
    /// `v1`, `apps/v1`: of the kind.
    pub fn api_version(&self) -> String {
        match self.kind_group.as_str() {
            "" => self.kind_version.clone(),
            group => format!("{group}/{}", self.kind_version),
        }
    }
}

/// How the request and its objects look to others than this server.
#[async_trait]
pub trait Outside: Send + Sync {
    /// The options of the request, by their kind.
    fn options(&self) -> Value;

    /// An object in a form; `None` if it has it already.
    ///
    /// # Errors
    /// What the conversion fails of.
    async fn show(&self, object: &Value, form: &Form) -> Result<Option<Value>, Status>;

    /// Reads an object that came back in a form: without what its kind does not know, with its defaults.
    ///
    /// # Errors
    /// It is no object of the kind.
    fn read(&self, shown: &mut Value, form: &Form) -> Result<(), String>;

    /// Makes `object` what came back.
    ///
    /// # Errors
    /// As [`Outside::show`].
    async fn take_back(&self, shown: Value, form: &Form, object: &mut Value) -> Result<(), Status>;
}

/// See the module. Empty in unit tests.
#[derive(Clone, Copy, Default)]
pub struct Aside<'a> {
    /// Until when there must be an answer.
    pub until: Option<Mono>,
    /// How others see it.
    pub outside: Option<&'a dyn Outside>,
}

impl std::fmt::Debug for Aside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aside(until {:?})", self.until)
    }
}
