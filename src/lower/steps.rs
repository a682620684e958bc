//! Loops of definitions in the form that `elements` and `coupled` make scans of.
//!
//! 1. Where conditions on the index alone change, the loop is cut: `if t == 1 { … } else { … }` are two
//!    loops without a condition.
//! 2. An `if` both branches of which assign the same element is the assignment of an `if` expression.
//! 3. A loop whose every step reads and defines a row of its own (`h[i, t]` from `h[i, t - 1]`) is one
//!    step with an axis more.

use crate::check::typed::{Expr, ExprKind, Index, LetValue, Stage, Stmt, StmtKind, Type, VarId};
use crate::check::visit::stmt_lets;

use super::Lower;
use super::elements::Frame;
use super::lowerer::Lowerer;
use super::rewrite::rewrite_stmt;
use super::value::{AxisTable, Val};
use super::walk::{any_expr, mentions, stmt_mentions_bare, visit_stmt};

/// Conditions that change more often do not cut a loop.
const MOST_RUNS: usize = 8;

/// Steps of a loop in which no condition on the index alone changes.
#[derive(Debug, Clone, Copy)]
struct Run {
    index: VarId,
    lo: i64,
    hi: i64,
}

impl Lowerer<'_> {
    /// The loop cut where conditions on its index alone change, these conditions taken out; `None` when
    /// there are none, or they change too often.
    pub(super) fn runs(
        &mut self,
        index: VarId,
        lo: i64,
        hi: i64,
        body: &[Stmt],
    ) -> Option<Vec<(i64, i64, Vec<Stmt>)>> {
        let whole = Run { index, lo, hi };
        let mut conditions = Vec::new();
        body.iter().for_each(|s| conditions_of(s, index, &mut conditions));
        let truths: Vec<Vec<bool>> =
            conditions.iter().filter_map(|cond| self.truth_of(whole, cond)).collect();
        let mut cuts = vec![lo];
        cuts.extend((lo + 1..=hi).zip(1..).filter_map(|(step, at)| {
            truths.iter().any(|truth| truth[at] != truth[at - 1]).then_some(step)
        }));
        if truths.is_empty() || cuts.len() > MOST_RUNS {
            return None;
        }
        let ends = cuts.iter().skip(1).map(|next| next - 1).chain([hi]);
        let runs: Vec<Run> = cuts.iter().zip(ends).map(|(&lo, hi)| Run { index, lo, hi }).collect();
        Some(runs.into_iter().map(|run| (run.lo, run.hi, self.decided(run, body))).collect())
    }

    /// The same for the loops among `stmts`, each run a loop.
    pub(super) fn cut_loops(&mut self, stmts: &[Stmt]) -> Lower<Vec<Stmt>> {
        let mut out = Vec::with_capacity(stmts.len());
        for s in stmts {
            let StmtKind::For { var, lo, hi, body } = &s.kind else {
                out.push(s.clone());
                continue;
            };
            let (first, last) = self.at(s.span, |l| l.loop_bounds(lo, hi))?;
            let runs = self.runs(*var, first, last, body);
            let runs = runs.unwrap_or_else(|| vec![(first, last, body.clone())]);
            out.extend(runs.into_iter().map(|(first, last, body)| {
                let number = |n: i64, e: &Expr| {
                    let (ty, stage) = (Type::INT, Stage::Data);
                    Expr { kind: ExprKind::Int(n), ty, stage, span: e.span }
                };
                let (lo, hi) = (number(first, lo), number(last, hi));
                let kind = StmtKind::For { var: *var, lo, hi, body: merged(&body) };
                Stmt { kind, span: s.span }
            }));
        }
        Ok(out)
    }

    /// What a condition is in each step; `None` if it depends on more than the index and what is known.
    fn truth_of(&mut self, run: Run, cond: &Expr) -> Option<Vec<bool>> {
        let unknown = |e: &Expr| matches!(&e.kind, ExprKind::Var(v) if *v != run.index && !self.env.contains_key(v));
        let length = usize::try_from(run.hi - run.lo + 1).ok()?;
        if length == 0 || !cond.ty.dims().is_empty() || any_expr(cond, &mut |e| unknown(e)) {
            return None;
        }
        let axis = self.axes.add(length);
        let id = self.range(run.lo, run.hi);
        let index = Val { id, axes: [axis].as_slice().into() };
        let before = self.env.insert(run.index, index);
        let value = self.within(&[axis], |l| l.expr(cond));
        match before {
            Some(before) => self.env.insert(run.index, before),
            None => self.env.remove(&run.index),
        };
        let value = value.ok().filter(|v| v.axes.iter().all(|a| *a == axis))?;
        let spread = self.axes.spread(&mut self.b, &value, &[axis].as_slice().into(), &[]);
        Some(self.numbers(spread)?.data.iter().map(|x| *x != 0.0).collect())
    }

    /// What a condition is in all steps of a run.
    fn decides(&mut self, run: Run, cond: &Expr) -> Option<bool> {
        let truth =
            if mentions(cond, run.index) { self.truth_of(run, cond)? } else { return None };
        truth.iter().all(|x| *x == truth[0]).then_some(truth[0])
    }

    /// Statements without the conditions that a run decides.
    fn decided(&mut self, run: Run, stmts: &[Stmt]) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(stmts.len());
        for s in stmts {
            let kind = match &s.kind {
                StmtKind::If { cond, then, otherwise } => match self.decides(run, cond) {
                    Some(true) => {
                        out.extend(self.decided(run, then));
                        continue;
                    }
                    Some(false) => {
                        out.extend(self.decided(run, otherwise));
                        continue;
                    }
                    None => StmtKind::If {
                        cond: cond.clone(),
                        then: self.decided(run, then),
                        otherwise: self.decided(run, otherwise),
                    },
                },
                StmtKind::For { var, lo, hi, body } => StmtKind::For {
                    var: *var,
                    lo: lo.clone(),
                    hi: hi.clone(),
                    body: self.decided(run, body),
                },
                other => {
                    let mut s = Stmt { kind: other.clone(), span: s.span };
                    rewrite_stmt(&mut s, &mut |e| self.decide(run, e));
                    s.kind
                }
            };
            out.push(Stmt { kind, span: s.span });
        }
        out
    }

    /// Puts the branch that a run takes in the place of an `if`.
    fn decide(&mut self, run: Run, e: &mut Expr) {
        while let ExprKind::If(cond, then, otherwise) = &e.kind
            && let Some(holds) = self.decides(run, cond)
        {
            *e = Expr::clone(if holds { then } else { otherwise });
        }
    }

    /// Runs a loop each step of which reads and defines the row of that number only, all steps at once;
    /// `false` when it is no such loop, and then nothing is defined.
    pub(super) fn rows_apart(
        &mut self,
        index: VarId,
        lo: i64,
        hi: i64,
        body: &[Stmt],
    ) -> Lower<bool> {
        let target = self.frame().var;
        let whole = self.frame().clone();
        let rows = usize::try_from(lo).ok().filter(|&lo| lo > 0 && whole.dims.len() > 1);
        let rows = rows.zip(usize::try_from(hi).ok()).filter(|&(_, hi)| hi <= whole.dims[0]);
        let Some((lo_row, hi_row)) = rows.filter(|(lo, hi)| lo <= hi) else { return Ok(false) };
        let fits = self.sequence.is_none() && self.masks.is_empty() && !whole.has_rest();
        if !fits || !body.iter().all(|s| keeps_to_row(s, index, target, body)) {
            return Ok(false);
        }
        let len = whole.row_len();
        let at = |position: usize| (lo_row - 1..hi_row).map(move |row| row * len + position);
        let defined = |p: usize| at(p).filter(|&e| whole.place(e).is_some()).count();
        let steps = hi_row - lo_row + 1;
        let counts: Vec<usize> = (0..len).map(defined).collect();
        if counts.iter().any(|&n| n != 0 && n != steps) {
            return Ok(false);
        }
        // One row with the index as an axis; what is there already comes first.
        let axis = self.axes.add(steps);
        let mut outer = whole.outer.clone();
        outer.push(axis);
        let mut row = Frame::new(target, whole.dims[1..].into(), outer);
        let there: Vec<usize> = (0..len).filter(|&p| counts[p] > 0).collect();
        if !there.is_empty() {
            let elements = |row: usize| there.iter().map(move |p| row * len + p);
            let positions: Vec<usize> = (lo_row - 1..hi_row).flat_map(elements).collect();
            let picked = self.pick(&whole, &positions)?;
            let picked = self.reshape_own(&picked, &[steps, there.len()]);
            let added = row.add(AxisTable::own_to_axes(&picked, &[axis]), &there);
            assert!(added.is_ok(), "bug in ppl: an element of a row twice");
        }
        let first = row.pieces();
        let outside = self.take_frame(target);
        self.frames.push(row);
        let id = self.range(lo, hi);
        self.define(index, Val { id, axes: [axis].as_slice().into() });
        let body = of_row(body, target);
        let done = self.within(&[axis], |l| body.iter().try_for_each(|s| l.element_stmt(s)));
        let row = self.take_frame(target);
        self.frames.push(outside);
        if done.is_err() {
            // Step by step it may be possible, or the message names the element.
            return Ok(false);
        }
        for number in first..row.pieces() {
            let (piece, places) = row.piece(number);
            let own = [steps * places.len()];
            let flat = Val { id: piece.id, axes: whole.outer.clone() };
            let flat = self.reshape_own(&flat, &own);
            let elements = |row: usize| places.iter().map(move |p| row * len + p);
            let targets: Vec<usize> = (lo_row - 1..hi_row).flat_map(elements).collect();
            self.add_piece(flat, &targets)?;
        }
        Ok(true)
    }
}

