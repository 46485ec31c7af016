//! What can go wrong between two hosts: each fault beside its control, to the millisecond where that can be.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may stop anywhere")]

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{
    DialErrorKind, Host, Stream,
    sim::{Conditions, Config, Resolution, Sim, run},
};

const PORT: u16 = 6443;

fn simulated<F: Future<Output = ()>>(story: impl FnOnce(Sim, Host, Host) -> F) {
    run(Config::default(), async |sim: Sim| {
        let (a, b) = (sim.host("a"), sim.host("b"));
        story(sim, a, b).await;
    })
    .unwrap();
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A connection from `a` to `b`, and its other end.
async fn pair(a: &Host, b: &Host) -> (Stream, Stream) {
    let mut listener = b.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await.unwrap();
    let near = a.net().dial("b", PORT).await.unwrap();
    (near, listener.accept().await.unwrap())
}

/// How long `work` takes, and what it gives.
async fn timed<T>(host: &Host, work: impl Future<Output = T>) -> (Duration, T) {
    let began = host.clock().monotonic();
    let done = work.await;
    (host.clock().monotonic().since(began), done)
}

/// Sends and waits until it is read.
async fn send(from: &mut Stream, to: &mut Stream) -> std::io::Result<u8> {
    from.write_all(b"x").await?;
    to.read_u8().await
}

/// Whether nothing comes of `work` in `d`.
async fn hangs<T>(host: &Host, d: Duration, work: impl Future<Output = T>) -> bool {
    host.clock().timeout(d, work).await.is_err()
}

#[test]
fn latency_is_of_one_direction_and_a_dial_takes_a_round_trip() {
    simulated(|sim, a, b| async move {
        let (mut near, mut far) = pair(&a, &b).await;
        assert_eq!(timed(&a, send(&mut near, &mut far)).await.0, ms(0), "the control: a perfect network");
        sim.set_conditions("a", "b", Conditions { latency: ms(40), ..Conditions::default() });
        assert_eq!(timed(&a, send(&mut near, &mut far)).await.0, ms(40));
        assert_eq!(timed(&a, send(&mut far, &mut near)).await.0, ms(0), "the other direction");
        sim.set_conditions("b", "a", Conditions { latency: ms(5), ..Conditions::default() });
        assert_eq!(timed(&a, send(&mut far, &mut near)).await.0, ms(5));

        let mut listener = b.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))).await.unwrap();
        let (took, dialled) = timed(&a, a.net().dial("b", 80)).await;
        let (mut near, mut far) = (dialled.unwrap(), listener.accept().await.unwrap());
        assert_eq!(took, ms(45));
        assert_eq!(timed(&a, send(&mut near, &mut far)).await.0, ms(40), "born on a slow link");
        let (took, refused) = timed(&a, a.net().dial("b", 81)).await;
        assert_eq!((took, refused.unwrap_err().kind), (ms(45), DialErrorKind::Refused));

        // What was sent before a close arrives before it.
        near.write_all(b"last words").await.unwrap();
        drop(near);
        let mut heard = String::new();
        let (took, read) = timed(&b, far.read_to_string(&mut heard)).await;
        assert_eq!((took, read.unwrap(), heard.as_str()), (ms(40), 10, "last words"));

        for (from, to) in [("a", "b"), ("b", "a")] {
            sim.set_conditions(from, to, Conditions::default());
        }
        assert_eq!(timed(&a, a.net().dial("b", 80)).await.0, ms(0), "over");
    });
}

#[test]
fn jitter_is_seeded_and_nothing_overtakes() {
    let arrivals = |seed| {
        run(Config { seed, ..Config::default() }, async |sim: Sim| {
            let (a, b) = (sim.host("a"), sim.host("b"));
            let (mut near, mut far) = pair(&a, &b).await;
            let conditions = Conditions { latency: ms(10), jitter: ms(50), ..Conditions::default() };
            sim.set_conditions("a", "b", conditions);
            let began = b.clock().monotonic();
            near.write_all(b"0").await.unwrap();
            for n in b"123456789" {
                near.write_all(&[*n]).await.unwrap();
            }
            let mut seen = Vec::new();
            for n in b"0123456789" {
                assert_eq!(far.read_u8().await.unwrap(), *n, "in order");
                seen.push(b.clock().monotonic().since(began));
            }
            seen
        })
        .unwrap()
    };
    let first = arrivals(1);
    assert!(first.iter().all(|at| (ms(10)..=ms(61)).contains(at)), "{first:?}");
    assert!(first.first() < first.last(), "they differ: {first:?}");
    assert_eq!(first, arrivals(1));
    assert_ne!(first, arrivals(2));
}

