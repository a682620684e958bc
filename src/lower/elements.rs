//! Arrays defined element by element: independent steps all at once, recursions as a scan.
//!
//! Each assignment becomes a piece: values and the positions they fill. A loop whose body does not
//! read the array turns its index into an axis and gives one piece. A loop that reads earlier rows at
//! fixed distances (`s[t-1]`) becomes a scan; what in its body does not depend on those rows is
//! computed outside, for all steps at once. Any other loop is unrolled. `steps` gives loops the form in
//! which they fit; arrays that read each other are in `coupled`.

use crate::check::typed::{Expr, ExprKind, Index, LetValue, Stmt, StmtKind, VarId};
use crate::diagnostics::{Code, Diagnostic};
use crate::ir::{Shape, ValueId};
use crate::source::Span;

use super::Lower;
use super::expr::steps;
use super::lengths::lengths_depend_on;
use super::lowerer::{Lowerer, MORE_OPERATIONS};
use super::recursion::{Steps, lags};
use super::steps::merged;
use super::value::{Axes, Axis, AxisTable, Val};
use super::walk::{stmt_mentions, visit_stmt};

/// Loops that cannot become a scan are unrolled up to so many steps, for so many operations that a model may
/// have.
const UNROLLED: (usize, u32) = (20_000, 22);

/// An array, or one row of it inside a scan, that is being defined.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) var: VarId,
    /// Own shape.
    pub(super) dims: Shape,
    /// Loops around the definition, whose axes every piece has.
    pub(super) outer: Axes,
    pieces: Vec<Val>,
    /// For each element, the piece and the position in it.
    pub(super) defined: Vec<Option<(u32, u32)>>,
    /// Whether the first piece holds what elements are that nothing assigns.
    has_rest: bool,
}

impl Frame {
    pub(super) fn new(var: VarId, dims: Shape, outer: Axes) -> Self {
        let n = dims.iter().product();
        Frame { var, dims, outer, pieces: Vec::new(), defined: vec![None; n], has_rest: false }
    }

    /// The piece and the position in it of an element.
    pub(super) fn place(&self, element: usize) -> Option<(usize, usize)> {
        match self.defined[element] {
            Some((piece, offset)) => Some((piece as usize, offset as usize)),
            None => self.has_rest.then_some((0, element)),
        }
    }

    /// How many pieces it has.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Whether elements that nothing assigns have a value all the same.
    pub(super) fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// A piece, and where its elements stand.
    pub(super) fn piece(&self, number: usize) -> (&Val, Vec<usize>) {
        let of_piece = |(at, place): (usize, &Option<(u32, u32)>)| {
            place.filter(|(piece, _)| *piece as usize == number).map(|(_, offset)| (offset, at))
        };
        let mut places: Vec<(u32, usize)> =
            self.defined.iter().enumerate().filter_map(of_piece).collect();
        places.sort_unstable();
        (&self.pieces[number], places.into_iter().map(|(_, at)| at).collect())
    }

    /// Adds a piece whose elements stand at `places`; the first that is defined already, if one is.
    pub(super) fn add(&mut self, piece: Val, places: &[usize]) -> Result<(), usize> {
        let number = u32::try_from(self.pieces.len()).expect("fewer than 2^32 pieces");
        for (&at, offset) in places.iter().zip(0..) {
            if self.defined[at].replace((number, offset)).is_some() {
                return Err(at);
            }
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// Takes back all but the first pieces.
    pub(super) fn take_back(&mut self, pieces: usize) {
        self.pieces.truncate(pieces);
        for place in &mut self.defined {
            place.take_if(|(piece, _)| *piece as usize >= pieces);
        }
    }

    pub(super) fn row_len(&self) -> usize {
        self.dims[1..].iter().product()
    }
}

impl Lowerer<'_> {
    /// The array that a block of assignments defines.
    ///
    /// # Errors
    /// E0505 when an element is defined twice, or not at all.
    pub(super) fn elements(
        &mut self,
        var: VarId,
        dims: Shape,
        stmts: &[Stmt],
        rest: Option<&Val>,
    ) -> Lower<Val> {
        let outer = self.loops_here();
        let inner_loops = std::mem::take(&mut self.masks);
        let frame = self.new_frame(var, dims, outer, rest);
        self.frames.push(frame);
        self.note_definition(var);
        let done = stmts.iter().try_for_each(|s| self.element_stmt(s));
        self.masks = inner_loops;
        let frame = self.frames.pop().expect("pushed above");
        done?;
        self.assemble(&frame)
    }

    /// The frame of an array of which nothing is defined, but what `rest` gives where nothing does.
    pub(super) fn new_frame(
        &mut self,
        var: VarId,
        dims: Shape,
        outer: Axes,
        rest: Option<&Val>,
    ) -> Frame {
        let mut frame = Frame::new(var, dims, outer);
        if let Some(rest) = rest {
            let own = rest.shape(&self.b);
            let id = self.axes.spread(&mut self.b, rest, &frame.outer, &own);
            let all = Val { id, axes: frame.outer.clone() };
            frame.pieces.push(self.reshape_own(&all, &[frame.defined.len()]));
            frame.has_rest = true;
        }
        frame
    }

    /// Takes away the frame of an array.
    pub(super) fn take_frame(&mut self, var: VarId) -> Frame {
        let place = self.frames.iter().rposition(|frame| frame.var == var);
        self.frames.remove(place.expect("the array is being defined"))
    }

    /// Makes an array the one that assignments define.
    pub(super) fn focus(&mut self, var: VarId) {
        let frame = self.take_frame(var);
        self.frames.push(frame);
    }

    pub(super) fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("assignments stand inside a definition")
    }

