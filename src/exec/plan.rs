//! A plan: what a program does, step by step, and where its values are stored. Data structure only;
//! `schedule` makes plans, `run` executes them.

use std::sync::Arc;

use super::kernels::elementwise::Micro;
use super::solver::Solver;
use super::straight::{Body, Stretch};
use super::view::{Class, View};

/// Where a value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Nowhere: it lives in registers of a fused loop, or nobody reads it.
    Register,
    /// In the plan's constants.
    Const(usize),
    /// In the caller's buffer number `buffer`, from element `offset` on.
    External {
        /// Which buffer.
        buffer: usize,
        /// First element.
        offset: usize,
    },
    /// In a slot of the workspace, from its start.
    Slot(usize),
}

/// A planned value.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Number of elements.
    pub(super) len: usize,
    /// Whether it differs between lanes.
    pub(super) class: Class,
    /// Where it is.
    pub(super) home: Home,
}

/// A buffer of the workspace that values take turns in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Most elements of a value in it.
    pub(super) len: usize,
    /// Class of the values in it.
    pub(super) class: Class,
}

/// A compiled function.
#[derive(Debug, Clone)]
pub(super) struct Plan<E> {
    pub(super) values: Vec<Value>,
    pub(super) steps: Vec<Step<E>>,
    /// The steps as one lane alone runs them.
    pub(super) alone: Vec<Stretch<E>>,
    pub(super) consts: Vec<Arc<[E]>>,
    pub(super) slots: Vec<Slot>,
    /// The value that each input is put in before a run; `None` when it is not read.
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) outputs: Vec<View>,
    /// Registers that the largest fused loop needs.
    pub(super) registers: usize,
    /// Sums that the largest fused loop accumulates.
    pub(super) sums: usize,
}

impl<E> Plan<E> {
    /// Numbers that one lane keeps in the workspace, nested plans included.
    pub(super) fn numbers_per_lane(&self) -> usize {
        let own: usize =
            self.slots.iter().filter(|s| s.class == Class::Varying).map(|s| s.len).sum();
        let nested = self.steps.iter().map(|step| match step {
            Step::Scan(scan) => scan.body.numbers_per_lane(),
            _ => 0,
        });
        own + nested.sum::<usize>()
    }
}

/// One step of a plan. `out` and the like are values of the plan.
#[derive(Debug, Clone)]
pub(super) enum Step<E> {
    Fused(FusedLoop),
    /// Puts parts into a tensor, zeros elsewhere if `zero`.
    Place {
        parts: Vec<(View, Places)>,
        zero: bool,
        out: usize,
    },
    /// Indexing by values that are known at run time only.
    Gather {
        data: View,
        index: View,
        before: usize,
        size: usize,
        after: usize,
        out: usize,
    },
    /// Adds element `e` of `data` to element `places[e]`; `u32::MAX` is nowhere.
    Scatter {
        data: View,
        places: Arc<[u32]>,
        out: usize,
    },
    /// The same with indices known at run time only.
    ScatterAt {
        data: View,
        index: View,
        before: usize,
        size: usize,
        after: usize,
        out: usize,
    },
    CumSum {
        data: View,
        before: usize,
        size: usize,
        after: usize,
        reverse: bool,
        out: usize,
    },
    /// Maximum (`log_sum_exp` false) or log-sum-exp of rows of `cols` elements.
    Extreme {
        data: View,
        cols: usize,
        log_sum_exp: bool,
        out: usize,
    },
    MatMul(MatMul),
    Cholesky {
        a: View,
        n: usize,
        out: usize,
    },
    TriSolve {
        a: View,
        b: View,
        n: usize,
        cols: usize,
        lower: bool,
        trans: bool,
        out: usize,
    },
    /// A solver or an operation on a whole matrix, one lane at a time.
    Solver {
        solver: Box<Solver>,
        args: Vec<View>,
        out: usize,
    },
    Scan(Box<ScanPlan<E>>),
}

