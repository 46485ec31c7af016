//! Processes, units, streams and files of a host, in both gears where both have them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use jiff::SignedDuration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{
    DialErrorKind, Disk, DiskErrorKind, Exit, Host, MemoryDisk, Unit,
    real::{Block, Real},
    sim::{Config, Sim, run},
};

fn in_sim<F: Future<Output = ()>>(story: impl FnOnce(Sim) -> F) {
    run(Config::default(), story).expect("a runtime");
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

fn echo(host: &Host, mut listener: world::Listener) {
    let inner = host.clone();
    host.spawn(async move {
        while let Ok(mut stream) = listener.accept().await {
            inner.spawn(async move {
                let mut buf = [0; 64];
                while let Ok(n @ 1..) = stream.read(&mut buf).await {
                    if stream.write_all(&buf[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

async fn ping(stream: &mut world::Stream) -> std::io::Result<String> {
    stream.write_all(b"ping").await?;
    let mut buf = [0; 4];
    stream.read_exact(&mut buf).await?;
    Ok(String::from_utf8_lossy(&buf).into_owned())
}

async fn streams(a: Host, b: Host) {
    let listener = b.net().listen(any(6443)).await.expect("port 6443 is free on a new host");
    echo(&b, listener);
    let mut stream = a.net().dial(&b.net().address().to_string(), 6443).await.expect("dial by address");
    assert_eq!(ping(&mut stream).await.expect("echo"), "ping");
    assert_eq!(stream.remote_addr().ip(), b.net().address());
    assert_eq!(stream.local_addr().ip(), a.net().address());
    let mut by_name = a.net().dial(b.name(), 6443).await.expect("dial by name");
    assert_eq!(ping(&mut by_name).await.expect("echo"), "ping");
    let mut own = b.net().dial("127.0.0.1", 6443).await.expect("a host's own loopback");
    assert_eq!(ping(&mut own).await.expect("echo"), "ping");

    let taken = b.net().listen(any(6443)).await.expect_err("taken");
    assert!(taken.in_use && taken.to_string().ends_with(":6443: bind: address already in use"), "{taken}");
    let refused = a.net().dial("127.0.0.1", 6443).await.expect_err("nobody listens on a");
    assert_eq!(refused.to_string(), "dial tcp 127.0.0.1:6443: connect: connection refused");
    let unknown = a.net().dial("nowhere", 6443).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "dial tcp: lookup nowhere: no such host");
}

#[test]
fn streams_in_the_simulated_gear() {
    in_sim(async |sim| streams(sim.host("a"), sim.host("b")).await);
}

#[test]
fn streams_in_the_real_gear() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = std::env::temp_dir();
        let world = Real::new(dir, Block::reserve().expect("a free block"));
        streams(world.host("a").expect("room"), world.host("b").expect("room")).await;
    });
}

#[test]
fn a_step_in_the_real_gear_moves_one_wall_clock() {
    let world = Real::new(std::env::temp_dir(), Block::reserve().expect("a free block"));
    let (a, b) = (world.host("a").expect("room"), world.host("b").expect("room"));
    world.step("a", SignedDuration::from_hours(24));
    let ahead = a.clock().wall().duration_since(b.clock().wall());
    assert!((ahead.as_secs() - 86_400).abs() <= 60, "{ahead:?}");
}

#[test]
fn a_real_world_may_start_at_another_time() {
    let block = || Block::reserve().expect("a free block");
    let year = SignedDuration::from_hours(24 * 365);
    let now = Real::new(std::env::temp_dir(), block()).host("a").expect("room").clock().wall();
    for start in [year, -year] {
        let world = Real::starting(std::env::temp_dir(), block(), start);
        let ahead = world.host("a").expect("room").clock().wall().duration_since(now);
        assert!((ahead.as_secs() - start.as_secs()).abs() <= 60, "{ahead:?}");
    }
}

#[test]
fn a_shared_clock_is_every_process_s_and_outlives_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let hour = SignedDuration::from_hours(1);
    // To the minute: the two are not read at once.
    let ahead = |host: &Host| {
        let difference = host.clock().wall().duration_since(world::real::system());
        SignedDuration::from_mins((difference.as_secs_f64() / 60.0).round() as i64)
    };
    let base = {
        let block = Block::reserve().expect("a free block");
        let base = block.base();
        let world = Real::new(dir.path().to_owned(), block);
        world.share_clocks();
        let (a, b) = (world.host("a").expect("room"), world.host("b").expect("room"));
        // The same host, as another process has it.
        let other = Real::rooted(dir.path().join("a"), Block::joined(base));
        other.share_clocks();
        let there = other.host_at("a", base);
        world.step("a", -hour);
        assert_eq!([ahead(&a), ahead(&there), ahead(&b)], [-hour, -hour, SignedDuration::ZERO]);
        other.step("a", hour + hour);
        assert_eq!([ahead(&a), ahead(&there)], [hour, hour]);
        other.freeze("a");
        let stood = a.clock().wall();
        assert_eq!(there.clock().wall(), stood);
        other.thaw("a");
        base
    };
    let again = Real::new(dir.path().to_owned(), Block::reopen(base).expect("the block again"));
    again.share_clocks();
    assert_eq!(ahead(&again.host("a").expect("room")), hour);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the real gear's clock is the system's")]
fn a_paused_host_of_the_real_gear_stands_still_and_goes_on() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = Real::new(std::env::temp_dir(), Block::reserve().expect("a free block"));
        let host = world.host("a").expect("room");
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let clock = host.clock().clone();
        host.spawn(async move {
            loop {
                clock.sleep(Duration::from_millis(1)).await;
                let _ = tell.send(clock.monotonic());
            }
        });
        let mut last = told.recv().await.expect("it runs");
        let pause = Duration::from_millis(200);
        world.pause("a", pause).await;
        let over = host.clock().monotonic();
        let mut longest = Duration::ZERO;
        while last < over {
            let at = told.recv().await.expect("it runs again");
            longest = longest.max(at.since(last));
            last = at;
        }
        // A poll that was on its way when the host was paused may have ended in it.
        assert!(longest + pause / 10 >= pause, "it stood still for {longest:?} while its host was paused");
    });
}

#[test]
fn two_worlds_have_different_addresses() {
    let (one, two) = (Block::reserve().expect("a block"), Block::reserve().expect("another"));
    assert_ne!(one.base(), two.base());
    assert!(Block::reopen(one.base()).is_err(), "a block in use is not handed out again");
}

#[test]
fn killing_a_process_closes_its_listener_and_connections() {
    in_sim(async |sim| {
        let (a, b) = (sim.host("a"), sim.host("b"));
        let process = b.process("server");
        let listener = process.host().net().listen(any(80)).await.expect("free");
        echo(process.host(), listener);
        let mut stream = a.net().dial("b", 80).await.expect("listening");
        assert_eq!(ping(&mut stream).await.expect("echo"), "ping");
        process.kill().await;
        assert!(ping(&mut stream).await.is_err(), "the open connection died with the process");
        assert_eq!(a.net().dial("b", 80).await.expect_err("gone").kind, DialErrorKind::Refused);
        assert!(process.host().spawn(async { 1 }).join().await.is_none(), "a dead process runs nothing");
        b.net().listen(any(80)).await.expect("the port is free again");
    });
}

#[test]
fn a_reset_hits_only_the_named_direction() {
    in_sim(async |sim| {
        let (a, b) = (sim.host("a"), sim.host("b"));
        echo(&b, b.net().listen(any(80)).await.expect("free"));
        let mut remote = a.net().dial("b", 80).await.expect("listening");
        let mut own = b.net().dial("127.0.0.1", 80).await.expect("listening");
        assert_eq!(sim.reset_connections("b", "b", 80), 1);
        assert_eq!(ping(&mut own).await.expect_err("reset").kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(ping(&mut remote).await.expect("untouched"), "ping");
    });
}

#[test]
fn cut_hosts_hang_and_healed_ones_go_on() {
    in_sim(async |sim| {
        let (a, b) = (sim.host("a"), sim.host("b"));
        echo(&b, b.net().listen(any(80)).await.expect("free"));
        let mut stream = a.net().dial("b", 80).await.expect("listening");
        sim.cut("a", "b");
        assert!(a.clock().timeout(Duration::from_secs(900), ping(&mut stream)).await.is_err(), "hangs");
        assert_eq!(a.net().dial("b", 80).await.expect_err("cut").to_string(), "dial tcp b:80: i/o timeout");
        sim.heal("a", "b");
        let mut fresh = a.net().dial("b", 80).await.expect("healed");
        assert_eq!(ping(&mut fresh).await.expect("echo"), "ping");
    });
}

#[test]
fn units_start_stop_and_restart_after_their_delay() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let unit = Unit::new(|host: Host| async move {
            host.clock().sleep(Duration::from_secs(5)).await;
            Exit::Failure("no client certificate".into())
        });
        host.services().install("kubelet", unit.restart_after(Duration::from_secs(10)));
        assert!(!host.services().is_active("kubelet"));
        host.services().start(&host, "kubelet");
        sim.elapse(Duration::from_secs(41)).await;
        let exits = sim.events().iter().filter(|e| e.fields.iter().any(|(k, _)| *k == "exit")).count();
        assert_eq!(exits, 3, "5 s of life and 10 s of delay: exits at 5, 20 and 35 s");
        assert_eq!(host.services().last_exit("kubelet"), Some(Exit::Failure("no client certificate".into())));
        host.services().stop("kubelet").await;
        sim.elapse(Duration::from_secs(600)).await;
        let later = sim.events().iter().filter(|e| e.fields.iter().any(|(k, _)| *k == "exit")).count();
        assert_eq!((later, host.services().is_active("kubelet")), (3, false));
    });
}

#[test]
fn a_reboot_ends_every_process_and_starts_the_units_that_were_active() {
    in_sim(async |sim| {
        let host = sim.host("a");
        let unit = || {
            Unit::new(|host: Host| async move {
                host.record("unit", vec![("began", host.boots().to_string())]);
                std::future::pending().await
            })
        };
        for name in ["active", "idle"] {
            host.services().install(name, unit());
        }
        // Started by a program that is gone, and left behind by another.
        host.services().start(host.process("installer").host(), "active");
        let orphan = host.process("shell").host().process("orphan");
        let (left, kept) = (orphan.host().spawn(std::future::pending::<()>()), host.spawn(async { 7 }));
        let slice = host.services().slice(orphan.host(), "pods.slice");
        let inside = slice.host().spawn(std::future::pending::<()>());
        sim.elapse(Duration::from_secs(1)).await;
        orphan.kill().await;
        assert!(left.join().await.is_none() && !inside.is_finished(), "a slice is init's");
        sim.reboot("a", Duration::from_secs(30)).await;
        sim.elapse(Duration::from_secs(1)).await;
        assert!(inside.is_finished());
        assert_eq!(kept.join().await, Some(7), "who watches the machine is none of its processes");
        assert_eq!((host.boots(), host.services().is_active("active")), (2, true));
        assert!(!host.services().is_active("idle") && !host.services().is_active("pods.slice"));
        assert_eq!(host.services().names(), ["active", "idle", "pods.slice"]);
        host.services().remove("pods.slice").await;
        assert!(!host.services().is_installed("pods.slice"));
        let began: Vec<String> = sim
            .events()
            .into_iter()
            .filter(|e| e.kind == "unit")
            .flat_map(|e| e.fields.into_iter().map(|(_, boot)| boot))
            .collect();
        assert_eq!(began, ["1", "2"]);
    });
}

fn files(disk: &Disk) {
    let (dir, file) = (Path::new("/etc/kubernetes/pki"), Path::new("/etc/kubernetes/pki/ca.key"));
    assert_eq!(
        disk.read(file).expect_err("nothing there").to_string(),
        "open /etc/kubernetes/pki/ca.key: no such file or directory"
    );
    disk.write(file, b"one", 0o600).expect("written with its directories");
    disk.write_unsynced(file, b"other", 0o644).expect("replaced");
    disk.write_contents(file, b"two", 0o600).expect("replaced");
    assert_eq!(disk.read_to_string(file).expect("readable"), "two");
    assert_eq!(disk.stat(file).expect("there").mode, 0o600);
    disk.symlink(file, dir.join("current.pem")).expect("a link");
    assert_eq!(disk.read_to_string(dir.join("current.pem")).expect("followed"), "two");
    assert_eq!(disk.read_link(dir.join("current.pem")).expect("as written"), file);
    assert_eq!(disk.symlink(file, dir.join("current.pem")).expect_err("there").kind, DiskErrorKind::Exists);
    assert_eq!(disk.list(dir).expect("a directory"), ["ca.key", "current.pem"]);
    disk.rename(file, dir.join("old.key")).expect("renamed");
    assert!(!disk.exists(dir.join("current.pem")), "the link dangles");
    assert!(disk.stat(dir.join("current.pem")).is_some(), "but is there");
    disk.write("/../../../escape", b"x", 0o644).expect("kept inside the root");
    assert_eq!(disk.read("/escape").expect("inside the root"), b"x");
    disk.remove_all("/etc").expect("removed");
    assert!(disk.list(dir).is_err());
}

#[test]
fn memory_and_real_files_behave_alike() {
    files(&Disk::memory(MemoryDisk::default().into()));
    let dir = tempfile::tempdir().expect("a directory");
    files(&Disk::real(dir.path().join("a")));
    assert!(!dir.path().join("escape").exists(), "nothing left the host's root");
}

#[test]
fn many_who_write_one_real_file_leave_one_whole_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let world = Real::new(dir.path().to_owned(), Block::reserve().expect("a block"));
        let host = world.host("a").expect("a host");
        let writers = (0..8_u8).map(|n| {
            let disk = host.disk().clone();
            host.spawn(async move { disk.write("/etc/x", vec![n; 10_000], 0o600) })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.join().await.expect("ran").expect("written");
        }
        let whole = host.disk().read("/etc/x").expect("readable");
        assert!(whole.len() == 10_000 && whole.iter().all(|b| *b == whole[0]));
        assert_eq!(host.disk().list("/etc").expect("a directory"), ["x"], "nothing is left of the others");
    });
}

