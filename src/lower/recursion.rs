//! Recursions over earlier rows of the arrays being defined, as a scan.
//!
//! The step is lowered into a builder of its own. What in it does not depend on earlier rows is
//! computed in the enclosing function, for all steps at once, and read row by row.

use std::collections::{HashMap, HashSet};

use crate::check::builtins::Builtin;
use crate::check::typed::{Expr, ExprKind, Index, Stmt, StmtKind, VarId};
use crate::diagnostics::Code;
use crate::ir::{Builder, Function, Scan, Shape, Type, ValueId};

use super::Lower;
use super::elements::Frame;
use super::lowerer::Lowerer;
use super::value::{Axes, Axis, Val};
use super::walk::{any_expr, mentions};

/// A loop of a recursion: the array whose rows it defines, its index, its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps<'s> {
    pub(super) target: VarId,
    pub(super) index: VarId,
    pub(super) body: &'s [Stmt],
}

/// An array that a recursion defines, while its step is being lowered.
#[derive(Debug)]
struct Carried {
    target: VarId,
    /// Earlier rows: `rows[k - 1]` is the row `k` steps back.
    rows: Vec<Val>,
}

/// A recursion while its step is being lowered.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The other builder: the enclosing function while inside the step, the step while outside.
    other: Builder,
    pub(super) inside: bool,
    /// The loop's index as an axis of the enclosing function.
    axis: Axis,
    /// The same by the name that each loop has for it.
    indices: Vec<VarId>,
    arrays: Vec<Carried>,
    /// The conditions around the current expression in the other builder.
    other_guards: Vec<Val>,
    /// Variables whose values live in the step.
    step_vars: HashSet<VarId>,
    /// Step inputs made so far, by outer value, with whether they are read row by row.
    imports: Vec<(ValueId, bool)>,
    import_of: HashMap<(ValueId, bool), Val>,
    carried: usize,
}

impl Sequence {
    /// Whether the builder in use is that of the step.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    /// Whether it defines a variable.
    pub(super) fn defines(&self, var: VarId) -> bool {
        self.arrays.iter().any(|array| array.target == var)
    }

    /// The row of an array `lag` steps back.
    pub(super) fn row(&self, var: VarId, lag: i64) -> Option<&Val> {
        let array = self.arrays.iter().find(|array| array.target == var)?;
        array.rows.get(usize::try_from(lag - 1).ok()?)
    }

    /// How many steps back an index is, as in [`lag_of`].
    pub(super) fn lag_of(&self, e: &Expr) -> Option<i64> {
        self.indices.iter().find_map(|index| lag_of(e, *index))
    }

    /// The outer value that an input of the step is, unless it is read row by row.
    pub(super) fn imported_whole(&self, input: u32) -> Option<ValueId> {
        let import = (input as usize).checked_sub(self.carried)?;
        self.imports.get(import).filter(|(_, by_row)| !by_row).map(|(outer, _)| *outer)
    }
}

