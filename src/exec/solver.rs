//! Solver and matrix operations: each point by itself or beside others that it does not depend on, in
//! `f64`, with work space of its own.
//!
//! The reference executor gives the solvers functions that it evaluates, the fast one tapes.

use smallvec::SmallVec;

use crate::ir::{Function, Inst, Method, Ode, Op, Root, Search, Shape, Tensor, Tolerance, Type};

use super::numeric::newton::Equations;
use super::numeric::runge_kutta::{self, Problems};
use super::numeric::{self, System, Way};
use super::reference;
use super::tape::Tape;

/// Points side by side where there are several, and where there are many.
const LANES: usize = 8;
const MANY_LANES: usize = 16;

/// The value of one of these operations, for the reference executor.
pub(super) fn apply(inst: &Inst, args: &[&Tensor]) -> Vec<f64> {
    match &inst.op {
        Op::Ode(ode) => {
            let mut out = vec![f64::NAN; inst.ty.len()];
            let fixed: Vec<Tensor> = args[1..].iter().map(|&t| t.clone()).collect();
            let mut y = reference::evaluate(&ode.init, &fixed).swap_remove(0).data.to_vec();
            let mut system = Evaluated { problem: &**ode, args: fixed };
            let times = &*args[0].data;
            match Way::of(&ode.method) {
                Way::Explicit => {
                    let n = y.len();
                    let mut problem = One { system, y, times, out: &mut out };
                    runge_kutta::solve(&mut problem, 1, n, ode.tolerance);
                }
                way => numeric::solve(&mut system, way, &mut y, times, ode.tolerance, &mut out),
            }
            out
        }
        Op::Root(root) => {
            let mut x = args[0].data.to_vec();
            let fixed: Vec<Tensor> = args[1..].iter().map(|&t| t.clone()).collect();
            let mut system = Evaluated { problem: &**root, args: fixed };
            search(root.search, &mut system, &mut x);
            x
        }
        op => {
            let numbers: Vec<&[f64]> = args.iter().map(|t| &*t.data).collect();
            let shapes: Vec<&Shape> = args.iter().map(|t| &t.ty.shape).collect();
            matrix(op, &numbers, &shapes)
        }
    }
}

/// Replaces the guess `x` by a root.
fn search(how: Search, system: &mut dyn Equations, x: &mut [f64]) {
    match how {
        Search::Newton(tolerance) => numeric::newton::solve(system, x, tolerance),
        Search::Increasing => numeric::increasing::solve(system, &mut x[0]),
    }
}

fn matrix(op: &Op, args: &[&[f64]], shapes: &[&Shape]) -> Vec<f64> {
    let n = shapes[0][0];
    match op {
        Op::Solve { trans } => numeric::lu::solve(args[0], args[1], n, shapes[1][1], *trans),
        Op::Det => vec![numeric::lu::Lu::new(args[0].to_vec(), n).determinant()],
        Op::LogAbsDet => vec![numeric::lu::Lu::new(args[0].to_vec(), n).log_abs_determinant()],
        Op::EigenSym => numeric::eigen::symmetric(args[0], n),
        Op::MatrixExp => numeric::expm::exp(args[0], n),
        Op::SortIndices => {
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&i, &j| args[0][i].total_cmp(&args[0][j]));
            #[allow(clippy::cast_precision_loss, reason = "indices are far below 2^53")]
            order.into_iter().map(|i| i as f64).collect()
        }
        other => unreachable!("bug in ppl: {other:?} is no operation of `solver`"),
    }
}

/// Functions evaluated by the reference executor.
struct Evaluated<'a, P> {
    problem: &'a P,
    args: Vec<Tensor>,
}

impl<P> Evaluated<'_, P> {
    fn evaluate(&self, f: &Function, first: &[&[f64]]) -> Vec<Tensor> {
        let mut inputs: Vec<Tensor> = f
            .inputs
            .iter()
            .zip(first)
            .map(|(input, &x)| Tensor::new(input.ty.clone(), x[..input.ty.len()].to_vec()))
            .collect();
        inputs.extend_from_slice(&self.args);
        reference::evaluate(f, &inputs)
    }
}

impl System for Evaluated<'_, Ode> {
    fn slope(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.evaluate(&self.problem.rhs, &[&[t], y])[0].data);
    }

    fn jacobian(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        if let Method::Implicit { jacobian } = &self.problem.method {
            out.copy_from_slice(&self.evaluate(jacobian, &[&[t], y])[0].data);
        }
    }
}

/// One problem and its solution so far.
struct One<'a> {
    system: Evaluated<'a, Ode>,
    y: Vec<f64>,
    times: &'a [f64],
    out: &'a mut [f64],
}