impl<E> Step<E> {
    /// What it reads.
    pub(super) fn reads(&self) -> Vec<&View> {
        match self {
            Step::Fused(fused) => fused.sources.iter().collect(),
            Step::Place { parts, .. } => parts.iter().map(|(view, _)| view).collect(),
            Step::Gather { data, index, .. } | Step::ScatterAt { data, index, .. } => {
                vec![data, index]
            }
            Step::Scatter { data, .. } | Step::CumSum { data, .. } | Step::Extreme { data, .. } => {
                vec![data]
            }
            Step::MatMul(product) => vec![&product.a, &product.b],
            Step::Cholesky { a, .. } => vec![a],
            Step::TriSolve { a, b, .. } => vec![a, b],
            Step::Solver { args, .. } => args.iter().collect(),
            Step::Scan(scan) => {
                let rows = scan.xs.iter().chain(&scan.fixed).map(|(view, _)| view);
                scan.carries.iter().chain(rows).collect()
            }
        }
    }

    /// The values that it makes.
    pub(super) fn results(&self) -> Vec<usize> {
        match self {
            Step::Fused(f) => f.stores.iter().chain(&f.sums).chain(&f.columns).copied().collect(),
            Step::Scan(scan) => scan.components.clone(),
            Step::MatMul(product) => vec![product.out],
            Step::Place { out, .. }
            | Step::Gather { out, .. }
            | Step::Scatter { out, .. }
            | Step::ScatterAt { out, .. }
            | Step::CumSum { out, .. }
            | Step::Extreme { out, .. }
            | Step::Cholesky { out, .. }
            | Step::TriSolve { out, .. }
            | Step::Solver { out, .. } => vec![*out],
        }
    }
}

/// Where the elements of a part go.
#[derive(Debug, Clone)]
pub(super) enum Places {
    /// Consecutively from here.
    From(usize),
    /// Blocks of `chunk` elements, `stride` apart, the first at `start`.
    Blocks { start: usize, chunk: usize, stride: usize },
    /// One by one.
    Table(Arc<[u32]>),
}

/// `out = a b`: `a` is `[m, k]` with the given strides, `b` is `[k, n]` row-major.
#[derive(Debug, Clone)]
pub(super) struct MatMul {
    pub(super) a: View,
    pub(super) b: View,
    pub(super) size: (usize, usize, usize),
    /// Elements between rows and between columns of `a`.
    pub(super) a_strides: (usize, usize),
    pub(super) out: usize,
}

/// A loop: the body runs in the same lanes, step by step.
#[derive(Debug, Clone)]
pub(super) struct ScanPlan<E> {
    pub(super) body: Plan<E>,
    pub(super) length: usize,
    pub(super) reverse: bool,
    /// Class of the carries and of the results.
    pub(super) class: Class,
    /// Initial states, then row-wise operands, then invariants that are not constant, each with the
    /// body's input.
    pub(super) carries: Vec<View>,
    pub(super) xs: Vec<(View, usize)>,
    pub(super) fixed: Vec<(View, usize)>,
    /// All of the body as straight-line code, where it comes apart.
    pub(super) straight: Option<Body<E>>,
    /// The value of each component: final carries, then stacked outputs.
    pub(super) components: Vec<usize>,
    /// Which nested workspace is its own.
    pub(super) child: usize,
}

/// Operand of a step of a fused loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arg {
    /// Not used.
    None,
    /// A register.
    Reg(usize),
    /// The tile of a source, read in place.
    Source(usize),
}

/// One step of a fused loop, done for a tile.
#[derive(Debug, Clone)]
pub(super) enum LoopOp {
    /// Copies a tile of a source to a register.
    Load { source: usize, reg: usize },
    /// Computes a register.
    Apply { op: Micro, args: [Arg; 3], reg: usize },
    /// Writes a register to `stores[out]`.
    Store { arg: Arg, out: usize },
    /// Adds up the elements of each row into `sums[out]`.
    Sum { arg: Arg, out: usize },
    /// Adds the rows up into `columns[out]`.
    SumColumns { arg: Arg, out: usize },
}

/// An elementwise loop over `len` elements, done tile by tile so that intermediates stay in the cache.
#[derive(Debug, Clone)]
pub(super) struct FusedLoop {
    pub(super) len: usize,
    pub(super) class: Class,
    /// Row length of the sums at the end; `len` where there are none.
    pub(super) cols: usize,
    pub(super) sources: Vec<View>,
    /// Sources that are one element, put in a register before the loop.
    pub(super) once: Vec<(usize, usize)>,
    pub(super) ops: Vec<LoopOp>,
    pub(super) stores: Vec<usize>,
    pub(super) sums: Vec<usize>,
    pub(super) columns: Vec<usize>,
    pub(super) registers: usize,
}