#[test]
fn bandwidth_counts_messages_of_all_connections() {
    simulated(|sim, a, b| async move {
        let (mut near, mut far) = pair(&a, &b).await;
        let mut listener = b.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))).await.unwrap();
        let mut second = a.net().dial("b", 80).await.unwrap();
        let mut second_far = listener.accept().await.unwrap();
        let conditions = Conditions { messages_per_second: NonZeroU32::new(4), ..Conditions::default() };
        sim.set_conditions("a", "b", conditions);
        near.write_all(&[0; 60_000]).await.unwrap();
        second.write_all(b"x").await.unwrap();
        let mut long = vec![0; 60_000];
        assert_eq!(timed(&b, far.read_exact(&mut long)).await.0, ms(250), "one message, whatever its length");
        assert_eq!(timed(&b, second_far.read_u8()).await.0, ms(250), "after the other");
        for _ in 0..8 {
            near.write_all(b"x").await.unwrap();
        }
        let all = async {
            for _ in 0..8 {
                far.read_u8().await.unwrap();
            }
        };
        assert_eq!(timed(&b, all).await.0, ms(2000));
        assert_eq!(timed(&a, send(&mut far, &mut near)).await.0, ms(0), "the other direction");
        sim.set_conditions("a", "b", Conditions::default());
        assert_eq!(timed(&a, send(&mut near, &mut far)).await.0, ms(0), "over");
    });
}

#[test]
fn what_is_lost_comes_late_and_all_of_it() {
    simulated(|sim, a, b| async move {
        let (mut near, mut far) = pair(&a, &b).await;
        sim.set_conditions("a", "b", Conditions { loss_per_mille: 300, ..Conditions::default() });
        let mut late = 0;
        for _ in 0..100 {
            let (took, read) = timed(&a, send(&mut near, &mut far)).await;
            assert_eq!(read.unwrap(), b'x');
            assert_eq!(took.as_millis() % 200, 0, "retransmissions at 200, 600, 1400 ms: {took:?}");
            late += usize::from(!took.is_zero());
        }
        assert!((15..=45).contains(&late), "three in ten: {late}");
        assert_eq!(timed(&a, send(&mut far, &mut near)).await.0, ms(0), "the control: the other direction");
    });
}

#[test]
fn one_way_cuts_let_the_other_direction_through() {
    simulated(|sim, a, b| async move {
        let (mut near, mut far) = pair(&a, &b).await;
        sim.cut_one_way("a", "b");
        near.write_all(b"x").await.unwrap();
        assert!(hangs(&b, Duration::from_secs(600), far.read_u8()).await);
        assert_eq!(send(&mut far, &mut near).await.unwrap(), b'x', "b's arrive");
        for host in [&a, &b] {
            let to = if host.name() == "a" { "b" } else { "a" };
            let (took, dialled) = timed(host, host.net().dial(to, PORT)).await;
            assert_eq!((took, dialled.unwrap_err().kind), (Duration::from_secs(30), DialErrorKind::TimedOut));
            assert_eq!(host.net().reaches(to, PORT), Some(false));
        }
        sim.heal("b", "a");
        let (took, read) = timed(&b, far.read_u8()).await;
        // 660 s after it was written: nobody had given up on it yet.
        assert_eq!((took, read.map_err(|e| e.kind())), (ms(0), Ok(b'x')));
    });
}

