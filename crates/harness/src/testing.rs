//! What `#[chronoplane::test]` expands to: a fixture in a new simulated world. [`run`] is the same as a plain function.

use std::future::Future;

use api::profile::Profile;
use world::{Periods, sim};

use crate::{
    Cluster, ClusterOptions, ControlPlane, ControlPlaneOptions, HarnessError, Sim,
    cluster::{CONTROL_PLANE, WORKSTATION},
};

/// Options of one test, as its attribute gives them.
#[derive(Clone, Debug)]
pub struct Options {
    name: &'static str,
    seed: u64,
    nodes: usize,
    version: Option<&'static str>,
    controllers: bool,
    periods: Periods,
}

impl Options {
    /// The defaults for the test of that name; its seed can be set with `CHRONOPLANE_SEED`.
    pub fn new(name: &'static str) -> Self {
        Self { name, seed: 1, nodes: 0, version: None, controllers: false, periods: Periods::upstream() }
    }

    /// The seed of the world.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Workers of a [`Cluster`].
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The release to behave as.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }

    /// A [`ControlPlane`] with its controllers; a [`Cluster`] has them anyway.
    pub fn controllers(mut self) -> Self {
        self.controllers = true;
        self
    }

    /// Recurring work stretched, so that months are cheap.
    pub fn sparse(mut self) -> Self {
        self.periods = Periods::sparse();
        self
    }

    fn profile(&self) -> Result<Profile, HarnessError> {
        self.version.map_or(Ok(Profile::default()), |v| Profile::parse(v).map_err(HarnessError::new))
    }
}

/// Something that a test can ask for as its argument.
pub trait Fixture: Sized {
    /// Makes it in `sim`.
    fn make(sim: &Sim, options: &Options) -> impl Future<Output = Result<Self, HarnessError>>;
}

impl Fixture for Sim {
    async fn make(sim: &Sim, _: &Options) -> Result<Self, HarnessError> {
        Ok(sim.clone())
    }
}

impl Fixture for ControlPlane {
    async fn make(sim: &Sim, options: &Options) -> Result<Self, HarnessError> {
        let settings = ControlPlaneOptions {
            profile: options.profile()?,
            controllers: options.controllers,
            ..ControlPlaneOptions::default()
        };
        ControlPlane::start_before(&sim.host(CONTROL_PLANE), &sim.host(WORKSTATION), settings).await
    }
}

/// Several in one world, such as a [`Sim`] to set clocks with and a [`ControlPlane`].
impl<A: Fixture, B: Fixture> Fixture for (A, B) {
    async fn make(sim: &Sim, options: &Options) -> Result<Self, HarnessError> {
        Ok((A::make(sim, options).await?, B::make(sim, options).await?))
    }
}

impl Fixture for Cluster {
    async fn make(sim: &Sim, options: &Options) -> Result<Self, HarnessError> {
        let settings =
            ClusterOptions { profile: options.profile()?, nodes: options.nodes, ..ClusterOptions::default() };
        Cluster::start(sim, settings).await
    }
}

/// Runs `body` with its fixture.
///
/// # Panics
/// The fixture could not be made, or the body panics: with the seed and how to run it again.
pub fn run<F, Fut>(options: Options, body: impl FnOnce(F) -> Fut) -> Fut::Output
where
    F: Fixture,
    Fut: Future,
{
    let given = std::env::var("CHRONOPLANE_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or(options.seed);
    let _announce = Announce { seed, name: options.name };
    let config = sim::Config { seed, periods: options.periods, ..sim::Config::default() };
    let outcome = sim::run(config, async |sim| {
        let fixture = F::make(&sim, &options).await;
        match fixture {
            Ok(fixture) => Ok(body(fixture).await),
            Err(e) => Err(e),
        }
    });
    match outcome {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => panic!("the fixture of {} could not be made: {e}", options.name),
        Err(e) => panic!("no runtime for {}: {e}", options.name),
    }
}

/// Says on the way out of a panic how to see it again.
struct Announce {
    seed: u64,
    name: &'static str,
}

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let test = self.name.rsplit("::").next().unwrap_or(self.name);
            eprintln!(
                "seed {}; run it again with: CHRONOPLANE_SEED={} cargo test {test}",
                self.seed, self.seed
            );
        }
    }
}
