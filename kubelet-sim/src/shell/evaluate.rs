//! Walks a script's tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
};

use futures::future::{self, BoxFuture};

use super::{
    files,
    machine::{self, Machine, Pace, Signals},
    parse,
    pipe::Pipe,
    streams::{Output, Streams},
    syntax::{Command, Kind, List, Pipeline, Redirect, Target, Word},
};

/// Scripts within scripts (`sh -c`, traps); deeper is refused.
const DEEPEST: usize = 8;
/// Variables of one script.
const MOST_VARIABLES: usize = 4096;

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break(usize),
    Continue(usize),
    /// The script ends with its status.
    Exit,
}

/// One shell, or a subshell when cloned.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(super) machine: Arc<Machine>,
    pub(super) signals: Arc<Signals>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) exported: BTreeSet<String>,
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) cwd: String,
    pub(crate) status: i32,
    pub(super) traps: BTreeMap<String, String>,
    pub(super) errexit: bool,
    pub(super) nounset: bool,
    pub(super) xtrace: bool,
    pub(super) pace: Pace,
    /// Whether the last expansion ran a command, whose status then is the assignment's.
    pub(super) substituted: bool,
    /// Constructs whose status is asked for: there `set -e` does not end the script.
    tested: usize,
    depth: usize,
    loops: usize,
}

impl Shell {
    /// A shell with an environment.
    pub(crate) fn new(machine: Arc<Machine>, signals: Arc<Signals>, env: &[(String, String)]) -> Self {
        Self {
            machine,
            signals,
            variables: env.iter().cloned().collect(),
            exported: env.iter().map(|(name, _)| name.clone()).collect(),
            name: "sh".into(),
            args: Vec::new(),
            cwd: "/".into(),
            status: 0,
            traps: BTreeMap::new(),
            errexit: false,
            nounset: false,
            xtrace: false,
            pace: Pace::new(),
            substituted: false,
            tested: 0,
            depth: 0,
            loops: 0,
        }
    }

    /// Where it begins.
    pub(super) fn start_in(&mut self, dir: &str) {
        if !dir.is_empty() {
            self.cwd = files::absolute("/", dir);
        }
    }

    /// Runs `text` as a script.
    pub(super) async fn script(&mut self, text: &str, streams: &Streams) -> Flow {
        if self.depth >= DEEPEST {
            return self.fatal(streams, &format!("more than {DEEPEST} shells within each other"));
        }
        match parse::parse(text) {
            Ok(list) => {
                self.depth += 1;
                let flow = self.run(&list, streams).await;
                self.depth -= 1;
                flow
            }
            Err(why) => self.fatal(streams, &why),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        if self.variables.len() < MOST_VARIABLES || self.variables.contains_key(name) {
            self.variables.insert(name.to_owned(), value);
        }
    }

    pub(super) fn say(&self, streams: &Streams, words: &str) {
        // What cannot be written to standard error cannot be said at all.
        let _ = streams.err.write(&self.machine.files, &format!("{words}\n"));
    }

    pub(super) fn fatal(&mut self, streams: &Streams, why: &str) -> Flow {
        self.say(streams, &format!("sh: {why}"));
        self.status = 2;
        Flow::Exit
    }

    /// Before every command: the pace, and signals.
    pub(super) async fn step(&mut self, streams: &Streams) -> Flow {
        if let Some(wait) = self.pace.step() {
            let (host, signals) = (self.machine.host.clone(), self.signals.clone());
            tokio::select! {
                biased;
                () = signals.wait() => {}
                () = machine::rest(&host, wait) => {}
            }
        }
        let signals = self.signals.clone();
        tokio::select! {
            biased;
            () = signals.wait() => {}
            () = streams.out.room() => {}
        }
        self.signal(streams).await
    }

    /// What `input` yields; `None` as well when a signal comes first.
    pub(super) async fn unless_signalled<T>(&self, input: impl Future<Output = Option<T>>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.signals.wait() => None,
            found = input => found,
        }
    }

    /// Does what the script wants done at SIGTERM, if that came.
    pub(super) async fn signal(&mut self, streams: &Streams) -> Flow {
        if !self.signals.take() {
            return Flow::Next;
        }
        match self.traps.get("TERM").cloned() {
            Some(action) if action.is_empty() => Flow::Next,
            Some(action) => {
                let status = self.status;
                let flow = Box::pin(self.script(&action, streams)).await;
                if flow != Flow::Exit {
                    self.status = status;
                }
                flow
            }
            None => {
                self.status = 143;
                Flow::Exit
            }
        }
    }