/// A sender gives up 924.6 s after what nobody acknowledged; who has sent nothing waits on.
#[test]
fn who_had_something_to_say_gives_up_after_a_quarter_of_an_hour() {
    for (heal_after, dies) in [(ms(924_599), false), (ms(924_601), true)] {
        simulated(|sim, a, b| async move {
            let (mut near, mut far) = pair(&a, &b).await;
            sim.cut("a", "b");
            near.write_all(b"x").await.unwrap();
            sim.elapse(heal_after).await;
            let read = a.clock().timeout(ms(0), near.read_u8()).await;
            match (dies, read) {
                (true, Ok(Err(e))) => {
                    assert_eq!(
                        (e.kind(), e.to_string()),
                        (ErrorKind::TimedOut, "connection timed out".into())
                    );
                    sim.heal("a", "b");
                    assert!(hangs(&b, Duration::from_secs(3600), far.read_u8()).await, "b was told nothing");
                    far.write_all(b"x").await.unwrap();
                    assert_eq!(far.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
                }
                (false, Err(_)) => {
                    sim.heal("a", "b");
                    assert_eq!(far.read_u8().await.unwrap(), b'x');
                    assert_eq!(send(&mut far, &mut near).await.unwrap(), b'x');
                }
                (_, other) => panic!("{heal_after:?}: {other:?}"),
            }
        });
    }
}

#[test]
fn a_writer_waits_for_room_on_a_cut_connection() {
    simulated(|sim, a, b| async move {
        let (mut near, mut far) = pair(&a, &b).await;
        sim.cut_one_way("b", "a");
        for _ in 0..256 {
            near.write_all(b"x").await.unwrap();
        }
        let mut all = [0; 256];
        far.read_exact(&mut all).await.unwrap();
        assert!(
            hangs(&a, Duration::from_secs(60), near.write_all(b"y")).await,
            "all read, none acknowledged"
        );
        sim.heal("a", "b");
        near.write_all(b"y").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'y');
    });
}

#[test]
fn a_forgotten_connection_is_half_open_and_others_work() {
    simulated(|sim, a, b| async move {
        let (mut near, mut far) = pair(&a, &b).await;
        assert_eq!(sim.half_open("a", "b", PORT), 1);
        assert_eq!(sim.half_open("b", "a", PORT), 0, "the control: dialled the other way");
        assert!(hangs(&b, Duration::from_secs(86_400), far.read_u8()).await, "nobody tells");
        let (took, read) = {
            near.write_all(b"x").await.unwrap();
            timed(&a, near.read_u8()).await
        };
        assert_eq!((took, read.unwrap_err().kind()), (ms(924_600), ErrorKind::TimedOut));
        let (mut near, mut far) = {
            let mut listener = b.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80))).await.unwrap();
            (a.net().dial("b", 80).await.unwrap(), listener.accept().await.unwrap())
        };
        assert_eq!(send(&mut near, &mut far).await.unwrap(), b'x');
    });
}

/// Reboot says goodbye, a power failure does not: a peer that waits hears nothing, one that writes hears it from the
/// machine when that is back.
#[test]
fn after_a_power_failure_peers_are_told_by_a_reset_when_they_write() {
    simulated(|sim, a, b| async move {
        let accepts = |host: &Host| {
            let inner = host.clone();
            host.spawn(async move {
                let mut listener =
                    inner.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await.unwrap();
                let mut kept = Vec::new();
                while let Ok(stream) = listener.accept().await {
                    kept.push(stream);
                }
            })
        };
        let server = b.process("server");
        accepts(server.host());
        sim.elapse(ms(1)).await;
        let mut control = a.net().dial("b", PORT).await.unwrap();
        sim.reboot("b", Duration::from_secs(10)).await;
        assert_eq!(control.read_u8().await.unwrap_err().kind(), ErrorKind::UnexpectedEof, "the control: FIN");

        let server = b.process("server");
        accepts(server.host());
        sim.elapse(ms(1)).await;
        let mut silent = a.net().dial("b", PORT).await.unwrap();
        let mut early = a.net().dial("b", PORT).await.unwrap();
        let mut late = a.net().dial("b", PORT).await.unwrap();
        let mut own = b.net().dial("127.0.0.1", PORT).await.unwrap();
        let mut failure = Box::pin(sim.power_failure("b", Duration::from_secs(60)));
        assert!(futures::poll!(failure.as_mut()).is_pending());
        sim.elapse(ms(1)).await;
        assert_eq!(
            own.read_u8().await.unwrap_err().kind(),
            ErrorKind::ConnectionReset,
            "none of b's processes"
        );
        let (took, dialled) = timed(&a, a.net().dial("b", PORT)).await;
        assert_eq!((took, dialled.unwrap_err().kind), (Duration::from_secs(30), DialErrorKind::TimedOut));
        early.write_all(b"x").await.unwrap();
        assert!(hangs(&a, Duration::from_secs(20), early.read_u8()).await);
        failure.await;
        assert_eq!(
            early.read_u8().await.unwrap_err().kind(),
            ErrorKind::ConnectionReset,
            "as soon as it is back"
        );
        assert_eq!(
            a.net().dial("b", PORT).await.unwrap_err().kind,
            DialErrorKind::Refused,
            "nobody listens yet"
        );
        assert!(
            hangs(&a, Duration::from_secs(86_400), silent.read_u8()).await,
            "who says nothing hears nothing"
        );
        sim.set_conditions("a", "b", Conditions { latency: ms(7), ..Conditions::default() });
        late.write_all(b"x").await.unwrap();
        let (took, read) = timed(&a, late.read_u8()).await;
        assert_eq!(
            (took, read.unwrap_err().kind()),
            (ms(7), ErrorKind::ConnectionReset),
            "a round trip later"
        );
    });
}