    /// All elements in order, once every one is defined.
    pub(super) fn assemble(&mut self, frame: &Frame) -> Lower<Val> {
        if let Some(missing) = (0..frame.defined.len()).find(|&i| frame.place(i).is_none()) {
            let name = &self.model.var(frame.var).name;
            let place = position_text(&frame.dims, missing);
            return Err(self
                .error(
                    Code::E0505,
                    format!("element {name}{place} is never defined"),
                    "not all elements are defined here",
                )
                .with_help("each element has to be assigned exactly once")
                .into());
        }
        let all: Vec<usize> = (0..frame.defined.len()).collect();
        let flat = self.pick(frame, &all)?;
        Ok(self.reshape_own(&flat, &frame.dims))
    }

    /// Elements of a frame by their positions in row-major order, as a vector.
    pub(super) fn pick(&mut self, frame: &Frame, positions: &[usize]) -> Lower<Val> {
        let mut starts = Vec::with_capacity(frame.pieces.len());
        let mut total = 0;
        for piece in &frame.pieces {
            starts.push(total);
            total += piece.shape(&self.b)[0];
        }
        let mut index = Vec::with_capacity(positions.len());
        for &p in positions {
            match frame.place(p) {
                Some((piece, offset)) => index.push(starts[piece] + offset),
                None => {
                    let name = &self.model.var(frame.var).name;
                    let place = position_text(&frame.dims, p);
                    return Err(self.error(
                        Code::E0505,
                        format!("element {name}{place} is read before it is defined"),
                        "read here",
                    ));
                }
            }
        }
        if positions.is_empty() {
            return Ok(Val::plain(self.b.splat(0.0, &[0])));
        }
        // Only the pieces that are needed.
        let first = starts.partition_point(|&s| s <= *index.iter().min().expect("not empty")) - 1;
        let last = starts.partition_point(|&s| s <= *index.iter().max().expect("not empty")) - 1;
        let ids: Vec<ValueId> = frame.pieces[first..=last].iter().map(|p| p.id).collect();
        let axis = frame.outer.len();
        let joined = self.b.concat(&ids, axis);
        let n = self.b.shape(joined)[axis];
        let index: Vec<usize> = index.into_iter().map(|i| i - starts[first]).collect();
        let id = if index.iter().copied().eq(0..n) {
            joined
        } else {
            let index = self.b.ints(index);
            self.b.gather(joined, axis, index)
        };
        Ok(Val { id, axes: frame.outer.clone() })
    }

