//! Whether the time that a comparison takes tells how much of a secret was right.

use std::{hint::black_box, time::Duration};

/// The shortest of many rounds, which no other load makes shorter.
#[expect(clippy::disallowed_methods, reason = "the time that the machine takes is what is asked for")]
fn shortest(mut round: impl FnMut()) -> Duration {
    let one = |round: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        round();
        start.elapsed()
    };
    (0..50).map(|_| one(&mut round)).min().unwrap_or_default()
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
    let compare = |guess: &str| {
        shortest(|| assert!(!black_box(pki::token::same_secret(black_box(&secret), black_box(guess)))))
    };
    let naive = |guess: &str| shortest(|| assert!(black_box(secret.as_str()) != black_box(guess)));
    let ratio = |a: Duration, b: Duration| b.as_secs_f64() / a.as_secs_f64();
    // The twin: what an ordinary comparison gives away is seen by this measure.
    let leak = ratio(naive(&early), naive(&late));
    assert!(leak > 10.0, "an ordinary comparison took {leak:.1} times as long: the measure is too coarse");
    let told = ratio(compare(&early), compare(&late));
    assert!((0.5..2.0).contains(&told), "a late difference took {told:.2} times as long as an early one");
    assert!(pki::token::same_secret(&secret, &secret));
}
