//! Random stories, the same for every engine: each must do what the reference does. What fails is made shorter first.

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::{
    common::model::{Model, Step, compare, stories},
    engines::{Engine, Stage},
};

/// Plays so many stories; gives how many steps they had.
pub fn play(stage: &mut Stage, engine: Engine, count: u32, longest: usize) -> usize {
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    // Deterministic: a run that failed fails again.
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = std::cell::Cell::new(0);
    let stage = std::cell::RefCell::new(stage);
    // A restart that keeps history is none for the reference; it has a subject of its own.
    let strategy = stories(!engine.keeps_history(), longest);
    let outcome = runner.run(&strategy, |story| {
        steps.set(steps.get() + story.len());
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stage.borrow_mut().play_on(1, async |bench| {
                let mut model = Model::at(bench.first);
                for step in &story {
                    if matches!(step, Step::Restart) {
                        bench.restart().await;
                    }
                    compare(&mut model, &*bench.store, step, engine.lenient()).await;
                }
            });
        }));
        told.map_err(|panic| TestCaseError::fail(crate::said(&*panic)))
    });
    match outcome {
        Ok(()) => steps.get(),
        Err(TestError::Fail(why, story)) => panic!("{engine:?}: {why}\nthe shortest story: {story:#?}"),
        Err(TestError::Abort(why)) => panic!("{engine:?}: {why}"),
    }
}
