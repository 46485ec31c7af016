//! What `#[chronoplane::test]` expands to: a fixture in a new simulated world. [`run`] is the same as a plain function.

use std::future::Future;

use api::profile::Profile;
use world::{Periods, sim};

use crate::{
    Cluster, ClusterOptions, ControlPlane, ControlPlaneOptions, HarnessError, Sim,
    cluster::{CONTROL_PLANE, WORKSTATION},
    stack,
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
    /// The defaults for the test of that name; its seed can be set with `CHRONOPLANE_SEED`, in decimal or as `0x…`.
    pub fn new(name: &'static str) -> Self {
        Self { name, seed: 1, nodes: 0, version: None, controllers: false, periods: Periods::upstream() }
    }

    /// The seed of the world.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Workers of a [`Cluster`]; a [`ControlPlane`] has none, and is not made with some.
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
        if options.nodes > 0 {
            return Err(HarnessError::new(
                "a ControlPlane has no nodes; take a Cluster, or leave `nodes` away",
            ));
        }
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

/// Runs `body` with its fixture. Before that it says on standard error which seed the world has and how to run the test
/// again: test runners show it of tests that fail.
///
/// # Panics
/// The fixture could not be made, `CHRONOPLANE_SEED` is no number, or the body panics.
pub fn run<F, Fut>(options: Options, body: impl FnOnce(F) -> Fut) -> Fut::Output
where
    F: Fixture,
    Fut: Future,
{
    let given = std::env::var_os("CHRONOPLANE_SEED");
    let seed = match given.map_or(Ok(options.seed), |given| seed_of(&given.to_string_lossy())) {
        Ok(seed) => seed,
        Err(e) => panic!("{e}"),
    };
    let test = options.name.rsplit("::").next().unwrap_or(options.name);
    eprintln!("seed {seed}; run it again with: CHRONOPLANE_SEED={seed} cargo test {test}");
    let config = sim::Config { seed, periods: options.periods, ..sim::Config::default() };
    let outcome = stack::with_room(|| {
        sim::run(config, async |sim| match F::make(&sim, &options).await {
            Ok(fixture) => Ok(body(fixture).await),
            Err(e) => Err(e),
        })
    });
    match outcome {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => panic!("the fixture of {} could not be made: {e}", options.name),
        Err(e) => panic!("no runtime for {}: {e}", options.name),
    }
}

/// As decimal digits, or as hexadecimal ones after `0x`.
fn seed_of(given: &str) -> Result<u64, HarnessError> {
    let seed = match given.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => given.parse(),
    };
    seed.map_err(|e| {
        HarnessError::new(format!("CHRONOPLANE_SEED={given}: {e}; a seed is a number such as 17 or 0x11"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_number_or_is_refused_in_words() {
        for (given, seed) in [("0", 0), ("17", 17), ("0x11", 17), ("0xffffffffffffffff", u64::MAX)] {
            assert_eq!(seed_of(given), Ok(seed), "{given}");
        }
        for given in ["", "seventeen", "-1", "0x", "0xg", "1.5", "18446744073709551616"] {
            let said = seed_of(given).unwrap_err().to_string();
            let names = said.contains(&format!("CHRONOPLANE_SEED={given}:"));
            assert!(names && said.contains("a seed is a number such as 17"), "{said}");
        }
    }
}
