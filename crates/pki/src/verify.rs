//! Whether a chain holds at an instant: paths, signatures, dates, uses and names, in Go's order, so
//! that of several things wrong the same one is named.
//!
//! ```text
//! leaf: dates ─ name ─┬─ is itself trusted ────────────────────────┬─ usage of each ─ accepted
//!                     └─ paths: leaf ← intermediates … ← a root    ┘
//!                        each step: signature, then dates, authority, path length
//! ```
//!
//! The anchor's dates count like any other's. The first branch carries the shape of the loopback
//! certificate up to 1.9, one self-signed certificate that is its own authority, and also the later
//! one, whose client trusts the very PEM that the server sends.

use world::{Wall, mutant};

use crate::{Certificate, ExtendedUsage, Roots, X509Error, hostname::verify_hostname, x509_error::Hint};

/// What a certificate is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// A server's certificate.
    ServerAuth,
    /// A client's certificate.
    ClientAuth,
    /// Anything.
    Any,
}

/// No honest chain needs more.
const MAX_SIGNATURES: usize = 100;

/// Whether `chain` (leaf first) leads to one of `roots`, with everything valid at `now`.
///
/// # Errors
/// The first thing that is wrong, in Go's order of looking.
pub fn verify_chain(
    chain: &[Certificate],
    roots: &Roots,
    now: Wall,
    usage: Usage,
    server_name: Option<&str>,
) -> Result<(), X509Error> {
    Verification { roots, now, usage, server_name, dates: true }.run(chain)
}

/// One verification; [`verify_chain`] with the switch that a story's control run needs.
pub(crate) struct Verification<'a> {
    pub roots: &'a Roots,
    pub now: Wall,
    pub usage: Usage,
    pub server_name: Option<&'a str>,
    pub dates: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Intermediate,
    Root,
}

