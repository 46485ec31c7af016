//! `/statusz` and `/flagz`, behind the gates `ComponentStatusz` and `ComponentFlagz`.

use std::{fmt::Write as _, time::Duration};

use api::profile::Profile;
use async_trait::async_trait;
use http::Response;
use wire::Body;
use world::{Clock, Mono, Wall};

use crate::{
    options::Options,
    pipeline::{Page, Pages},
    respond,
};

const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.";

/// Answers both.
#[derive(Debug)]
pub(crate) struct ZPages {
    clock: Clock,
    started: Wall,
    began: Mono,
    profile: Profile,
    /// The command line, if it is shown.
    flags: Option<Vec<(String, String)>>,
    status: bool,
}

impl ZPages {
    pub(crate) fn new(options: &Options, clock: &Clock) -> Self {
        let flags = options.has_gate("ComponentFlagz").then(|| options.given.clone());
        Self {
            clock: clock.clone(),
            started: clock.wall(),
            began: clock.monotonic(),
            profile: options.profile,
            flags,
            status: options.has_gate("ComponentStatusz"),
        }
    }

    fn statusz(&self) -> String {
        let up: Duration = self.clock.monotonic().since(self.began);
        let (hours, minutes, seconds) = (up.as_secs() / 3600, up.as_secs() / 60 % 60, up.as_secs() % 60);
        let version = self.profile.git_version();
        let version = version.trim_start_matches('v');
        format!(
            "\nkube-apiserver statusz\n{WARNING}\n\nStarted: {}\nUp: {hours} hr {minutes:02} min {seconds:02} sec\n\
             Go version: {}\nBinary version: {version}\nEmulation version: {version}\n\
             Paths: /healthz /livez /metrics /readyz /version\n",
            self.started.strftime("%a %b %e %H:%M:%S UTC %Y"),
            self.profile.go_version(),
        )
    }
}

#[async_trait]
impl Pages for ZPages {
    fn paths(&self) -> Vec<String> {
        let status = self.status.then(|| "/statusz".to_owned());
        status.into_iter().chain(self.flags.is_some().then(|| "/flagz".to_owned())).collect()
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        match page.path {
            "/statusz" if self.status => Some(respond::text(200, self.statusz())),
            "/flagz" => {
                let mut text = format!("\nkube-apiserver flagz\n{WARNING}\n\n");
                for (name, value) in self.flags.as_ref()? {
                    let _ = writeln!(text, "{name}={value}");
                }
                Some(respond::text(200, text))
            }
            _ => None,
        }
    }
}
