//! Getting a container's image onto the node: nothing is pulled, but it is told and it can fail
//! (`pkg/kubelet/images/image_manager.go`).

use std::time::Duration;

use api::object::ObjectExt as _;
use serde_json::Value;

use super::{faults::Faults, state::Phase, worker::Worker};

const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);

impl Worker {
    /// Returns when the image of container `i` is there.
    pub(super) async fn image(&self, i: usize, spec: &Value) {
        let image = spec.str_at("/image");
        let always = match spec.str_at("/imagePullPolicy") {
            "" => image.ends_with(":latest") || !image.rsplit('/').next().is_some_and(|n| n.contains(':')),
            policy => policy == "Always",
        };
        // Whoever asks for a failing pull wants to see it, even of an image that is there.
        let fails = Faults::of(&self.pod(), spec.str_at("/name")).image_pull_error().is_some();
        if !always && !fails && self.node().runtime.has_image(image) {
            self.normal("Pulled", format!("Container image {image:?} already present on machine"));
            return;
        }
        let mut backoff = FIRST_BACKOFF;
        loop {
            self.normal("Pulling", format!("Pulling image {image:?}"));
            let pod = self.pod();
            let faults = Faults::of(&pod, spec.str_at("/name"));
            let took = faults.image_pull_duration();
            self.host().clock().sleep(took).await;
            let Some(why) = faults.image_pull_error() else {
                let took = api::duration::format(took);
                self.normal(
                    "Pulled",
                    format!("Successfully pulled image {image:?} in {took} ({took} including waiting)"),
                );
                self.node().runtime.add_image(image);
                return;
            };
            let why = format!("failed to pull and unpack image {image:?}: {why}");
            self.warning("Failed", format!("Failed to pull image {image:?}: {why}"));
            self.warning("Failed", "Error: ErrImagePull".into());
            self.waiting(i, "ErrImagePull", why.clone());
            // Upstream shows the error until the pod's next sync finds it in back-off.
            self.host().clock().sleep(backoff / 2).await;
            self.normal("BackOff", format!("Back-off pulling image {image:?}"));
            self.warning("Failed", "Error: ImagePullBackOff".into());
            let message = format!("Back-off pulling image {image:?}: ErrImagePull: {why}");
            self.waiting(i, "ImagePullBackOff", message);
            self.host().clock().sleep(backoff / 2).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    pub(super) fn waiting(&self, i: usize, reason: &'static str, message: String) {
        self.edit_container(i, |c| c.phase = Phase::Waiting { reason, message });
    }
}
