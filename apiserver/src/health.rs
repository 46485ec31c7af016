//! `/healthz`, `/livez`, `/readyz`: which checks there are, in which order, and how they are shown.

use std::{fmt::Write as _, time::Duration};

use http::Response;
use wire::Body;
use world::mutant;

use crate::{
    context::{Context, Ctx},
    hooks,
    pipeline::Query,
    respond,
};

/// The three roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Healthz,
    Livez,
    Readyz,
}

impl Root {
    const ALL: [Self; 3] = [Self::Healthz, Self::Livez, Self::Readyz];

    fn name(self) -> &'static str {
        match self {
            Self::Healthz => "healthz",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
        }
    }
}

/// One check, apart from the hooks'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Ping,
    Log,
    Loopback,
    Etcd,
    EtcdReadiness,
    InformerSync,
    Hook(&'static str),
    Autoregister,
    Shutdown,
}

impl Check {
    fn name(self) -> String {
        match self {
            Self::Ping => "ping".to_owned(),
            Self::Log => "log".to_owned(),
            Self::Loopback => "loopback-serving-certificate".to_owned(),
            Self::Etcd => "etcd".to_owned(),
            Self::EtcdReadiness => "etcd-readiness".to_owned(),
            Self::InformerSync => "informer-sync".to_owned(),
            Self::Hook(name) => format!("poststarthook/{name}"),
            Self::Autoregister => "autoregister-completion".to_owned(),
            Self::Shutdown => "shutdown".to_owned(),
        }
    }

    fn belongs_to(self, root: Root) -> bool {
        match self {
            Self::Loopback => root != Root::Readyz,
            Self::EtcdReadiness | Self::InformerSync | Self::Shutdown => root == Root::Readyz,
            _ => true,
        }
    }

    /// Part of the way up: livez forgives it during its grace period.
    fn of_boot(self) -> bool {
        matches!(self, Self::Hook(_) | Self::Autoregister)
    }
}

/// How long the store may take to answer a check.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The checks of one server, fixed at its start.
#[derive(Debug)]
pub struct Health {
    /// Those that this release has.
    roots: Vec<Root>,
    checks: Vec<Check>,
    /// How long the loopback certificate counts as good, in running time from the start.
    loopback_age: Option<Duration>,
    livez_grace: Duration,
}

impl Health {
    /// `paths`: the roots that the release has. `loopback_age` absent: it has no such check.
    pub fn new(paths: &[&str], loopback_age: Option<Duration>, livez_grace: Duration) -> Self {
        let roots = Root::ALL.into_iter().filter(|root| paths.iter().any(|path| path.ends_with(root.name())));
        let mut checks = vec![Check::Ping, Check::Log];
        if loopback_age.is_some() {
            checks.push(Check::Loopback);
        }
        checks.extend([Check::Etcd, Check::EtcdReadiness, Check::InformerSync]);
        for hook in hooks::names() {
            checks.push(Check::Hook(hook));
            if hook == hooks::AUTOREGISTRATION {
                checks.push(Check::Autoregister);
            }
        }
        checks.push(Check::Shutdown);
        Self { roots: roots.collect(), checks, loopback_age, livez_grace }
    }

