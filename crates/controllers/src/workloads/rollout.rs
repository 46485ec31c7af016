//! The arithmetic of a rolling update, free of requests (`pkg/controller/deployment/util`).

use api::object::ObjectExt as _;
use serde_json::Value;

/// How many pods a Deployment may have above and below its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub surge: i64,
    pub unavailable: i64,
}

/// A percentage or a number of `of`.
pub(crate) fn scaled(value: Option<&Value>, of: i64, up: bool) -> i64 {
    match value {
        Some(Value::Number(n)) => n.as_i64().unwrap_or(0),
        Some(Value::String(s)) => {
            let percent: i64 = s.trim_end_matches('%').parse().unwrap_or(0);
            let product = of * percent;
            if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) }
        }
        _ => 0,
    }
}

pub(super) fn bounds(deployment: &Value, replicas: i64) -> Bounds {
    if deployment.str_at("/spec/strategy/type") == "Recreate" {
        return Bounds { surge: 0, unavailable: replicas };
    }
    let setting = |key: &str| deployment.pointer(&format!("/spec/strategy/rollingUpdate/{key}"));
    let quarter = Value::from("25%");
    let surge = scaled(setting("maxSurge").or(Some(&quarter)), replicas, true);
    let unavailable = scaled(setting("maxUnavailable").or(Some(&quarter)), replicas, false);
    // Both zero would never move.
    Bounds { surge, unavailable: if surge == 0 && unavailable == 0 { 1 } else { unavailable.min(replicas) } }
}

/// Size of the new ReplicaSet in the next step.
pub(super) fn scale_up(bounds: Bounds, replicas: i64, new: i64, total: i64) -> i64 {
    if new >= replicas {
        return replicas;
    }
    let room = (replicas + bounds.surge - total).max(0);
    new + room.min(replicas - new)
}

/// One old ReplicaSet: its size and how many of its pods are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Old {
    pub size: i64,
    pub available: i64,
}

/// Sizes of the old ReplicaSets in the next step, oldest first: unhealthy pods go first, then as
/// many available ones as the bounds allow.
pub(super) fn scale_down(
    bounds: Bounds,
    replicas: i64,
    new_size: i64,
    new_available: i64,
    old: &[Old],
) -> Vec<i64> {
    let total: i64 = new_size + old.iter().map(|o| o.size).sum::<i64>();
    let least = replicas - bounds.unavailable;
    let mut may_go = (total - least - (new_size - new_available).max(0)).max(0);
    let mut sizes: Vec<i64> = old.iter().map(|o| o.size).collect();
    if may_go == 0 {
        // The counts below may be behind the sizes: what has just been taken away is counted as available.
        return sizes;
    }
    for (size, o) in sizes.iter_mut().zip(old) {
        let unhealthy = (o.size - o.available).max(0).min(may_go);
        *size -= unhealthy;
        may_go -= unhealthy;
    }
    let available: i64 = new_available + old.iter().map(|o| o.available).sum::<i64>();
    let mut spare = (available - least).max(0);
    for (size, o) in sizes.iter_mut().zip(old) {
        let go = (*size).min(o.available).min(spare).max(0);
        *size -= go;
        spare -= go;
    }
    sizes
}

/// One ReplicaSet whose deployment gets another size in the middle of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub size: i64,
    /// The most pods the deployment could have when the set was last scaled.
    pub most: i64,
}

