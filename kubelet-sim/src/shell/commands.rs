//! The commands that the interpreter knows, each a function of its arguments.

use std::time::Duration;

use super::{
    condition, date,
    evaluate::{Flow, Shell},
    files::{Node, absolute},
    print,
    streams::Streams,
};

/// What `seq` may print, and `sleep` may take.
const LONGEST_SEQUENCE: usize = 20_000;
const LONGEST_SLEEP: Duration = Duration::from_secs(1_000 * 366 * 86_400);

/// Whether `program` (a path or a name) is one of [`Shell::call`]'s.
pub(crate) fn is_known(program: &str) -> bool {
    KNOWN.contains(&base(program)) && !program.ends_with('/')
}

const KNOWN: &[&str] = &[
    ":", "[", "ash", "bash", "break", "cat", "cd", "continue", "dash", "date", "echo", "env", "exec", "exit",
    "export", "false", "head", "hostname", "ls", "mkdir", "printenv", "printf", "pwd", "read", "return",
    "rm", "seq", "set", "sh", "shift", "sleep", "tail", "tar", "test", "touch", "trap", "true", "unset",
    "wait", "wc", "yes",
];

/// What is part of a shell and no program of its own.
const BUILT_IN: &[&str] = &[
    ":", "break", "cd", "continue", "exec", "exit", "export", "read", "return", "set", "shift", "trap",
    "unset", "wait",
];

/// Whether a runtime could start `program`.
pub(crate) fn is_executable(program: &str) -> bool {
    is_known(program) && !BUILT_IN.contains(&base(program))
}

fn base(program: &str) -> &str {
    match program.rsplit_once('/') {
        // Only where programs are: /config/date is a file.
        Some((dir, name)) if dir.ends_with("/bin") || dir.ends_with("/sbin") => name,
        Some(_) => "",
        None => program,
    }
}

impl Shell {
    /// Runs one command; its status is the shell's then.
    pub(crate) async fn call(&mut self, program: &str, args: &[String], streams: &Streams) -> Flow {
        if !is_known(program) {
            self.say(streams, &format!("sh: {program}: not found"));
            self.status = 127;
            return Flow::Next;
        }
        let name = base(program);
        self.substituted = false;
        match name {
            "sleep" => return self.sleep(args, streams).await,
            "sh" | "ash" | "bash" | "dash" => return self.shell(args, streams).await,
            "exec" | "env" if args.iter().any(|a| !a.contains('=')) => {
                return self.instead(name, args, streams).await;
            }
            "tail" if args.iter().any(|a| matches!(a.as_str(), "-f" | "-F" | "-nf")) => {
                return self.follow(args, streams).await;
            }
            "exit" | "return" => {
                self.status = args.first().map_or(self.status, |a| a.parse().unwrap_or(2)) & 0xff;
                return Flow::Exit;
            }
            "read" => return self.read(args, streams).await,
            "tar" => return self.tar(args, streams).await,
            "yes" => return self.yes(args, streams).await,
            "cat" | "head" | "tail" | "wc" => return self.filter(name, args, streams).await,
            "break" | "continue" if self.in_loop() => {
                let levels = args.first().and_then(|a| a.parse().ok()).unwrap_or(1).max(1);
                self.status = 0;
                return if name == "break" { Flow::Break(levels) } else { Flow::Continue(levels) };
            }
            _ => {}
        }
        let outcome = self.quick(name, args, streams);
        self.status = match outcome {
            Ok((text, status)) => match streams.out.write(&self.machine.files, &text) {
                Ok(()) => status,
                Err(why) => return self.unwritten(name, &why, streams),
            },
            Err(why) => {
                self.say(streams, &why);
                if matches!(name, "test" | "[") { 2 } else { 1 }
            }
        };
        Flow::Next
    }

