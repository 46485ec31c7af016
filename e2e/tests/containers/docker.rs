//! The Docker Engine, by the command that people type. Whatever was made here is removed when its handle is dropped, also
//! by a panic. Everything says whose it is: what a process has left that was killed, its `reaper` removes, and whatever
//! that has missed the next process that comes here.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Output},
};

use world::Entropy;

/// On everything that is made: its [`owner`]. Images have it as their tag, `chronoplane-test-NAME:OWNER`.
const LABEL: &str = "chronoplane-test";

/// Why the engine did not do what it was asked.
pub type Result<T> = std::result::Result<T, String>;

fn run(command: &mut Command) -> Result<Output> {
    let done = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if done.status.success() {
        return Ok(done);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr).trim()))
}

fn docker<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Result<String> {
    let done = run(Command::new("docker").args(args))?;
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Whether there is an engine.
pub fn is_here() -> bool {
    docker(["version", "--format", "{{.Server.Version}}"]).is_ok()
}

/// A process, told from all that ever had or will have its number on this machine since it was started.
pub fn owner(pid: u32) -> Option<String> {
    // Behind the name, which may have anything in it, the start is the twentieth: in ticks since the machine's.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_the_name) = stat.rsplit_once(')')?;
    let start = behind_the_name.split_whitespace().nth(19)?;
    Some(format!("{pid}-{start}"))
}

fn myself() -> String {
    owner(std::process::id()).expect("a process knows when it began")
}

fn lives(someone: &str) -> bool {
    let pid = someone.split('-').next().and_then(|pid| pid.parse().ok());
    pid.and_then(owner).is_some_and(|now| now == someone)
}

/// Something that a test has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub kind: &'static str,
    pub owner: String,
    id: String,
}

impl Left {
    fn remove(&self) -> Result<()> {
        let words: &[&str] = match self.kind {
            "container" => &["rm", "-f", "-v"],
            "network" => &["network", "rm"],
            _ => &["rmi", "-f"],
        };
        docker(words.iter().copied().chain([self.id.as_str()])).map(drop)
    }
}

/// What tests have made and not removed, whoever they are, in the order in which it can be removed.
pub fn all_left() -> Result<Vec<Left>> {
    let filter = format!("--filter=label={LABEL}");
    let format = format!("--format={{{{.ID}}}} {{{{.Label {LABEL:?}}}}}");
    let containers = docker(["ps", "-a", &filter, &format])?;
    let networks = docker(["network", "ls", &filter, &format])?;
    let images = docker([
        "images",
        &format!("--filter=reference={LABEL}-*"),
        "--format={{.Repository}}:{{.Tag}} {{.Tag}}",
    ])?;
    let mut found = Vec::new();
    for (kind, lines) in [("container", containers), ("network", networks), ("image", images)] {
        let each = lines.lines().filter_map(|line| line.split_once(' '));
        found.extend(each.map(|(id, owner)| Left { kind, owner: owner.to_owned(), id: id.to_owned() }));
    }
    Ok(found)
}

/// What that one has made and not removed.
pub fn left_by(owner: &str) -> Result<Vec<Left>> {
    Ok(all_left()?.into_iter().filter(|left| left.owner == owner).collect())
}

/// Removes what that one has left. Gives how much there was.
pub fn remove_all_of(owner: &str) -> Result<usize> {
    let left = left_by(owner)?;
    left.iter().try_for_each(Left::remove).map(|()| left.len())
}

/// Removes what processes that are gone have left.
pub fn sweep() -> Result<()> {
    all_left()?.iter().filter(|left| !lives(&left.owner)).try_for_each(Left::remove)
}

/// An image of one program, made by `scripts/image`.
pub struct Image(String);

impl Image {
    pub fn of(program: &Path, name: &str) -> Result<Self> {
        let tag = format!("{LABEL}-{name}:{}", myself());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/image");
        run(Command::new(script).arg(program).arg(&tag))?;
        Ok(Self(tag))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = docker(["rmi", "-f", &self.0]);
    }
}

/// A private network of a /24, without a way out.
pub struct Network {
    name: String,
    base: u32,
}

impl Network {
    pub fn new() -> Result<Self> {
        let name = format!("{LABEL}-{}", myself());
        let entropy = Entropy::system();
        let mut last = String::new();
        for _ in 0..16 {
            // Away from 10.0.0.0 and its like, which people use.
            let base =
                (10 << 24) | ((200 + entropy.below(50) as u32) << 16) | ((entropy.below(256) as u32) << 8);
            let subnet = format!("--subnet={}/24", Ipv4Addr::from(base));
            let label = format!("--label={LABEL}={}", myself());
            match docker(["network", "create", "--internal", &subnet, &label, &name]) {
                Ok(_) => return Ok(Self { name, base }),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    pub fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from(self.base | u32::from(number))
    }

    /// A container with an address of its own, which it keeps whatever happens to it. It does not run yet.
    pub fn container(
        &self,
        name: &str,
        number: u8,
        image: &Image,
        options: &[String],
        args: &[String],
    ) -> Result<Container> {
        let address = self.address(number);
        let own = [
            format!("--name={}-{name}", self.name),
            format!("--hostname={name}"),
            format!("--network={}", self.name),
            format!("--ip={address}"),
            format!("--label={LABEL}={}", myself()),
        ];
        let all = ["create".to_owned()].into_iter().chain(own).chain(options.iter().cloned());
        let id = docker(all.chain([image.0.clone()]).chain(args.iter().cloned()))?;
        Ok(Container { name: name.to_owned(), address, id, network: self.name.clone() })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = docker(["network", "rm", &self.name]);
    }
}

/// See [`Network::container`].
pub struct Container {
    pub name: String,
    pub address: Ipv4Addr,
    id: String,
    network: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(["rm", "-f", "-v", &self.id]);
    }
}

impl Container {
    pub fn start(&self) -> Result<()> {
        docker(["start", &self.id]).map(drop)
    }

    /// SIGKILL to all that runs in it.
    pub fn kill(&self) -> Result<()> {
        docker(["kill", &self.id]).map(drop)
    }

    /// Nothing in it runs, and time passes.
    pub fn pause(&self) -> Result<()> {
        docker(["pause", &self.id]).map(drop)
    }

    pub fn unpause(&self) -> Result<()> {
        docker(["unpause", &self.id]).map(drop)
    }

    /// Pulls the cable: nobody is told, what is under way is lost.
    pub fn cut(&self) -> Result<()> {
        docker(["network", "disconnect", &self.network, &self.id]).map(drop)
    }

    pub fn mend(&self) -> Result<()> {
        docker(["network", "connect", "--ip", &self.address.to_string(), &self.network, &self.id]).map(drop)
    }

    pub fn is_running(&self) -> Result<bool> {
        docker(["inspect", "--format={{.State.Running}}", &self.id]).map(|said| said == "true")
    }

    /// The last lines of what it has said.
    pub fn logs(&self) -> String {
        let said = run(Command::new("docker").args(["logs", "--tail=40", &self.id]));
        let said = said.map(|done| [done.stdout, done.stderr].concat());
        said.map_or_else(|e| e, |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Puts the directory `from` over the container's root.
    pub fn put(&self, from: &Path) -> Result<()> {
        docker(["cp", &format!("{}/.", from.display()), &format!("{}:/", self.id)]).map(drop)
    }

    /// Copies one file to `to`.
    pub fn fetch(&self, path: &str, to: &Path) -> Result<()> {
        docker(["cp", &format!("{}:{path}", self.id), &to.display().to_string()]).map(drop)
    }
}
