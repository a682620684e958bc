//! Solver and matrix operations: each point by itself, in `f64`, with work space of its own.
//!
//! The reference executor gives the solvers functions that it evaluates, the fast one tapes.

use crate::ir::{Function, Inst, Method, Ode, Op, Root, Search, Shape, Tensor, Tolerance, Type};

use super::numeric::newton::Equations;
use super::numeric::{self, System, Way};
use super::reference;
use super::tape::Tape;

/// The value of one of these operations, for the reference executor.
pub(super) fn apply(inst: &Inst, args: &[&Tensor]) -> Vec<f64> {
    match &inst.op {
        Op::Ode(ode) => {
            let mut out = vec![0.0; inst.ty.len()];
            let fixed: Vec<Tensor> = args[1..].iter().map(|&t| t.clone()).collect();
            let mut y = reference::evaluate(&ode.init, &fixed).swap_remove(0).data.to_vec();
            let mut system = Evaluated { problem: &**ode, args: fixed };
            let way = Way::of(&ode.method);
            numeric::solve(&mut system, way, &mut y, &args[0].data, ode.tolerance, &mut out);
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

    /// The result at one point.
    pub(super) fn run(&self, args: &[&[f64]], out: &mut [f64]) {
        match self {
            Solver::Ode { init, rhs, jacobian, way, states, tolerance } => {
                let mut y = vec![0.0; *states];
                let start = init.start(&args[1..]);
                init.output(&start, 0, &mut y);
                let mut system = Taped {
                    rhs: (rhs, rhs.start(&args[1..])),
                    jacobian: jacobian.as_ref().map(|j| (j, j.start(&args[1..]))),
                };
                numeric::solve(&mut system, *way, &mut y, args[0], *tolerance, out);
            }
            Solver::Root { system, search: how } => {
                out.copy_from_slice(args[0]);
                let mut equations = TapedEquations(system, system.start(&args[1..]));
                search(*how, &mut equations, out);
            }
            Solver::Matrix { op, shapes } => {
                let shapes: Vec<&Shape> = shapes.iter().collect();
                out.copy_from_slice(&matrix(op, args, &shapes));
            }
        }
    }
}

/// Right-hand side and Jacobian with their registers.
struct Taped<'a> {
    rhs: (&'a Tape, Vec<f64>),
    jacobian: Option<(&'a Tape, Vec<f64>)>,
}

impl System for Taped<'_> {
    fn slope(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        let (tape, state) = &mut self.rhs;
        tape.run(state, &[&[t], y]);
        tape.output(state, 0, out);
    }

    fn jacobian(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        if let Some((tape, state)) = &mut self.jacobian {
            tape.run(state, &[&[t], y]);
            tape.output(state, 0, out);
        }
    }
}

struct TapedEquations<'a>(&'a Tape, Vec<f64>);

impl Equations for TapedEquations<'_> {
    fn evaluate(&mut self, x: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) {
        self.0.run(&mut self.1, &[x]);
        self.0.output(&self.1, 0, residuals);
        self.0.output(&self.1, 1, jacobian);
    }
}
