//! `kubeadm token`: bootstrap tokens made, listed and deleted by people (`cmd/kubeadm/app/cmd/token.go`).

use std::time::Duration;

use clap::{Args, Subcommand};
use client::{DeleteParams, ListParams, Resource, Rest};
use pki::token::{BootstrapToken, SECRET_PREFIX, SECRET_TYPE, TokenSecret};
use serde_json::{Value, json};
use world::{Wall, rfc3339};

use crate::{
    certs::after,
    columns::{aligned, short_duration},
    config::parse_duration,
    join_command::{self, Role},
    objects::apply,
    output::{self, Output},
    paths::{ADMIN_CONF, KUBE_SYSTEM, NODE_TOKEN_GROUP, TOKEN_TTL},
    session::{Failure, Result, Session},
    token_spec::{USAGES, check_groups, check_usages},
};

const SECRETS: Resource = Resource::core("secrets");
/// Form of the public half of a token, as kubeadm prints it.
const ID_PATTERN: &str = r"\A([a-z0-9]{6})\z";

#[derive(Args)]
pub(crate) struct TokenArgs {
    /// The kubeconfig file to use when talking to the cluster
    #[arg(long, global = true, default_value = ADMIN_CONF)]
    kubeconfig: String,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Create bootstrap tokens on the server
    Create(CreateArgs),
    /// Delete bootstrap tokens on the server
    Delete {
        /// Tokens or their ids
        tokens: Vec<String>,
    },
    /// Generate and print a bootstrap token, but do not create it on the server
    Generate,
    /// List bootstrap tokens on the server
    List {
        /// Output format
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
}

#[derive(Args)]
struct CreateArgs {
    /// The token; a random one when absent
    token: Option<String>,
    /// How long the token lives; 0 for ever
    #[arg(long)]
    ttl: Option<String>,
    /// What the token may be used for
    #[arg(long, value_delimiter = ',', default_values_t = USAGES.iter().map(|u| (*u).to_owned()))]
    usages: Vec<String>,
    /// Extra groups of who authenticates with it
    #[arg(long, value_delimiter = ',', default_value = NODE_TOKEN_GROUP)]
    groups: Vec<String>,
    /// For people
    #[arg(long, default_value = "")]
    description: String,
    /// Print the whole command by which a node joins with it
    #[arg(long)]
    print_join_command: bool,
    /// With --print-join-command: print the command for a control plane, with this key
    #[arg(long)]
    certificate_key: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(s: &mut Session<'_>, args: TokenArgs) -> Result<()> {
    match args.command {
        TokenCommand::Generate => {
            s.say(BootstrapToken::generate(s.host.entropy()).reveal());
            Ok(())
        }
        TokenCommand::Create(create) => run_create(s, &args.kubeconfig, create).await,
        TokenCommand::List { output } => list(s, &admin(s, &args.kubeconfig)?, output).await,
        TokenCommand::Delete { tokens } => delete(s, &args.kubeconfig, &tokens).await,
    }
}

fn admin(s: &Session<'_>, path: &str) -> Result<Rest> {
    s.client(path).map_err(|e| e.within("failed to load admin kubeconfig"))
}

async fn run_create(s: &mut Session<'_>, kubeconfig: &str, args: CreateArgs) -> Result<()> {
    let token = match &args.token {
        Some(text) => text.parse().map_err(|e| Failure::new(format!("{e}")))?,
        None => BootstrapToken::generate(s.host.entropy()),
    };
    let ttl = match &args.ttl {
        Some(text) => parse_duration("--ttl", text)?,
        None => TOKEN_TTL,
    };
    let given = |list: &[String]| list.iter().filter(|item| !item.is_empty()).cloned().collect::<Vec<_>>();
    let (usages, groups) = (given(&args.usages), given(&args.groups));
    check_usages("bootstrapTokens[0].usages", &usages)?;
    check_groups("bootstrapTokens[0].groups", &groups, &usages)?;
    let rest = admin(s, kubeconfig)?;
    let allows = |usage: &str| usages.iter().any(|u| u == usage);
    let secret = TokenSecret {
        token: token.clone(),
        description: args.description.clone(),
        expiration: expiration(s, ttl),
        signing: allows("signing"),
        authentication: allows("authentication"),
        groups,
    };
    create(s, &rest, &secret).await?;
    if !args.print_join_command {
        s.say(token.reveal());
        return Ok(());
    }
    let role = match args.certificate_key.as_deref() {
        None => Role::Worker,
        key => Role::ControlPlane(key),
    };
    let join = join_command::of_kubeconfig(s, kubeconfig, &token, role)
        .map_err(|e| e.within("failed to get join command"))?;
    // As upstream joins its lines: what is left of an indent by blanks stays.
    s.say(join.replace("\\\n", "").replace('\t', ""));
    Ok(())
}

/// Until when a token of that time to live serves; `None` for ever.
pub(crate) fn expiration(s: &Session<'_>, ttl: Duration) -> Option<Wall> {
    (!ttl.is_zero()).then(|| after(s.host.clock().wall(), ttl))
}

/// Writes the Secret of a token that must not be there yet.
pub(crate) async fn create(s: &Session<'_>, rest: &Rest, secret: &TokenSecret) -> Result<()> {
    let name = secret.token.secret_name();
    if rest.get_opt(&SECRETS, Some(KUBE_SYSTEM), &name).await?.is_some() {
        return Err(Failure::new(format!("a token with id {:?} already exists", secret.token.id())));
    }
    apply(s, rest, &SECRETS, &secret.to_object()).await?;
    record(s, secret);
    Ok(())
}

/// Puts a token into the trace: its public name and its end, never its secret half.
pub(crate) fn record(s: &Session<'_>, secret: &TokenSecret) {
    let until = secret.expiration.map_or_else(|| "for ever".to_owned(), rfc3339);
    s.host.record("token", vec![("secret", secret.token.secret_name()), ("until", until)]);
}

async fn list(s: &mut Session<'_>, rest: &Rest, output: Output) -> Result<()> {
    let tokens = ListParams { field_selector: Some(format!("type={SECRET_TYPE}")), ..ListParams::default() };
    let secrets = rest
        .list(&SECRETS, Some(KUBE_SYSTEM), &tokens)
        .await
        .map_err(|e| Failure::from(e).within("failed to list bootstrap tokens"))?;
    if output != Output::Text {
        let objects = secrets.items.iter().filter_map(|secret| TokenSecret::from_object(secret).ok());
        for (at, token) in objects.enumerate() {
            let as_yaml = output == Output::Yaml;
            if as_yaml && at > 0 {
                s.say("---");
            }
            s.say(output::structured(&document(&token), as_yaml)?);
        }
        return Ok(());
    }
    let now = s.host.clock().wall();
    for line in table(secrets.items.iter().map(AsRef::as_ref), now) {
        s.say(line);
    }
    Ok(())
}

/// What `kubeadm token list` prints: what is wrong with a Secret, then the table of the others.
fn table<'a>(secrets: impl IntoIterator<Item = &'a Value>, now: Wall) -> Vec<String> {
    let mut lines = Vec::new();
    let header = ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for secret in secrets {
        match TokenSecret::from_object(secret) {
            Ok(token) => rows.push(row(&token, now)),
            Err(why) => {
                let name = secret.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                lines.push(format!("bootstrap token secret {name:?} cannot be shown: {why}"));
            }
        }
    }
    lines.push(aligned(&rows).trim_end_matches('\n').to_owned());
    lines
}

/// What a token may be used for, sorted as upstream lists it.
fn usages(token: &TokenSecret) -> Vec<&'static str> {
    let usages = [(token.authentication, "authentication"), (token.signing, "signing")];
    usages.iter().filter(|(may, _)| *may).map(|(_, name)| *name).collect()
}

