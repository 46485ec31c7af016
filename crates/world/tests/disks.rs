//! What a disk in memory makes of fsync and of a power failure.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::time::Duration;

use world::{
    Fsync,
    sim::{Config, Sim, run},
};

/// What was written with and without a sync, on an honest disk and on one that lies.
#[test]
fn a_lying_disk_loses_at_a_power_failure_what_it_said_was_synced() {
    for lies in [false, true] {
        run(Config::default(), async |sim: Sim| {
            let (host, faults) = (sim.host("a"), sim.disk("a"));
            let disk = host.disk();
            disk.write("/before", b"1", 0o600).unwrap();
            faults.set_fsync_lies(lies);
            disk.write("/synced", b"2", 0o600).unwrap();
            disk.write_unsynced("/unsynced", b"3", 0o600).unwrap();
            sim.reboot("a", Duration::from_secs(1)).await;
            let kept = ["/synced", "/unsynced"].map(|path| disk.read(path).unwrap());
            assert_eq!(kept, [b"2", b"3"], "a reboot loses nothing");
            assert_eq!(disk.durability().power_failures(), 0);
            faults.set_fsync_lies(false);
            disk.write("/after", b"5", 0o600).unwrap();
            sim.power_failure("a", Duration::from_secs(1)).await;
            let left = ["/before", "/synced", "/unsynced", "/after"].map(|path| disk.read(path).unwrap());
            let synced: &[u8] = if lies { b"" } else { b"2" };
            assert_eq!(left, [b"1", synced, b"", b"5"]);
            assert_eq!(disk.durability().power_failures(), 1);
        })
        .unwrap();
    }
}

/// The system writes back what is half a minute old, if nobody syncs it before; a drive that lies keeps it to itself.
#[test]
fn what_was_not_synced_is_written_back_after_half_a_minute() {
    for (age, lies, kept) in [(29, false, false), (31, false, true), (31, true, false)] {
        run(Config::default(), async |sim: Sim| {
            sim.disk("a").set_fsync_lies(lies);
            let host = sim.host("a");
            host.disk().write_unsynced("/x", b"1", 0o600).unwrap();
            sim.elapse(Duration::from_secs(age)).await;
            sim.power_failure("a", Duration::from_secs(1)).await;
            let left = host.disk().read("/x").unwrap();
            assert_eq!(left, if kept { b"1".to_vec() } else { Vec::new() }, "{age} s, lies: {lies}");
        })
        .unwrap();
    }
}

#[test]
fn a_disk_says_what_it_makes_of_fsync() {
    run(Config::default(), async |sim: Sim| {
        let (host, faults) = (sim.host("a"), sim.disk("a"));
        assert_eq!(host.disk().durability().fsync(), Fsync::default());
        faults.set_fsync_takes(Duration::from_millis(300));
        faults.set_fsync_lies(true);
        assert_eq!(
            host.disk().durability().fsync(),
            Fsync { takes: Duration::from_millis(300), fails: false, lies: true }
        );
        assert_eq!(
            sim.host("b").disk().durability().fsync(),
            Fsync::default(),
            "the control: another host's"
        );
    })
    .unwrap();
}
