//! The real gear for a test: sockets on 127.0.0.0/8, files in a temporary directory, the system's clock.
//!
//! For what the simulated gear cannot have: programs of other people at the other end. Time passes by itself here.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use world::real::{Block, Real};

use crate::{HarnessError, stack};

/// Blocking work that is on its way gets so long to end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs `body` in a new world of the real gear, then takes it down: hosts are halted, ports closed, files removed, also
/// if `body` panics.
///
/// ```
/// use chronoplane::{ControlPlane, ControlPlaneOptions, real};
///
/// real::run(async |world| {
///     let plane = ControlPlane::start(&world.host("cp1")?, ControlPlaneOptions::default()).await?;
///     assert!(plane.client()?.apiserver_version().await.is_ok());
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })
/// .unwrap()
/// .unwrap();
/// ```
///
/// # Errors
/// There is no runtime, directory or address to be had.
pub fn run<F, Fut>(body: F) -> Result<Fut::Output, HarnessError>
where
    F: FnOnce(Real) -> Fut,
    Fut: Future,
{
    let files = tempfile::Builder::new().prefix("chronoplane-").tempdir().map_err(HarnessError::new)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .map_err(HarnessError::new)?;
    let world = Real::new(files.path().to_owned(), Block::reserve().map_err(HarnessError::new)?);
    let outcome =
        catch_unwind(AssertUnwindSafe(|| stack::with_room(|| runtime.block_on(body(world.clone())))));
    runtime.block_on(async {
        for host in world.addresses().into_keys().filter_map(|name| world.host(&name).ok()) {
            host.halt().await;
        }
    });
    runtime.shutdown_timeout(FAREWELL);
    drop(world);
    let removed = files.close();
    match outcome {
        Ok(output) => removed.map(|()| output).map_err(HarnessError::new),
        Err(panic) => resume_unwind(panic),
    }
}
