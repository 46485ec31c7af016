//! What a real kube-apiserver did when its loopback certificate had died, row by row: one test for each row and each
//! release at whose edge something changes. The rows and the minors since when they hold are those of the observation
//! (`docs/loopback.md`); the story `loopback-expiry` is told once for each release, and each test reads its row there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use api::profile::Profile;
use chronoplane_cli::{
    catalogue,
    story::{self, Settings},
};
use libtest_mimic::{Arguments, Failed, Trial};

/// The last of one behaviour and the first of the next: endpoints by leases (1.12), words with a time (Go 1.15: 1.19),
/// words with `tls:` (Go 1.20: 1.27), three years and addresses as objects (1.33), livez (1.36).
const RELEASES: &[&str] = &["1.11", "1.12", "1.18", "1.19", "1.26", "1.27", "1.32", "1.33", "1.35", "1.36"];

/// Where in the story a row stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    /// Before any connection breaks.
    Unnoticed,
    /// After the reset.
    Dead,
    /// After the restart; or, with a livez check, after the blind hour.
    Later,
}

struct Row {
    phase: Phase,
    /// What the story's line says first.
    what: &'static str,
    /// From which minor to which.
    minors: (u16, u16),
    /// What stands behind it, or below it.
    words: &'static [&'static str],
}

const ALWAYS: (u16, u16) = (8, 99);
const X509: &str = "x509: certificate has expired or is not yet valid";