/// The conditions on the index in a statement, those in expressions too.
fn conditions_of(s: &Stmt, index: VarId, out: &mut Vec<Expr>) {
    match &s.kind {
        StmtKind::If { cond, then, otherwise } => {
            if mentions(cond, index) {
                out.push(cond.clone());
            }
            then.iter().chain(otherwise).for_each(|s| conditions_of(s, index, out));
        }
        StmtKind::For { body, .. } => body.iter().for_each(|s| conditions_of(s, index, out)),
        _ => visit_stmt(s, &mut |e| {
            if let ExprKind::If(cond, ..) = &e.kind
                && mentions(cond, index)
            {
                out.push(Expr::clone(cond));
            }
        }),
    }
}

/// Statements in which an `if` whose branches both end in the assignment of the same element is that
/// assignment of an `if` expression.
pub(super) fn merged(stmts: &[Stmt]) -> Vec<Stmt> {
    let one = |s: &Stmt| -> Stmt {
        let kind = match &s.kind {
            StmtKind::If { cond, then, otherwise } => {
                let (then, otherwise) = (merged(then), merged(otherwise));
                match (assignment(&then), assignment(&otherwise)) {
                    (Some((var, indices, a)), Some((other, others, b)))
                        if var == other
                            && same_place(indices, others)
                            && cond.ty.dims().is_empty()
                            && a.ty.dims() == b.ty.dims() =>
                    {
                        let stage = cond.stage.max(a.stage).max(b.stage);
                        let ty = if a.ty == Type::INT { b.ty.clone() } else { a.ty.clone() };
                        let kind = ExprKind::If(Box::new(cond.clone()), Box::new(a), Box::new(b));
                        let value = Expr { kind, ty, stage, span: s.span };
                        StmtKind::Assign { var, indices: indices.to_vec(), value }
                    }
                    _ => StmtKind::If { cond: cond.clone(), then, otherwise },
                }
            }
            StmtKind::For { var, lo, hi, body } => {
                StmtKind::For { var: *var, lo: lo.clone(), hi: hi.clone(), body: merged(body) }
            }
            other => other.clone(),
        };
        Stmt { kind, span: s.span }
    };
    stmts.iter().map(one).collect()
}