    pub(super) fn element_stmt(&mut self, s: &Stmt) -> Lower<()> {
        self.at(s.span, |l| match &s.kind {
            StmtKind::Let { var, value } => {
                let hoisted = matches!(value, LetValue::Expr(e) if l.hoists(e));
                l.where_it_belongs(hoisted, |l| {
                    let v = l.let_value(*var, value)?;
                    l.define(*var, v);
                    Ok(())
                })
            }
            StmtKind::Assign { indices, value, .. } => l.assign(indices, value),
            StmtKind::For { var, lo, hi, body } => l.element_loop(*var, lo, hi, body),
            StmtKind::If { cond, then, otherwise } => l.branches(cond, |l, taken| {
                let branch = if taken { then } else { otherwise };
                branch.iter().try_for_each(|s| l.element_stmt(s))
            }),
            StmtKind::Tilde { .. } | StmtKind::Factor(_) => {
                Err(l.not_yet("a statement about the log joint inside a definition"))
            }
        })
    }

    /// Runs both branches of an `if`, each with its condition as a mask; only one where data decides.
    pub(super) fn branches(
        &mut self,
        cond: &Expr,
        mut f: impl FnMut(&mut Self, bool) -> Lower<()>,
    ) -> Lower<()> {
        let cond = self.expr(cond)?;
        if !self.is_enumerated(&cond)
            && let Some(numbers) = self.numbers(cond.id)
            && let Some(x) = numbers.splat()
        {
            return f(self, x != 0.0);
        }
        let negated = self.unary(crate::ir::UnaryOp::Not, &cond);
        for (mask, taken) in [(cond, true), (negated, false)] {
            self.masks.push(mask.clone());
            let result = self.guarded(&mask, |l| f(l, taken));
            self.masks.pop();
            result?;
        }
        Ok(())
    }

    fn assign(&mut self, indices: &[Index], value: &Expr) -> Lower<()> {
        // Inside a scan the first index is the loop's, and the frame is a row.
        let indices = if self.in_row() { &indices[1..] } else { indices };
        let dims = self.frame().dims.clone();
        let dims = if self.in_row() { Shape::from(&dims[1..]) } else { dims };
        let outer = self.frame().outer.clone();
        // Positions of the elements: those of the array of all positions that the indices select.
        let n: usize = dims.iter().product();
        let all = self.b.ints(0..n);
        let all = self.b.reshape(all, &dims);
        let target = self.select(&Val::plain(all), indices)?;
        let own = target.shape(&self.b);
        let value = match &value.kind {
            // As many numbers as there are elements to assign.
            ExprKind::Draw { dist, order } => {
                self.at(value.span, |l| l.sample(dist, &own, *order))?
            }
            _ => self.expr(value)?,
        };
        let mut axes = AxisTable::union([&target, &value]);
        for mask in &self.masks {
            axes.extend(mask.axes.iter().copied());
        }
        axes.sort_unstable();
        axes.dedup();
        let loops: Vec<Axis> = axes.iter().copied().filter(|a| !outer.contains(a)).collect();
        let got = value.shape(&self.b);
        if !got.is_empty() && got != own {
            return Err(self.shapes_differ(&own, &got));
        }
        let all_loops: Axes = loops.iter().copied().collect();
        let target =
            Val { id: self.axes.spread(&mut self.b, &target, &all_loops, &own), axes: all_loops };
        let Some(targets) = self.numbers(target.id) else {
            return Err(self.error(
                Code::E0503,
                "which element is defined has to be known from the data",
                "this index depends on parameters",
            ));
        };
        let mut full = outer.clone();
        full.extend_from_slice(&loops);
        let id = self.axes.spread(&mut self.b, &value, &full, &own);
        let count = targets.data.len();
        let flat = self.reshape_own(&Val { id, axes: outer.clone() }, &[count]);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions")]
        let mut targets: Vec<usize> = targets.data.iter().map(|&x| x as usize).collect();
        let mut piece = flat;
        if let Some(kept) = self.kept_by_masks(&loops, own.iter().product())? {
            targets = kept.iter().map(|&i| targets[i]).collect();
            let index = self.b.ints(kept);
            piece.id = self.b.gather(piece.id, outer.len(), index);
        }
        self.add_piece(piece, &targets)
    }