impl Verification<'_> {
    pub fn run(&self, chain: &[Certificate]) -> Result<(), X509Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(X509Error::NoCertificate)?;
        self.check_extensions(leaf)?;
        self.check_dates(leaf)?;
        if let Some(name) = self.server_name {
            verify_hostname(leaf, name)?;
        }
        let mut paths = Vec::new();
        if self.roots.contains(leaf) {
            paths.push(vec![leaf]);
        } else {
            self.build(&mut vec![leaf], intermediates, &mut 0, &mut paths)?;
        }
        if paths.iter().any(|path| self.usage_fits(path)) {
            Ok(())
        } else {
            Err(X509Error::IncompatibleUsage)
        }
    }

    /// Finds every path upwards from the end of `path`; an error when there is none.
    fn build<'c>(
        &'c self,
        path: &mut Vec<&'c Certificate>,
        intermediates: &'c [Certificate],
        signatures: &mut usize,
        found: &mut Vec<Vec<&'c Certificate>>,
    ) -> Result<(), X509Error> {
        let Some(child) = path.last().copied() else { return Err(X509Error::NoCertificate) };
        let before = found.len();
        let mut hint = None;
        let mut failure = None;
        let roots = candidates(child, self.roots.certificates()).map(|c| (Role::Root, c));
        let middle = candidates(child, intermediates).map(|c| (Role::Intermediate, c));
        for (role, candidate) in roots.chain(middle) {
            if path.iter().any(|known| same_authority(candidate, known)) {
                continue;
            }
            *signatures += 1;
            if *signatures > MAX_SIGNATURES {
                failure = Some(X509Error::TooManySignatures);
                continue;
            }
            if let Err(why) = child.check_signature_from(candidate) {
                hint.get_or_insert_with(|| Hint { why, candidate: label(candidate) });
                continue;
            }
            // What goes wrong with the last candidate is what is told, as in Go.
            failure = self.check_authority(candidate, role, path.len()).err();
            if failure.is_some() {
                continue;
            }
            path.push(candidate);
            match role {
                Role::Root => found.push(path.clone()),
                Role::Intermediate => failure = self.build(path, intermediates, signatures, found).err(),
            }
            path.pop();
        }
        if found.len() > before {
            Ok(())
        } else {
            Err(failure.unwrap_or(X509Error::UnknownAuthority { hint }))
        }
    }

    fn check_authority(&self, candidate: &Certificate, role: Role, below: usize) -> Result<(), X509Error> {
        self.check_extensions(candidate)?;
        if role != Role::Root || !mutant("ignore-anchor-dates") {
            self.check_dates(candidate)?;
        }
        let constraints = candidate.constraints();
        if role == Role::Intermediate && !constraints.is_some_and(|c| c.ca) {
            return Err(X509Error::NotAuthorizedToSign);
        }
        // The leaf does not count as an intermediate.
        let intermediates = below.saturating_sub(1);
        match constraints.and_then(|c| c.path_len) {
            Some(most) if intermediates > most as usize => Err(X509Error::TooManyIntermediates),
            _ => Ok(()),
        }
    }

    fn check_extensions(&self, certificate: &Certificate) -> Result<(), X509Error> {
        if certificate.has_unhandled_critical_extension() {
            return Err(X509Error::UnhandledCriticalExtension);
        }
        Ok(())
    }

    /// Both ends of the validity are still valid, to the nanosecond.
    fn check_dates(&self, certificate: &Certificate) -> Result<(), X509Error> {
        let (now, not_before, not_after) = (self.now, certificate.not_before(), certificate.not_after());
        if self.dates && now < not_before && !mutant("ignore-not-before") {
            return Err(X509Error::NotYetValid { now, not_before });
        }
        let spared = mutant("accept-not-after-plus-hour") && now.duration_since(not_after).as_secs() < 3600;
        if self.dates && now > not_after && !spared {
            return Err(X509Error::Expired { now, not_after });
        }
        Ok(())
    }

    /// An authority that lists uses allows no other to those below it.
    fn usage_fits(&self, path: &[&Certificate]) -> bool {
        let wanted = match self.usage {
            Usage::Any => return true,
            Usage::ServerAuth => ExtendedUsage::ServerAuth,
            Usage::ClientAuth => ExtendedUsage::ClientAuth,
        };
        let fits = |uses: &[ExtendedUsage]| {
            uses.is_empty() || uses.contains(&ExtendedUsage::Any) || uses.contains(&wanted)
        };
        path.iter().all(|certificate| fits(certificate.usages()))
    }
}

/// Certificates of `pool` with the name of `child`'s issuer: first those whose key identifier fits,
/// then those without one, then the rest.
fn candidates<'c>(
    child: &Certificate,
    pool: &'c [Certificate],
) -> impl Iterator<Item = &'c Certificate> + use<'c> {
    let rank = |candidate: &Certificate| {
        let (wanted, has) = (child.authority_key_id(), candidate.subject_key_id());
        match () {
            () if wanted == has => 0,
            () if wanted.is_empty() || has.is_empty() => 1,
            () => 2,
        }
    };
    let mut fitting: Vec<_> = pool.iter().filter(|c| c.subject_der() == child.issuer_der()).collect();
    fitting.sort_by_key(|c| rank(c));
    fitting.into_iter()
}

/// The same subject, key and names: going through it twice leads nowhere.
fn same_authority(a: &Certificate, b: &Certificate) -> bool {
    a.subject_der() == b.subject_der()
        && a.public_key_ref() == b.public_key_ref()
        && a.has_alt_names() == b.has_alt_names()
        && a.dns_names() == b.dns_names()
        && a.ip_addresses() == b.ip_addresses()
}

fn label(certificate: &Certificate) -> String {
    match (certificate.subject_cn(), certificate.organizations()) {
        ("", []) => format!("serial:{}", certificate.serial_decimal()),
        ("", [organization, ..]) => organization.clone(),
        (common_name, _) => common_name.to_owned(),
    }
}
