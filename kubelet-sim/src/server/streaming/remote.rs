//! Exec and attach, whatever carries their streams (`cri/streaming/remotecommand`).

use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use serde_json::{Value, json};
use wire::{Body, websocket};
use world::Host;

use super::{socket_channels, spdy_channels};
use crate::launcher::Stdio;

/// Which streams a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

impl Wants {
    /// From the kubelet's own names of parameters.
    pub(super) fn parse(given: &[(String, String)]) -> Result<Self, &'static str> {
        let is = |name: &str| given.iter().find(|(n, _)| n == name).is_some_and(|(_, v)| v == "1");
        let tty = is("tty");
        // A terminal has one output.
        let wants = Self { stdin: is("input"), stdout: is("output"), stderr: is("error") && !tty, tty };
        if !wants.stdin && !wants.stdout && !wants.stderr {
            return Err("you must specify at least 1 of stdin, stdout, stderr");
        }
        Ok(wants)
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Exit { code: i32, command: Vec<String> },
    Failed(String),
}

/// What is done with the streams once they are there.
pub(super) type Work = Box<dyn FnOnce(Stdio) -> BoxFuture<'static, Outcome> + Send>;

/// Answers a request, and does `work` over the connection that it becomes.
pub(super) fn serve(
    host: &Host,
    request: &mut Request<Body>,
    wants: Wants,
    idle: Duration,
    work: Work,
) -> Response<Body> {
    if websocket::is_asked(request.headers()) {
        socket_channels::serve(host, request, wants, idle, work)
    } else {
        spdy_channels::serve(host, request, wants, idle, work)
    }
}

impl Outcome {
    fn status(&self) -> Value {
        match self {
            Self::Success => json!({"metadata": {}, "status": "Success"}),
            Self::Exit { code, command } => json!({
                "metadata": {},
                "status": "Failure",
                "message": format!(
                    "command terminated with non-zero exit code: error executing command [{}], exit code {code}",
                    command.join(" ")
                ),
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Failed(why) => {
                let words = format!("error executing command in container: {why}");
                json!({
                    "metadata": {},
                    "status": "Failure",
                    "message": format!("Internal error occurred: {words}"),
                    "reason": "InternalError",
                    "details": {"causes": [{"message": words}]},
                    "code": 500,
                })
            }
        }
    }

    /// What goes over the stream of errors: a Status, or before v4 the words of a failure.
    pub(super) fn written(&self, as_status: bool) -> Option<String> {
        let status = self.status();
        match self {
            _ if as_status => Some(status.to_string()),
            Self::Success => None,
            _ => status["message"].as_str().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_as_a_status_or_before_v4_in_words() {
        let exit = Outcome::Exit { code: 3, command: vec!["sh".into(), "-c".into()] };
        let status: Value = serde_json::from_str(&exit.written(true).expect("a status")).expect("JSON");
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0], json!({"reason": "ExitCode", "message": "3"}));
        let words =
            "command terminated with non-zero exit code: error executing command [sh -c], exit code 3";
        assert_eq!(exit.written(false).as_deref(), Some(words));
        assert_eq!(Outcome::Success.written(false), None);
    }

    #[test]
    fn a_terminal_has_no_stderr_and_no_streams_at_all_are_refused() {
        let given = |query: &str| super::super::pairs(query);
        let tty = Wants::parse(&given("input=1&output=1&error=1&tty=1"));
        assert_eq!(tty, Ok(Wants { stdin: true, stdout: true, stderr: false, tty: true }));
        assert_eq!(
            Wants::parse(&given("output=0")),
            Err("you must specify at least 1 of stdin, stdout, stderr")
        );
    }
}
