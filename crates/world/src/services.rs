//! A host's init system: named units that are started, stopped, restarted, and slices of processes
//! that belong together.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{Host, Process};

/// How a unit's main program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Exit status 0.
    Success,
    /// Any other status, with the program's last words.
    Failure(String),
}

type Main = Arc<dyn Fn(Host) -> Pin<Box<dyn Future<Output = Exit> + Send>> + Send + Sync>;

/// What to run, and what to do when it ends by itself.
#[derive(Clone)]
pub struct Unit {
    main: Main,
    restart_after: Option<Duration>,
}

impl Unit {
    /// A unit whose program is `main`. It runs in a process named as the unit.
    pub fn new<F, Fut>(main: F) -> Self
    where
        F: Fn(Host) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        Self { main: Arc::new(move |host| Box::pin(main(host))), restart_after: None }
    }

    /// `Restart=always` with `RestartSec=after`, as the kubelet's unit has (10 s).
    pub fn restart_after(mut self, after: Duration) -> Self {
        self.restart_after = Some(after);
        self
    }
}

/// The units of one host. Clones share them.
#[derive(Clone, Default)]
pub struct Services(Arc<Mutex<BTreeMap<String, State>>>);

#[derive(Default)]
struct State {
    /// None for a slice.
    unit: Option<Unit>,
    process: Option<Process>,
    last_exit: Option<Exit>,
    /// It was active when the host was switched off.
    starts_at_boot: bool,
}

impl Services {
    /// Makes `name` known, replacing an earlier definition; starts nothing.
    pub fn install(&self, name: &str, unit: Unit) {
        let mut units = self.0.lock();
        let process = units.remove(name).and_then(|s| s.process);
        units.insert(name.to_owned(), State { unit: Some(unit), process, ..State::default() });
    }

    /// The slice of that name, made if it is not active: a process for whatever is put into it, which nothing
    /// but [`Services::stop`] and the end of the host ends.
    pub fn slice(&self, host: &Host, name: &str) -> Process {
        let mut units = self.0.lock();
        let state = units.entry(name.to_owned()).or_default();
        state.process.get_or_insert_with(|| host.init().process(name)).clone()
    }

    /// Names of all units and slices.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().keys().cloned().collect()
    }

    /// [`Services::stop`], and it is not known any more.
    pub async fn remove(&self, name: &str) {
        self.stop(name).await;
        self.0.lock().remove(name);
    }

    /// Whether a unit of that name is installed.
    pub fn is_installed(&self, name: &str) -> bool {
        self.0.lock().contains_key(name)
    }

    /// Whether the unit was started and not stopped since.
    pub fn is_active(&self, name: &str) -> bool {
        self.0.lock().get(name).is_some_and(|s| s.process.is_some())
    }

    /// How the unit's program ended last, if it ever ended by itself.
    pub fn last_exit(&self, name: &str) -> Option<Exit> {
        self.0.lock().get(name).and_then(|s| s.last_exit.clone())
    }

    /// Starts the unit on `host`; nothing happens if it is active or not installed.
    pub fn start(&self, host: &Host, name: &str) {
        let mut units = self.0.lock();
        let Some(state) = units.get_mut(name) else { return };
        let Some(unit) = state.unit.clone().filter(|_| state.process.is_none()) else { return };
        // A unit is init's, whoever asks for it.
        let process = host.init().process(name);
        state.process = Some(process.clone());
        let (services, name) = (self.clone(), name.to_owned());
        drop(units);
        process.host().record("service", vec![("unit", name.clone()), ("action", "start".into())]);
        let supervisor = process.host().clone();
        process.host().spawn(async move {
            loop {
                // The program gets a process of its own, so that what it leaves behind ends with it.
                let program = supervisor.process(name.clone());
                let exit = match program.host().spawn((unit.main)(program.host().clone())).join().await {
                    Some(exit) => exit,
                    None => Exit::Failure("killed".into()),
                };
                program.kill().await;
                let word = match &exit {
                    Exit::Success => "success".to_owned(),
                    Exit::Failure(why) => why.clone(),
                };
                supervisor.record("service", vec![("unit", name.clone()), ("exit", word)]);
                services.note_exit(&name, exit);
                match unit.restart_after {
                    Some(after) => supervisor.clock().sleep(after).await,
                    None => return services.note_inactive(&name),
                }
            }
        });
    }

    /// Stops the unit and waits until all its tasks are gone.
    pub async fn stop(&self, name: &str) {
        let process = self.0.lock().get_mut(name).and_then(|s| s.process.take());
        if let Some(process) = process {
            process.host().record("service", vec![("unit", name.into()), ("action", "stop".into())]);
            process.kill().await;
        }
    }

    /// [`Services::stop`], then [`Services::start`].
    pub async fn restart(&self, host: &Host, name: &str) {
        self.stop(name).await;
        self.start(host, name);
    }

    /// The host was switched off.
    pub(crate) fn halted(&self) {
        for state in self.0.lock().values_mut() {
            state.starts_at_boot = state.process.take().is_some() && state.unit.is_some();
        }
    }

    /// The host was switched on.
    pub(crate) fn booted(&self, host: &Host) {
        let enabled = |state: &State| state.starts_at_boot;
        let names: Vec<String> =
            self.0.lock().iter().filter(|(_, s)| enabled(s)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.start(host, name));
    }

    fn note_exit(&self, name: &str, exit: Exit) {
        if let Some(state) = self.0.lock().get_mut(name) {
            state.last_exit = Some(exit);
        }
    }

    fn note_inactive(&self, name: &str) {
        if let Some(state) = self.0.lock().get_mut(name) {
            state.process = None;
        }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.lock().keys()).finish()
    }
}
