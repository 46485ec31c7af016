//! Commands that pass on what they read: `cat`, `head`, `tail` and `wc`, from files or from standard input.

use super::{
    evaluate::{Flow, Shell},
    files::absolute,
    streams::Streams,
};

/// What `tail` and `wc` keep of what they read.
const LONGEST_INPUT: usize = 1 << 20;

/// Arguments of a filter.
struct Asked<'a> {
    /// How many lines.
    count: usize,
    flags: String,
    /// Files; `-` is standard input.
    files: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn parse(name: &str, args: &'a [String]) -> Self {
        let mut asked = Self { count: 10, flags: String::new(), files: Vec::new() };
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.strip_prefix('-').filter(|f| !f.is_empty()) {
                Some("n") if name != "cat" => {
                    asked.count = rest.next().and_then(|n| n.parse().ok()).unwrap_or(asked.count);
                }
                Some(flag) => match flag.trim_start_matches('n').parse() {
                    Ok(n) => asked.count = n,
                    Err(_) => asked.flags.push_str(flag),
                },
                None => asked.files.push(arg),
            }
        }
        if asked.files.is_empty() {
            asked.files.push("-");
        }
        asked
    }
}

impl Shell {
    /// `cat`, `head`, `tail`, `wc`.
    pub(super) async fn filter(&mut self, name: &str, args: &[String], streams: &Streams) -> Flow {
        let asked = Asked::parse(name, args);
        let (mut read, mut failed) = (Vec::new(), false);
        for file in &asked.files {
            if *file == "-" && name == "cat" {
                if !self.pass_on(std::mem::take(&mut read), streams).await {
                    return self.broken(streams);
                }
            } else if *file == "-" {
                let most = if name == "head" { Some(asked.count) } else { None };
                self.take_in(most, &mut read, streams).await;
            } else {
                match self.machine.files.read_bytes(&absolute(&self.cwd, file)) {
                    Ok(contents) => read.extend(contents),
                    Err(why) => {
                        let cannot =
                            if name == "cat" { format!("can't open '{file}'") } else { (*file).to_owned() };
                        self.say(streams, &format!("{name}: {cannot}: {why}"));
                        failed = true;
                    }
                }
            }
        }
        let shown = match name {
            "cat" => read,
            _ => render(name, &asked, &String::from_utf8_lossy(&read)).into_bytes(),
        };
        if !self.say_result(name, streams, &shown) {
            return self.broken(streams);
        }
        self.status = i32::from(failed);
        self.signal(streams).await
    }

    /// `tail -f`: what is there, and then nothing more until a signal comes.
    pub(super) async fn follow(&mut self, args: &[String], streams: &Streams) -> Flow {
        let plain: Vec<String> =
            args.iter().filter(|a| !matches!(a.as_str(), "-f" | "-F" | "-nf")).cloned().collect();
        let flow = self.filter("tail", &plain, streams).await;
        if flow != Flow::Next {
            return flow;
        }
        let signals = self.signals.clone();
        signals.wait().await;
        self.status = 143;
        self.signal(streams).await
    }

    /// `first`, and then standard input as it comes; `false` if nobody takes it.
    async fn pass_on(&mut self, first: Vec<u8>, streams: &Streams) -> bool {
        if !self.say_result("cat", streams, &first) {
            return false;
        }
        while let Some(bytes) = self.unless_signalled(streams.input.read()).await {
            if !self.say_result("cat", streams, &bytes) {
                return false;
            }
            let room = async {
                streams.out.room().await;
                Some(())
            };
            self.unless_signalled(room).await;
        }
        true
    }

    /// Standard input to its end, or as many lines of it as are missing from `most`.
    async fn take_in(&mut self, most: Option<usize>, read: &mut Vec<u8>, streams: &Streams) {
        let Some(most) = most else {
            let all = async { Some(streams.input.rest(LONGEST_INPUT).await) };
            let all = self.unless_signalled(all).await.unwrap_or_default();
            return read.extend(all.into_bytes());
        };
        let mut lines = read.iter().filter(|b| **b == b'\n').count();
        while lines < most
            && let Some(line) = self.unless_signalled(streams.input.line()).await
        {
            read.extend(line.into_bytes());
            read.push(b'\n');
            lines += 1;
        }
    }

    /// Writes what a command has to say; `false` if it cannot be written.
    pub(super) fn say_result(&self, name: &str, streams: &Streams, bytes: &[u8]) -> bool {
        match streams.out.write_bytes(&self.machine.files, bytes) {
            Ok(()) => true,
            Err(why) => {
                self.say(streams, &format!("{name}: {why}"));
                false
            }
        }
    }

    /// After a write that failed: where somebody read along, SIGPIPE.
    pub(super) fn broken(&mut self, streams: &Streams) -> Flow {
        self.status = 1;
        if streams.out.is_pipe() { Flow::Exit } else { Flow::Next }
    }
}

fn render(name: &str, asked: &Asked<'_>, text: &str) -> String {
    match name {
        "head" => text.split_inclusive('\n').take(asked.count).collect(),
        "tail" => {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines[lines.len().saturating_sub(asked.count)..].concat()
        }
        _ => {
            let (lines, words, bytes) =
                (text.matches('\n').count(), text.split_whitespace().count(), text.len());
            match asked.flags.as_str() {
                "l" => format!("{lines}\n"),
                "w" => format!("{words}\n"),
                "c" => format!("{bytes}\n"),
                _ => format!("{lines:9}{words:10}{bytes:10}\n"),
            }
        }
    }
}
