//! Who asks.

use super::{Note, Parsed, Refusal};
use crate::{
    authn::Remarks,
    context::Ctx,
    identity::{AUTHENTICATED, MASTERS, User},
};

/// A request with a user.
#[derive(Debug)]
pub struct Identified {
    pub(super) parsed: Parsed,
    pub(super) user: User,
}

impl Parsed {
    /// Lets the authenticators look; the first that is sure wins.
    ///
    /// # Errors
    /// 401, and never more than the word.
    pub async fn identify(mut self, ctx: &Ctx, note: &mut Note) -> Result<Identified, Refusal> {
        let now = self.framed.received_at;
        if !self.framed.peer.secure {
            // The insecure port of old releases: whoever reaches it may do everything.
            let user = User::new("system:unsecured", &[MASTERS, AUTHENTICATED]);
            note.user.clone_from(&user.name);
            return Ok(Identified { parsed: self, user });
        }
        let framed = &mut self.framed;
        let (mut remarks, began) = (Remarks::default(), ctx.host.clock().monotonic());
        let found =
            ctx.authn.authenticate(&mut framed.headers, &framed.peer, &framed.path, now, &mut remarks).await;
        for (key, value) in remarks.annotations {
            framed.remarks.annotate(key, value);
        }
        remarks.warnings.into_iter().for_each(|warning| framed.remarks.warn(warning));
        let elapsed = ctx.host.clock().monotonic().since(began);
        let user = found.as_ref().ok();
        ctx.metrics.authn.attempt(&self.framed.peer, now, user, remarks.failed, elapsed);
        let user = found?;
        note.user.clone_from(&user.name);
        note.anonymous = user.name == "system:anonymous";
        Ok(Identified { parsed: self, user })
    }
}
