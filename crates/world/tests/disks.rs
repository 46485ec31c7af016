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
            assert_eq!(disk.power_failures(), 0);
            faults.set_fsync_lies(false);
            disk.write("/after", b"5", 0o600).unwrap();
            sim.power_failure("a", Duration::from_secs(1)).await;
            let left = ["/before", "/synced", "/unsynced", "/after"].map(|path| disk.read(path).unwrap());
            let synced: &[u8] = if lies { b"" } else { b"2" };
            assert_eq!(left, [b"1", synced, b"", b"5"]);
            assert_eq!(disk.power_failures(), 1);
        })
        .unwrap();
    }
}

#[test]
fn a_disk_says_what_it_makes_of_fsync() {
    run(Config::default(), async |sim: Sim| {
        let (host, faults) = (sim.host("a"), sim.disk("a"));
        assert_eq!(host.disk().fsync(), Fsync::default());
        faults.set_fsync_takes(Duration::from_millis(300));
        faults.set_fsync_lies(true);
        assert_eq!(host.disk().fsync(), Fsync { takes: Duration::from_millis(300), lies: true });
        assert_eq!(sim.host("b").disk().fsync(), Fsync::default(), "the control: another host's");
    })
    .unwrap();
}