impl Problems<1> for One<'_> {
    fn enter(&mut self, _: usize, _: usize) -> Vec<f64> {
        self.y.clone()
    }

    fn times(&self, _: usize) -> &[f64] {
        self.times
    }

    fn slope(&mut self, t: &[f64; 1], y: &[[f64; 1]], out: &mut [[f64; 1]]) {
        self.system.slope(t[0], y.as_flattened(), out.as_flattened_mut());
    }

    fn reached(&mut self, _: usize, row: usize, y: &mut dyn Iterator<Item = f64>) {
        self.out[row * self.y.len()..].iter_mut().zip(y).for_each(|(out, y)| *out = y);
    }
}

impl Equations for Evaluated<'_, Root> {
    fn evaluate(&mut self, x: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) {
        let found = Evaluated::evaluate(self, &self.problem.system, &[x]);
        residuals.copy_from_slice(&found[0].data);
        jacobian.copy_from_slice(&found[1].data);
    }
}

/// One of these operations as a step of a plan.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "plans keep it in a box")]
pub(super) enum Solver {
    Ode {
        init: Tape,
        rhs: Tape,
        jacobian: Option<Tape>,
        way: Way,
        states: usize,
        tolerance: Tolerance,
    },
    Root {
        system: Tape,
        search: Search,
    },
    Matrix {
        op: Op,
        shapes: Vec<Shape>,
    },
}

impl Solver {
    /// Compiles an operation on operands of the given types; `known` holds those known now.
    pub(super) fn new(op: &Op, operands: &[&Type], known: &[Option<Tensor>]) -> Self {
        match op {
            Op::Ode(ode) => {
                let known = &known[1..];
                let jacobian = match &ode.method {
                    Method::Implicit { jacobian } => Some(Tape::new(jacobian, 2, known)),
                    Method::Explicit | Method::Quadrature => None,
                };
                Solver::Ode {
                    init: Tape::new(&ode.init, 0, known),
                    rhs: Tape::new(&ode.rhs, 2, known),
                    jacobian,
                    way: Way::of(&ode.method),
                    states: ode.states(),
                    tolerance: ode.tolerance,
                }
            }
            Op::Root(root) => Solver::Root {
                system: Tape::new(&root.system, 1, &known[1..]),
                search: root.search,
            },
            op => Solver::Matrix {
                op: op.clone(),
                shapes: operands.iter().map(|ty| ty.shape.clone()).collect(),
            },
        }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Solver::Ode { way: Way::Explicit, .. } => "ode",
            Solver::Ode { way: Way::Implicit { .. }, .. } => "stiff ode",
            Solver::Ode { way: Way::Quadrature, .. } => "quadrature",
            Solver::Root { .. } => "root",
            Solver::Matrix { op, .. } => match op {
                Op::Solve { trans: false } => "solve",
                Op::Solve { trans: true } => "solve transposed",
                Op::Det => "det",
                Op::LogAbsDet => "log_abs_det",
                Op::EigenSym => "eigen_sym",
                Op::MatrixExp => "matrix_exp",
                _ => "sort_indices",
            },
        }
    }

    /// The results at some points, `[points, n]`, for numbers of that relative resolution: no differential
    /// equation is solved more exactly.
    pub(super) fn run(&self, points: usize, args: &Arguments, resolution: f64, out: &mut [f64]) {
        let no_finer = |tolerance: &Tolerance| Tolerance {
            relative: tolerance.relative.max(resolution),
            ..*tolerance
        };
        let rows = out.chunks_exact_mut((out.len() / points.max(1)).max(1));
        match self {
            Solver::Ode { init, rhs, way: Way::Explicit, states, tolerance, .. } => {
                out.fill(f64::NAN);
                let problems = Taped { init, rhs, args, points, states: *states };
                let tolerance = no_finer(tolerance);
                match points {
                    1 => problems.solve::<1>(tolerance, out),
                    _ if points <= MANY_LANES => problems.solve::<LANES>(tolerance, out),
                    _ => problems.solve::<MANY_LANES>(tolerance, out),
                }
            }
            Solver::Ode { init, rhs, jacobian, way, states, tolerance } => {
                let tolerance = no_finer(tolerance);
                for (point, out) in rows.enumerate() {
                    let args = args.of(point);
                    let mut y = initial(init, *states, &args[1..]);
                    let mut system = TapedSystem {
                        rhs: Started::new(rhs, &args[1..]),
                        jacobian: jacobian.as_ref().map(|j| Started::new(j, &args[1..])),
                    };
                    numeric::solve(&mut system, *way, &mut y, args[0], tolerance, out);
                }
            }
            Solver::Root { system, search: how } => {
                for (point, out) in rows.enumerate() {
                    let args = args.of(point);
                    out.copy_from_slice(args[0]);
                    search(*how, &mut Started::new(system, &args[1..]), out);
                }
            }
            Solver::Matrix { op, shapes } => {
                let shapes: Vec<&Shape> = shapes.iter().collect();
                for (point, out) in rows.enumerate() {
                    out.copy_from_slice(&matrix(op, &args.of(point), &shapes));
                }
            }
        }
    }
}