/// A token for programs: kind BootstrapToken, without the fields that are empty.
fn document(token: &TokenSecret) -> Value {
    let mut object = json!({
        "kind": "BootstrapToken",
        "apiVersion": output::API_VERSION,
        "token": token.token.reveal(),
    });
    if !token.description.is_empty() {
        object["description"] = token.description.as_str().into();
    }
    if let Some(at) = token.expiration {
        object["expires"] = rfc3339(at).into();
    }
    let usages = usages(token);
    if !usages.is_empty() {
        object["usages"] = usages.into();
    }
    if !token.groups.is_empty() {
        object["groups"] = token.groups.clone().into();
    }
    object
}

fn row(token: &TokenSecret, now: Wall) -> Vec<String> {
    let or_none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    let (ttl, expires) = match token.expiration {
        Some(at) => (short_duration(now, at), rfc3339(at)),
        None => ("<forever>".into(), "<never>".into()),
    };
    vec![
        token.token.reveal(),
        ttl,
        expires,
        or_none(usages(token).join(",")),
        or_none(token.description.clone()),
        or_none(token.groups.join(",")),
    ]
}

async fn delete(s: &mut Session<'_>, kubeconfig: &str, tokens: &[String]) -> Result<()> {
    if tokens.is_empty() {
        return Err(Failure::new(format!(
            "missing argument; 'token delete' is missing token of form {ID_PATTERN:?} or {:?}",
            pki::token::PATTERN
        )));
    }
    let rest = admin(s, kubeconfig)?;
    for given in tokens {
        let id = id_of(given)?;
        rest.delete(&SECRETS, Some(KUBE_SYSTEM), &format!("{SECRET_PREFIX}{id}"), &DeleteParams::default())
            .await
            .map_err(|e| Failure::from(e).within(&format!("failed to delete bootstrap token {id:?}")))?;
        s.say(format!("bootstrap token {id:?} deleted"));
    }
    Ok(())
}

