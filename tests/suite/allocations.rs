//! Nothing is allocated in the steady state of an evaluation: counted on this thread.

use std::path::PathBuf;

use allocation_counter::measure;
use ppl::data::DataSet;
use ppl::density::{LogDensity, Residuals};
use ppl::driver::Session;
use ppl::real::Real;

/// Points in a batch; 5 and 64 are blocks of lanes, 1 is straight-line code.
const BATCHES: [usize; 3] = [1, 5, 64];

#[test]
fn evaluations_allocate_nothing() {
    // Fused loops and products, a matrix product of data, a recursion.
    for name in ["eight_schools", "sonar", "garch"] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let text = std::fs::read_to_string(folder.join("model.ppl")).unwrap();
        let data = DataSet::read(&folder.join("data.json")).unwrap();
        let mut session = Session::new();
        let posterior = session
            .check("model.ppl", &text)
            .and_then(|model| session.compile(&model, &data))
            .unwrap_or_else(|| panic!("{name}: {}", session.render(false)));
        for batch in BATCHES {
            check(name, &**posterior.target().f64, batch);
            check(name, &**posterior.target().f32, batch);
        }
    }
}

fn check<E: Real>(name: &str, density: &dyn LogDensity<E>, batch: usize) {
    let d = density.dim();
    let z = vec![E::of(0.1); batch * d];
    let (mut log_p, mut score) = (vec![E::zero(); batch], vec![E::zero(); batch * d]);
    let (mut product, mut keep) = (vec![E::zero(); batch * d], Residuals::default());
    let mut evaluate = || {
        density.log_density(&z, &mut log_p);
        density.score(&z, &mut log_p, &mut score);
        density.score_keep(&z, &mut score, &mut keep);
        density.hvp(&keep, &z, &mut product);
    };
    // The first makes the memory for blocks of this many lanes.
    evaluate();
    let counted = measure(evaluate);
    assert_eq!(counted.count_total, 0, "{name}, {batch} points: {counted:?}");
}
