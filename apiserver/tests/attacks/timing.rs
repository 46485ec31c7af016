//! Whether the time that a comparison takes tells how much of a secret was right.

use std::{hint::black_box, time::Duration};

#[expect(clippy::disallowed_methods, reason = "the time that the machine takes is what is asked for")]
fn took(round: impl Fn()) -> Duration {
    let start = std::time::Instant::now();
    round();
    start.elapsed()
}

/// How many times as long `late` takes as `early`, each by the shortest of many rounds, which no other load makes shorter.
/// They take turns: what slows the machine for a while slows both.
fn ratio(early: impl Fn(), late: impl Fn()) -> f64 {
    let (mut first, mut second) = (Duration::MAX, Duration::MAX);
    for _ in 0..50 {
        first = first.min(took(&early));
        second = second.min(took(&late));
    }
    second.as_secs_f64() / first.as_secs_f64()
}

#[test]
fn attack_by_the_time_of_a_comparison() {
    const LENGTH: usize = 1 << 20;
    let secret = "s".repeat(LENGTH);
    let with = |at: usize| {
        let mut guess = secret.clone().into_bytes();
        guess[at] = b'x';
        String::from_utf8(guess).unwrap()
    };
    let (early, late) = (with(0), with(LENGTH - 1));
    let compare =
        |guess: &str| assert!(!black_box(pki::token::same_secret(black_box(&secret), black_box(guess))));
    let naive = |guess: &str| assert!(black_box(secret.as_str()) != black_box(guess));
    // The twin: what an ordinary comparison gives away is seen by this measure.
    let leak = ratio(|| naive(&early), || naive(&late));
    assert!(leak > 10.0, "an ordinary comparison took {leak:.1} times as long: the measure is too coarse");
    // A leak shows each time; that it seems to be there, on a busy machine, only now and then.
    let mut told = 0.0;
    let even = (0..10).any(|_| {
        told = ratio(|| compare(&early), || compare(&late));
        (0.5..2.0).contains(&told)
    });
    assert!(even, "each time, a late difference took {told:.2} times as long as an early one");
    assert!(pki::token::same_secret(&secret, &secret));
}
