//! The chapters, one file each with its two texts, in the order in which they are best read.

mod access;
mod expiry;
mod ha;
mod init;
mod join;
mod list_watch;
mod loopback;
mod pod;
mod rotation;
mod server_chain;
mod tls_bootstrap;

use std::time::Duration;

use api::{object::ObjectExt as _, profile::Profile};
use chronoplane::{ClusterOptions, Machinery, TaskLauncher};
use client::{ClientError, Resource, Rest};
use pki::token::BootstrapToken;
use serde_json::Value;
use world::{Host, Periods, sim::Config};

use super::{
    Language, Lesson, Told,
    lesson::Voice,
    text::{Text, TextError},
};
use crate::{
    cli::Refusal,
    scenarios::Stage,
    story::{Settings, StoryError, Teller},
};

/// One chapter.
pub struct Chapter {
    /// What `chronoplane teach` takes.
    pub id: &'static str,
    english: &'static str,
    chinese: &'static str,
    play: fn(&Lesson) -> Result<(), StoryError>,
}

macro_rules! chapter {
    ($id:literal, $module:ident) => {
        Chapter {
            id: $id,
            english: include_str!(concat!($id, ".en.md")),
            chinese: include_str!(concat!($id, ".zh.md")),
            play: $module::play,
        }
    };
}

const ALL: &[Chapter] = &[
    chapter!("loopback", loopback),
    chapter!("server-chain", server_chain),
    chapter!("init", init),
    chapter!("join", join),
    chapter!("tls-bootstrap", tls_bootstrap),
    chapter!("rotation", rotation),
    chapter!("list-watch", list_watch),
    chapter!("pod", pod),
    chapter!("access", access),
    chapter!("ha", ha),
    chapter!("expiry", expiry),
];

/// Every chapter.
pub fn all() -> &'static [Chapter] {
    ALL
}

/// The chapter of that name or number; a name may be cut short.
pub fn find(wanted: &str) -> Option<&'static Chapter> {
    if let Ok(number) = wanted.parse::<usize>() {
        return ALL.get(number.checked_sub(1)?);
    }
    let exact = ALL.iter().find(|chapter| chapter.id == wanted);
    let mut begins = ALL.iter().filter(|chapter| chapter.id.starts_with(wanted));
    exact.or_else(|| begins.next().filter(|_| begins.next().is_none()))
}

impl Chapter {
    /// Its text.
    ///
    /// # Errors
    /// The file is not in the form of [`super::text`].
    pub fn text(&self, lang: Language) -> Result<Text, TextError> {
        let source = match lang {
            Language::En => self.english,
            Language::Zh => self.chinese,
        };
        Text::parse(source)
            .map_err(|why| TextError::new(format!("chapters/{}.{}.md: {why}", self.id, lang.code())))
    }

    /// Plays the chapter and tells it.
    ///
    /// # Errors
    /// The world broke, or does not show what the text says.
    pub fn tell(&self, lang: Language, seed: u64, voice: Voice) -> Result<Told, Refusal> {
        let lesson = Lesson::new(self, lang, seed, voice)?;
        (self.play)(&lesson)?;
        Ok(lesson.end()?)
    }

    /// As [`Chapter::tell`], unheard, with stand-ins for what no seed decides: the same every time.
    ///
    /// # Errors
    /// As [`Chapter::tell`].
    pub fn steady(&self, lang: Language) -> Result<Told, Refusal> {
        self.tell(lang, 1, Voice::Steady)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A cluster of `options` at that pace, for one chapter.
fn on_stage(
    lesson: &Lesson,
    periods: Periods,
    options: ClusterOptions,
    act: impl AsyncFnOnce(&Stage) -> Result<(), StoryError>,
) -> Result<(), StoryError> {
    let settings = Settings {
        profile: options.profile,
        seed: lesson.seed,
        gear: world::Gear::Simulated,
        check_certificate_dates: true,
    };
    let config = Config { seed: lesson.seed, periods, ..Config::default() };
    Stage::play(&settings, &Teller::mute(), config, options, act)
}

/// Creates an object of a kind that every cluster has.
async fn create(rest: &Rest, object: &Value) -> Result<Value, ClientError> {
    let version = object.api_version();
    let (group, version) = (api::object::group_of(version), api::object::version_of(version));
    let kind = api::kinds::by_kind(group, version, object.kind());
    let kind = kind.ok_or_else(|| ClientError::Request(format!("no cluster knows the kind of {object}")))?;
    let namespace = Some(object.namespace()).filter(|namespace| !namespace.is_empty());
    rest.create(&Resource::of(kind), namespace, object).await
}

/// A release by its minor.
fn release(minor: u16) -> Result<Profile, StoryError> {
    Profile::of_minor(minor).map_err(StoryError::new)
}

/// A new bootstrap token, as `kubeadm token create` on the control plane prints it.
async fn new_token(stage: &Stage) -> Result<BootstrapToken, StoryError> {
    let first = stage.host(chronoplane::cluster::CONTROL_PLANE);
    let printed = stage.cluster.kubeadm(&first, &["token", "create"]).await?;
    let word = printed.lines().rev().find(|line| line.len() == 23).unwrap_or_default();
    word.parse().map_err(StoryError::new)
}

/// A machine with kubeadm and a kubelet, as it comes from its image.
fn machine(stage: &Stage, name: &str) -> Host {
    let host = stage.host(name);
    Machinery::tasks(TaskLauncher::default()).install(&host, stage.settings.profile);
    host
}
