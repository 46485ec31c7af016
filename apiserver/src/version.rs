//! `/version`, as the profile's release says it.

use api::profile::Profile;
use async_trait::async_trait;
use http::Response;
use serde_json::{Map, Value};
use wire::Body;

use crate::{
    pipeline::{Page, Pages},
    respond,
};

/// Answers `/version`.
#[derive(Debug)]
pub struct Version(Profile);

/// From this minor on, a server says what it emulates.
const EMULATION_SINCE: u16 = 33;

impl Version {
    /// For a profile.
    pub fn new(profile: Profile) -> Self {
        Self(profile)
    }

    fn info(&self) -> Value {
        let minor = self.0.minor();
        let mut info = Map::new();
        let mut put = |key: &str, value: String| info.insert(key.to_owned(), value.into());
        put("major", "1".to_owned());
        put("minor", minor.to_string());
        if minor >= EMULATION_SINCE {
            put("emulationMajor", "1".to_owned());
            put("emulationMinor", minor.to_string());
            put("minCompatibilityMajor", "1".to_owned());
            put("minCompatibilityMinor", (minor - 1).to_string());
        }
        put("gitVersion", self.0.git_version());
        // Nothing was built from upstream's tree, and clients want the fields.
        put("gitCommit", "chronoplane".to_owned());
        put("gitTreeState", "clean".to_owned());
        put("buildDate", "1970-01-01T00:00:00Z".to_owned());
        put("goVersion", self.0.go_version());
        put("compiler", "gc".to_owned());
        put("platform", "linux/amd64".to_owned());
        Value::Object(info)
    }
}

#[async_trait]
impl Pages for Version {
    fn paths(&self) -> Vec<String> {
        vec!["/version".to_owned()]
    }

    async fn answer(&self, page: &Page<'_>) -> Option<Response<Body>> {
        let ours = page.path.trim_end_matches('/') == "/version";
        ours.then(|| respond::json_page(200, serde_json::to_vec_pretty(&self.info()).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_the_profile() {
        #[track_caller]
        fn check(version: &str, git: &str, go: &str, emulation: Option<&str>) {
            let info = Version::new(Profile::parse(version).unwrap()).info();
            assert_eq!(info["gitVersion"], git);
            assert_eq!(info["goVersion"], go);
            assert_eq!(info.get("emulationMinor").and_then(Value::as_str), emulation);
        }
        check("1.36", "v1.36.0", &Profile::NEWEST.go_version(), Some("36"));
        check("1.33.4", "v1.33.4", &Profile::of_minor(33).unwrap().go_version(), Some("33"));
        check("1.32", "v1.32.0", &Profile::of_minor(32).unwrap().go_version(), None);
        check("1.8", "v1.8.0", &Profile::of_minor(8).unwrap().go_version(), None);
    }
}
