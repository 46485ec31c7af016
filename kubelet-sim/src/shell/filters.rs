//! Commands that pass on what they read: `cat`, `head`, `tail` and `wc`, from files or from standard input; and
//! `yes`, which needs no input.

use super::{
    evaluate::{Flow, Shell},
    files::absolute,
    streams::{Output, Streams},
};

/// What `tail` and `wc` keep of what they read.
const LONGEST_INPUT: usize = 1 << 20;
const SIGPIPE: i32 = 13;

/// What a filter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Lines,
    Bytes,
}

/// Arguments of a filter.
struct Asked<'a> {
    unit: Unit,
    /// How many of them.
    count: usize,
    /// `+5`: everything from the fifth on, and not the last five.
    onwards: bool,
    flags: String,
    /// Files; `-` is standard input.
    files: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn parse(name: &str, args: &'a [String]) -> Self {
        let mut asked =
            Self { unit: Unit::Lines, count: 10, onwards: false, flags: String::new(), files: Vec::new() };
        let counts = matches!(name, "head" | "tail");
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match arg.strip_prefix('-').filter(|f| !f.is_empty()) {
                None => asked.files.push(arg),
                Some(flag) if counts => {
                    let (unit, number) = match flag.split_at_checked(1) {
                        Some(("n", number)) => (Unit::Lines, number),
                        Some(("c", number)) => (Unit::Bytes, number),
                        _ => (Unit::Lines, flag),
                    };
                    let number =
                        if number.is_empty() { rest.next().map_or("", String::as_str) } else { number };
                    asked.amount(unit, number);
                }
                Some(flag) => asked.flags.push_str(flag),
            }
        }
        if asked.files.is_empty() {
            asked.files.push("-");
        }
        asked
    }

    fn amount(&mut self, unit: Unit, number: &str) {
        if let Ok(count) = number.trim_start_matches('+').parse() {
            (self.unit, self.count, self.onwards) = (unit, count, number.starts_with('+'));
        }
    }

    /// Whether what is read passes while it comes, and how much of its beginning does not.
    fn passes(&self, name: &str) -> Option<usize> {
        match name {
            "cat" => Some(0),
            "tail" if self.onwards => Some(self.count.saturating_sub(1)),
            _ => None,
        }
    }
}

/// What is left of `bytes` when `skip` lines or bytes of them are passed over; `skip` is what is missing still.
fn past<'b>(bytes: &'b [u8], unit: Unit, skip: &mut usize) -> &'b [u8] {
    let mut from = 0;
    while *skip > 0 && from < bytes.len() {
        let left = bytes.get(from..).unwrap_or_default();
        let (gone, counted) = match unit {
            Unit::Bytes => {
                let gone = left.len().min(*skip);
                (gone, gone)
            }
            Unit::Lines => match left.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, 1),
                None => (left.len(), 0),
            },
        };
        from += gone;
        *skip -= counted;
    }
    bytes.get(from..).unwrap_or_default()
}