    /// The steps that the surrounding conditions keep, each with its `own` elements; `None` when all.
    fn kept_by_masks(&mut self, loops: &[Axis], own: usize) -> Lower<Option<Vec<usize>>> {
        if self.masks.is_empty() {
            return Ok(None);
        }
        let axes: Axes = loops.iter().copied().collect();
        let mut keep: Option<Vec<bool>> = None;
        for mask in self.masks.clone() {
            let spread = self.axes.spread(&mut self.b, &mask, &axes, &[]);
            let Some(t) = self.numbers(spread) else {
                return Err(self
                    .error(
                        Code::E0503,
                        "which elements are defined has to be known from the data",
                        "this condition depends on parameters",
                    )
                    .with_help("use an `if` expression on the right-hand side")
                    .into());
            };
            let so_far = keep.get_or_insert_with(|| vec![true; t.data.len()]);
            for (k, x) in so_far.iter_mut().zip(&*t.data) {
                *k &= *x != 0.0;
            }
        }
        let keep = keep.unwrap_or_default();
        Ok(Some((0..keep.len() * own).filter(|i| keep[i / own]).collect()))
    }

    pub(super) fn add_piece(&mut self, piece: Val, targets: &[usize]) -> Lower<()> {
        let frame = self.frames.last_mut().expect("assignments stand inside a definition");
        frame.add(piece, targets).map_err(|twice| {
            let frame = self.frame();
            let (place, var) = (position_text(&frame.dims, twice), frame.var);
            let message = format!("element {}{place} is defined twice", self.model.var(var).name);
            self.error(Code::E0505, message, "defined again here")
                .with_help("each element has to be assigned exactly once")
                .into()
        })
    }

    pub(super) fn in_row(&self) -> bool {
        let Some(frame) = self.frames.last() else { return false };
        self.sequence.as_ref().is_some_and(|s| s.inside && s.defines(frame.var))
    }

    fn element_loop(&mut self, var: VarId, lo: &Expr, hi: &Expr, body: &[Stmt]) -> Lower<()> {
        let (lo, hi) = self.loop_bounds(lo, hi)?;
        self.element_steps(var, lo, hi, body)
    }

    /// The steps from `lo` to `hi` of a loop.
    pub(super) fn element_steps(
        &mut self,
        var: VarId,
        lo: i64,
        hi: i64,
        body: &[Stmt],
    ) -> Lower<()> {
        let target = self.frame().var;
        let reads = body.iter().any(|s| stmt_mentions(s, target));
        let run = |l: &mut Self| body.iter().try_for_each(|s| l.element_stmt(s));
        if lengths_depend_on(self.model, body, var) || self.reads_own_row(body) {
            return self.unrolled(var, lo, hi, run);
        }
        if self.in_row() || !reads {
            return self.vectorised(var, lo, hi, run);
        }
        if let Some(runs) = self.runs(var, lo, hi, body) {
            let mut runs = runs.iter();
            return runs.try_for_each(|(lo, hi, body)| self.element_steps(var, *lo, *hi, body));
        }
        let body = &merged(body);
        let run = |l: &mut Self| body.iter().try_for_each(|s| l.element_stmt(s));
        match lags(body, var, target) {
            Some(lag) if hi >= lo && self.sequence.is_none() => {
                self.recursion(lo, hi, &[(target, lag)], &[Steps { target, index: var, body }])
            }
            _ if self.rows_apart(var, lo, hi, body)? => Ok(()),
            _ => self.unrolled(var, lo, hi, run),
        }
    }

    /// Whether statements of a step read elements of the row that they define.
    fn reads_own_row(&self, body: &[Stmt]) -> bool {
        let (Some(s), Some(frame)) = (&self.sequence, self.frames.last()) else { return false };
        let own = |e: &Expr| match &e.kind {
            ExprKind::Index(base, indices) => {
                matches!(base.kind, ExprKind::Var(v) if v == frame.var && s.defines(v))
                    && matches!(indices.first(), Some(Index::At(e)) if s.lag_of(e) == Some(0))
            }
            _ => false,
        };
        let mut found = false;
        body.iter().for_each(|s| visit_stmt(s, &mut |e| found |= own(e)));
        found
    }

    /// That the loop at `span`, of which `what` says why it is unrolled, has not too many steps.
    ///
    /// # Errors
    /// E0507.
    pub(super) fn check_unrolled(&self, span: Span, lo: i64, hi: i64, what: &str) -> Lower<()> {
        let most = i64::try_from(self.most_steps.saturating_mul(UNROLLED.0) >> UNROLLED.1)
            .unwrap_or(i64::MAX);
        if hi - lo < most {
            return Ok(());
        }
        let message = format!("{what}, and it has {} steps", hi - lo + 1);
        let label = format!("such loops may have {most} steps");
        Err(Box::new(
            Diagnostic::error(Code::E0507, span, message, label).with_help(MORE_OPERATIONS),
        ))
    }

