//! Passes on fixtures: what they make of them, and that the values stay.

use ppl::exec::reference;
use ppl::ir::{Function, Op, Tensor, Type, parse, verify};
use ppl::passes;
use proptest::prelude::*;

use crate::effort::cases;
use crate::random_ir;
use crate::tolerance::close;

/// Runs what the first line of a fixture says.
fn run(text: &str, f: &Function) -> Function {
    let line = text.lines().next().unwrap();
    let names = line.strip_prefix("; run: ").expect("a fixture starts with `; run: …`");
    match names.trim() {
        "optimize" => passes::optimize(f),
        names => {
            let names: Vec<&str> = names.split(',').map(str::trim).collect();
            passes::run_named(f, &names).expect("known passes")
        }
    }
}

/// Both give the same values at a few points: equal up to rounding where the first is finite.
fn same_values(before: &Function, after: &Function, lo: f64, hi: f64) -> Result<(), String> {
    for seed in 1..6 {
        let inputs = random_ir::inputs(before, seed, lo, hi);
        let (old, new) =
            (reference::evaluate(before, &inputs), reference::evaluate(after, &inputs));
        for (i, (old, new)) in old.iter().zip(&new).enumerate() {
            if old.ty != new.ty {
                return Err(format!("output {i} was {} and is {}\n{after}", old.ty, new.ty));
            }
            for (x, y) in old.data.iter().zip(&*new.data) {
                if x.is_finite() && !close(*x, *y, 1e-11, 1e-11) {
                    return Err(format!("output {i} was {x} and is {y}:\n{before}\n{after}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn fixtures_simplify_and_keep_their_values() {
    insta::glob!("../passes", "ok_*.ir", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let before = parse::parse(&text).unwrap();
        verify::verify(&before).unwrap();
        let after = run(&text, &before);
        verify::verify(&after).unwrap();
        same_values(&before, &after, 0.1, 2.0).unwrap();
        same_values(&before, &after, -2.0, 2.0).unwrap();
        insta::assert_snapshot!(after.to_string());
    });
}

#[test]
fn optimizing_twice_changes_nothing() {
    insta::glob!("../passes", "ok_*.ir", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let once = passes::optimize(&parse::parse(&text).unwrap());
        assert_eq!(passes::optimize(&once).to_string(), once.to_string());
    });
}

#[test]
fn binding_data_folds_what_depends_on_it() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/passes/ok_data.ir"))
            .unwrap();
    let f = parse::parse(&text).unwrap();
    let y = Tensor::new(Type::real([3].as_slice()), vec![1.0, 2.0, 4.0]);
    let bound = passes::bind(&f, &[("y", y.clone())]);
    assert_eq!(bound.inputs.len(), 1);
    let bound = passes::optimize(&bound);
    // Σ y² is a number now.
    assert!(
        bound.insts.iter().any(|i| matches!(&i.op, Op::Const(t) if *t.data == [21.0])),
        "{bound}"
    );
    let mu = Tensor::scalar(0.3);
    let direct = reference::evaluate(&f, &[mu.clone(), y]);
    let after = reference::evaluate(&bound, &[mu]);
    assert!(close(direct[0].data[0], after[0].data[0], 1e-13, 0.0));
}

#[test]
fn verify_refuses_what_breaks_an_invariant() {
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/passes")).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("bad_") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // `; error: message` stands on the line of the instruction.
        let marked = text.lines().find(|l| l.contains("; error: ")).unwrap();
        let (code, message) = marked.split_once("; error: ").unwrap();
        let error = verify::verify(&parse::parse(&text).unwrap()).unwrap_err();
        assert!(error.to_string().contains(message.trim()), "{path:?}: {error}");
        if let Some((value, _)) = code.trim().split_once(':') {
            assert_eq!(error.place, value, "{path:?}");
        }
        count += 1;
    }
    assert!(count >= 8, "only {count} fixtures");
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn random_functions_keep_their_values(choices in proptest::collection::vec(any::<(u8, u8, u8)>(), 1..40)) {
        let f = random_ir::function(&choices);
        let after = passes::optimize(&f);
        prop_assert_eq!(verify::verify(&after), Ok(()));
        if let Err(message) = same_values(&f, &after, -1.0, 1.0) {
            return Err(TestCaseError::fail(message));
        }
    }
}
