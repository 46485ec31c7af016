//! Room on the stack. Futures of a whole control plane are deep, in a build that is not optimised above all, and a test's
//! thread has two MiB unless somebody says otherwise.

/// What is asked for; only what is used of it is memory.
const ROOM: usize = 8 << 20;
/// With so much left nothing is to be done.
const ENOUGH: usize = 6 << 20;

/// Runs `work` on this thread, with room for it.
pub(crate) fn with_room<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(ENOUGH, ROOM, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_with_little_room_is_given_more_and_stays_the_same() {
        let little = std::thread::Builder::new().stack_size(256 << 10);
        let seen = little.spawn(|| {
            let me = std::thread::current().id();
            with_room(|| (stacker::remaining_stack() >= Some(ENOUGH), std::thread::current().id() == me))
        });
        assert_eq!(seen.unwrap().join().unwrap(), (true, true));
    }

    #[test]
    fn a_panic_comes_through() {
        let little = std::thread::Builder::new().stack_size(256 << 10);
        let panicked =
            little.spawn(|| with_room::<()>(|| panic!("as a failed assertion does"))).unwrap().join();
        let why = panicked.unwrap_err();
        assert_eq!(why.downcast_ref::<&str>(), Some(&"as a failed assertion does"));
    }
}