/// Sizes of the ReplicaSets (oldest first) so that they add up to `most`, each as large a part of the
/// whole as before; what rounding leaves goes to the largest (`sync.go`, scale).
pub(super) fn proportional(sets: &[Share], most: i64) -> Vec<i64> {
    let total: i64 = sets.iter().map(|s| s.size).sum();
    let to_add = most - total;
    let mut order: Vec<usize> = (0..sets.len()).collect();
    // Up: the largest first, the newest of equals. Down: the largest first, the oldest of equals.
    order.sort_by_key(|&i| {
        let age = i64::try_from(i).unwrap_or(0);
        (-sets[i].size, if to_add > 0 { -age } else { age })
    });
    let mut sizes: Vec<i64> = sets.iter().map(|s| s.size).collect();
    let mut added = 0;
    for &i in &order {
        if to_add == 0 {
            break;
        }
        let whole = sets[i].most.max(1);
        // Rounded to the nearest, halves away from zero.
        let share = (2 * sets[i].size * most + whole).div_euclid(2 * whole) - sets[i].size;
        let left = to_add - added;
        let part = if to_add > 0 { share.min(left).max(0) } else { share.max(left).min(0) };
        sizes[i] += part;
        added += part;
    }
    if let Some(&first) = order.first() {
        sizes[first] = (sizes[first] + to_add - added).max(0);
    }
    sizes
}

/// Five to ten characters that name a pod template. Upstream hashes Go's print of the struct, which
/// nobody else can compute; ours hashes the template's JSON with the same function and alphabet.
pub(super) fn template_hash(template: &Value, collisions: i64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = format!("{template}{}", if collisions > 0 { collisions.to_string() } else { String::new() });
    let hash = text.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let digits = hash.to_string();
    digits.bytes().map(|b| char::from(ALPHABET[usize::from(b) % ALPHABET.len()])).collect()
}

/// Size asked for; 1 when unset.
pub(super) fn size(object: &Value) -> i64 {
    object.i64_at("/spec/replicas").unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_bounds(strategy: Value, replicas: i64, surge: i64, unavailable: i64) {
        let deployment = json!({"spec": {"strategy": strategy}});
        assert_eq!(
            bounds(&deployment, replicas),
            Bounds { surge, unavailable },
            "{deployment} of {replicas}"
        );
    }

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        let rolling = |s: Value, u: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": s, "maxUnavailable": u}});
        check_bounds(json!({}), 3, 1, 0);
        check_bounds(json!({}), 10, 3, 2);
        check_bounds(rolling(json!(0), json!("10%")), 3, 0, 1);
        check_bounds(rolling(json!(2), json!(1)), 3, 2, 1);
        check_bounds(json!({"type": "Recreate"}), 3, 0, 3);
    }

    #[test]
    fn a_new_size_is_shared_out() {
        let check = |sets: &[i64], before: i64, most: i64, expect: &[i64]| {
            let sets: Vec<Share> = sets.iter().map(|size| Share { size: *size, most: before }).collect();
            assert_eq!(proportional(&sets, most), expect, "{sets:?} to {most}");
        };
        check(&[5, 5], 10, 20, &[10, 10]);
        check(&[8, 5], 13, 18, &[11, 7]);
        check(&[5, 5], 10, 11, &[5, 6]);
        check(&[5, 5], 10, 9, &[4, 5]);
        check(&[8, 2], 10, 5, &[4, 1]);
        check(&[3, 1], 4, 0, &[0, 0]);
    }

    #[test]
    fn a_count_that_is_behind_takes_nothing_away_twice() {
        let bounds = Bounds { surge: 1, unavailable: 0 };
        let old = |size, available| [Old { size, available }];
        assert_eq!(scale_down(bounds, 3, 1, 1, &old(3, 3)), [2], "the first new one is available");
        assert_eq!(scale_down(bounds, 3, 2, 1, &old(2, 3)), [2], "its set still counts three");
    }

    #[test]
    fn a_rollout_ends_and_never_leaves_its_bounds() {
        for replicas in 0..12 {
            for (surge, unavailable) in [(1, 0), (0, 1), (2, 3), (5, 5)] {
                let b = Bounds { surge, unavailable: i64::min(unavailable, replicas.max(1)) };
                let (mut new, mut old) = (0, replicas);
                for _ in 0..100 {
                    new = scale_up(b, replicas, new, new + old);
                    assert!(new + old <= replicas + b.surge, "too many pods");
                    old = scale_down(b, replicas, new, new, &[Old { size: old, available: old }])[0];
                    assert!(new + old >= replicas - b.unavailable, "too few pods");
                }
                assert_eq!((new, old), (replicas, 0), "{replicas} with {b:?}");
            }
        }
    }
}
