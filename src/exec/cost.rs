//! What each step of a plan costs for a point: arithmetic and traffic by its form, time by running it.
//!
//! Operations: two for each term of a matrix product, one for each element of anything else, elementary
//! functions included; what solvers do is not known. Bytes: operands read and results written, shared
//! ones once for all points of a block; most of them stay in the cache.

use std::fmt;
use std::time::Instant;

use super::element::Element;
use super::plan::{LoopOp, Plan, Step};
use super::run::run_steps;
use super::workspace::Workspace;

/// Runs of a plan; the fastest of each step counts.
const RUNS: usize = 200;
/// Coordinates of the points that are timed.
const AT: f64 = 0.1;

/// Of one step, for one point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) operations: f64,
    pub(super) bytes: f64,
    pub(super) nanoseconds: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { operations, bytes, nanoseconds } = self;
        write!(f, "{operations:.0} operations, {bytes:.0} bytes, {nanoseconds:.1} ns")
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        let none = Cost { operations: 0.0, bytes: 0.0, nanoseconds: 0.0 };
        costs.fold(none, |a, b| Cost {
            operations: a.operations + b.operations,
            bytes: a.bytes + b.bytes,
            nanoseconds: a.nanoseconds + b.nanoseconds,
        })
    }
}

/// The cost of each step in blocks of `lanes` points of `inputs` numbers.
pub(super) fn costs<E: Element>(plan: &Plan<E>, lanes: usize, inputs: usize) -> Vec<Cost> {
    let mut work = Workspace::new(plan, lanes);
    let points = vec![E::of(AT); inputs * lanes];
    let mut seconds = vec![f64::INFINITY; plan.steps.len()];
    for _ in 0..RUNS {
        for (i, fastest) in seconds.iter_mut().enumerate() {
            let began = Instant::now();
            run_steps(i..i + 1, plan, &mut work, [&points, &[]], lanes);
            *fastest = fastest.min(began.elapsed().as_secs_f64());
        }
    }
    let per_point = 1.0 / lanes as f64;
    let of_step = |(step, seconds): (&Step<E>, f64)| Cost {
        operations: operations(step, plan, lanes) as f64 * per_point,
        bytes: (numbers(step, plan, lanes) * size_of::<E>()) as f64 * per_point,
        nanoseconds: seconds * 1e9 * per_point,
    };
    plan.steps.iter().zip(seconds).map(of_step).collect()
}

/// Operations of a step for a block.
fn operations<E>(step: &Step<E>, plan: &Plan<E>, lanes: usize) -> usize {
    let width = |value: usize| plan.values[value].class.width(lanes);
    let elements = |value: usize| plan.values[value].len * width(value);
    match step {
        Step::Fused(fused) => {
            let counted = |op: &&LoopOp| !matches!(op, LoopOp::Load { .. } | LoopOp::Store { .. });
            fused.ops.iter().filter(counted).count() * fused.len * fused.class.width(lanes)
        }
        Step::Place { .. } | Step::Gather { .. } | Step::Solver { .. } => 0,
        Step::Scatter { data, .. } | Step::ScatterAt { data, .. } => data.len * width(data.value),
        Step::CumSum { out, .. } => elements(*out),
        Step::Extreme { data, log_sum_exp, .. } => {
            data.len * width(data.value) * if *log_sum_exp { 3 } else { 1 }
        }
        Step::MatMul(product) => {
            let (m, k, n) = product.size;
            2 * m * k * n * width(product.out)
        }
        Step::Cholesky { n, out, .. } => n.pow(3) / 3 * width(*out),
        Step::TriSolve { n, cols, out, .. } => n * n * cols * width(*out),
        Step::Scan(scan) => {
            let body: usize =
                scan.body.steps.iter().map(|step| operations(step, &scan.body, lanes)).sum();
            scan.length * body
        }
    }
}

/// Numbers that a step reads and writes for a block.
fn numbers<E>(step: &Step<E>, plan: &Plan<E>, lanes: usize) -> usize {
    let width = |value: usize| plan.values[value].class.width(lanes);
    let read: usize = step.reads().iter().map(|view| view.len * width(view.value)).sum();
    let written: usize =
        step.results().iter().map(|&value| plan.values[value].len * width(value)).sum();
    read + written
}
