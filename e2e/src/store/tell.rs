//! What `chronoplane store` prints, for people and for programs.

use std::path::Path;

use serde_json::{Value, json};
use store::{
    Image,
    offline::{Findings, Repair},
};

use crate::cli::Output;

/// What a look at a directory found.
pub(super) fn findings(findings: &Findings, output: Output) {
    if output == Output::Json {
        outln!("{}", json_of(findings));
        return;
    }
    let verdict = if findings.is_sound() { "sound" } else { "damaged" };
    outln!("{}: {verdict}", findings.path.display());
    for complaint in &findings.complaints {
        outln!("  ✗ {complaint}");
    }
    outln!("  keys      {}", findings.keys);
    outln!("  leases    {}", findings.leases);
    let acknowledged = match findings.acknowledged {
        Some(at) if at <= findings.revision => "all that was acknowledged".to_owned(),
        Some(at) => format!("writes were acknowledged up to {at}"),
        None => "how far writes were acknowledged is not known".to_owned(),
    };
    outln!("  revision  {} ({acknowledged})", findings.revision);
    outln!("  size      {} KiB", findings.bytes.div_ceil(1024));
    if !findings.is_sound() {
        let trust = if findings.complete {
            "what can be read is the newest; nothing lacks but what is named above"
        } else {
            "what can be read was written so, but some of it may be old, and more may be missing"
        };
        outln!("  {trust}");
        outln!("  `chronoplane store repair` keeps that, and sets the damaged files aside");
    }
}

fn json_of(findings: &Findings) -> Value {
    json!({
        "directory": findings.path.display().to_string(),
        "sound": findings.is_sound(),
        "complete": findings.complete,
        "complaints": findings.complaints,
        "keys": findings.keys,
        "leases": findings.leases,
        "revision": findings.revision,
        "acknowledgedRevision": findings.acknowledged,
        "bytes": findings.bytes,
    })
}

/// What a repair did.
pub(super) fn repair(repair: &Repair, output: Output) {
    if output == Output::Json {
        let mut value = json_of(&repair.findings);
        value["repaired"] = repair.set_aside.is_some().into();
        value["setAside"] = repair.set_aside.as_ref().map(|path| path.display().to_string()).into();
        value["continuesAtRevision"] = repair.revision.into();
        outln!("{value}");
        return;
    }
    let path = repair.findings.path.display();
    let Some(set_aside) = &repair.set_aside else {
        outln!("{path}: sound; there is nothing to repair");
        return;
    };
    outln!("{path}: repaired");
    for complaint in &repair.findings.complaints {
        outln!("  ✗ {complaint}");
    }
    outln!("  kept      {} keys, {} leases", repair.findings.keys, repair.findings.leases);
    let trust =
        if repair.findings.complete { "each as it was last written" } else { "some of it may be old" };
    outln!("            {trust}");
    outln!("  revision  the store goes on after {}; watches from before begin anew", repair.revision);
    outln!("  set aside {}", set_aside.display());
}

/// What went out or came in.
pub(super) fn moved(what: &str, image: &Image, place: &Path, output: Output) {
    let (keys, leases, revision) = (image.keys.len(), image.leases.len(), image.revision);
    match output {
        Output::Json => {
            let value = json!({what: place.display().to_string(), "keys": keys, "leases": leases, "revision": revision});
            outln!("{value}");
        }
        Output::Text => {
            outln!("{what} {keys} keys and {leases} leases as of revision {revision}: {}", place.display())
        }
    }
}
