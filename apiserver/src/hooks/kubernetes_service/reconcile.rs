//! What the endpoints of the service are to be, given what they are: upstream's two reconcilers.

use api::object::ObjectExt;
use serde_json::{Value, json};

/// Whose addresses are to be there.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// Theirs and nobody else's: whoever has a lease.
    These(Vec<String>),
    /// Our own, and no more than so many: upstream's master count. It never learns who has gone.
    OneOf { own: String, most: usize },
    /// Those that are there, but for one that leaves.
    Without(String),
}

/// The subsets of the Endpoints. `ports`: whether a port that is not ours is corrected.
pub(super) fn subsets(there: Option<&Value>, expected: &Expected, port: u16, ports: bool) -> Vec<Value> {
    let own_ports = json!([{ "name": "https", "port": port, "protocol": "TCP" }]);
    // More than one subset is nobody's doing of us: made anew.
    let subset = there.map(|object| object.list_at("/subsets")).and_then(|all| match all {
        [one] => Some(one),
        _ => None,
    });
    let held: Vec<String> = subset
        .map(|s| s.list_at("/addresses"))
        .unwrap_or_default()
        .iter()
        .map(|address| address.str_at("/ip").to_owned())
        .collect();
    let mut addresses = match expected {
        Expected::These(all) => all.clone(),
        Expected::Without(gone) => held.into_iter().filter(|address| address != gone).collect(),
        Expected::OneOf { own, most } => crowded(held, own, *most),
    };
    // As text, as upstream packs them.
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Vec::new();
    }
    let ports = match subset.map(|s| s.list_at("/ports")) {
        Some(held) if !ports && !held.is_empty() => json!(held),
        _ => own_ports,
    };
    let addresses: Vec<Value> = addresses.into_iter().map(|ip| json!({ "ip": ip })).collect();
    vec![json!({ "addresses": addresses, "ports": ports })]
}

/// Our own address is always among them; of too many those go that come after it, and then from the start.
fn crowded(mut held: Vec<String>, own: &str, most: usize) -> Vec<String> {
    held.push(own.to_owned());
    held.sort_unstable();
    held.dedup();
    let at = held.iter().position(|address| address == own).unwrap_or_default();
    held.rotate_left(at);
    // Ours first, then those after it: what is kept are the last ones before ours.
    let many = held.len().saturating_sub(most);
    held.drain(1..=many);
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(addresses: &[&str], port: u16) -> Value {
        let addresses: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
        let ports = json!([{ "name": "https", "port": port, "protocol": "TCP" }]);
        json!({ "subsets": [{ "addresses": addresses, "ports": ports }] })
    }

    #[track_caller]
    fn check(there: Option<Value>, expected: Expected, ports: bool, wanted: (&[&str], u16)) {
        let found = json!({ "subsets": subsets(there.as_ref(), &expected, 6443, ports) });
        assert_eq!(found, endpoints(wanted.0, wanted.1), "{there:?} {expected:?}");
    }

    #[test]
    fn by_leases_exactly_those_are_there_that_have_one() {
        let these = |all: &[&str]| Expected::These(all.iter().map(|a| (*a).to_owned()).collect());
        check(None, these(&["b", "a"]), true, (&["a", "b"], 6443));
        check(Some(endpoints(&["a", "x"], 6443)), these(&["a", "b"]), true, (&["a", "b"], 6443));
        // The port is corrected by who starts, and left alone by who goes on.
        check(Some(endpoints(&["a"], 7443)), these(&["a"]), true, (&["a"], 6443));
        check(Some(endpoints(&["a"], 7443)), these(&["a"]), false, (&["a"], 7443));
        // What nobody of us writes is made anew.
        let mut two = endpoints(&["a"], 7443);
        two["subsets"] = json!([two["subsets"][0], two["subsets"][0]]);
        check(Some(two), these(&["a"]), false, (&["a"], 6443));
        assert_eq!(subsets(Some(&endpoints(&["a"], 1)), &these(&[]), 6443, true), Vec::<Value>::new());
    }

    #[test]
    fn by_count_each_adds_itself_and_of_too_many_the_next_ones_go() {
        let own = |own: &str, most| Expected::OneOf { own: own.to_owned(), most };
        check(None, own("a", 1), true, (&["a"], 6443));
        check(Some(endpoints(&["a", "b"], 6443)), own("c", 3), true, (&["a", "b", "c"], 6443));
        check(Some(endpoints(&["a", "b", "c"], 6443)), own("b", 2), true, (&["a", "b"], 6443));
        check(Some(endpoints(&["a", "b", "d"], 6443)), own("c", 3), true, (&["a", "b", "c"], 6443));
        check(Some(endpoints(&["a", "b"], 6443)), own("c", 2), true, (&["b", "c"], 6443));
        check(Some(endpoints(&["a"], 6443)), own("b", 1), true, (&["b"], 6443));
        check(Some(endpoints(&["a", "b"], 7443)), Expected::Without("b".to_owned()), false, (&["a"], 7443));
    }
}
