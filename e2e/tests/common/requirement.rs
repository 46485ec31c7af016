//! What a test needs of the machine: where it is required its absence is a failure, elsewhere it is said in one line.

/// Whether a test may go on that needs `name`. `CHRONOPLANE_REQUIRE=docker,etcd` names what must be there.
pub fn met(name: &str, there: bool, otherwise: &str) -> bool {
    let required =
        std::env::var("CHRONOPLANE_REQUIRE").is_ok_and(|list| list.split(',').any(|known| known == name));
    assert!(there || !required, "CHRONOPLANE_REQUIRE names {name}: {otherwise}");
    if !there {
        eprintln!("SKIPPED: {otherwise}");
    }
    there
}
