//! Random functions: the fast executor against the reference, before and after the passes, and the text of
//! each function.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ppl::autodiff;
use ppl::exec::program::Program;
use ppl::exec::reference;
use ppl::ir::{Function, parse, print, verify};
use ppl::passes;
use ppl_fuzz::close;

#[allow(dead_code, reason = "the test suite uses the rest")]
#[path = "../../tests/suite/random_ir.rs"]
mod random_ir;

fuzz_target!(|choices: Vec<(u8, u8, u8)>| {
    if choices.len() > 24 {
        return;
    }
    let f = random_ir::function(&choices);
    compare(&f, &f, 1e-11);
    let text = print::to_text(&f);
    assert_eq!(print::to_text(&parse::parse(&text).expect("its own text")), text);
    let optimized = passes::optimize(&f);
    compare(&optimized, &f, 1e-9);
    // The last output is a scalar; its slope by each input.
    let mut scalar = f.clone();
    scalar.outputs.drain(..f.outputs.len() - 1);
    for input in 0..f.inputs.len() {
        if let Ok(gradient) = autodiff::gradient(&scalar, input) {
            compare(&passes::optimize(&gradient), &gradient, 1e-7);
        }
    }
});

/// The fast executor on `fast` at seven points against the reference on `slow`.
fn compare(fast: &Function, slow: &Function, tolerance: f64) {
    verify::verify(fast).unwrap_or_else(|e| panic!("{e:?}\n{fast}"));
    let points: Vec<_> = (0..7).map(|seed| random_ir::inputs(slow, seed + 1, -1.0, 1.0)).collect();
    let inputs: Vec<Vec<f64>> = (0..slow.inputs.len())
        .map(|i| points.iter().flat_map(|p| p[i].data.iter().copied()).collect())
        .collect();
    let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<Vec<f64>> =
        slow.outputs.iter().map(|o| vec![-99.0; slow.ty(o.value).len() * points.len()]).collect();
    let mut slices: Vec<&mut [f64]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    Program::<f64>::compile(fast).run(points.len(), &inputs, &mut slices);
    for (b, point) in points.iter().enumerate() {
        for (o, expected) in reference::evaluate(slow, point).iter().enumerate() {
            let n = expected.data.len();
            for (i, want) in expected.data.iter().enumerate() {
                let got = outputs[o][b * n + i];
                let fine = close(got, *want, tolerance) || !want.is_finite();
                assert!(fine, "{got} for {want} in output {o}[{i}] of point {b}\n{fast}\n{slow}");
            }
        }
    }
}
