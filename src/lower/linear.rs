//! Linear algebra on values with loop axes: products of all steps at once, solutions and decompositions
//! for each step that has a matrix of its own.

use crate::ir::{BinaryOp, Op, Shape, ValueId};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

impl Lowerer<'_> {
    pub(super) fn matmul(&mut self, x: &Val, y: &Val) -> Lower<Val> {
        let (sx, sy) = (x.shape(&self.b), y.shape(&self.b));
        if sx.last() != sy.first() {
            return Err(self.shapes_differ(&sx, &sy));
        }
        let (rx, ry) = (sx.len(), sy.len());
        if rx == 1 && y.axes.is_empty() {
            // One row for each step, and the same right side: one product of all rows.
            let (k, n) = (sx[0], sy.get(1).copied().unwrap_or(1));
            let rows = x.axes.iter().map(|&a| self.axes.length(a)).product();
            let a = self.b.reshape(x.id, &[rows, k]);
            let c = self.b.reshape(y.id, &[k, n]);
            let id = self.b.matmul(a, c, false, false);
            let product = Val { id: self.b.reshape(id, &[rows * n]), axes: x.axes.clone() };
            return Ok(self.reshape_own(&product, &sy[1..]));
        }
        if !x.axes.is_empty() || !y.axes.is_empty() {
            // Inside a loop: products summed over a shared axis, for all steps at once.
            let rows = (rx == 2).then(|| self.axes.add(sx[0]));
            let inner = self.axes.add(*sx.last().expect("a vector at least"));
            let columns = (ry == 2).then(|| self.axes.add(sy[1]));
            let left: Vec<_> = rows.into_iter().chain([inner]).collect();
            let right: Vec<_> = [inner].into_iter().chain(columns).collect();
            let a = AxisTable::own_to_axes(x, &left);
            let c = AxisTable::own_to_axes(y, &right);
            let product = self.binary(BinaryOp::Mul, &a, &c)?;
            let at = product.axes.iter().position(|&a| a == inner).expect("both have it");
            let id = self.b.sum(product.id, &[at]);
            let axes = product.axes.iter().copied().filter(|&a| a != inner).collect();
            let kept: Vec<_> = rows.into_iter().chain(columns).collect();
            return Ok(self.axes.axes_to_own(&mut self.b, &Val { id, axes }, &kept));
        }
        let (m, k) = if rx == 2 { (sx[0], sx[1]) } else { (1, sx[0]) };
        let n = if ry == 2 { sy[1] } else { 1 };
        let a = self.b.reshape(x.id, &[m, k]);
        let c = self.b.reshape(y.id, &[k, n]);
        let product = self.b.matmul(a, c, false, false);
        let shape: Shape =
            (rx == 2).then_some(m).into_iter().chain((ry == 2).then_some(n)).collect();
        Ok(Val::plain(self.b.reshape(product, &shape)))
    }

    pub(super) fn triangular(
        &mut self,
        a: ValueId,
        y: ValueId,
        lower: bool,
        trans: bool,
    ) -> ValueId {
        self.b.add(Op::TriSolve { lower, trans }, [a, y].as_slice())
    }

    /// Solves `a x = y` by `f`, of a matrix and right sides `[n, columns]`, once for each step of the
    /// loops that `a` depends on and for each value of a latent. Steps of other loops are further columns.
    pub(super) fn solution(
        &mut self,
        vals: &[Val],
        f: impl Fn(&mut Self, ValueId, ValueId) -> ValueId,
    ) -> Lower<Val> {
        let [a, y] = vals else { unreachable!("bug in ppl: a solution takes two operands") };
        let own = y.shape(&self.b);
        let lead = y.axes.len();
        let (kept, shared): (Vec<usize>, Vec<usize>) = (0..lead)
            .partition(|&i| [&a.axes, &self.enumerated].iter().any(|s| s.contains(&y.axes[i])));
        let perm: Vec<usize> = kept
            .iter()
            .chain([&lead])
            .chain(&shared)
            .copied()
            .chain(lead + 1..lead + own.len())
            .collect();
        let turned = self.b.transpose(y.id, &perm);
        let mut columns: Shape = shared.iter().map(|&i| self.axes.length(y.axes[i])).collect();
        columns.extend_from_slice(&own[1..]);
        let right = Val { id: turned, axes: kept.iter().map(|&i| y.axes[i]).collect() };
        let right = self.reshape_own(&right, &[own[0], columns.iter().product()]);
        let x = self.each(&[a.clone(), right], |l, ids| f(l, ids[0], ids[1]))?;
        columns.insert(0, own[0]);
        let x = self.reshape_own(&x, &columns);

        // Layout now: loops with steps of their own, `n`, the other loops, what `y` has behind `n`.
        let n = x.axes.len();
        let mut places: Vec<(Axis, usize)> = x.axes.iter().copied().zip(0..).collect();
        places.extend(shared.iter().map(|&i| y.axes[i]).zip(n + 1..));
        places.sort_unstable();
        let perm: Vec<usize> = places
            .iter()
            .map(|&(_, place)| place)
            .chain([n])
            .chain(n + 1 + shared.len()..n + shared.len() + own.len())
            .collect();
        let id = self.b.transpose(x.id, &perm);
        Ok(Val { id, axes: places.into_iter().map(|(axis, _)| axis).collect() })
    }

    /// Applies an operation that knows no loop axes to each step of the surrounding loops.
    pub(super) fn each(
        &mut self,
        vals: &[Val],
        f: impl Fn(&mut Self, &[ValueId]) -> ValueId,
    ) -> Lower<Val> {
        let axes = AxisTable::union(vals);
        if axes.is_empty() {
            let ids: Vec<ValueId> = vals.iter().map(|v| v.id).collect();
            return Ok(Val::plain(f(self, &ids)));
        }
        let lengths: Shape = axes.iter().map(|&a| self.axes.length(a)).collect();
        let steps: usize = lengths.iter().product();
        let flat: Vec<(ValueId, Shape)> = vals
            .iter()
            .map(|v| {
                let own = v.shape(&self.b);
                let id = self.axes.spread(&mut self.b, v, &axes, &own);
                let mut shape: Shape = [steps].as_slice().into();
                shape.extend_from_slice(&own);
                (self.b.reshape(id, &shape), own)
            })
            .collect();
        let mut results = Vec::with_capacity(steps);
        for step in 0..steps {
            let ids: Vec<ValueId> = flat
                .iter()
                .map(|(id, own)| {
                    let row = self.b.slice_axis(*id, 0, step, step + 1);
                    self.b.reshape(row, own)
                })
                .collect();
            let result = f(self, &ids);
            let mut shape: Shape = [1].as_slice().into();
            shape.extend_from_slice(&self.b.shape(result));
            results.push(self.b.reshape(result, &shape));
        }
        let all = self.b.concat(&results, 0);
        let mut shape = lengths;
        shape.extend_from_slice(&self.b.shape(all)[1..]);
        Ok(Val { id: self.b.reshape(all, &shape), axes })
    }
}
