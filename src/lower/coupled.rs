//! Arrays whose definitions read each other: `x[t]` from `y[t-1]`, `y[t]` from `x[t]`.
//!
//! The loops of the definitions are cut where one of them begins or ends, and at elements that are
//! assigned singly. Between two cuts each runs by
//! itself if they can follow one another; else they are the steps of one scan, or, where they read in
//! another way than so many steps back, unrolled together. What is assigned outside of such loops is
//! defined as soon as what it reads is.

use std::collections::BTreeMap;

use crate::check::typed::{Expr, ExprKind, Index, LetValue, Stmt, StmtKind, VarId};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

use super::Lower;
use super::elements::Frame;
use super::lengths::lengths_depend_on;
use super::lowerer::Lowerer;
use super::recursion::{Steps, assigns_row, lag_of};
use super::value::{Axes, Val};
use super::walk::{any_expr, mentions, stmt_mentions, stmt_mentions_bare, visit_stmt};

/// A loop over steps that define elements.
#[derive(Clone, Copy)]
struct Loop<'s> {
    steps: Steps<'s>,
    lo: i64,
    hi: i64,
    span: Span,
}

impl Loop<'_> {
    fn reads(&self, var: VarId) -> bool {
        self.steps.body.iter().any(|s| stmt_mentions(s, var))
    }
}

/// How far back each array is read, and an order of the loops.
type Joint = (Vec<(VarId, i64)>, Vec<usize>);

/// What the definitions consist of.
#[derive(Default)]
struct Parts<'s> {
    loops: Vec<Loop<'s>>,
    /// Statements that are not yet lowered, in order, with the array that each is about.
    waiting: Vec<(VarId, &'s Stmt)>,
    /// Single elements that these define.
    singles: Vec<i64>,
}

