//! Missing data: elements that are `null` in the file are latents, with the likelihood as their prior.
//! Reals are parameters; integers are summed out like a `marginal` (`latents`).

use std::collections::HashMap;

use crate::check::typed::{Expr, Structure, Support, VarId};
use crate::ir::{DType, Op, Shape, Tensor, Type, ValueId};

use super::Lower;
use super::lowerer::{Lowerer, Term};
use super::transform::{Shapes, scalar_transform};
use super::value::{Axes, Val};

/// A data field with missing elements.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    /// Row-major positions of what is missing.
    pub(super) positions: Vec<usize>,
    /// The field with zeros there.
    pub(super) known: ValueId,
}

/// Data fields with missing elements.
pub(super) type MissingData = HashMap<VarId, Missing>;

impl Lowerer<'_> {
    /// The sizes of the parameter in place of what a field misses, if that is real.
    pub(super) fn missing_shapes(&self, var: VarId, support: &Support) -> Option<(VarId, Shapes)> {
        let known = self.missing.get(&var)?.known;
        if self.b.ty(known).dtype != DType::Real {
            return None;
        }
        let array = self.missing_shape(var);
        let Structure::Scalar { lower, upper, .. } = &support.structure else {
            unreachable!("the checker refuses `?` on structured types")
        };
        let transform = scalar_transform(lower.is_some(), upper.is_some(), false);
        Some((var, Shapes { array, constrained: Shape::new(), free: 1, transform }))
    }

    /// The shape of what a field misses: a vector, or a scalar as the field.
    pub(super) fn missing_shape(&self, var: VarId) -> Shape {
        let Missing { positions, known } = &self.missing[&var];
        match self.b.ty(*known).rank() {
            0 => Shape::new(),
            _ => [positions.len()].as_slice().into(),
        }
    }

    /// Which element of the field a missing one is, as `y[3]`; none in a scalar.
    pub(super) fn missing_place(&self, var: VarId, which: usize) -> Vec<usize> {
        let Missing { positions, known } = &self.missing[&var];
        crate::data::unravel(&self.b.shape(*known), positions[which])
    }

    /// The name of a parameter, or of the latent in the place of what a data field misses.
    pub(super) fn param_name(&self, var: VarId) -> String {
        let name = &self.model.var(var).name;
        if self.missing.contains_key(&var) { format!("{name}_missing") } else { name.clone() }
    }

    /// The bounds of the missing elements of a field, lower and upper.
    pub(super) fn missing_bounds(
        &mut self,
        var: VarId,
        support: &Support,
    ) -> Lower<[Option<Val>; 2]> {
        let Structure::Scalar { lower, upper, .. } = &support.structure else {
            return Ok([None, None]);
        };
        let positions = self.missing[&var].positions.clone();
        let mut bound = |e: &Option<Expr>| -> Lower<Option<Val>> {
            let Some(e) = e else { return Ok(None) };
            let v = self.expr(e)?;
            let n: usize = v.shape(&self.b).iter().product();
            if v.rank(&self.b) == 0 {
                return Ok(Some(v));
            }
            let flat = self.reshape_own(&v, &[n]);
            let index = self.b.ints(positions.clone());
            Ok(Some(Val::plain(self.b.gather(flat.id, 0, index))))
        };
        Ok([bound(lower)?, bound(upper)?])
    }

    /// Gives a variable its value; a field with missing elements what is known of it, and `x` for what
    /// is missing.
    pub(super) fn define_with_missing(&mut self, var: VarId, x: &Val) {
        let Some(Missing { positions, known }) = self.missing.get(&var).cloned() else {
            return self.define(var, x.clone());
        };
        let shape = self.b.shape(known);
        let n: usize = shape.iter().product();
        let flat = self.b.reshape(known, &[n]);
        let known = self.axes.spread(&mut self.b, &Val::plain(flat), &x.axes, &[n]);
        let x = self.reshape_own(x, &[positions.len()]);
        let all = self.b.concat(&[known, x.id], x.axes.len());
        let mut places: Vec<usize> = (0..n).collect();
        positions.iter().enumerate().for_each(|(i, &at)| places[at] = n + i);
        let index = self.b.ints(places);
        let id = self.b.gather(all, x.axes.len(), index);
        let value = self.reshape_own(&Val { id, axes: x.axes }, &shape);
        self.define(var, value);
    }

    /// Splits the last term, the likelihood of `lhs`, into that of what is observed and that of what is
    /// missing. With a missing element, a vector with a joint density counts as missing.
    pub(super) fn split_missing(&mut self, lhs: &Expr, var: VarId) -> Lower<()> {
        let Some(Missing { positions, known }) = self.missing.get(&var).cloned() else {
            return Ok(());
        };
        let shape = self.b.shape(known);
        let mut data = vec![0.0; shape.iter().product()];
        positions.into_iter().for_each(|i| data[i] = 1.0);
        let is_missing = self.b.tensor(Tensor::new(Type::new(DType::Int, shape), data));
        let value = self.env.insert(var, Val::plain(is_missing));
        let of_lhs = self.expr(lhs);
        self.env.extend(value.map(|v| (var, v)));
        let of_lhs = of_lhs?;
        let Some(term) = self.terms.pop() else { return Ok(()) };
        let full = self.b.shape(term.value);
        // Axes of the loops around, then of the batch; what is left of the left side is one draw.
        let mut axes: Axes = self.loops.clone();
        axes.extend(of_lhs.axes.iter().copied());
        axes.sort_unstable();
        axes.dedup();
        let own = of_lhs.shape(&self.b);
        let spread = self.axes.spread(&mut self.b, &of_lhs, &axes, &own);
        let joint: Shape = (full.len()..self.b.ty(spread).rank()).collect();
        let any = if joint.is_empty() {
            spread
        } else {
            self.b.add(Op::ReduceMax(joint), [spread].as_slice())
        };
        let numbers = if self.b.shape(any) == full { self.numbers(any) } else { None };
        let Some(numbers) = numbers else {
            self.terms.push(Term { observed: None, ..term });
            return Ok(());
        };
        let flat = self.b.reshape(term.value, &[numbers.data.len()]);
        for (missing, observed) in [(false, term.observed.clone()), (true, None)] {
            let part: Vec<usize> =
                (0..numbers.data.len()).filter(|&i| (numbers.data[i] != 0.0) == missing).collect();
            if part.len() == numbers.data.len() {
                self.terms.push(Term { observed, ..term });
                return Ok(());
            }
            let index = self.b.ints(part);
            let value = self.b.gather(flat, 0, index);
            self.terms.push(Term { value, observed, ..term.clone() });
        }
        Ok(())
    }
}