impl Lowerer<'_> {
    /// Loops that read rows up to some number of steps back, as a scan; `lags` has the arrays that they
    /// define, each with that number.
    pub(super) fn recursion(
        &mut self,
        lo: i64,
        hi: i64,
        lags: &[(VarId, i64)],
        loops: &[Steps<'_>],
    ) -> Lower<()> {
        let length = usize::try_from(hi - lo + 1).expect("checked by the caller");
        let mut initial = Vec::new();
        for &(target, lag) in lags {
            self.focus(target);
            for k in 1..=lag {
                let row = self.row_before(lo, k)?;
                initial.push(row);
            }
        }
        let frames: Vec<Frame> = lags.iter().map(|(target, _)| self.take_frame(*target)).collect();
        let outer = frames[0].outer.clone();
        let around: Shape = outer.iter().map(|&a| self.axes.length(a)).collect();
        let row_shape =
            |frame: &Frame| -> Shape { around.iter().chain(&frame.dims[1..]).copied().collect() };

        // The step.
        let axis = self.axes.add(length);
        let id = self.range(lo, hi);
        let mut step = Builder::new(self.model.var(frames[0].var).name.clone());
        step.set_span(self.b.span());
        let mut carried = 0;
        let mut arrays = Vec::new();
        for (frame, (target, lag)) in frames.iter().zip(lags) {
            let rows = (0..*lag).map(|_| {
                carried += 1;
                let ty = Type::real(row_shape(frame));
                Val { id: step.input(format!("back_{carried}"), ty), axes: outer.clone() }
            });
            arrays.push(Carried { target: *target, rows: rows.collect() });
        }
        for steps in loops {
            self.env.insert(steps.index, Val { id, axes: [axis].as_slice().into() });
        }
        let enclosing = std::mem::replace(&mut self.b, step);
        self.sequence = Some(Sequence {
            other: enclosing,
            other_guards: std::mem::take(&mut self.guards),
            inside: true,
            axis,
            indices: loops.iter().map(|steps| steps.index).collect(),
            arrays,
            carried,
            step_vars: HashSet::new(),
            imports: Vec::new(),
            import_of: HashMap::new(),
        });
        // In the step a frame is one row with a leading axis of one, so that indices keep their places.
        for frame in &frames {
            let mut one: Shape = [1].as_slice().into();
            one.extend_from_slice(&frame.dims[1..]);
            self.frames.push(Frame::new(frame.var, one, outer.clone()));
        }
        let done = self.within(&[axis], |l| {
            loops.iter().try_for_each(|steps| {
                l.focus(steps.target);
                steps.body.iter().try_for_each(|s| l.element_stmt(s))
            })
        });
        let rows: Vec<Frame> = lags.iter().map(|(target, _)| self.take_frame(*target)).collect();
        let rows = done.and_then(|()| rows.iter().map(|row| self.assemble(row)).collect());
        let rows = rows.map(|rows: Vec<Val>| -> Vec<ValueId> {
            let shaped = rows.iter().zip(&frames).map(|(row, frame)| {
                let row = self.as_real(row);
                self.b.reshape(row.id, &row_shape(frame))
            });
            shaped.collect()
        });
        let sequence = self.sequence.take().expect("set above");
        let step = std::mem::replace(&mut self.b, sequence.other);
        self.guards = sequence.other_guards;
        self.frames.extend(frames);
        let rows = rows?;

        // The scan: carries, then rows of outer values, then whole outer values.
        let mut order: Vec<usize> = (0..sequence.imports.len()).collect();
        order.sort_by_key(|&i| !sequence.imports[i].1);
        let xs = sequence.imports.iter().filter(|(_, by_row)| *by_row).count();
        let body = reorder(&step.finish(), &sequence.arrays, &order, &rows);
        let mut operands = initial;
        operands.extend(order.iter().map(|&i| sequence.imports[i].0));
        let scan = Scan { body, length, carries: carried, xs, reverse: false };
        let results = self.b.scan(scan, &operands);
        for ((target, _), stacked) in lags.iter().zip(&results[carried..]) {
            self.focus(*target);
            self.define_rows(lo, hi, *stacked)?;
        }
        Ok(())
    }

    /// The row of the array in focus `k` steps before step `lo`.
    fn row_before(&mut self, lo: i64, k: i64) -> Lower<ValueId> {
        let frame = self.frame().clone();
        let Some(row) = usize::try_from(lo - k - 1).ok().filter(|&r| r < frame.dims[0]) else {
            let name = &self.model.var(frame.var).name;
            let message =
                format!("element {name}[{}] does not exist, but the recursion reads it", lo - k);
            return Err(self.error(Code::E0505, message, "in this loop's first step"));
        };
        let len = frame.row_len();
        let positions: Vec<usize> = (row * len..(row + 1) * len).collect();
        let flat = self.pick(&frame, &positions)?;
        let flat = self.as_real(&flat);
        Ok(self.reshape_own(&flat, &frame.dims[1..]).id)
    }

    /// Defines rows `lo` to `hi` of the array in focus: `[T, outer…, row…]`.
    fn define_rows(&mut self, lo: i64, hi: i64, stacked: ValueId) -> Lower<()> {
        let (outer, len) = (self.frame().outer.clone(), self.frame().row_len());
        let length = self.b.shape(stacked)[0];
        let mut perm: Vec<usize> = (1..=outer.len()).collect();
        perm.push(0);
        perm.extend(outer.len() + 1..self.b.ty(stacked).rank());
        let turned = self.b.transpose(stacked, &perm);
        let piece = self.reshape_own(&Val { id: turned, axes: outer }, &[length * len]);
        let first = usize::try_from(lo - 1).map_err(|_| {
            self.error(
                Code::E0502,
                format!("index {lo} is outside of the array"),
                "in this loop's first step",
            )
        })?;
        let targets: Vec<usize> = (first * len..(first + length) * len).collect();
        if targets.last().is_some_and(|&t| t >= self.frame().defined.len()) {
            return Err(self.error(
                Code::E0502,
                format!("index {hi} is outside of the array"),
                "in this loop's last step",
            ));
        }
        self.add_piece(piece, &targets)
    }

    /// Whether an expression inside a step can be computed outside, for all steps at once.
    pub(super) fn hoists(&self, e: &Expr) -> bool {
        let Some(s) = &self.sequence else { return false };
        s.inside
            && !matches!(e.kind, ExprKind::Int(_) | ExprKind::Real(_) | ExprKind::Bool(_))
            && !any_expr(e, &mut |x| match &x.kind {
                ExprKind::Var(v) => s.defines(*v) || s.step_vars.contains(v),
                _ => false,
            })
    }

    /// The axes around the current expression in the function being built: inside a step, the steps are
    /// none.
    pub(super) fn loops_here(&self) -> Axes {
        let steps = self.sequence.as_ref().filter(|s| s.inside).map(|s| s.axis);
        self.loops.iter().copied().filter(|&a| Some(a) != steps).collect()
    }

    /// Computes something in the enclosing function and brings it into the step.
    pub(super) fn outside(&mut self, f: impl FnOnce(&mut Self) -> Lower<Val>) -> Lower<Val> {
        let here = self.b.span();
        let axis = self.sequence.as_ref().expect("inside a recursion").axis;
        let (id, axes, ty, by_row) = self.in_enclosing(|l| -> Lower<_> {
            let outer_span = l.b.span();
            l.b.set_span(here);
            let result = f(l);
            l.b.set_span(outer_span);
            let Val { mut id, mut axes } = result?;
            let by_row = axes.iter().position(|&a| a == axis);
            if let Some(at) = by_row {
                let mut perm: Vec<usize> = vec![at];
                perm.extend((0..l.b.ty(id).rank()).filter(|&i| i != at));
                id = l.b.transpose(id, &perm);
                axes.remove(at);
            }
            let mut ty = l.b.ty(id).clone();
            if by_row.is_some() {
                ty.shape.remove(0);
            }
            Ok((id, axes, ty, by_row.is_some()))
        })?;
        let s = self.sequence.as_mut().expect("inside a recursion");
        if let Some(known) = s.import_of.get(&(id, by_row)) {
            return Ok(Val { id: known.id, axes });
        }
        let input = self.b.input(format!("x_{}", s.imports.len()), ty);
        let imported = Val { id: input, axes };
        s.imports.push((id, by_row));
        s.import_of.insert((id, by_row), imported.clone());
        Ok(imported)
    }

    /// Runs `f`, which defines a variable: in the enclosing function where that is `hoisted` out of a
    /// step, so that what depends on the variable and on no earlier row can be computed there too.
    pub(super) fn where_it_belongs<T>(
        &mut self,
        hoisted: bool,
        f: impl FnOnce(&mut Self) -> T,
    ) -> T {
        match &self.sequence {
            Some(s) if s.inside && hoisted => self.in_enclosing(f),
            _ => f(self),
        }
    }

    /// Runs `f` in the enclosing function while a step is being lowered.
    pub(super) fn in_enclosing<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        self.swap_builders();
        let result = f(self);
        self.swap_builders();
        result
    }

    fn swap_builders(&mut self) {
        let s = self.sequence.as_mut().expect("inside a recursion");
        std::mem::swap(&mut self.b, &mut s.other);
        std::mem::swap(&mut self.guards, &mut s.other_guards);
        s.inside = !s.inside;
    }

    /// Remembers on which side of a recursion a variable was defined.
    pub(super) fn note_definition(&mut self, var: VarId) {
        if let Some(s) = &mut self.sequence {
            if s.inside {
                s.step_vars.insert(var);
            } else {
                s.step_vars.remove(&var);
            }
        }
    }
}

