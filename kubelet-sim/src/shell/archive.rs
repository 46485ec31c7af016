//! `tar`: what `kubectl cp` runs in a container at either end. Creates, extracts and lists; directories and
//! plain files, no compression.

use std::io::Read as _;

use tar::{Archive, Builder, EntryType, Header};

use super::{
    evaluate::{Flow, Shell},
    files::{Files, Node, absolute},
    streams::Streams,
};

/// An archive may be so long.
const LONGEST: usize = 32 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Create,
    Extract,
    List,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    mode: Mode,
    /// The archive; `-` is standard input or output.
    file: &'a str,
    /// Where it happens, if not in the working directory.
    dir: Option<&'a str>,
    verbose: bool,
    names: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    /// Reads the old way (`cf - x`) and the new one (`-c -f - x`).
    ///
    /// # Errors
    /// The words after `tar: `.
    fn parse(args: &'a [String]) -> Result<Self, String> {
        let mut asked = Self { mode: Mode::List, file: "-", dir: None, verbose: false, names: Vec::new() };
        let mut mode = None;
        let mut rest = args.iter().enumerate();
        while let Some((at, arg)) = rest.next() {
            if let Some(option) = arg.strip_prefix("--") {
                match option.split_once('=') {
                    Some(("directory", dir)) => asked.dir = Some(dir),
                    Some(("file", file)) => asked.file = file,
                    // Modes, owners and warnings are not kept here.
                    _ if option.starts_with("no-") || option.starts_with("warning") => {}
                    _ => return Err(format!("unrecognized option '--{option}'")),
                }
                continue;
            }
            let bundle = match arg.strip_prefix('-').filter(|b| !b.is_empty()) {
                Some(bundle) => bundle,
                None if at == 0 => arg,
                None => {
                    asked.names.push(arg);
                    continue;
                }
            };
            for letter in bundle.chars() {
                let mut value = || {
                    let next = rest.next().map(|(_, next)| next.as_str());
                    next.ok_or_else(|| format!("option requires an argument -- '{letter}'"))
                };
                match letter {
                    'c' => mode = Some(Mode::Create),
                    'x' => mode = Some(Mode::Extract),
                    't' => mode = Some(Mode::List),
                    'f' => asked.file = value()?,
                    'C' => asked.dir = Some(value()?),
                    'v' => asked.verbose = true,
                    'm' | 'o' | 'p' | 'h' => {}
                    _ => return Err(format!("invalid option -- '{letter}'")),
                }
            }
        }
        asked.mode = mode.ok_or("must specify one of -c -x -t")?;
        Ok(asked)
    }

    fn wants(&self, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        let within = |wanted: &&'a str| {
            let wanted = wanted.trim_end_matches('/');
            name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.names.is_empty() || self.names.iter().any(within)
    }
}

/// What a turn of tar had to say.
#[derive(Default)]
struct Told {
    out: String,
    complaints: Vec<String>,
}

impl Shell {
    pub(super) async fn tar(&mut self, args: &[String], streams: &Streams) -> Flow {
        let asked = match Asked::parse(args) {
            Ok(asked) => asked,
            Err(why) => {
                self.say(streams, &format!("tar: {why}"));
                self.status = 1;
                return Flow::Next;
            }
        };
        let dir = asked.dir.map_or_else(|| self.cwd.clone(), |dir| absolute(&self.cwd, dir));
        if self.machine.files.node(&dir) != Some(Node::Dir) {
            let shown = asked.dir.unwrap_or_default();
            self.say(
                streams,
                &format!("tar: can't change directory to '{shown}': No such file or directory"),
            );
            self.status = 1;
            return Flow::Next;
        }
        if asked.mode == Mode::Create {
            return self.create(&asked, &dir, streams).await;
        }
        let archive = match asked.file {
            "-" => self.whole_input(streams).await,
            file => self
                .machine
                .files
                .read_bytes(&absolute(&self.cwd, file))
                .map_err(|why| format!("can't open '{file}': {why}")),
        };
        let told = match archive {
            Ok(bytes) => unpack(&self.machine.files, &asked, &dir, &bytes),
            Err(why) => Told { complaints: vec![why], ..Told::default() },
        };
        self.tell(&told, streams)
    }

    fn tell(&mut self, told: &Told, streams: &Streams) -> Flow {
        told.complaints.iter().for_each(|why| self.say(streams, &format!("tar: {why}")));
        if !self.say_result("tar", streams, told.out.as_bytes()) {
            return self.broken(streams);
        }
        self.status = i32::from(!told.complaints.is_empty());
        Flow::Next
    }

    async fn whole_input(&mut self, streams: &Streams) -> Result<Vec<u8>, String> {
        let mut all = Vec::new();
        while let Some(bytes) = self.unless_signalled(streams.input.read()).await {
            if all.len() + bytes.len() > LONGEST {
                return Err(format!("the archive is longer than the {LONGEST} bytes that are interpreted"));
            }
            all.extend(bytes);
        }
        Ok(all)
    }

