//! As whom: impersonation, each part of it a permission of its own.
//!
//! ```text
//! headers ─▶ who is wanted? ─▶ modes, one after the other ─▶ Acting
//!              nobody: as oneself                └ none allows it: 403 in the words of the first
//! ```

mod headers;
mod modes;

use super::{Identified, Parsed, Refusal, permit::Selected};
use crate::{context::Ctx, identity::User};
pub use modes::Modes;

const GATE: &str = "ConstrainedImpersonation";

/// A request with the user that it is carried out as.
#[derive(Debug)]
pub struct Acting {
    pub(super) parsed: Parsed,
    pub(super) user: User,
    /// Whether that is another one than who asked.
    pub(super) impersonates: bool,
    /// The verb that allowed it, if it allows no more than some requests.
    pub(super) constraint: Option<&'static str>,
}

impl Identified {
    /// Becomes whom the headers name, if the user may.
    ///
    /// # Errors
    /// 400 for parts of a user without the user, 403 for what the user may not become.
    pub async fn act(mut self, ctx: &Ctx) -> Result<Acting, Refusal> {
        let options = &ctx.options;
        let constrained = options.gate(GATE).unwrap_or(options.profile.constrained_impersonation());
        let framed = &self.parsed.framed;
        let Some(wanted) = headers::wanted(&framed.headers, constrained)? else {
            let Self { parsed, user } = self;
            return Ok(Acting { parsed, user, impersonates: false, constraint: None });
        };
        let selected = Selected::of(framed, &self.parsed.info);
        let request = selected.attributes(framed, &self.parsed.info, &self.user);
        let (user, constraint) = ctx.modes.become_user(&ctx.authz, &request, &wanted, constrained).await?;
        headers::clear(&mut self.parsed.framed.headers);
        Ok(Acting { parsed: self.parsed, user, impersonates: true, constraint })
    }
}