impl Lowerer<'_> {
    /// The arrays that several blocks of assignments define, which read each other.
    ///
    /// # Errors
    /// E0505 when an element is defined twice, not at all, or needs itself.
    pub(super) fn coupled(&mut self, lets: &[(VarId, LetValue)]) -> Lower<Vec<Val>> {
        let outer = self.frames.len();
        let values = self.coupled_values(lets);
        self.frames.truncate(outer);
        values
    }

    fn coupled_values(&mut self, lets: &[(VarId, LetValue)]) -> Lower<Vec<Val>> {
        let members: Vec<VarId> = lets.iter().map(|(var, _)| *var).collect();
        for (var, value) in lets {
            let LetValue::Elements { dims, rest, .. } = value else {
                unreachable!("bug in ppl: a recursion is defined element by element")
            };
            let dims = self.size_list(dims)?;
            let rest = rest.as_ref().map(|e| self.expr(e)).transpose()?;
            let frame = self.new_frame(*var, dims, Axes::new(), rest.as_ref());
            self.frames.push(frame);
        }
        let mut definitions: Vec<(VarId, Vec<Stmt>)> = Vec::with_capacity(lets.len());
        for (var, value) in lets {
            if let LetValue::Elements { stmts, .. } = value {
                definitions.push((*var, self.cut_loops(stmts)?));
            }
        }
        let mut parts = Parts::default();
        for (var, stmts) in &definitions {
            self.sort_out(*var, stmts, &members, &mut parts)?;
        }
        let Parts { loops, mut waiting, singles } = parts;
        let mut cuts: Vec<i64> = loops.iter().flat_map(|l| [l.lo, l.hi + 1]).collect();
        cuts.extend(singles.iter().flat_map(|i| [*i, i + 1]));
        cuts.sort_unstable();
        cuts.dedup();
        let mut blocked = self.define_ready(&mut waiting)?;
        for cut in cuts.windows(2) {
            let (lo, hi) = (cut[0], cut[1] - 1);
            let active: Vec<Loop<'_>> =
                loops.iter().filter(|l| l.lo <= lo && hi <= l.hi).copied().collect();
            if !active.is_empty() {
                self.stretch(lo, hi, &active)?;
            }
            blocked = self.define_ready(&mut waiting)?;
        }
        if let Some(error) = blocked {
            return Err(error);
        }
        let frames: Vec<Frame> = members.iter().map(|var| self.take_frame(*var)).collect();
        frames.iter().map(|frame| self.assemble(frame)).collect()
    }

    /// Takes statements apart into loops that read the arrays and what stands outside of such.
    fn sort_out<'s>(
        &mut self,
        target: VarId,
        stmts: &'s [Stmt],
        members: &[VarId],
        parts: &mut Parts<'s>,
    ) -> Lower<()> {
        for s in stmts {
            match &s.kind {
                StmtKind::For { var: index, lo, hi, body }
                    if members.iter().any(|m| body.iter().any(|s| stmt_mentions(s, *m))) =>
                {
                    let (lo, hi) = self.at(s.span, |l| l.loop_bounds(lo, hi))?;
                    if lo <= hi {
                        let steps = Steps { target, index: *index, body };
                        parts.loops.push(Loop { steps, lo, hi, span: s.span });
                    }
                }
                StmtKind::If { cond, then, otherwise }
                    if !members.iter().any(|m| mentions(cond, *m)) =>
                {
                    let known = self.expr(cond)?;
                    match self.numbers(known.id).and_then(|t| t.splat()) {
                        Some(x) => {
                            let taken = if x != 0.0 { then } else { otherwise };
                            self.sort_out(target, taken, members, parts)?;
                        }
                        None => parts.waiting.push((target, s)),
                    }
                }
                _ => {
                    parts.singles.extend(self.single(s)?);
                    parts.waiting.push((target, s));
                }
            }
        }
        Ok(())
    }

    /// The element or row that a statement assigns, if it is one and known already.
    fn single(&mut self, s: &Stmt) -> Lower<Option<i64>> {
        let StmtKind::Assign { indices, .. } = &s.kind else { return Ok(None) };
        let Some(Index::At(at)) = indices.first() else { return Ok(None) };
        let unknown = |e: &Expr| matches!(&e.kind, ExprKind::Var(v) if !self.env.contains_key(v));
        if !at.ty.dims().is_empty() || any_expr(at, &mut |e| unknown(e)) {
            return Ok(None);
        }
        let at = self.expr(at)?;
        self.known_int(&at).map(Some)
    }

    /// Lowers the statements for which all is defined that they read; what stops the first of those
    /// that wait on.
    fn define_ready(
        &mut self,
        waiting: &mut Vec<(VarId, &Stmt)>,
    ) -> Lower<Option<Box<Diagnostic>>> {
        loop {
            let before = waiting.len();
            let mut blocked = None;
            // A name of its own that an array waits for.
            let mut held: Vec<VarId> = Vec::new();
            for (target, s) in std::mem::take(waiting) {
                let error = match held.contains(&target) {
                    true => None,
                    false => match self.attempt(target, |l| l.element_stmt(s))? {
                        None => continue,
                        error => error,
                    },
                };
                if matches!(s.kind, StmtKind::Let { .. }) {
                    held.push(target);
                }
                blocked = blocked.or(error);
                waiting.push((target, s));
            }
            if waiting.is_empty() || waiting.len() == before {
                return Ok(blocked);
            }
        }
    }

    /// Runs `f`, which defines elements of an array; what it misses if it reads an element that is not
    /// defined, and then defines nothing.
    fn attempt(
        &mut self,
        target: VarId,
        f: impl FnOnce(&mut Self) -> Lower<()>,
    ) -> Lower<Option<Box<Diagnostic>>> {
        self.focus(target);
        let pieces = self.frame().pieces();
        match f(self) {
            Ok(()) => Ok(None),
            Err(error) if error.code == Code::E0505 => {
                self.frame().take_back(pieces);
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// The steps from `lo` to `hi`, which all of the loops have.
    fn stretch(&mut self, lo: i64, hi: i64, loops: &[Loop<'_>]) -> Lower<()> {
        let others = |i: usize| {
            let target = |j: usize| loops[j].steps.target;
            (0..loops.len()).filter(|&j| j != i && loops[i].reads(target(j))).collect()
        };
        if let Some(order) = in_order(loops.len(), others) {
            return order.into_iter().try_for_each(|i| {
                let Loop { steps, span, .. } = loops[i];
                self.focus(steps.target);
                self.at(span, |l| l.element_steps(steps.index, lo, hi, steps.body))
            });
        }
        match self.joint(loops).filter(|_| lo < hi) {
            Some((lags, order)) => {
                let ordered: Vec<Steps<'_>> = order.iter().map(|&i| loops[i].steps).collect();
                self.at(loops[order[0]].span, |l| l.recursion(lo, hi, &lags, &ordered))
            }
            None => self.unrolled_together(lo, hi, loops),
        }
    }

    /// How far back the loops read each array, and an order in which each reads what earlier ones define
    /// in the same step; `None` if they read in other ways.
    fn joint(&self, loops: &[Loop<'_>]) -> Option<Joint> {
        let mut lags: BTreeMap<VarId, i64> = loops.iter().map(|l| (l.steps.target, 0)).collect();
        let targets: Vec<VarId> = lags.keys().copied().collect();
        let mut same_step: Vec<Vec<usize>> = vec![Vec::new(); loops.len()];
        for (i, Loop { steps, .. }) in loops.iter().enumerate() {
            let mut fits = !lengths_depend_on(self.model, steps.body, steps.index);
            for s in steps.body {
                fits &= assigns_row(s, steps.index, steps.target);
                fits &= !targets.iter().any(|target| stmt_mentions_bare(s, *target));
                visit_stmt(s, &mut |e| {
                    let Some((var, first)) = element(e).filter(|(v, _)| lags.contains_key(v))
                    else {
                        return;
                    };
                    match first.and_then(|first| lag_of(first, steps.index)) {
                        Some(0) if var != steps.target => {
                            same_step[i]
                                .extend((0..loops.len()).filter(|&j| loops[j].steps.target == var));
                        }
                        Some(lag) => {
                            let longest = lags.entry(var).or_default();
                            *longest = lag.max(*longest);
                        }
                        None => fits = false,
                    }
                });
            }
            if !fits {
                return None;
            }
        }
        let order = in_order(loops.len(), |i| same_step[i].clone())?;
        Some((lags.into_iter().collect(), order))
    }

    /// Steps one after the other; in each, the loops in an order in which what they read is defined.
    fn unrolled_together(&mut self, lo: i64, hi: i64, loops: &[Loop<'_>]) -> Lower<()> {
        self.check_unrolled(
            loops[0].span,
            lo,
            hi,
            "this loop over several arrays is no recursion",
        )?;
        let mut order: Vec<Loop<'_>> = loops.to_vec();
        for i in lo..=hi {
            let mut done = Vec::new();
            while !order.is_empty() {
                let before = order.len();
                let mut blocked = None;
                for one in std::mem::take(&mut order) {
                    let Loop { steps, span, .. } = one;
                    let error = self.attempt(steps.target, |l| {
                        #[allow(clippy::cast_precision_loss, reason = "loop indices are small")]
                        let index = l.integer(i as f64);
                        l.define(steps.index, index);
                        l.at(span, |l| steps.body.iter().try_for_each(|s| l.element_stmt(s)))
                    })?;
                    match error {
                        None => done.push(one),
                        Some(error) => {
                            order.push(one);
                            blocked = blocked.or(Some(error));
                        }
                    }
                }
                if let Some(error) = blocked.filter(|_| order.len() == before) {
                    return Err(error);
                }
            }
            order = done;
        }
        Ok(())
    }
}

/// The variable that an expression is an element or a part of, with the first index.
fn element(e: &Expr) -> Option<(VarId, Option<&Expr>)> {
    let ExprKind::Index(base, indices) = &e.kind else { return None };
    let ExprKind::Var(var) = base.kind else { return None };
    match indices.first() {
        Some(Index::At(first)) => Some((var, Some(first))),
        _ => Some((var, None)),
    }
}

/// The numbers below `n`, each behind those that it needs.
fn in_order(n: usize, needs: impl Fn(usize) -> Vec<usize>) -> Option<Vec<usize>> {
    let needs: Vec<Vec<usize>> = (0..n).map(needs).collect();
    let mut order: Vec<usize> = Vec::with_capacity(n);
    while order.len() < n {
        let ready =
            |i: &usize| !order.contains(i) && needs[*i].iter().all(|needed| order.contains(needed));
        order.push((0..n).find(ready)?);
    }
    Some(order)
}