/// The step with its inputs in the order that a scan wants: carries, rows, whole values.
fn reorder(step: &Function, arrays: &[Carried], order: &[usize], new_rows: &[ValueId]) -> Function {
    let carried = arrays.iter().map(|array| array.rows.len()).sum();
    let mut b = Builder::new(step.name.clone());
    let mut args = vec![None; step.inputs.len()];
    let wanted = (0..carried).chain(order.iter().map(|i| carried + i));
    for i in wanted {
        let input = &step.inputs[i];
        args[i] = Some(b.input(input.name.clone(), input.ty.clone()));
    }
    let args: Vec<ValueId> = args.into_iter().map(|a| a.expect("every input is placed")).collect();
    let map = b.inline(step, &args);
    let mut outputs = 0;
    for (array, new_row) in arrays.iter().zip(new_rows) {
        // The new row, and each row a step further back.
        let rows = array.rows.iter().map(|row| row.id);
        for id in std::iter::once(*new_row).chain(rows).take(array.rows.len()) {
            outputs += 1;
            b.output(format!("back_{outputs}"), map[id.index()]);
        }
    }
    for new_row in new_rows {
        b.output("row", map[new_row.index()]);
    }
    b.finish()
}

/// How many steps back `e` is, as an index into a recursion over `index`: `t` is 0, `t - 2` is 2.
pub(super) fn lag_of(e: &Expr, index: VarId) -> Option<i64> {
    match &e.kind {
        ExprKind::Var(v) if *v == index => Some(0),
        ExprKind::Builtin(Builtin::Sub, args) => match (&args[0].kind, &args[1].kind) {
            (ExprKind::Var(v), ExprKind::Int(k)) if *v == index && *k >= 0 => Some(*k),
            _ => None,
        },
        _ => None,
    }
}