/// The public half of what may be a whole token.
fn id_of(given: &str) -> Result<String> {
    if BootstrapToken::new(given, &"0".repeat(16)).is_ok() {
        return Ok(given.to_owned());
    }
    match given.parse::<BootstrapToken>() {
        Ok(token) => Ok(token.id().to_owned()),
        Err(_) => Err(Failure::new(format!(
            "given token didn't match pattern {ID_PATTERN:?} or {:?}",
            pki::token::PATTERN
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(id: &str, expiration: Option<&str>) -> TokenSecret {
        TokenSecret {
            token: BootstrapToken::new(id, "0123456789abcdef").expect("a token"),
            description: String::new(),
            expiration: expiration.map(|at| at.parse().expect("an instant")),
            signing: true,
            authentication: true,
            groups: vec![NODE_TOKEN_GROUP.to_owned()],
        }
    }

    #[test]
    fn the_table_is_kubeadms() {
        let proxy = TokenSecret {
            description: "Proxy for managing TTL for the kubeadm-certs secret".into(),
            signing: false,
            authentication: false,
            groups: Vec::new(),
            ..secret("proxy0", Some("2026-01-01T01:59:59Z"))
        };
        let secrets = [
            secret("abcdef", Some("2026-01-02T00:00:00Z")).to_object(),
            secret("ever00", None).to_object(),
            secret("past00", Some("2025-12-31T00:00:00Z")).to_object(),
            proxy.to_object(),
        ];
        let now: Wall = "2026-01-01T00:00:00Z".parse().expect("an instant");
        let group = NODE_TOKEN_GROUP;
        let expected = format!(
            "TOKEN                     TTL         EXPIRES                USAGES                   DESCRIPTION                                           EXTRA GROUPS\n\
             abcdef.0123456789abcdef   1d          2026-01-02T00:00:00Z   authentication,signing   <none>                                                {group}\n\
             ever00.0123456789abcdef   <forever>   <never>                authentication,signing   <none>                                                {group}\n\
             past00.0123456789abcdef   <invalid>   2025-12-31T00:00:00Z   authentication,signing   <none>                                                {group}\n\
             proxy0.0123456789abcdef   1h          2026-01-01T01:59:59Z   <none>                   Proxy for managing TTL for the kubeadm-certs secret   <none>"
        );
        assert_eq!(table(&secrets, now), [expected]);
    }

    #[test]
    fn programs_get_a_token_as_an_object() {
        let token = TokenSecret { description: "valid bootstrap tooken".into(), ..secret("abcdef", None) };
        let expected = r#"{
    "kind": "BootstrapToken",
    "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
    "token": "abcdef.0123456789abcdef",
    "description": "valid bootstrap tooken",
    "usages": [
        "authentication",
        "signing"
    ],
    "groups": [
        "system:bootstrappers:kubeadm:default-node-token"
    ]
}"#;
        assert_eq!(output::structured(&document(&token), false).expect("JSON"), expected);
        let bare = TokenSecret {
            signing: false,
            authentication: false,
            groups: Vec::new(),
            ..secret("proxy0", Some("2026-01-01T02:00:00Z"))
        };
        let expected = "apiVersion: output.kubeadm.k8s.io/v1alpha3\nexpires: \"2026-01-01T02:00:00Z\"\nkind: \
                        BootstrapToken\ntoken: proxy0.0123456789abcdef";
        assert_eq!(output::structured(&document(&bare), true).expect("YAML"), expected);
    }

    #[test]
    fn a_secret_that_is_no_token_is_named_and_the_others_are_shown() {
        let now: Wall = "2026-01-01T00:00:00Z".parse().expect("an instant");
        let broken = json!({"metadata": {"name": "bootstrap-token-broken"}, "type": SECRET_TYPE, "data": {}});
        let lines = table(&[broken, secret("abcdef", None).to_object()], now);
        assert!(lines[0].contains("bootstrap-token-broken"), "{lines:?}");
        assert!(lines[1].contains("abcdef.0123456789abcdef"), "{lines:?}");
    }

    #[test]
    fn ids_and_whole_tokens_name_a_token_and_nothing_else_does() {
        for (given, id) in [
            ("abcdef", Ok("abcdef")),
            ("abcdef.0123456789abcdef", Ok("abcdef")),
            ("ABCDEF", Err("given token didn't match pattern \"\\\\A([a-z0-9]{6})\\\\z\" or")),
            ("abcdef.0123", Err("given token didn't match pattern")),
        ] {
            match (id_of(given), id) {
                (Ok(found), Ok(id)) => assert_eq!(found, id),
                (Err(e), Err(words)) => {
                    assert!(e.0.contains(words), "{e}");
                    assert!(!e.0.contains(given), "a mistyped token may hold a secret: {e}");
                }
                (found, _) => panic!("{given}: {found:?}"),
            }
        }
    }
}
