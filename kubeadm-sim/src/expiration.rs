//! `kubeadm certs check-expiration`: until when the certificates of this host serve.

use clap::Args;
use pki::Certificate;
use serde_json::{Value, json};
use world::{Wall, rfc3339};

use crate::{
    certs::first_certificate,
    columns::{aligned, short_duration},
    managed,
    output::{self, Output},
    session::{Result, Session},
    stored,
};

#[derive(Args)]
pub(crate) struct ExpirationArgs {
    #[command(flatten)]
    sources: stored::Sources,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// One line of a table.
struct Row {
    name: &'static str,
    /// None when the file is not there.
    expires: Option<Wall>,
    /// None for an authority.
    authority: Option<&'static str>,
    external: bool,
}

/// Runs the command.
pub(crate) async fn run(s: &mut Session<'_>, args: ExpirationArgs) -> Result<()> {
    let config = stored::load(s, "check-expiration", &args.sources, args.output == Output::Text).await?;
    let dir = &config.cluster.certificates_dir;
    let external = config.cluster.external_etcd.is_some();
    let (leaves, authorities) = (leaves(s, dir, external)?, authorities(s, dir, external)?);
    let now = s.host.clock().wall();
    let text = match args.output {
        Output::Text => tables(now, &leaves, &authorities),
        Output::Json | Output::Yaml => {
            output::structured(&document(now, &leaves, &authorities), args.output == Output::Yaml)?
        }
    };
    s.say(text.trim_end_matches('\n'));
    Ok(())
}

fn leaves(s: &Session<'_>, dir: &str, external_etcd: bool) -> Result<Vec<Row>> {
    managed::of(s.profile, external_etcd)
        .map(|row| {
            let there = s.disk().exists(row.path(dir));
            Ok(Row {
                name: row.name,
                expires: there.then(|| row.load(s, dir)).transpose()?.as_ref().map(Certificate::not_after),
                authority: Some(row.authority.name),
                external: row.authority.is_external(s, dir),
            })
        })
        .collect()
}

fn authorities(s: &Session<'_>, dir: &str, external_etcd: bool) -> Result<Vec<Row>> {
    managed::authorities(external_etcd)
        .map(|row| {
            let path = format!("{dir}/{}.crt", row.file);
            let there = s.disk().exists(&path);
            Ok(Row {
                name: row.name,
                expires: there
                    .then(|| first_certificate(s, &path))
                    .transpose()?
                    .as_ref()
                    .map(Certificate::not_after),
                authority: None,
                external: row.is_external(s, dir),
            })
        })
        .collect()
}

fn tables(now: Wall, leaves: &[Row], authorities: &[Row]) -> String {
    let header = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut rows = vec![header(&[
        "CERTIFICATE",
        "EXPIRES",
        "RESIDUAL TIME",
        "CERTIFICATE AUTHORITY",
        "EXTERNALLY MANAGED",
    ])];
    rows.extend(leaves.iter().map(|row| cells(now, row)));
    rows.push(vec![String::new()]);
    rows.push(header(&["CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED"]));
    rows.extend(authorities.iter().map(|row| cells(now, row)));
    aligned(&rows)
}

fn cells(now: Wall, row: &Row) -> Vec<String> {
    let Some(expires) = row.expires else {
        let empty = if row.authority.is_some() { 4 } else { 3 };
        let mut cells = vec![format!("!MISSING! {}", row.name)];
        cells.resize(empty + 1, String::new());
        return cells;
    };
    let mut cells = vec![
        row.name.to_owned(),
        expires.strftime("%b %d, %Y %H:%M UTC").to_string(),
        short_duration(now, expires),
    ];
    cells.extend(row.authority.map(str::to_owned));
    cells.push(format!("{:<8}", if row.external { "yes" } else { "no" }));
    cells
}

/// The same as an object of kubeadm's output API.
fn document(now: Wall, leaves: &[Row], authorities: &[Row]) -> Value {
    let list = |rows: &[Row]| -> Value { rows.iter().map(|row| entry(now, row)).collect() };
    json!({
        "kind": "CertificateExpirationInfo",
        "apiVersion": output::API_VERSION,
        "certificates": list(leaves),
        "certificateAuthorities": list(authorities),
    })
}

/// Of what is not there only the name is known.
fn entry(now: Wall, row: &Row) -> Value {
    let left = row.expires.map_or(0, |at| at.duration_since(now).as_secs());
    let mut entry = json!({
        "name": row.name,
        "expirationDate": row.expires.map(rfc3339),
        "residualTime": left,
        "externallyManaged": row.expires.is_some() && row.external,
    });
    if let (Some(authority), Some(_)) = (row.authority, row.expires) {
        entry["caName"] = authority.into();
    }
    entry["missing"] = row.expires.is_none().into();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Wall {
        text.parse().expect("an instant")
    }

    fn rows() -> (Vec<Row>, Vec<Row>) {
        let leaf = |name, expires, external| Row { name, expires, authority: Some("ca"), external };
        let leaves = vec![
            leaf("admin.conf", Some(at("2026-12-31T23:00:00Z")), false),
            leaf("apiserver", Some(at("2025-12-31T23:59:00Z")), false),
            leaf("scheduler.conf", None, false),
            leaf("super-admin.conf", Some(at("2026-01-01T05:00:00Z")), true),
        ];
        let ca =
            Row { name: "ca", expires: Some(at("2035-12-29T00:00:00Z")), authority: None, external: true };
        (leaves, vec![ca])
    }

    #[test]
    fn the_tables_are_kubeadms() {
        let (leaves, authorities) = rows();
        let text = tables(at("2026-01-01T00:00:00Z"), &leaves, &authorities);
        let expected = "\
CERTIFICATE                EXPIRES                  RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED
admin.conf                 Dec 31, 2026 23:00 UTC   364d            ca                      no      \n\
apiserver                  Dec 31, 2025 23:59 UTC   <invalid>       ca                      no      \n\
!MISSING! scheduler.conf                                                                    \n\
super-admin.conf           Jan 01, 2026 05:00 UTC   5h              ca                      yes     \n\
\n\
CERTIFICATE AUTHORITY   EXPIRES                  RESIDUAL TIME   EXTERNALLY MANAGED
ca                      Dec 29, 2035 00:00 UTC   9y              yes     \n";
        assert_eq!(text, expected);
    }

    #[test]
    fn programs_get_the_same_as_an_object() {
        let (leaves, authorities) = rows();
        let document = document(at("2026-01-01T00:00:00Z"), &leaves[..1], &authorities);
        let text = output::structured(&document, false).expect("JSON");
        let expected = r#"{
    "kind": "CertificateExpirationInfo",
    "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
    "certificates": [
        {
            "name": "admin.conf",
            "expirationDate": "2026-12-31T23:00:00Z",
            "residualTime": 31532400,
            "externallyManaged": false,
            "caName": "ca",
            "missing": false
        }
    ],
    "certificateAuthorities": [
        {
            "name": "ca",
            "expirationDate": "2035-12-29T00:00:00Z",
            "residualTime": 315273600,
            "externallyManaged": true,
            "missing": false
        }
    ]
}"#;
        assert_eq!(text, expected);
        let missing = entry(at("2026-01-01T00:00:00Z"), &leaves[2]);
        let expected = json!({
            "name": "scheduler.conf",
            "expirationDate": null,
            "residualTime": 0,
            "externallyManaged": false,
            "missing": true,
        });
        assert_eq!(missing, expected);
    }
}
