//! Nothing is done that was not paid for: what an evaluation really does is bounded by what it
//! costs, whatever shares its parts with whatever else.

use proptest::{prelude::*, sample::select};
use serde_json::{Value as Json, json};

use super::{Decl, Environment, Value, Variables, decl};
use crate::cel::session::work_done;

/// As far as these evaluations go.
const LIMIT: u64 = 20_000;
/// Steps that one unit of cost may stand for, and what an evaluation does before it has cost anything.
const STEPS: u64 = 110;
const START: u64 = 1000;

#[track_caller]
fn check(source: &str, decl: &std::sync::Arc<Decl>, object: &Json) -> u64 {
    let program = match Environment::default().with("self", decl).compile(source) {
        Ok(program) => program,
        Err(words) => panic!("{source}: {words}"),
    };
    let mut variables = Variables::new();
    variables.insert("self", Value::read(object, decl));
    work_done();
    let (_, cost) = program.evaluate_up_to(LIMIT, &variables);
    let done = work_done();
    assert!(done <= START + cost.saturating_mul(STEPS), "{source}: {done} steps for {cost}");
    done
}

/// A text in which each name stands for two of the one before it.
fn doubling(steps: &[&str], last: &str) -> String {
    let mut source = last.replace('@', &format!("x{}", steps.len()));
    for (n, step) in steps.iter().enumerate().rev() {
        source = format!("cel.bind(x{}, {}, {source})", n + 1, step.replace('@', &format!("x{n}")));
    }
    format!("cel.bind(x0, ['a'], {source})")
}

const STEP: [&str; 6] = [
    "[@, @]",
    "[[@, @], [@]]",
    "[dyn({'k': @, 'l': @})]",
    "[optional.of(@), optional.of(@)]",
    "[@] + [@]",
    "[@].map(e, [e, e])",
];
const LAST: [&str; 11] = [
    "@ == @",
    "@ != dyn([])",
    "'%s %s'.format([@, @]).size() > 0",
    "dyn([@, @]).flatten(1000).size() > 0",
    "@ in [@, @]",
    "[@, @].distinct().size() == 1",
    "sets.equivalent([@, @], [@])",
    "[@, @].indexOf(@) == 0",
    "[@, @].lastIndexOf(@) == 1",
    "[@, @].all(e, e == @)",
    "{'a': @} == {'a': @}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shared_parts_are_paid_for_each_time_they_are_walked(
        steps in prop::collection::vec(select(&STEP[..]), 0..40),
        last in select(&LAST[..]),
    ) {
        // Types of what mixes lists and options do not meet everywhere.
        let source = doubling(&steps, last);
        if Environment::default().compile(&source).is_ok() {
            check(&source, &decl(), &json!({}));
        }
    }
}

#[test]
fn thirty_doublings_end_early() {
    for last in LAST {
        let done = check(&doubling(&["[@, @]"; 30], last), &decl(), &json!({}));
        assert!(done < 2 * LIMIT * STEPS, "{last}: {done}");
    }
}

#[test]
fn a_few_doublings_are_no_reason_to_stop() {
    let source = doubling(&["[@, @]"; 8], "@ == @ && '%s'.format([@]).size() > 0");
    let program = Environment::default().compile(&source).unwrap();
    assert!(matches!(program.evaluate(&Variables::new()), (Ok(Value::Bool(true)), _)));
}

#[test]
fn what_lies_in_an_object_is_paid_for_too() {
    let object = json!({
        "list": (0..3000).collect::<Vec<_>>(),
        "set": (0..3000).map(|n| format!("element-{n}")).collect::<Vec<_>>(),
        "items": (0..3000).map(|n| json!({"name": format!("n{n}"), "n": n})).collect::<Vec<_>>(),
        "labels": (0..3000).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>(),
        "text": "ä".repeat(100_000),
        "raw": "aGk=".repeat(10_000),
    });
    for source in [
        "self.list.all(x, self.list == self.list)",
        "self.list.all(x, self.labels == self.labels)",
        "self.list.all(x, self.items == self.items)",
        "self.list.all(x, self.set == self.set)",
        "self.list.all(x, self.set + self.set == self.set)",
        "self.list.all(x, self.labels.exists(k, true))",
        "self.list.all(x, self.labels.transformMap(k, v, v) == self.labels)",
        "self.list.all(x, self.raw == self.raw)",
        "self.list.all(x, self.raw.size() > 0)",
        "self.list.all(x, self.text.size() > 0)",
        "self.list.all(x, self.text.charAt(3) == 'ä')",
        "self.list.all(x, self.text.replace('', self.text).size() > 0)",
        "self.list.all(x, self.text.split('').size() > 0)",
        "self.list.all(x, self.set.join(self.text).size() > 0)",
        "self.list.all(x, self.set.sort().size() > 0)",
        "self.list.all(x, self.set.min() == self.set.max())",
        "self.list.all(x, '%s'.format([self.items]).size() > 0)",
        "self.list.all(x, '%.1000f'.format([1.0]).size() > 0)",
        "self.list.all(x, self.text.matches('(ä|b){' + string(x) + '}'))",
        "self.list.all(x, cel.bind(m, self.set.transformMap(i, v, v), m[x] == 'y'))",
        "self.list.all(x, b'some bytes' == b'some bytes')",
        "cel.bind(u, url('/?' + self.set.join('&')), self.list.all(x, u.getQuery().size() > 0))",
    ] {
        check(source, &decl(), &object);
    }
}

/// A map of `n` entries compared with its like costs as many times as much as it is larger.
#[test]
fn equality_of_maps_is_linear() {
    let cost = |n: usize| {
        let labels: serde_json::Map<_, _> = (0..n).map(|n| (format!("k{n:05}"), json!("v"))).collect();
        check(
            "self.labels == self.labels && self.labels.transformMap(k, v, v) == self.labels",
            &decl(),
            &json!({"labels": labels}),
        )
    };
    assert!(cost(8000) < 20 * cost(800));
}
