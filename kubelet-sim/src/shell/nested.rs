//! Shells within a shell: `sh -c`, scripts in files and on standard input, and commands in its place.

use super::{
    evaluate::{Flow, Shell},
    files::absolute,
    parse,
    streams::Streams,
};

impl Shell {
    pub(super) async fn shell(&mut self, args: &[String], streams: &Streams) -> Flow {
        let mut inner = self.clone();
        let mut rest = args;
        while let Some((flag, after)) = rest.split_first() {
            let Some(flags) = flag.strip_prefix('-').filter(|f| !f.is_empty()) else { break };
            rest = after;
            inner.options(std::slice::from_ref(flag));
            if flags.contains('c') {
                let Some((text, after)) = rest.split_first() else {
                    return self.fatal(streams, "-c requires an argument");
                };
                if let Some((name, args)) = after.split_first() {
                    (inner.name, inner.args) = (name.clone(), args.to_vec());
                }
                inner.variables.retain(|name, _| self.exported.contains(name));
                Box::pin(inner.script(text, streams)).await;
                return self.after(inner, streams).await;
            }
        }
        let text = match rest.split_first() {
            None => return self.read_script(inner, streams).await,
            Some((file, args)) => match self.machine.files.read(&absolute(&self.cwd, file)) {
                Ok(text) => {
                    (inner.name, inner.args) = (file.clone(), args.to_vec());
                    text
                }
                Err(why) => {
                    self.say(streams, &format!("sh: can't open '{file}': {why}"));
                    self.status = 2;
                    return Flow::Next;
                }
            },
        };
        Box::pin(inner.script(&text, streams)).await;
        self.after(inner, streams).await
    }

    /// Runs what comes on standard input, each command as soon as it is complete.
    async fn read_script(&mut self, mut inner: Shell, streams: &Streams) -> Flow {
        let mut pending = String::new();
        loop {
            if streams.tty {
                let prompt = if pending.is_empty() { format!("{} # ", inner.cwd) } else { "> ".into() };
                let _ = streams.out.write(&self.machine.files, &prompt);
            }
            let Some(line) = inner.unless_signalled(streams.input.line()).await else { break };
            pending.push_str(&line);
            pending.push('\n');
            match parse::parse(&pending) {
                Err(why) if parse::is_unfinished(&why) => continue,
                Err(why) if streams.tty => {
                    inner.say(streams, &format!("sh: {why}"));
                    inner.status = 2;
                }
                _ => {
                    if Box::pin(inner.script(&pending, streams)).await != Flow::Next {
                        pending.clear();
                        break;
                    }
                }
            }
            pending.clear();
        }
        if inner.signal(streams).await == Flow::Next && !pending.is_empty() {
            Box::pin(inner.script(&pending, streams)).await;
        }
        self.after(inner, streams).await
    }

    /// Runs a shell's own last wish, and takes over its status.
    async fn after(&mut self, mut inner: Shell, streams: &Streams) -> Flow {
        if let Some(action) = inner.traps.remove("EXIT") {
            let status = inner.status;
            if Box::pin(inner.script(&action, streams)).await != Flow::Exit {
                inner.status = status;
            }
        }
        (self.status, self.pace) = (inner.status, inner.pace);
        // What ended by SIGTERM ended with everything around it.
        if self.status == 143 { Flow::Exit } else { Flow::Next }
    }

    /// `exec command` and `env A=b command`.
    pub(super) async fn instead(&mut self, name: &str, args: &[String], streams: &Streams) -> Flow {
        let mut inner = self.clone();
        let assigned = args.iter().take_while(|a| name == "env" && a.contains('=')).count();
        for (name, value) in args[..assigned].iter().filter_map(|a| a.split_once('=')) {
            inner.set(name, value.to_owned());
            inner.exported.insert(name.to_owned());
        }
        let Some((program, rest)) = args[assigned..].split_first() else { return Flow::Next };
        let flow = Box::pin(inner.call(program, rest, streams)).await;
        (self.status, self.pace) = (inner.status, inner.pace);
        if name == "exec" || flow == Flow::Exit { Flow::Exit } else { Flow::Next }
    }
}