    /// Runs `f` once for every value of the index, which has to be known.
    pub(super) fn unrolled(
        &mut self,
        var: VarId,
        lo: i64,
        hi: i64,
        mut f: impl FnMut(&mut Self) -> Lower<()>,
    ) -> Lower<()> {
        self.check_unrolled(
            self.here(),
            lo,
            hi,
            "this loop can be neither vectorised nor run as a recursion",
        )?;
        for i in lo..=hi {
            #[allow(clippy::cast_precision_loss, reason = "loop indices are small")]
            self.where_it_belongs(true, |l| {
                let i = l.integer(i as f64);
                l.define(var, i);
            });
            f(self)?;
        }
        Ok(())
    }

    /// Runs `f` once with the index as an axis.
    pub(super) fn vectorised(
        &mut self,
        var: VarId,
        lo: i64,
        hi: i64,
        f: impl FnOnce(&mut Self) -> Lower<()>,
    ) -> Lower<()> {
        let length = steps(lo, hi);
        let around = self.loops.iter().map(|&axis| self.axes.length(axis));
        self.room_for(&around.chain([length]).collect::<Vec<_>>())?;
        let axis = self.axes.add(length);
        self.where_it_belongs(true, |l| {
            let id = l.range(lo, hi);
            l.define(var, Val { id, axes: [axis].as_slice().into() });
        });
        self.within(&[axis], f)
    }

    /// `lo:hi` of a `for`, known now.
    pub(super) fn loop_bounds(&mut self, lo: &Expr, hi: &Expr) -> Lower<(i64, i64)> {
        let mut bound = |e: &Expr| {
            let v = self.expr(e)?;
            self.at(e.span, |l| l.known_int(&v))
        };
        let (lo, hi) = (bound(lo)?, bound(hi)?);
        self.room_for(&[steps(lo, hi)])?;
        Ok((lo, hi))
    }

    /// An element of the array that is being defined, if `base` is that array.
    pub(super) fn own_element(&mut self, base: &Expr, indices: &[Index]) -> Lower<Option<Val>> {
        let ExprKind::Var(var) = base.kind else { return Ok(None) };
        let Some(place) = self.frames.iter().rposition(|f| f.var == var) else { return Ok(None) };
        let is_row = self.sequence.as_ref().is_some_and(|s| s.inside && s.defines(var));
        if let Some(s) = &self.sequence
            && is_row
            && let Some(Index::At(first)) = indices.first()
        {
            match s.lag_of(first) {
                Some(0) => {}
                Some(k) => {
                    let row = s.row(var, k).expect("as far back as the loops read").clone();
                    return self.select(&row, &indices[1..]).map(Some);
                }
                None => {
                    return Err(self
                        .not_yet("reading a fixed element of the array inside its own recursion"));
                }
            }
        }
        // Positions known now: read from the pieces so far.
        let frame_dims = self.frames[place].dims.clone();
        let (dims, indices) = if is_row {
            (Shape::from(&frame_dims[1..]), &indices[1..])
        } else {
            (frame_dims, indices)
        };
        let n: usize = dims.iter().product();
        let all = self.b.ints(0..n);
        let all = self.b.reshape(all, &dims);
        let target = self.select(&Val::plain(all), indices)?;
        let fresh = !target.axes.iter().any(|a| self.frames[place].outer.contains(a));
        let numbers = if fresh { self.numbers(target.id) } else { None };
        let Some(numbers) = numbers else {
            return Err(
                self.not_yet("reading the array being defined at an index that varies in this way")
            );
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positions")]
        let positions: Vec<usize> = numbers.data.iter().map(|&x| x as usize).collect();
        let frame = self.frames.remove(place);
        let picked = self.pick(&frame, &positions);
        self.frames.insert(place, frame);
        let shape = self.b.shape(target.id);
        let picked = self.reshape_own(&picked?, &shape);
        Ok(Some(AxisTable::own_to_axes(&picked, &target.axes)))
    }
}

fn position_text(dims: &[usize], mut linear: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    for &n in dims.iter().rev() {
        parts.push((linear % n.max(1) + 1).to_string());
        linear /= n.max(1);
    }
    parts.reverse();
    if parts.is_empty() { String::new() } else { format!("[{}]", parts.join(", ")) }
}
