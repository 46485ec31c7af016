//! `/debug/flags`: the verbosity of a server that runs (`routes.DebugFlags`). Unlisted, as upstream, and only
//! while `--profiling` is on.

use std::sync::atomic::Ordering::Relaxed;

use api::status::quoted;
use http::{HeaderValue, Method, Response, header};
use wire::{Body, body};

use super::{Permitted, read_body};
use crate::{context::Ctx, respond};

const INDEX: &str = "<html>\n<head>\n<title>/debug/flags/</title>\n</head>\n<body>\n/debug/flags/<br>\n<br>\nflags:<br>\n<table>\n\n<tr>v<br>\n\n</table>\n<br>\nfull flags configurable<br>\n</body>\n</html>\n";

const READS_ITSELF: u16 = 26;

/// The answer, if the path is one of these.
pub(super) async fn answer(ctx: &Ctx, permitted: &Permitted) -> Option<Response<Body>> {
    let request = permitted.request();
    if !ctx.options.profiling {
        return None;
    }
    if request.path == "/debug/flags/v" {
        return Some(match request.method {
            Method::PUT => match read_body(ctx, permitted).await {
                Ok(text) => set(ctx, &String::from_utf8_lossy(&text)),
                Err(status) => plain(400, format!("error reading request body: {}", status.message)),
            },
            _ => plain(406, "unsupported http method".to_owned()),
        });
    }
    (request.path == "/debug/flags" || request.path.starts_with("/debug/flags/")).then(|| {
        let mut response = Response::new(body::full(INDEX));
        let media = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    })
}

/// `logs.GlogSetter`; from 1.26 on it reads the number itself before klog does.
fn set(ctx: &Ctx, text: &str) -> Response<Body> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    let wrong = |function: &str| format!("strconv.{function}: parsing {}: {why}", quoted(text));
    let number = text.parse::<u32>().ok().filter(|_| digits);
    if number.is_none() && ctx.options.profile.minor() >= READS_ITSELF {
        return plain(400, wrong("ParseUint"));
    }
    match number.filter(|number| i32::try_from(*number).is_ok()) {
        Some(level) => {
            ctx.verbosity.store(level, Relaxed);
            plain(200, format!("successfully set klog.logging.verbosity to {text}"))
        }
        None => plain(400, format!("failed set klog.logging.verbosity {text}: {}", wrong("ParseInt"))),
    }
}

fn plain(code: u16, text: String) -> Response<Body> {
    let mut response = respond::text(code, text + "\n");
    let headers = response.headers_mut();
    headers.remove(header::X_CONTENT_TYPE_OPTIONS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