/// Local names, then the assignment of an element: which one, and its value with the names.
fn assignment(stmts: &[Stmt]) -> Option<(VarId, &[Index], Expr)> {
    let (last, before) = stmts.split_last()?;
    let StmtKind::Assign { var, indices, value } = &last.kind else { return None };
    let lets: Option<Vec<(VarId, LetValue)>> = before
        .iter()
        .map(|s| match &s.kind {
            StmtKind::Let { var, value } => Some((*var, value.clone())),
            _ => None,
        })
        .collect();
    let lets = lets?;
    let mut value = value.clone();
    if !lets.is_empty() {
        let (ty, stage, span) = (value.ty.clone(), value.stage, value.span);
        value = Expr { kind: ExprKind::Block(lets, Box::new(value)), ty, stage, span };
    }
    Some((*var, indices, value))
}

/// Whether two lists of indices are variables and numbers, and the same.
fn same_place(a: &[Index], b: &[Index]) -> bool {
    let same = |(a, b): (&Index, &Index)| match (a, b) {
        (Index::At(a), Index::At(b)) => match (&a.kind, &b.kind) {
            (ExprKind::Var(a), ExprKind::Var(b)) => a == b,
            (ExprKind::Int(a), ExprKind::Int(b)) => a == b,
            _ => false,
        },
        (Index::Slice(None, None), Index::Slice(None, None)) => true,
        _ => false,
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Whether a step reads and assigns nothing of `target` but elements of the row of its number, at places
/// and under conditions that are the same in every step.
fn keeps_to_row(s: &Stmt, index: VarId, target: VarId, body: &[Stmt]) -> bool {
    let mut local = vec![index, target];
    body.iter().for_each(|s| stmt_lets(s, &mut |var| local.push(var)));
    let in_row = |indices: &[Index]| {
        let own = matches!(indices.first(), Some(Index::At(e)) if matches!(e.kind, ExprKind::Var(v) if v == index));
        own && indices.len() > 1
    };
    let shared = |e: &Expr| local.iter().all(|v| !mentions(e, *v));
    let mut fits = !stmt_mentions_bare(s, target);
    visit_stmt(s, &mut |e| {
        if let ExprKind::Index(base, indices) = &e.kind
            && matches!(base.kind, ExprKind::Var(v) if v == target)
        {
            fits &= in_row(indices);
        }
    });
    fits && places_shared(s, &in_row, &shared)
}

fn places_shared(
    s: &Stmt,
    in_row: &dyn Fn(&[Index]) -> bool,
    shared: &dyn Fn(&Expr) -> bool,
) -> bool {
    match &s.kind {
        StmtKind::Assign { indices, .. } => {
            in_row(indices)
                && indices[1..].iter().all(|i| match i {
                    Index::At(e) => shared(e),
                    Index::Slice(lo, hi) => lo.iter().chain(hi).all(shared),
                })
        }
        StmtKind::For { body, .. } => body.iter().all(|s| places_shared(s, in_row, shared)),
        StmtKind::If { cond, then, otherwise } => {
            shared(cond) && then.iter().chain(otherwise).all(|s| places_shared(s, in_row, shared))
        }
        StmtKind::Let { .. } => true,
        StmtKind::Tilde { .. } | StmtKind::Factor(_) => false,
    }
}

/// Statements about the rows of `target` as statements about one row: without the first index.
fn of_row(stmts: &[Stmt], target: VarId) -> Vec<Stmt> {
    let mut stmts = stmts.to_vec();
    for s in &mut stmts {
        drop_first_index(s);
        rewrite_stmt(s, &mut |e| {
            if let ExprKind::Index(base, indices) = &mut e.kind
                && matches!(base.kind, ExprKind::Var(v) if v == target)
            {
                indices.remove(0);
            }
        });
    }
    stmts
}

fn drop_first_index(s: &mut Stmt) {
    match &mut s.kind {
        StmtKind::Assign { indices, .. } => {
            indices.remove(0);
        }
        StmtKind::For { body, .. } => body.iter_mut().for_each(drop_first_index),
        StmtKind::If { then, otherwise, .. } => {
            then.iter_mut().chain(otherwise).for_each(drop_first_index);
        }
        StmtKind::Let { .. } | StmtKind::Tilde { .. } | StmtKind::Factor(_) => {}
    }
}