impl Shell {
    /// `cat`, `head`, `tail`, `wc`.
    pub(super) async fn filter(&mut self, name: &str, args: &[String], streams: &Streams) -> Flow {
        let asked = Asked::parse(name, args);
        let (mut read, mut failed) = (Vec::new(), false);
        let mut skip = asked.passes(name);
        for file in &asked.files {
            if let ("-", Some(skip)) = (*file, &mut skip) {
                if !self.pass_on(name, std::mem::take(&mut read), (asked.unit, skip), streams).await {
                    return self.broken(streams);
                }
            } else if *file == "-" {
                self.take_in((name == "head").then_some(&asked), &mut read, streams).await;
            } else {
                match self.machine.files.read_bytes(&absolute(&self.cwd, file)) {
                    Ok(contents) => match &mut skip {
                        Some(skip) => read.extend(past(&contents, asked.unit, skip)),
                        None => read.extend(contents),
                    },
                    Err(why) => {
                        let cannot =
                            if name == "cat" { format!("can't open '{file}'") } else { (*file).to_owned() };
                        self.say(streams, &format!("{name}: {cannot}: {why}"));
                        failed = true;
                    }
                }
            }
        }
        let shown = match skip {
            Some(_) => read,
            None => render(name, &asked, &read),
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

    /// `first`, and then standard input as it comes but for what is skipped; `false` if nobody takes it.
    async fn pass_on(
        &mut self,
        name: &str,
        first: Vec<u8>,
        (unit, skip): (Unit, &mut usize),
        streams: &Streams,
    ) -> bool {
        if !self.say_result(name, streams, &first) {
            return false;
        }
        while let Some(bytes) = self.unless_signalled(streams.input.read()).await {
            if !self.say_result(name, streams, past(&bytes, unit, skip)) {
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

    /// Standard input to its end, or as much of it as `head` still wants.
    async fn take_in(&mut self, head: Option<&Asked<'_>>, read: &mut Vec<u8>, streams: &Streams) {
        match head {
            Some(asked) if asked.unit == Unit::Lines => {
                let mut lines = read.iter().filter(|b| **b == b'\n').count();
                while lines < asked.count
                    && let Some(line) = self.unless_signalled(streams.input.line()).await
                {
                    read.extend(line.into_bytes());
                    read.push(b'\n');
                    lines += 1;
                }
            }
            head => {
                let most = head.map_or(LONGEST_INPUT, |asked| asked.count.min(LONGEST_INPUT));
                while (head.is_none() || read.len() < most)
                    && let Some(bytes) = self.unless_signalled(streams.input.read()).await
                {
                    let room = most.saturating_sub(read.len()).min(bytes.len());
                    read.extend(bytes.get(..room).unwrap_or_default());
                }
            }
        }
    }

    /// `yes`: a line, again and again, for as long as somebody takes it.
    pub(super) async fn yes(&mut self, args: &[String], streams: &Streams) -> Flow {
        let line = if args.is_empty() { "y\n".to_owned() } else { format!("{}\n", args.join(" ")) };
        loop {
            if !self.say_result("yes", streams, line.as_bytes()) {
                return self.broken(streams);
            }
            let flow = self.step(streams).await;
            if flow != Flow::Next {
                return flow;
            }
        }
    }

    /// Writes what a command has to say; `false` if it cannot be written.
    pub(super) fn say_result(&mut self, name: &str, streams: &Streams, bytes: &[u8]) -> bool {
        match streams.out.write_bytes(&self.machine.files, bytes) {
            Ok(()) => true,
            Err(why) => {
                self.unwritten(name, &why, streams);
                false
            }
        }
    }

    /// A command whose output could not be written. Where nobody reads any more SIGPIPE ends it, without a word.
    pub(super) fn unwritten(&mut self, name: &str, why: &str, streams: &Streams) -> Flow {
        if matches!(streams.out, Output::Pipe(_)) {
            self.status = 128 + SIGPIPE;
            return Flow::Exit;
        }
        self.say(streams, &format!("{name}: {why}"));
        self.status = 1;
        self.broken(streams)
    }

    /// What comes after a write that failed.
    pub(super) fn broken(&self, streams: &Streams) -> Flow {
        if streams.out.is_pipe() { Flow::Exit } else { Flow::Next }
    }
}

fn render(name: &str, asked: &Asked<'_>, read: &[u8]) -> Vec<u8> {
    let lines = || read.split_inclusive(|b| *b == b'\n');
    match (name, asked.unit) {
        ("head", Unit::Lines) => lines().take(asked.count).flatten().copied().collect(),
        ("head", Unit::Bytes) => read.iter().take(asked.count).copied().collect(),
        ("tail", Unit::Lines) => {
            let before = lines().count().saturating_sub(asked.count);
            lines().skip(before).flatten().copied().collect()
        }
        ("tail", Unit::Bytes) => {
            read.get(read.len().saturating_sub(asked.count)..).unwrap_or_default().to_vec()
        }
        _ => {
            let text = String::from_utf8_lossy(read);
            let (lines, words) = (text.matches('\n').count(), text.split_whitespace().count());
            match asked.flags.as_str() {
                "l" => format!("{lines}\n"),
                "w" => format!("{words}\n"),
                "c" => format!("{}\n", read.len()),
                _ => format!("{lines:9}{words:10}{:10}\n", read.len()),
            }
            .into_bytes()
        }
    }
}