    /// Writes an archive, entry by entry and at its reader's pace.
    async fn create(&mut self, asked: &Asked<'_>, dir: &str, streams: &Streams) -> Flow {
        if asked.names.is_empty() {
            self.say(streams, "tar: empty archive");
            self.status = 1;
            return Flow::Next;
        }
        let now = u64::try_from(self.machine.host.clock().wall().as_second()).unwrap_or_default();
        let mut builder = Builder::new(Vec::new());
        let mut failed = false;
        let mut todo: Vec<String> = asked.names.iter().rev().map(|name| (*name).to_owned()).collect();
        if todo.iter().any(|name| name.starts_with('/')) {
            self.say(streams, "tar: removing leading '/' from member names");
        }
        while let Some(name) = todo.pop() {
            let at = absolute(dir, &name);
            let outcome = match self.machine.files.node(&at) {
                None => Err("No such file or directory".to_owned()),
                Some(Node::Dir) => {
                    let names = self.machine.files.list(&at).unwrap_or_default();
                    todo.extend(names.iter().rev().map(|n| format!("{}/{n}", name.trim_end_matches('/'))));
                    add(&mut builder, &name, None, now)
                }
                Some(Node::File(_)) => self
                    .machine
                    .files
                    .read_bytes(&at)
                    .and_then(|bytes| add(&mut builder, &name, Some(&bytes), now)),
            };
            if let Err(why) = outcome {
                self.say(streams, &format!("tar: {name}: {why}"));
                failed = true;
            } else if asked.verbose {
                self.say(streams, name.trim_start_matches('/'));
            }
            if asked.file == "-" {
                let written = std::mem::take(builder.get_mut());
                if !self.say_result("tar", streams, &written) {
                    return self.broken(streams);
                }
                let room = async {
                    streams.out.room().await;
                    Some(())
                };
                self.unless_signalled(room).await;
            }
        }
        let rest = builder.into_inner().unwrap_or_default();
        if asked.file == "-" {
            if !self.say_result("tar", streams, &rest) {
                return self.broken(streams);
            }
        } else if let Err(why) = self.machine.files.write(&absolute(&self.cwd, asked.file), &rest, false) {
            self.say(streams, &format!("tar: can't open '{}': {why}", asked.file));
            failed = true;
        }
        if failed {
            self.say(streams, "tar: error exit delayed from previous errors");
        }
        self.status = i32::from(failed);
        self.signal(streams).await
    }
}

/// Adds a file, or a directory without `bytes`.
fn add(builder: &mut Builder<Vec<u8>>, name: &str, bytes: Option<&[u8]>, now: u64) -> Result<(), String> {
    let inside = name.trim_start_matches('/');
    if inside.is_empty() {
        return Ok(());
    }
    let contents = bytes.unwrap_or_default();
    let mut header = Header::new_gnu();
    header.set_entry_type(if bytes.is_some() { EntryType::Regular } else { EntryType::Directory });
    header.set_mode(if bytes.is_some() { 0o644 } else { 0o755 });
    header.set_size(contents.len() as u64);
    header.set_mtime(now);
    for set in [Header::set_username, Header::set_groupname] {
        set(&mut header, "root").map_err(|e| e.to_string())?;
    }
    let shown =
        if bytes.is_some() { inside.to_owned() } else { format!("{}/", inside.trim_end_matches('/')) };
    builder.append_data(&mut header, shown, contents).map_err(|e| e.to_string())
}

/// Extracts or lists.
fn unpack(files: &Files, asked: &Asked<'_>, dir: &str, bytes: &[u8]) -> Told {
    let mut told = Told::default();
    let mut archive = Archive::new(bytes);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(e) => {
            told.complaints.push(e.to_string());
            return told;
        }
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(_) => {
                let why = if bytes.len() < 512 { "short read" } else { "invalid tar magic" };
                told.complaints.push(why.into());
                return told;
            }
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !asked.wants(&name) {
            continue;
        }
        if asked.mode == Mode::List || asked.verbose {
            told.out.push_str(&format!("{name}\n"));
        }
        if asked.mode == Mode::List {
            continue;
        }
        let at = absolute(dir, name.trim_start_matches('/'));
        let outcome = match entry.header().entry_type() {
            EntryType::Directory => files.make_dir(&at),
            EntryType::Regular | EntryType::Continuous => {
                let mut contents = Vec::new();
                match entry.read_to_end(&mut contents) {
                    Ok(_) => extract(files, &at, &contents),
                    Err(_) => Err("short read".into()),
                }
            }
            EntryType::XGlobalHeader | EntryType::XHeader => Ok(()),
            kind => Err(format!("an entry of type {kind:?} is not interpreted")),
        };
        if let Err(why) = outcome {
            told.complaints.push(format!("can't open '{name}': {why}"));
        }
    }
    told
}

fn extract(files: &Files, at: &str, contents: &[u8]) -> Result<(), String> {
    let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
    if files.node(parent).is_none() {
        files.make_dir(parent)?;
    }
    files.write(at, contents, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_as_kubectl_and_people_write_them() {
        let check = |line: &str, expect: Result<Asked<'_>, &str>| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let found = Asked::parse(&args);
            match expect {
                Ok(expect) => assert_eq!(found, Ok(expect), "{line}"),
                Err(words) => {
                    assert_eq!(found.map_err(|e| e.to_string()).err().as_deref(), Some(words), "{line}")
                }
            }
        };
        let asked = |mode, names: &[&'static str]| Asked {
            mode,
            file: "-",
            dir: None,
            verbose: false,
            names: names.to_vec(),
        };
        check("cf - /tmp/x", Ok(asked(Mode::Create, &["/tmp/x"])));
        check("-xmf - -C /tmp", Ok(Asked { dir: Some("/tmp"), ..asked(Mode::Extract, &[]) }));
        check("--no-same-permissions --no-same-owner -xmf -", Ok(asked(Mode::Extract, &[])));
        check("xmf - -C dir a b", Ok(Asked { dir: Some("dir"), ..asked(Mode::Extract, &["a", "b"]) }));
        check("-t -v -f a.tar", Ok(Asked { file: "a.tar", verbose: true, ..asked(Mode::List, &[]) }));
        check("czf - x", Err("invalid option -- 'z'"));
        check("-xf", Err("option requires an argument -- 'f'"));
        check("-f -", Err("must specify one of -c -x -t"));
        check("-x --xattrs", Err("unrecognized option '--xattrs'"));
    }
}