    /// The paths that `/` lists.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for root in self.roots.iter().copied() {
            paths.push(format!("/{}", root.name()));
            let own = self.checks.iter().filter(|c| c.belongs_to(root));
            paths.extend(own.map(|c| format!("/{}/{}", root.name(), c.name())));
        }
        paths
    }

    /// The answer to a health path; `None` if it is none.
    pub async fn answer(&self, ctx: &Ctx, path: &str, query: &Query) -> Option<Response<Body>> {
        let rest = path.strip_prefix('/')?;
        let root = self.roots.iter().copied().find(|r| {
            rest.strip_prefix(r.name()).is_some_and(|after| after.is_empty() || after.starts_with('/'))
        })?;
        let single = rest.strip_prefix(root.name())?.trim_start_matches('/').trim_end_matches('/');
        if single.is_empty() {
            return Some(self.all(ctx, root, query).await);
        }
        let check = self.checks.iter().find(|c| c.belongs_to(root) && c.name() == single)?;
        Some(match self.run(ctx, *check, root).await {
            Ok(()) => plain(200, "ok".to_owned()),
            Err(why) => respond::text(500, format!("internal server error: {why}\n")),
        })
    }

    async fn all(&self, ctx: &Ctx, root: Root, query: &Query) -> Response<Body> {
        let mut excluded: Vec<&str> = query.all("exclude").filter(|n| !n.is_empty()).collect();
        let mut lines = String::new();
        let mut failed = false;
        for check in self.checks.iter().filter(|c| c.belongs_to(root)) {
            let name = check.name();
            if let Some(at) = excluded.iter().position(|n| *n == name) {
                excluded.remove(at);
                let _ = writeln!(lines, "[+]{name} excluded: ok");
                continue;
            }
            match self.run(ctx, *check, root).await {
                Ok(()) => {
                    let _ = writeln!(lines, "[+]{name} ok");
                }
                Err(why) => {
                    tracing::debug!(check = name, why, "{} check failed", root.name());
                    failed = true;
                    let _ = writeln!(lines, "[-]{name} failed: reason withheld");
                }
            }
        }
        if !excluded.is_empty() {
            let names: Vec<String> = excluded.iter().map(|n| format!("\"{n}\"")).collect();
            let _ = writeln!(
                lines,
                "warn: some health checks cannot be excluded: no matches for {}",
                names.join(",")
            );
        }
        if failed {
            return respond::text(500, format!("{lines}{} check failed\n", root.name()));
        }
        if query.has("verbose") {
            return plain(200, format!("{lines}{} check passed\n", root.name()));
        }
        plain(200, "ok".to_owned())
    }

    /// Every check once: its name, the root that it belongs to, whether it passes.
    pub(crate) async fn each(&self, ctx: &Ctx) -> Vec<(String, &'static str, bool)> {
        let mut out = Vec::new();
        for root in self.roots.iter().copied() {
            for check in self.checks.iter().filter(|c| c.belongs_to(root)) {
                out.push((check.name(), root.name(), self.run(ctx, *check, root).await.is_ok()));
            }
        }
        out
    }

    /// Whether everything that readiness asks for is there.
    pub async fn is_ready(&self, ctx: &Ctx) -> bool {
        for check in self.checks.iter().filter(|c| c.belongs_to(Root::Readyz)) {
            if self.run(ctx, *check, Root::Readyz).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn run(&self, ctx: &Context, check: Check, root: Root) -> Result<(), String> {
        let running = ctx.host.clock().monotonic().since(ctx.started);
        if root == Root::Livez && check.of_boot() && running < self.livez_grace {
            return Ok(());
        }
        match check {
            Check::Ping | Check::Log => Ok(()),
            Check::Loopback => match self.loopback_age {
                // Running time, not the certificate: the certificate itself ends an hour earlier.
                Some(age) if running > age && !mutant("skip-loopback-check") => {
                    Err("loopback serving certificate is expired".to_owned())
                }
                _ => Ok(()),
            },
            Check::Etcd | Check::EtcdReadiness => {
                match ctx.host.clock().timeout(STORE_TIMEOUT, ctx.store.revision()).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(format!("error getting data from etcd: {error}")),
                    Err(_) => Err("etcd client connection not yet established".to_owned()),
                }
            }
            Check::InformerSync => {
                let informers = ctx.informers.named();
                let late: Vec<&str> =
                    informers.iter().filter(|(_, i)| !i.has_synced()).map(|(name, _)| *name).collect();
                if late.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{} informers not started yet: [{}]", late.len(), late.join(" ")))
                }
            }
            Check::Hook(name) if ctx.hooks.is_done(name) => Ok(()),
            Check::Hook(_) => Err("not finished".to_owned()),
            Check::Autoregister if ctx.hooks.is_done(hooks::AUTOREGISTRATION) => Ok(()),
            Check::Autoregister => Err("missing APIService: [not yet registered]".to_owned()),
            Check::Shutdown if ctx.lifecycle.is_stopping() => Err("process is shutting down".to_owned()),
            Check::Shutdown => Ok(()),
        }
    }
}

fn plain(code: u16, body: String) -> Response<Body> {
    respond::text(code, body)
}