/// The longest lag at which the body reads `target`; `None` when it reads it in any other way, or
/// assigns something else than the row of the step.
pub(super) fn lags(body: &[Stmt], index: VarId, target: VarId) -> Option<i64> {
    let mut longest = 0;
    let mut fits = true;
    for s in body {
        super::walk::visit_stmt(s, &mut |e| {
            if let ExprKind::Index(base, indices) = &e.kind
                && matches!(base.kind, ExprKind::Var(v) if v == target)
            {
                match indices.first() {
                    Some(Index::At(first)) => match lag_of(first, index) {
                        Some(k) => longest = longest.max(k),
                        None => fits = false,
                    },
                    _ => fits = false,
                }
            }
        });
        fits &= assigns_row(s, index, target);
        // The bare name, not indexed, is the whole array.
        fits &= !super::walk::stmt_mentions_bare(s, target);
    }
    (fits && longest >= 1).then_some(longest)
}

pub(super) fn assigns_row(s: &Stmt, index: VarId, target: VarId) -> bool {
    match &s.kind {
        StmtKind::Assign { var, indices, .. } => {
            *var == target
                && matches!(indices.first(), Some(Index::At(e)) if lag_of(e, index) == Some(0))
        }
        StmtKind::For { body, lo, hi, .. } => {
            !mentions(lo, index)
                && !mentions(hi, index)
                && body.iter().all(|s| assigns_row(s, index, target))
        }
        StmtKind::Let { .. } => true,
        StmtKind::If { .. } | StmtKind::Tilde { .. } | StmtKind::Factor(_) => false,
    }
}
