//! Steps that are no part of a fused loop: indexing, matrix products, scans.
//!
//! The rest of `schedule`, which says when each of these is called for.

use crate::ir::{Inst, Op, Scan, Tensor, Type, ValueId};

use super::element::Element;
use super::index::{around, positions};
use super::plan::{Home, MatMul, ScanPlan, Step};
use super::reference;
use super::schedule::{Binding, Node, Planner, place, plan};
use super::solver::Solver;
use super::straight::Body;
use super::view::{Class, View};

impl<E: Element> Planner<'_, E> {
    pub(super) fn step(
        &mut self,
        len: usize,
        class: Class,
        step: impl FnOnce(usize) -> Step<E>,
    ) -> View {
        let node = self.nodes.len();
        let value = self.value(len, class, Home::Register, Some((node, false)));
        self.nodes.push(Node::Step(step(value)));
        View::whole(value, len)
    }

    pub(super) fn gather(&mut self, inst: &Inst, axis: usize, class: Class) -> View {
        let (before, size, after) = around(&self.f.ty(inst.args[0]).shape, axis);
        if self.is_known(inst.args[1]) {
            let index = self.tensor(inst.args[1]);
            let places: Option<Vec<usize>> = row_places(&index, before, size, after).collect();
            if let Some(places) = places {
                return self.view(inst.args[0]).select(&places);
            }
        }
        let data = self.view(inst.args[0]);
        let data = self.stored_as_is(data);
        let index = self.view(inst.args[1]);
        let index = self.stored_as_is(index);
        self.step(inst.ty.len(), class, |out| Step::Gather {
            data,
            index,
            before,
            size,
            after,
            out,
        })
    }

    pub(super) fn scatter(&mut self, inst: &Inst, axis: usize, size: usize, class: Class) -> View {
        let (before, _, after) = around(&inst.ty.shape, axis);
        let data = self.stored_arg(inst, 0, class);
        if self.is_known(inst.args[1]) {
            let index = self.tensor(inst.args[1]);
            let places = row_places(&index, before, size, after);
            let places = places.map(|at| at.map_or(u32::MAX, place)).collect();
            return self.step(inst.ty.len(), class, |out| Step::Scatter { data, places, out });
        }
        let index = self.view(inst.args[1]);
        let index = self.stored_as_is(index);
        self.step(inst.ty.len(), class, |out| Step::ScatterAt {
            data,
            index,
            before,
            size,
            after,
            out,
        })
    }

    pub(super) fn matmul(&mut self, inst: &Inst, ta: bool, tb: bool, class: Class) -> View {
        let (m, n) = (inst.ty.shape[0], inst.ty.shape[1]);
        let a_shape = self.f.ty(inst.args[0]).shape.clone();
        let k = if ta { a_shape[0] } else { a_shape[1] };
        // The kernel likes columns of `a` contiguous; constants can be stored so.
        let (a, a_strides) = if !ta && self.is_known(inst.args[0]) {
            let tensor = self.tensor(inst.args[0]);
            let data = self.pool.get(&tensor.data, k);
            (self.const_value(data), (1, m))
        } else {
            let view = self.view(inst.args[0]);
            (self.stored_as_is(view), if ta { (1, m) } else { (k, 1) })
        };
        let b = self.view(inst.args[1]);
        let b = if !tb {
            self.stored_as_is(b)
        } else if self.is_known(inst.args[1]) {
            let tensor = self.tensor(inst.args[1]);
            let data = self.pool.get(&tensor.data, k);
            self.const_value(data)
        } else {
            let flipped = b.select(&positions(&[k, n], 0, &[1, k]));
            self.stored_as_is(flipped)
        };
        let size = (m, k, n);
        self.step(m * n, class, |out| Step::MatMul(MatMul { a, b, size, a_strides, out }))
    }

    pub(super) fn solver(&mut self, inst: &Inst, class: Class) -> View {
        let known: Vec<Option<Tensor>> =
            inst.args.iter().map(|&a| self.is_known(a).then(|| self.tensor(a))).collect();
        let types: Vec<&Type> = inst.args.iter().map(|&a| self.f.ty(a)).collect();
        let solver = Box::new(Solver::new(&inst.op, &types, &known));
        let views: Vec<View> = inst.args.iter().map(|&a| self.view(a)).collect();
        let args = views.into_iter().map(|view| self.stored_as_is(view)).collect();
        self.step(inst.ty.len(), class, |out| Step::Solver { solver, args, out })
    }

    pub(super) fn known_component(&mut self, tuple: ValueId, index: usize) -> Option<Tensor> {
        let inst = self.f.inst(tuple);
        let Op::Scan(scan) = &inst.op else { return None };
        if !inst.args.iter().all(|&a| self.is_known(a)) {
            return None;
        }
        let args: Vec<Tensor> = inst.args.iter().map(|&a| self.tensor(a)).collect();
        Some(reference::run_scan(scan, &args.iter().collect::<Vec<_>>()).swap_remove(index))
    }

    pub(super) fn scan(&mut self, scan: &Scan, inst: &Inst) -> Vec<View> {
        if inst.args.iter().all(|&a| self.is_known(a)) {
            let args: Vec<Tensor> = inst.args.iter().map(|&a| self.tensor(a)).collect();
            let parts = reference::run_scan(scan, &args.iter().collect::<Vec<_>>());
            return parts.iter().map(|part| self.constant(part)).collect();
        }
        let class = self.class(inst);
        let (mut carries, mut xs, mut fixed, mut bindings) = (vec![], vec![], vec![], vec![]);
        for (i, &arg) in inst.args.iter().enumerate() {
            let view = self.view(arg);
            if i < scan.carries {
                carries.push(view);
                bindings.push(Binding::Slot(class));
            } else if i < scan.carries + scan.xs {
                bindings.push(Binding::Slot(self.values[view.value].class));
                xs.push((view, i));
            } else if self.is_known(arg) {
                bindings.push(Binding::Const(self.tensor(arg)));
            } else {
                bindings.push(Binding::Slot(self.values[view.value].class));
                fixed.push((view, i));
            }
        }
        let body = plan(&scan.body, &bindings, self.pool);
        let node = self.nodes.len();
        let mut parts = Vec::with_capacity(scan.body.outputs.len());
        for (i, output) in scan.body.outputs.iter().enumerate() {
            let row = scan.body.ty(output.value).len();
            let len = if i < scan.carries { row } else { scan.length * row };
            let value = self.value(len, class, Home::Register, Some((node, false)));
            parts.push(View::whole(value, len));
        }
        let straight = Body::new(&body);
        self.nodes.push(Node::Step(Step::Scan(Box::new(ScanPlan {
            body,
            straight,
            length: scan.length,
            reverse: scan.reverse,
            class,
            carries,
            xs,
            fixed,
            components: parts.iter().map(|p| p.value).collect(),
            child: self.scans,
        }))));
        self.scans += 1;
        parts
    }
}

/// Where the elements of the rows `index` of an array of shape `[before, size, after]` are, in order;
/// `None` for those of a row that does not exist.
fn row_places(
    index: &Tensor,
    before: usize,
    size: usize,
    after: usize,
) -> impl Iterator<Item = Option<usize>> {
    let rows =
        move |i: usize| index.data.iter().map(move |&row| (i, reference::in_bounds(row, size)));
    (0..before).flat_map(rows).flat_map(move |(i, row)| {
        (0..after).map(move |k| row.map(|row| (i * size + row) * after + k))
    })
}