#[test]
fn a_full_disk_keeps_the_old_contents() {
    let memory = std::sync::Arc::new(MemoryDisk::default());
    let disk = Disk::memory(memory.clone());
    disk.write("/x", b"old", 0o644).expect("room");
    memory.set_full(true);
    assert_eq!(
        disk.write("/x", b"new", 0o644).expect_err("full").to_string(),
        "open /x: no space left on device"
    );
    assert_eq!(disk.read("/x").expect("readable"), b"old");
    memory.set_full(false);
    memory.set_read_only(true);
    assert_eq!(disk.remove("/x").expect_err("read-only").kind, DiskErrorKind::Denied);
}

#[test]
fn uuids_are_of_version_four() {
    let sim = |seed| run(Config { seed, ..Config::default() }, async |sim| sim.host("a").entropy().uuid());
    for seed in 0..20 {
        let uuid = sim(seed).expect("a runtime");
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{uuid}");
        assert!(uuid.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')), "{uuid}");
        assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
        assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{uuid}");
    }
}

#[test]
fn the_same_seed_gives_the_same_chance_and_hosts_differ() {
    let draw = |seed| {
        run(Config { seed, ..Config::default() }, async |sim: Sim| {
            [sim.host("a").entropy().uuid(), sim.host("b").entropy().uuid()]
        })
        .expect("a runtime")
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert_ne!(draw(7)[0], draw(7)[1]);
}

/// What a dial would find, without dialling: each fault beside the healed network.
#[test]
fn a_machine_is_reached_while_it_listens_runs_and_is_not_cut_off() {
    run(Config::default(), async |sim: Sim| {
        let (a, b) = (sim.host("a"), sim.host("b"));
        let reaches = || a.net().reaches("b", 80);
        assert_eq!(reaches(), Some(false), "nobody listens");
        let listener = b.net().listen("0.0.0.0:80".parse().expect("an address")).await.expect("free");
        assert_eq!(reaches(), Some(true));
        assert_eq!(a.net().reaches("c", 80), Some(false), "there is no such machine");
        sim.cut("a", "b");
        assert_eq!(reaches(), Some(false), "cut off");
        sim.heal("a", "b");
        assert_eq!(reaches(), Some(true));
        for stopped in ["a", "b"] {
            let pause = sim.pause(stopped, Duration::from_secs(1));
            tokio::pin!(pause);
            assert!(futures::poll!(pause.as_mut()).is_pending());
            assert_eq!(reaches(), Some(false), "{stopped} is paused");
            pause.await;
            assert_eq!(reaches(), Some(true), "{stopped} runs again");
        }
        drop(listener);
        assert_eq!(reaches(), Some(false), "closed");
    })
    .expect("a runtime");
}

#[test]
fn hosts_of_one_world_share_its_commons_and_worlds_share_nothing() {
    type Count = std::sync::atomic::AtomicU32;
    let raise = |host: &world::Host| {
        host.commons().expect("simulated").get::<Count>().fetch_add(1, std::sync::atomic::Ordering::SeqCst)
    };
    for _ in 0..2 {
        let seen = run(Config::default(), async |sim: Sim| [raise(&sim.host("a")), raise(&sim.host("b"))]);
        assert_eq!(seen.expect("a runtime"), [0, 1]);
    }
}

/// The record of a world that runs on: the newest events are kept, and each is counted.
#[test]
fn a_record_that_keeps_the_last() {
    let (dir, block) = (tempfile::tempdir().unwrap(), Block::joined(Ipv4Addr::new(127, 99, 99, 1)));
    let world = Real::new(dir.path().to_owned(), block);
    let early = world.host("early").unwrap();
    world.record(3);
    let host = world.host("late").unwrap();
    early.record("test", vec![("n", "unseen".into())]);
    for n in 0..5 {
        host.record("test", vec![("n", n.to_string())]);
    }
    world.step("late", SignedDuration::from_hours(1));
    let events = world.trace().events();
    let said: Vec<&str> = events.iter().map(|e| e.fields[0].1.as_str()).collect();
    assert_eq!((said, world.trace().count()), (vec!["3", "4", "1h"], 6));
    let ahead = events[2].at.duration_since(events[2].true_at).as_secs();
    assert_eq!(ahead, 3600, "a step is seen beside the time that nobody touches");
}

/// What a story does to a disk is in the record, with the clock of the host and the true time.
#[test]
fn faults_of_a_disk_are_recorded() {
    in_sim(async |sim| {
        sim.host("node1");
        sim.step("node1", SignedDuration::from_hours(-1));
        sim.elapse(Duration::from_secs(5)).await;
        sim.disk("node1").set_full(true);
        sim.disk("node1").set_full(false);
        let events = sim.events();
        let disk: Vec<_> = events.iter().filter(|e| e.kind == "disk").collect();
        let fields: Vec<_> = disk.iter().flat_map(|e| &e.fields).map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(fields, [("full", "begins"), ("full", "ends")]);
        assert_eq!(disk[0].true_at, Config::default().start + SignedDuration::from_secs(5));
        assert_eq!(disk[0].at, disk[0].true_at - SignedDuration::from_hours(1));
        assert_eq!(sim.now(), disk[1].true_at);
    });
}