    /// Commands that take no time: what they print and their status, or what they complain about.
    fn quick(&mut self, name: &str, args: &[String], streams: &Streams) -> Result<(String, i32), String> {
        let done = |text: String| Ok((text, 0));
        let silent = Ok((String::new(), 0));
        match name {
            "echo" => done(print::echo(args)),
            "printf" => done(print::printf(args)?),
            "date" => done(date::date(args, self.machine.host.clock().wall())? + "\n"),
            "hostname" => done(format!("{}\n", self.machine.hostname)),
            "pwd" => done(format!("{}\n", self.cwd)),
            "seq" => done(sequence(args)?),
            "false" => Ok((String::new(), 1)),
            "test" => Ok((String::new(), i32::from(!condition::test(&self.machine.files, &self.cwd, args)?))),
            "[" => match args.split_last() {
                Some((last, args)) if last == "]" => {
                    Ok((String::new(), i32::from(!condition::test(&self.machine.files, &self.cwd, args)?)))
                }
                _ => Err("[: missing ]".into()),
            },
            "env" => done(
                self.exported
                    .iter()
                    .filter_map(|n| self.variables.get(n).map(|v| format!("{n}={v}\n")))
                    .collect(),
            ),
            "printenv" => {
                let found: Vec<&String> = args.iter().filter_map(|n| self.variables.get(n)).collect();
                let text = found.iter().map(|v| format!("{v}\n")).collect();
                Ok((text, i32::from(found.len() < args.len())))
            }
            "ls" => self.ls(args, streams),
            "export" => {
                for arg in args {
                    let (name, value) =
                        arg.split_once('=').map_or((arg.as_str(), None), |(n, v)| (n, Some(v)));
                    if let Some(value) = value {
                        self.set(name, value.to_owned());
                    }
                    self.exported.insert(name.to_owned());
                }
                silent
            }
            "unset" => {
                for name in args {
                    self.variables.remove(name);
                }
                silent
            }
            "set" => {
                self.options(args);
                silent
            }
            "shift" => {
                let n = args.first().and_then(|a| a.parse().ok()).unwrap_or(1).min(self.args.len());
                self.args.drain(..n);
                silent
            }
            "trap" => {
                if let Some((action, signals)) = args.split_first() {
                    for signal in signals {
                        let signal = match signal.trim_start_matches("SIG") {
                            "15" => "TERM",
                            "0" => "EXIT",
                            other => other,
                        };
                        if action == "-" {
                            self.traps.remove(signal);
                        } else {
                            self.traps.insert(signal.to_owned(), action.clone());
                        }
                    }
                }
                silent
            }
            "cd" => {
                let to = absolute(&self.cwd, args.first().map_or("/root", String::as_str));
                if self.machine.files.node(&to) != Some(Node::Dir) {
                    return Err(format!("sh: cd: can't cd to {}: No such file or directory", args.join(" ")));
                }
                self.cwd = to;
                silent
            }
            "touch" | "mkdir" | "rm" => {
                for arg in args.iter().filter(|a| !a.starts_with('-')) {
                    let (path, files) = (absolute(&self.cwd, arg), &self.machine.files);
                    let outcome = match name {
                        "touch" => files.write(&path, b"", true),
                        "mkdir" => files.make_dir(&path),
                        _ => files.remove(&path),
                    };
                    let forced = name == "rm" && args.iter().any(|a| a.starts_with('-') && a.contains('f'));
                    if let Err(why) = outcome
                        && !forced
                    {
                        return Err(format!("{name}: {arg}: {why}"));
                    }
                }
                silent
            }
            _ => silent,
        }
    }

    /// `set -e`, `-u`, `-x` and their opposites; what follows `--` are the arguments.
    pub(super) fn options(&mut self, args: &[String]) {
        for (i, arg) in args.iter().enumerate() {
            let (on, flags) = match (arg.strip_prefix('-'), arg.strip_prefix('+')) {
                (Some("-"), _) => {
                    self.args = args[i + 1..].to_vec();
                    return;
                }
                (Some(flags), _) => (true, flags),
                (None, Some(flags)) => (false, flags),
                (None, None) => {
                    if !args[..i].last().is_some_and(|a| a.ends_with('o')) {
                        self.args = args[i..].to_vec();
                        return;
                    }
                    continue;
                }
            };
            for flag in flags.chars() {
                match flag {
                    'e' => self.errexit = on,
                    'u' => self.nounset = on,
                    'x' => self.xtrace = on,
                    _ => {}
                }
            }
        }
    }

