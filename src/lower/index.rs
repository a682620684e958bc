//! Indexing. Positions are 1-based in the language and 0-based in the IR.

use crate::check::typed::{Expr, Index};
use crate::diagnostics::Code;
use crate::ir::{BinaryOp, Shape};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{Axes, Axis, AxisTable, Val};

/// One axis of the base, with what selects from it.
enum Selector {
    /// Scalars, one for each step of their loop axes.
    At(Val),
    /// Positions `lo..hi`, 0-based.
    Range(usize, usize),
}

impl Lowerer<'_> {
    /// `base[indices]`.
    pub(super) fn index(&mut self, base: &Expr, indices: &[Index]) -> Lower<Val> {
        if let Some(element) = self.own_element(base, indices)? {
            return Ok(element);
        }
        let base = self.expr(base)?;
        self.select(&base, indices)
    }

    /// `base[indices]` of a value.
    ///
    /// Arrays of positions become loop axes of their own, so that every index is a scalar; all are
    /// combined into one position in the flattened axes, and one gather does the rest.
    pub(super) fn select(&mut self, base: &Val, indices: &[Index]) -> Lower<Val> {
        let shape = base.shape(&self.b);
        let mut selectors = Vec::with_capacity(shape.len());
        // Where each own axis of the result comes from.
        let mut result: Vec<ResultAxis> = Vec::new();
        for (k, &n) in shape.iter().enumerate() {
            match indices.get(k) {
                None | Some(Index::Slice(None, None)) => {
                    selectors.push(Selector::Range(0, n));
                    result.push(ResultAxis::Kept(k));
                }
                Some(Index::Slice(lo, hi)) => {
                    let lo = self.end(lo.as_ref(), 1)?;
                    let hi = self.end(hi.as_ref(), n)?;
                    let (start, stop) = self.slice_bounds(lo, hi, n)?;
                    selectors.push(Selector::Range(start, stop));
                    result.push(ResultAxis::Kept(k));
                }
                Some(Index::At(e)) => {
                    let position = self.expr(e)?;
                    let position = self.at(e.span, |l| l.check_positions(e, position, n))?;
                    let position = self.without_idle_axes(position);
                    let own = position.shape(&self.b);
                    let new: Vec<Axis> = own.iter().map(|&len| self.axes.add(len)).collect();
                    result.extend(new.iter().map(|&a| ResultAxis::New(a)));
                    selectors.push(Selector::At(AxisTable::own_to_axes(&position, &new)));
                }
            }
        }
        let sliced = self.slice_ranges(base, &selectors);
        let picks: Vec<(usize, &Val)> = selectors
            .iter()
            .enumerate()
            .filter_map(|(k, s)| match s {
                Selector::At(v) => Some((k, v)),
                Selector::Range(..) => None,
            })
            .collect();
        if picks.is_empty() {
            return Ok(sliced);
        }
        let (gathered, kept) = self.gather_joint(&sliced, &picks)?;
        Ok(self.arrange(&gathered, &kept, &result))
    }

    fn end(&mut self, e: Option<&Expr>, default: usize) -> Lower<i64> {
        match e {
            Some(e) => {
                let v = self.expr(e)?;
                self.at(e.span, |l| l.known_int(&v))
            }
            None => Ok(i64::try_from(default).expect("a size fits")),
        }
    }

    fn slice_bounds(&self, lo: i64, hi: i64, n: usize) -> Lower<(usize, usize)> {
        // An empty slice, as `2:1`, is allowed anywhere.
        if hi < lo {
            return Ok((0, 0));
        }
        match (usize::try_from(lo - 1), usize::try_from(hi)) {
            (Ok(start), Ok(stop)) if stop <= n => Ok((start, stop)),
            _ => Err(self.error(
                Code::E0502,
                format!("the slice {lo}:{hi} leaves the axis, which has {n} elements"),
                "this slice",
            )),
        }
    }

    /// Refuses positions that data shows to lie outside the axis. Where a condition keeps the element
    /// from being used, the first stands in.
    fn check_positions(&mut self, e: &Expr, position: Val, n: usize) -> Lower<Val> {
        #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
        let limit = n as f64;
        let outside = |l: &mut Self, v: &Val| {
            let numbers = l.numbers(v.id)?;
            let at = numbers.data.iter().position(|&i| i < 1.0 || i > limit)?;
            Some((at, numbers.data[at]))
        };
        if outside(self, &position).is_none() {
            return Ok(position);
        }
        let mut used = position;
        for guard in self.guards.clone() {
            if self.numbers(guard.id).is_some() {
                let one = self.int(1);
                used = self.choose(&guard, &used, &one)?;
            }
        }
        let Some((at, i)) = outside(self, &used) else { return Ok(used) };
        let found = match self.place_in_data(e, &[], &used, at) {
            Some(place) => format!("{place} is {i}, which is"),
            None => format!("index {i} is"),
        };
        Err(self.error(
            Code::E0502,
            format!("{found} outside of an axis with {n} elements"),
            format!("takes the value {i} here"),
        ))
    }

    /// While latents are being summed out, a position without the loop axes that it is the same along:
    /// `mu[z[i]]` for the values of `z[i]` is the same for all `i`.
    fn without_idle_axes(&mut self, position: Val) -> Val {
        if !self.is_enumerated(&position) {
            return position;
        }
        let Some(numbers) = self.numbers(position.id) else { return position };
        let shape = self.b.shape(position.id);
        let idle = |at: usize| {
            let stride: usize = shape[at + 1..].iter().product();
            let mut rows = numbers.data.chunks(stride * shape[at]);
            rows.all(|row| row.iter().skip(stride).zip(row).all(|(a, b)| a == b))
        };
        let mut v = position.clone();
        for at in (0..position.axes.len()).rev().filter(|&at| shape[at] > 0 && idle(at)) {
            let row = self.b.slice_axis(v.id, at, 0, 1);
            let mut rest = self.b.shape(row);
            rest.remove(at);
            v.id = self.b.reshape(row, &rest);
            v.axes.remove(at);
        }
        v
    }

    fn slice_ranges(&mut self, base: &Val, selectors: &[Selector]) -> Val {
        let full = self.b.shape(base.id);
        let lead = base.axes.len();
        let mut start: Shape = full.iter().map(|_| 0).collect();
        let mut stop = full;
        for (k, s) in selectors.iter().enumerate() {
            if let Selector::Range(lo, hi) = s {
                start[lead + k] = *lo;
                stop[lead + k] = *hi;
            }
        }
        Val { id: self.b.slice(base.id, &start, &stop), axes: base.axes.clone() }
    }

    /// Picks one element of the picked own axes for each step of the picks' loops.
    ///
    /// Gives the value and which own axes of the base its own axes are.
    fn gather_joint(&mut self, base: &Val, picks: &[(usize, &Val)]) -> Lower<(Val, Vec<usize>)> {
        let steps = AxisTable::union(picks.iter().map(|(_, v)| *v));
        let shared: Axes = base.axes.iter().copied().filter(|a| steps.contains(a)).collect();
        let full = self.b.shape(base.id);
        let lead = base.axes.len();
        // Axes of the base that are indexed: loop axes that the picks share, then the picked ones.
        let indexed: Vec<usize> = base
            .axes
            .iter()
            .enumerate()
            .filter(|(_, a)| shared.contains(a))
            .map(|(i, _)| i)
            .chain(picks.iter().map(|(k, _)| lead + k))
            .collect();
        let rest: Vec<usize> = (0..full.len()).filter(|i| !indexed.contains(i)).collect();
        let perm: Vec<usize> = indexed.iter().chain(&rest).copied().collect();
        let turned = self.b.transpose(base.id, &perm);
        let size: usize = indexed.iter().map(|&i| full[i]).product();
        let mut flat_shape: Shape = [size].as_slice().into();
        flat_shape.extend(rest.iter().map(|&i| full[i]));
        let flat = self.b.reshape(turned, &flat_shape);

        let one = self.int(1);
        let mut position: Option<Val> = None;
        for (slot, &axis) in indexed.iter().enumerate() {
            let part = match slot.checked_sub(shared.len()) {
                None => self.iota(shared[slot]),
                Some(pick) => self.binary(BinaryOp::Sub, picks[pick].1, &one)?,
            };
            position = Some(match position {
                None => part,
                Some(so_far) => {
                    let n = self.int(full[axis]);
                    let scaled = self.binary(BinaryOp::Mul, &so_far, &n)?;
                    self.binary(BinaryOp::Add, &scaled, &part)?
                }
            });
        }
        let position = position.expect("there is a pick");
        let id = self.b.gather(flat, 0, position.id);
        // Layout now: steps, remaining loop axes, remaining own axes. Bring loop axes into order.
        let other: Vec<Axis> = base.axes.iter().copied().filter(|a| !shared.contains(a)).collect();
        let current: Vec<Axis> = position.axes.iter().copied().chain(other).collect();
        let mut order: Vec<usize> = (0..current.len()).collect();
        order.sort_by_key(|&i| current[i]);
        let axes: Axes = order.iter().map(|&i| current[i]).collect();
        let own: Vec<usize> = rest.iter().filter(|&&i| i >= lead).map(|&i| i - lead).collect();
        order.extend(current.len()..current.len() + own.len());
        let id = self.b.transpose(id, &order);
        Ok((Val { id, axes }, own))
    }

    /// 0-based positions along a loop axis.
    fn iota(&mut self, axis: Axis) -> Val {
        let n = self.axes.length(axis);
        Val { id: self.b.ints(0..n), axes: [axis].as_slice().into() }
    }

    /// Brings the own axes of a gathered value into the order of the result.
    fn arrange(&mut self, v: &Val, kept: &[usize], result: &[ResultAxis]) -> Val {
        let new: Vec<Axis> = result
            .iter()
            .filter_map(|r| match r {
                ResultAxis::New(a) => Some(*a),
                ResultAxis::Kept(_) => None,
            })
            .collect();
        let v = self.axes.axes_to_own(&mut self.b, v, &new);
        let lead = v.axes.len();
        let place = |r: &ResultAxis| match r {
            ResultAxis::New(a) => new.iter().position(|x| x == a),
            ResultAxis::Kept(k) => kept.iter().position(|x| x == k).map(|i| new.len() + i),
        };
        let mut perm: Vec<usize> = (0..lead).collect();
        perm.extend(result.iter().map(|r| lead + place(r).expect("every axis is there")));
        Val { id: self.b.transpose(v.id, &perm), axes: v.axes }
    }
}

enum ResultAxis {
    /// An own axis of the base that was not picked from.
    Kept(usize),
    /// An axis of an array of positions.
    New(Axis),
}