const fn row(phase: Phase, what: &'static str, words: &'static [&'static str]) -> Row {
    Row { phase, what, minors: ALWAYS, words }
}

const fn during(minors: (u16, u16), row: Row) -> Row {
    Row { minors, ..row }
}

use Phase::{Dead, Later, Unnoticed};

const POD: &str = "403 pods \"p-dead\" is forbidden: Get \"https://127.0.0.1:6443/api/v1/namespaces/default/limitranges\": ";
const POD_TLS: &str = "limitranges\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time";
const YOUNG: &str = "500 Internal error occurred: Get \"https://127.0.0.1:6443/api/v1/namespaces/t1-dead\": ";
const SERVICE: &str = "422 Service \"s-dead\" is invalid: spec.clusterIPs: Invalid value: [\"\"]: failed to allocate IP: Post \"https://127.0.0.1:6443/apis/networking.k8s.io/v1/ipaddresses\": tls: failed to verify certificate: ";

const ROWS: &[Row] = &[
    row(Unnoticed, "one second after", &[X509]),
    row(Unnoticed, "health, reads, writes of ten kinds", &["14 of 14 as in a healthy cluster"]),
    row(Dead, "its log, once for every informer", &["failed to list *v1.Role: Get ", X509]),
    row(Dead, "health stays green", &["/healthz 200 ok"]),
    during((16, 99), row(Dead, "health stays green", &["/livez 200 ok", "/readyz 200 ok"])),
    row(Dead, "create namespace", &["works"]),
    row(Dead, "create configmap in that namespace", &[YOUNG, X509]),
    row(Dead, "create configmap in default", &["works"]),
    row(Dead, "list, get, discovery", &["work"]),
    row(Dead, "delete namespace", &["works"]),
    row(Dead, "create clusterrole and binding", &["works"]),
    row(Dead, "auth can-i --as bob-dead", &["no: accepted, and without effect"]),
    row(Dead, "create serviceaccount, token", &["works"]),
    row(Dead, "create resourcequota", &["works"]),
    row(Dead, "create CRD", &["works"]),
    row(Dead, "the new resource", &["never served, 0 conditions"]),
    during((8, 32), row(Dead, "create service", &["works"])),
    during((33, 99), row(Dead, "create service", &[SERVICE, X509])),
    row(Dead, "create pod in default", &[POD, X509]),
    during((19, 99), row(Dead, "create pod in default", &["current time 20", " is after 20"])),
    during((27, 99), row(Dead, "create pod in default", &[POD_TLS])),
    during((8, 35), row(Later, "a new loopback certificate", &["valid until"])),
    row(Later, "health, reads, writes of ten kinds", &["14 of 14 as in a healthy cluster"]),
    during((36, 99), row(Later, "one second before the hour is over", &["livez 200 ok"])),
    during(
        (36, 99),
        row(
            Later,
            "one second after",
            &["livez 500 internal server error: loopback serving certificate is expired"],
        ),
    ),
    during((36, 99), row(Later, "readyz does not include the check", &["readyz 200"])),
    during((36, 99), row(Later, "the kubelet restarts the static pod", &["valid until"])),
    during((36, 99), row(Later, "two hours past its end", &["livez 200 ok"])),
];

/// What a release must not say.
const NEVER: &[(u16, u16, &str)] = &[
    (8, 18, "current time"),
    (8, 26, "tls: failed to verify"),
    (8, 35, "blind hour"),
    (36, 99, "is restarted."),
];

/// A release's story, told when the first row asks.
struct Told {
    profile: Profile,
    lines: OnceLock<Result<Vec<String>, String>>,
}

impl Told {
    fn lines(&self) -> Result<&[String], Failed> {
        let lines = self.lines.get_or_init(|| {
            let entry = catalogue::find("loopback-expiry").ok_or("there is no such story")?;
            let settings = Settings {
                profile: self.profile,
                seed: 1,
                gear: chronoplane::Gear::Simulated,
                check_certificate_dates: true,
            };
            story::tell(entry, &settings, false).map(|telling| telling.lines).map_err(|refusal| refusal.0)
        });
        lines.as_deref().map_err(|why| Failed::from(why.clone()))
    }

    /// The lines of one phase. A line of the telling may have several of its own.
    fn phase(&self, phase: Phase) -> Result<Vec<&str>, Failed> {
        let of = |line: &str, now: Phase| {
            if line.contains("are reset, the server's own among them") {
                Dead
            } else if line.contains("is restarted.") || line.contains("The blind hour") {
                Later
            } else {
                now
            }
        };
        let mut now = Unnoticed;
        let mut found = Vec::new();
        for line in self.lines()?.iter().flat_map(|line| line.lines()) {
            now = of(line, now);
            if now == phase {
                found.push(line);
            }
        }
        Ok(found)
    }

    fn check(&self, row: &Row) -> Result<(), Failed> {
        let lines = self.phase(row.phase)?;
        let start = format!("✓ {}", row.what);
        let said = |line: &&str| {
            line.trim_start()
                .strip_prefix(&start)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("  ") || rest.starts_with(' '))
        };
        let Some(at) = lines.iter().position(said) else {
            return Err(format!("{:?} is not there as expected:\n{}", row.what, lines.join("\n")).into());
        };
        // Words that are long stand on the next line, further to the right.
        let below = lines.get(at + 1).filter(|line| line.starts_with("      ")).copied().unwrap_or_default();
        let text = format!("{}\n{below}", lines[at]);
        match row.words.iter().find(|words| !text.contains(**words)) {
            Some(words) => Err(format!("missing {words:?} in\n{text}").into()),
            None => Ok(()),
        }
    }

    fn check_never(&self) -> Result<(), Failed> {
        let told = self.lines()?.join("\n");
        let minor = self.profile.minor();
        let said =
            NEVER.iter().find(|(from, to, words)| (*from..=*to).contains(&minor) && told.contains(words));
        said.map_or(Ok(()), |(_, _, words)| Err(format!("{words:?} in\n{told}").into()))
    }
}

fn main() -> ExitCode {
    let mut trials = BTreeMap::<usize, Vec<Trial>>::new();
    for release in RELEASES {
        let Ok(profile) = Profile::parse(release) else { return ExitCode::FAILURE };
        let told = Arc::new(Told { profile, lines: OnceLock::new() });
        for (number, row) in ROWS.iter().enumerate() {
            if (row.minors.0..=row.minors.1).contains(&profile.minor()) {
                let told = told.clone();
                let name =
                    format!("{release}::{:02}_{:?}_{}", number + 1, row.phase, row.what.replace(' ', "_"));
                trials.entry(number).or_default().push(Trial::test(name, move || told.check(row)));
            }
        }
        let never = Trial::test(format!("{release}::words_of_other_releases"), move || told.check_never());
        trials.entry(ROWS.len()).or_default().push(never);
    }
    // Row by row: whoever asks first about a release plays it, so that as many are played at once as there are threads.
    let trials = trials.into_values().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