    async fn sleep(&mut self, args: &[String], streams: &Streams) -> Flow {
        let mut total = Duration::ZERO;
        for arg in args {
            match pause(arg) {
                Some(d) => total = total.saturating_add(d).min(LONGEST_SLEEP),
                None => {
                    self.say(streams, &format!("sleep: invalid number '{arg}'"));
                    self.status = 1;
                    return Flow::Next;
                }
            }
        }
        let (clock, signals) = (self.machine.host.clock().clone(), self.signals.clone());
        self.pace.slept(total);
        self.status = tokio::select! {
            biased;
            () = signals.wait() => 143,
            () = clock.sleep(total) => 0,
        };
        self.signal(streams).await
    }

    /// `read a b`: a line, a word for each name, and the rest for the last one.
    async fn read(&mut self, args: &[String], streams: &Streams) -> Flow {
        let line = self.unless_signalled(streams.input.line()).await;
        self.status = i32::from(line.is_none());
        let line = line.unwrap_or_default();
        let names: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
        let mut rest = line.trim();
        for (i, name) in names.iter().enumerate() {
            let (value, after) = match rest.split_once(char::is_whitespace) {
                Some((value, after)) if i + 1 < names.len() => (value, after.trim_start()),
                _ => (rest, ""),
            };
            self.set(name, value.to_owned());
            rest = after;
        }
        self.signal(streams).await
    }

    fn ls(&self, args: &[String], streams: &Streams) -> Result<(String, i32), String> {
        let flags: String = args.iter().filter_map(|a| a.strip_prefix('-')).collect();
        let mut paths: Vec<&str> = args.iter().filter(|a| !a.starts_with('-')).map(String::as_str).collect();
        if paths.is_empty() {
            paths.push(".");
        }
        let (mut text, mut status) = (String::new(), 0);
        for path in paths {
            let at = absolute(&self.cwd, path);
            match self.machine.files.node(&at) {
                Some(Node::File(_)) => text.push_str(&format!("{path}\n")),
                Some(Node::Dir) => {
                    let names = self.machine.files.list(&at).map_err(|e| format!("ls: {path}: {e}"))?;
                    let shown = names.iter().filter(|n| flags.contains('a') || !n.starts_with('.'));
                    shown.for_each(|n| text.push_str(&format!("{n}\n")));
                }
                None => {
                    self.say(streams, &format!("ls: {path}: No such file or directory"));
                    status = 1;
                }
            }
        }
        Ok((text, status))
    }
}

fn sequence(args: &[String]) -> Result<String, String> {
    let numbers: Result<Vec<i64>, String> =
        args.iter().map(|a| a.parse().map_err(|_| format!("seq: invalid number '{a}'"))).collect();
    let (first, step, last) = match numbers?.as_slice() {
        [last] => (1, 1, *last),
        [first, last] => (*first, 1, *last),
        [first, step, last] => (*first, *step, *last),
        _ => return Err("seq: usage: seq [FIRST [INC]] LAST".into()),
    };
    let (mut text, mut at) = (String::new(), first);
    for _ in 0..LONGEST_SEQUENCE {
        let inside = if step >= 0 { at <= last } else { at >= last };
        if !inside || (step == 0 && !text.is_empty()) {
            return Ok(text);
        }
        text.push_str(&format!("{at}\n"));
        at = at.saturating_add(step);
    }
    Err(format!("seq: more than {LONGEST_SEQUENCE} numbers"))
}

/// `5`, `0.5`, `2m`, `1h`, `1d`, `infinity`.
fn pause(text: &str) -> Option<Duration> {
    if matches!(text, "inf" | "infinity") {
        return Some(LONGEST_SLEEP);
    }
    let (number, factor) = match text.char_indices().last()? {
        (i, 's') => (&text[..i], 1.0),
        (i, 'm') => (&text[..i], 60.0),
        (i, 'h') => (&text[..i], 3600.0),
        (i, 'd') => (&text[..i], 86_400.0),
        _ => (text, 1.0),
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * factor).ok().map(|d| d.min(LONGEST_SLEEP))
}
