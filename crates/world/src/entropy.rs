//! Chance, in one place: seeded in the simulated gear, the operating system's in the real one.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// Letters of generated names: no vowels and none of 0, 1, 3, so that no word appears by chance
/// (apimachinery `util/rand`).
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A source of chance. Clones share one stream.
#[derive(Clone)]
pub struct Entropy(Arc<Mutex<ChaCha12Rng>>);

impl Entropy {
    /// A stream that depends on `seed` and `label` only.
    pub fn seeded(seed: u64, label: &str) -> Self {
        // FNV-1a spreads the label; the stream number keeps hosts of one seed apart.
        let label = label
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        rng.set_stream(label);
        Self(Arc::new(Mutex::new(rng)))
    }

    /// A stream seeded by the operating system.
    pub fn system() -> Self {
        Self(Arc::new(Mutex::new(ChaCha12Rng::from_os_rng())))
    }

    /// From now on the stream of all clones is that of `seed` and `label`.
    pub(crate) fn reseed(&self, seed: u64, label: &str) {
        let other = Self::seeded(seed, label);
        let rng = other.0.lock().clone();
        *self.0.lock() = rng;
    }

    /// Fills `buf` with random bytes.
    pub fn fill(&self, buf: &mut [u8]) {
        self.0.lock().fill_bytes(buf);
    }

    /// A uniform integer.
    pub fn u64(&self) -> u64 {
        self.0.lock().next_u64()
    }

    /// A uniform number in `[0, 1)`.
    pub fn unit(&self) -> f64 {
        self.0.lock().random::<f64>()
    }

    /// A uniform integer in `[0, n)`; 0 when `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.0.lock().random_range(0..n) }
    }

    /// `d` stretched by a uniform factor in `[1, 1 + max_factor)`, as client-go's `wait.Jitter`.
    pub fn jitter(&self, d: std::time::Duration, max_factor: f64) -> std::time::Duration {
        d.mul_f64(1.0 + self.unit() * max_factor)
    }

    /// A version 4 UUID in lower-case text form.
    pub fn uuid(&self) -> String {
        let mut b = [0u8; 16];
        self.fill(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        // Every request and every object has one: no formatting machinery for them.
        let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble });
        let mut text = String::with_capacity(36);
        for (i, byte) in b.into_iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0x0f));
        }
        text
    }

    /// `n` characters of the alphabet that Kubernetes' generated names use.
    pub fn name_suffix(&self, n: usize) -> String {
        self.pick(NAME_ALPHABET, n)
    }

    /// `n` characters picked uniformly from the ASCII `alphabet`.
    pub fn pick(&self, alphabet: &[u8], n: usize) -> String {
        (0..n).map(|_| alphabet[self.below(alphabet.len() as u64) as usize] as char).collect()
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}
