//! Whether an ID token holds, in the order in which upstream's library asks.

use std::time::Duration;

use pki::jwt::UnverifiedToken;
use serde_json::Value;
use world::Wall;

use super::{JwtConfig, provider::RemoteKeys};

/// For `nbf` only; an expired token is expired.
const LEEWAY: Duration = Duration::from_secs(60);

pub(super) async fn verify(
    config: &JwtConfig,
    token: &UnverifiedToken<'_>,
    keys: &RemoteKeys,
    now: Wall,
) -> Result<(), String> {
    let several = config.issuer.audiences.len() > 1;
    if !several {
        audience(config, token)?;
    }
    times(token, now)?;
    let welcome = &config.signing_algs;
    if !welcome.contains(&token.algorithm) {
        return Err(format!(
            "oidc: id token signed with unsupported algorithm, expected {} got {:?}",
            quoted(welcome),
            token.algorithm
        ));
    }
    keys.verify(token).await.map_err(|why| format!("failed to verify signature: {why}"))?;
    if several { audience(config, token) } else { Ok(()) }
}

/// Go's `%q` of a list.
fn quoted(list: &[String]) -> String {
    format!("[{}]", list.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" "))
}

fn audience(config: &JwtConfig, token: &UnverifiedToken<'_>) -> Result<(), String> {
    let held: Vec<String> = match token.claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let wanted = &config.issuer.audiences;
    if held.iter().any(|audience| wanted.contains(audience)) {
        return Ok(());
    }
    let shown = match wanted.as_slice() {
        [one] => format!("{one:?}"),
        several => {
            let mut sorted = several.to_vec();
            sorted.sort_unstable();
            format!("in {}", quoted(&sorted))
        }
    };
    Err(format!("oidc: expected audience {shown} got {}", quoted(&held)))
}

fn times(token: &UnverifiedToken<'_>, now: Wall) -> Result<(), String> {
    let at = |claim: &str| {
        let number = token.claims.get(claim).filter(|v| !v.is_null())?;
        Some(number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)).unwrap_or(i64::MIN))
    };
    let wall = |seconds: i64| Wall::from_second(seconds).unwrap_or(Wall::MIN);
    let shown = |wall: Wall| wall.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string();
    match at("exp").map(wall) {
        Some(expiry) if expiry >= now => {}
        Some(expiry) => return Err(format!("oidc: token is expired (Token Expiry: {})", shown(expiry))),
        // A time that was never set, in Go.
        None => {
            return Err("oidc: token is expired (Token Expiry: 0001-01-01 00:00:00 +0000 UTC)".to_owned());
        }
    }
    match at("nbf").map(wall) {
        Some(begin) if now + LEEWAY < begin => Err(format!(
            "oidc: current time {} before the nbf (not before) time: {}",
            shown(now),
            shown(begin)
        )),
        _ => Ok(()),
    }
}