#[test]
fn a_wrong_name_leads_elsewhere_nowhere_or_into_silence() {
    simulated(|sim, a, b| async move {
        let c = sim.host("c");
        let _b = b.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await.unwrap();
        let _c = c.net().listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))).await.unwrap();
        let where_to = async |host: &Host| host.net().dial("b", PORT).await.map(|s| s.remote_addr().ip());
        assert_eq!(where_to(&a).await.unwrap(), b.net().address(), "the control");
        sim.resolve("a", "b", Some(Resolution::Host("c".into())));
        assert_eq!(where_to(&a).await.unwrap(), c.net().address());
        assert_eq!(where_to(&c).await.unwrap(), b.net().address(), "only a is misled");
        sim.resolve("a", "b", Some(Resolution::Unknown));
        assert_eq!(where_to(&a).await.unwrap_err().to_string(), "dial tcp: lookup b: no such host");
        sim.resolve("a", "b", Some(Resolution::Silence));
        let (took, silence) = timed(&a, where_to(&a)).await;
        assert_eq!(
            (took, silence.unwrap_err().to_string().as_str()),
            (Duration::from_secs(10), "dial tcp: lookup b: i/o timeout")
        );
        assert!(a.net().dial(&b.net().address().to_string(), PORT).await.is_ok(), "an address needs no name");
        sim.resolve("a", "b", None);
        assert_eq!(where_to(&a).await.unwrap(), b.net().address());
    });
}

#[test]
fn every_fault_is_in_the_trace_and_one_seed_gives_one_trace() {
    let trace = |seed| {
        run(Config { seed, ..Config::default() }, async |sim: Sim| {
            let (a, b) = (sim.host("a"), sim.host("b"));
            let (mut near, mut far) = pair(&a, &b).await;
            let conditions = Conditions {
                latency: ms(3),
                jitter: ms(9),
                messages_per_second: NonZeroU32::new(100),
                loss_per_mille: 50,
            };
            sim.set_conditions("a", "b", conditions);
            for _ in 0..50 {
                let (took, _) = timed(&a, send(&mut near, &mut far)).await;
                b.record("heard", vec![("after", format!("{took:?}"))]);
            }
            sim.cut_one_way("a", "b");
            sim.heal("a", "b");
            sim.half_open("a", "b", PORT);
            sim.resolve("a", "b", Some(Resolution::Unknown));
            sim.power_failure("b", ms(5)).await;
            sim.events().iter().map(ToString::to_string).collect::<Vec<_>>()
        })
        .unwrap()
    };
    let first = trace(3);
    assert_eq!(first, trace(3));
    assert_ne!(first, trace(4));
    for words in [
        "network conditions=a->b latency=3ms jitter=9ms messages_per_second=100 loss_per_mille=50",
        "network cut=a->b",
        "network heal=a|b",
        "network half_open=a->b:6443 connections=1",
        "network name=b resolves=no such host",
        "power failure=",
        "power on=",
    ] {
        assert!(first.iter().any(|line| line.ends_with(words)), "{words}: {first:#?}");
    }
}
