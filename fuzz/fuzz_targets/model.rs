//! Models drawn from the grammar go through the whole compiler; the compiled density and its score agree
//! with the reference executor on the function that the model was lowered to.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use ppl::autodiff;
use ppl::data::{DataSet, Limits};
use ppl::driver::Session;
use ppl::exec::reference;
use ppl::ir::{Tensor, Type};
use ppl::passes;
use ppl::source::FileId;
use ppl::syntax;
use ppl_fuzz::{close, model};

/// Small, so that an execution is quick.
const LIMITS: Limits = Limits { elements: Some(1 << 12), operations: Some(1 << 12) };

#[allow(dead_code, reason = "the test suite uses the rest")]
#[path = "../../tests/suite/random_ir.rs"]
mod random_ir;

fuzz_target!(|bytes: &[u8]| {
    let text = model::text(&mut Unstructured::new(bytes));
    assert!(syntax::format(FileId(0), &text).is_ok(), "{text}");
    let mut session = Session::new();
    let data = DataSet::from_arrays([]).with_limits(LIMITS);
    let checked = session.check("m.ppl", &text);
    let posterior = checked.and_then(|model| session.compile(&model, &data));
    let said = session.render(false);
    assert_eq!(posterior.is_none(), session.has_errors(), "{text}\n{said}");
    let Some(posterior) = posterior else { return };
    let (d, lowered) = (posterior.dim(), posterior.lowered());
    let data: Vec<_> = lowered.data.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let f = &passes::bind(&lowered.function, &data);
    if d == 0 {
        return;
    }
    let gradient = autodiff::gradient(f, 0).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    let at = |f: &ppl::ir::Function, z: &[f64]| {
        let theta = Tensor::new(Type::real([d].as_slice()), z.to_vec());
        reference::evaluate(f, &[theta])
    };
    for seed in 0..3 {
        let z = random_ir::numbers(seed + 1, d, -1.5, 1.5);
        let (mut log_p, mut score) = ([0.0], vec![0.0; d]);
        posterior.target().f64.score(&z, &mut log_p, &mut score);
        let want = at(f, &z)[0].data[0];
        let slope = at(&gradient, &z).pop().expect("its last output");
        // How far rounding may move it: what a change in the last digits does, many times over.
        let near: Vec<f64> = z.iter().map(|x| x * (1.0 + 1e-12)).collect();
        let shaken = (at(f, &near)[0].data[0] - want).abs();
        if !want.is_finite() || want.abs() > 1e9 || !(shaken < 1e-3) {
            continue;
        }
        let tolerance = 1e-9 + 1e3 * shaken;
        assert!(close(log_p[0], want, tolerance), "{} for {want} at {z:?}\n{text}", log_p[0]);
        let moved = at(&gradient, &near).pop().expect("its last output");
        for ((got, want), moved) in score.iter().zip(&*slope.data).zip(&*moved.data) {
            let shaken = (moved - want).abs();
            let fine = !want.is_finite()
                || want.abs() > 1e9
                || !(shaken < 1e-3)
                || close(*got, *want, 1e-8 + 1e3 * shaken);
            assert!(fine, "slope {got} for {want} at {z:?}\n{text}");
        }
    }
});