/// The operands of a solver at some points.
#[derive(Debug)]
pub(super) struct Arguments {
    /// Their numbers, point after point, and how many a point has; 0 for those that all have in common.
    pub(super) numbers: Vec<(Vec<f64>, usize)>,
}

impl Arguments {
    /// Those at one point.
    fn of(&self, point: usize) -> Vec<&[f64]> {
        (0..self.numbers.len()).map(|arg| self.one(arg, point)).collect()
    }

    fn one(&self, arg: usize, point: usize) -> &[f64] {
        match &self.numbers[arg] {
            (numbers, 0) => numbers,
            (numbers, n) => &numbers[point * n..(point + 1) * n],
        }
    }
}

/// A tape at one point, with its registers.
struct Started<'a> {
    tape: &'a Tape,
    state: Vec<[f64; 1]>,
}

impl<'a> Started<'a> {
    fn new(tape: &'a Tape, fixed: &[&[f64]]) -> Self {
        let mut state = tape.registers();
        tape.start(&mut state, 0, fixed);
        Started { tape, state }
    }

    fn run<const N: usize>(&mut self, inputs: &[&[f64]], outputs: [&mut [f64]; N]) {
        let inputs: SmallVec<[&[[f64; 1]]; 2]> = inputs.iter().map(|x| x.as_chunks().0).collect();
        let mut outputs = outputs.map(|x| x.as_chunks_mut().0);
        self.tape.run(&mut self.state, &inputs, &mut outputs);
    }
}

/// The initial state at one point.
fn initial(tape: &Tape, states: usize, fixed: &[&[f64]]) -> Vec<f64> {
    let mut y = vec![0.0; states];
    Started::new(tape, fixed).run(&[], [&mut y]);
    y
}

struct TapedSystem<'a> {
    rhs: Started<'a>,
    jacobian: Option<Started<'a>>,
}

impl System for TapedSystem<'_> {
    fn slope(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        self.rhs.run(&[&[t], y], [out]);
    }

    fn jacobian(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        if let Some(jacobian) = &mut self.jacobian {
            jacobian.run(&[&[t], y], [out]);
        }
    }
}

impl Equations for Started<'_> {
    fn evaluate(&mut self, x: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) {
        self.run(&[x], [residuals, jacobian]);
    }
}

/// An initial value problem at some points.
#[derive(Clone, Copy)]
struct Taped<'a> {
    init: &'a Tape,
    rhs: &'a Tape,
    args: &'a Arguments,
    points: usize,
    states: usize,
}

impl Taped<'_> {
    /// Solves with `W` points side by side.
    fn solve<const W: usize>(self, tolerance: Tolerance, out: &mut [f64]) {
        let mut running = Running::<W> { problem: self, state: self.rhs.registers(), out };
        runge_kutta::solve(&mut running, self.points, self.states, tolerance);
    }
}

struct Running<'a, const W: usize> {
    problem: Taped<'a>,
    state: Vec<[f64; W]>,
    /// Solutions, `[points, times, states]`.
    out: &'a mut [f64],
}

impl<const W: usize> Problems<W> for Running<'_, W> {
    fn enter(&mut self, lane: usize, problem: usize) -> Vec<f64> {
        let Taped { init, rhs, args, states, .. } = self.problem;
        let args = args.of(problem);
        rhs.start(&mut self.state, lane, &args[1..]);
        initial(init, states, &args[1..])
    }

    fn times(&self, problem: usize) -> &[f64] {
        self.problem.args.one(0, problem)
    }

    fn slope(&mut self, t: &[f64; W], y: &[[f64; W]], out: &mut [[f64; W]]) {
        self.problem.rhs.run(&mut self.state, &[&[*t], y], &mut [out]);
    }

    fn reached(&mut self, problem: usize, row: usize, y: &mut dyn Iterator<Item = f64>) {
        let at = problem * (self.out.len() / self.problem.points) + row * self.problem.states;
        self.out[at..].iter_mut().zip(y).for_each(|(out, y)| *out = y);
    }
}