    /// Runs a list to its end or until something leaves it.
    pub(super) fn run<'a>(&'a mut self, list: &'a List, streams: &'a Streams) -> BoxFuture<'a, Flow> {
        Box::pin(async move {
            for and_or in &list.0 {
                let mut flow = self.pipeline(&and_or.first, streams, !and_or.rest.is_empty()).await;
                for (i, (and, next)) in and_or.rest.iter().enumerate() {
                    if flow != Flow::Next {
                        break;
                    }
                    if *and == (self.status == 0) {
                        flow = self.pipeline(next, streams, i + 1 < and_or.rest.len()).await;
                    }
                }
                if flow != Flow::Next {
                    return flow;
                }
            }
            Flow::Next
        })
    }

    async fn pipeline(&mut self, pipeline: &Pipeline, streams: &Streams, tested: bool) -> Flow {
        let asked = usize::from(tested || pipeline.negated);
        self.tested += asked;
        let flow = match pipeline.commands.as_slice() {
            [only] => self.command(only, streams).await,
            all => self.piped(all, streams).await,
        };
        self.tested -= asked;
        if pipeline.negated && flow == Flow::Next {
            self.status = i32::from(self.status == 0);
        }
        if flow == Flow::Next && self.errexit && self.status != 0 && self.tested == 0 && asked == 0 {
            return Flow::Exit;
        }
        flow
    }

    /// All commands at once, each in a shell of its own that reads what the one before it writes, as it comes. The
    /// status is the last one's, and all are waited for.
    async fn piped(&mut self, all: &[Command], streams: &Streams) -> Flow {
        let (mut running, mut told) = (Vec::new(), Vec::new());
        let mut before: Option<Arc<Pipe>> = None;
        for (i, command) in all.iter().enumerate() {
            let mut inner = self.clone();
            // A signal reaches each of them; what the script does about it, it does itself.
            inner.signals = Arc::default();
            inner.traps.remove("TERM");
            told.push(inner.signals.clone());
            let after = (i + 1 < all.len()).then(Pipe::new);
            let own = Streams {
                input: before.clone().unwrap_or_else(|| streams.input.clone()),
                out: after.clone().map_or_else(|| streams.out.clone(), Output::Pipe),
                err: streams.err.clone(),
                tty: streams.tty && before.is_none(),
            };
            let reads = std::mem::replace(&mut before, after.clone());
            running.push(Box::pin(async move {
                inner.command(command, &own).await;
                reads.iter().for_each(|pipe| pipe.abandon());
                after.iter().for_each(|pipe| pipe.end());
                (inner.status, inner.pace)
            }));
        }
        let signals = self.signals.clone();
        let mut ended = future::join_all(running);
        let ended = tokio::select! {
            biased;
            ended = &mut ended => ended,
            () = signals.wait() => {
                told.iter().for_each(|one| one.raise());
                ended.await
            }
        };
        if let Some((status, pace)) = ended.into_iter().next_back() {
            (self.status, self.pace) = (status, pace);
        }
        self.signal(streams).await
    }

    async fn command(&mut self, command: &Command, streams: &Streams) -> Flow {
        let flow = self.step(streams).await;
        if flow != Flow::Next {
            return flow;
        }
        let streams = match self.redirect(&command.redirects, streams).await {
            Ok(streams) => streams,
            Err(why) => {
                self.say(streams, &format!("sh: {why}"));
                self.status = 1;
                return Flow::Next;
            }
        };
        match &command.kind {
            Kind::Simple { assignments, words } => self.simple(assignments, words, &streams).await,
            Kind::Group(list) => self.run(list, &streams).await,
            Kind::Subshell(list) => {
                let mut inner = self.clone();
                inner.run(list, &streams).await;
                (self.status, self.pace) = (inner.status, inner.pace);
                Flow::Next
            }
            Kind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    match self.test(condition, &streams).await {
                        Ok(true) => return self.run(body, &streams).await,
                        Ok(false) => {}
                        Err(flow) => return flow,
                    }
                }
                self.status = 0;
                match otherwise {
                    Some(body) => self.run(body, &streams).await,
                    None => Flow::Next,
                }
            }
            Kind::While { until, condition, body } => {
                let mut status = 0;
                loop {
                    match self.test(condition, &streams).await {
                        Ok(holds) if holds != *until => {}
                        Ok(_) => break,
                        Err(flow) => match self.left(flow) {
                            Ok(true) => continue,
                            Ok(false) => break,
                            Err(flow) => return flow,
                        },
                    }
                    match self.turn(body, &streams).await {
                        Ok(true) => status = self.status,
                        Ok(false) => break,
                        Err(flow) => return flow,
                    }
                }
                self.status = status;
                Flow::Next
            }
            Kind::For { name, words, body } => {
                let fields = match words {
                    None => Ok(self.args.clone()),
                    Some(words) => self.fields(words, &streams).await,
                };
                let fields = match fields {
                    Ok(fields) => fields,
                    Err(why) => return self.fatal(&streams, &why),
                };
                self.status = 0;
                for field in fields {
                    self.set(name, field);
                    match self.turn(body, &streams).await {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(flow) => return flow,
                    }
                }
                Flow::Next
            }
        }
    }

    /// Whether the list succeeds; `Err` if something in it leaves more than the list.
    async fn test(&mut self, condition: &List, streams: &Streams) -> Result<bool, Flow> {
        self.tested += 1;
        let flow = self.run(condition, streams).await;
        self.tested -= 1;
        match flow {
            Flow::Next => Ok(self.status == 0),
            flow => Err(flow),
        }
    }

    /// One turn of a loop: whether there is another one; `Err` to leave more than this loop.
    async fn turn(&mut self, body: &List, streams: &Streams) -> Result<bool, Flow> {
        // A loop around nothing but its condition makes steps as well.
        let flow = self.step(streams).await;
        if flow != Flow::Next {
            return Err(flow);
        }
        self.loops += 1;
        let flow = self.run(body, streams).await;
        self.loops -= 1;
        self.left(flow)
    }

    fn left(&self, flow: Flow) -> Result<bool, Flow> {
        match flow {
            Flow::Next | Flow::Continue(1) => Ok(true),
            Flow::Break(1) => Ok(false),
            // Further out than there are loops is the outermost one, as sh has it.
            Flow::Break(_) if self.loops == 0 => Ok(false),
            Flow::Continue(_) if self.loops == 0 => Ok(true),
            Flow::Break(n) => Err(Flow::Break(n - 1)),
            Flow::Continue(n) => Err(Flow::Continue(n - 1)),
            Flow::Exit => Err(Flow::Exit),
        }
    }

    pub(super) fn in_loop(&self) -> bool {
        self.loops > 0
    }

    async fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], streams: &Streams) -> Flow {
        self.substituted = false;
        let fields = match self.fields(words, streams).await {
            Ok(fields) => fields,
            Err(why) => return self.fatal(streams, &why),
        };
        let mut values = Vec::new();
        for (name, word) in assignments {
            match self.text(word, streams).await {
                Ok(value) => values.push((name.clone(), value)),
                Err(why) => return self.fatal(streams, &why),
            }
        }
        if self.xtrace && !(values.is_empty() && fields.is_empty()) {
            let assigned = values.iter().map(|(name, value)| format!("{name}={value}"));
            let line: Vec<String> = assigned.chain(fields.iter().cloned()).collect();
            self.say(streams, &format!("+ {}", line.join(" ")));
        }
        let Some((name, args)) = fields.split_first() else {
            if !self.substituted {
                self.status = 0;
            }
            for (name, value) in values {
                self.set(&name, value);
            }
            return Flow::Next;
        };
        // Assignments before a command are for that command alone.
        let before: Vec<(String, Option<String>, bool)> = values
            .iter()
            .map(|(n, _)| (n.clone(), self.variables.get(n).cloned(), self.exported.contains(n)))
            .collect();
        for (name, value) in values {
            self.set(&name, value);
            self.exported.insert(name);
        }
        let flow = Box::pin(self.call(name, args, streams)).await;
        for (name, value, exported) in before {
            match value {
                Some(value) => self.variables.insert(name.clone(), value),
                None => self.variables.remove(&name),
            };
            if !exported {
                self.exported.remove(&name);
            }
        }
        flow
    }

    async fn redirect(&mut self, redirects: &[Redirect], streams: &Streams) -> Result<Streams, String> {
        let mut streams = streams.clone();
        for redirect in redirects {
            let (word, empty) = match &redirect.to {
                Target::Same(stream) => {
                    let output = if *stream == 2 { streams.err.clone() } else { streams.out.clone() };
                    *streams.output(redirect.stream) = output;
                    continue;
                }
                Target::Write(word) => (word, true),
                Target::Append(word) | Target::Read(word) => (word, false),
            };
            let name = self.text(word, &streams).await?;
            let path = files::absolute(&self.cwd, &name);
            let files = &self.machine.files;
            if matches!(redirect.to, Target::Read(_)) {
                let text = files.read(&path).map_err(|e| format!("can't open {name}: {}", no_such(&e)))?;
                streams = streams.fed(text);
                continue;
            }
            let output = match path.as_str() {
                "/dev/null" => Output::Nowhere,
                "/dev/stdout" | "/proc/1/fd/1" | "/proc/self/fd/1" => streams.out.clone(),
                "/dev/stderr" | "/proc/1/fd/2" | "/proc/self/fd/2" => streams.err.clone(),
                _ => {
                    files.write(&path, b"", !empty).map_err(|e| format!("can't create {name}: {e}"))?;
                    Output::File(path)
                }
            };
            *streams.output(redirect.stream) = output;
        }
        Ok(streams)
    }
}

/// busybox says it shorter where it redirects.
fn no_such(why: &str) -> &str {
    if why == "No such file or directory" { "no such file" } else { why }
}

impl Streams {
    fn output(&mut self, stream: u8) -> &mut Output {
        if stream == 2 { &mut self.err } else { &mut self.out }
    }
}
