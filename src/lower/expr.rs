//! Expressions.

use crate::check::builtins::Signature;
use crate::check::typed::{Expr, ExprKind, FnId, SizeBinding, Type, VarId};
use crate::ir::{DType, Op, Shape, Tensor, TernaryOp, Type as IrType, UnaryOp};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

impl Lowerer<'_> {
    /// The value of an expression.
    pub(super) fn expr(&mut self, e: &Expr) -> Lower<Val> {
        if self.hoists(e) {
            return self.outside(|l| l.expr(e));
        }
        self.at(e.span, |l| {
            l.count_step()?;
            let value = l.expr_here(e)?;
            l.check_sizes()?;
            Ok(value)
        })
    }

    fn expr_here(&mut self, e: &Expr) -> Lower<Val> {
        match &e.kind {
            #[allow(clippy::cast_precision_loss, reason = "integers are exact below 2^53")]
            ExprKind::Int(n) => Ok(self.integer(*n as f64)),
            ExprKind::Real(x) => Ok(self.real(*x)),
            ExprKind::Bool(x) => {
                let ty = IrType::new(DType::Bool, Shape::new());
                Ok(Val::plain(self.b.tensor(Tensor::new(ty, vec![f64::from(u8::from(*x))]))))
            }
            ExprKind::Var(var) => self.variable(*var),
            ExprKind::Builtin(which, args) => match which.signature() {
                Signature::Solver { .. } => self.solver(*which, args),
                _ => self.builtin(*which, args),
            },
            ExprKind::Call(f, args) => {
                let args = args.iter().map(|a| self.expr(a)).collect::<Lower<Vec<_>>>()?;
                self.call(*f, &args)
            }
            // The callee was made for this function, and refers to it itself.
            ExprKind::FnRef(_) => Ok(self.int(0)),
            ExprKind::Member(dist, member, args) => {
                let args = args.iter().map(|a| self.expr(a)).collect::<Lower<Vec<_>>>()?;
                self.member_call(*dist, *member, &args)
            }
            ExprKind::Draw { dist, order } => {
                let sizes: Vec<Expr> = e.ty.dims().iter().map(|d| d.to_expr(e.span)).collect();
                let shape = self.size_list(&sizes)?;
                self.sample(dist, &shape, *order)
            }
            ExprKind::Index(base, indices) => self.index(base, indices),
            ExprKind::Array(items) => self.array(items),
            ExprKind::Range(lo, hi) => {
                let (lo, hi) = (self.expr(lo)?, self.expr(hi)?);
                let (lo, hi) = (self.known_int(&lo)?, self.known_int(&hi)?);
                self.room_for(&[steps(lo, hi)])?;
                Ok(Val::plain(self.range(lo, hi)))
            }
            ExprKind::If(cond, then, otherwise) => {
                let cond = self.expr(cond)?;
                let decided = if cond.axes.is_empty() && cond.rank(&self.b) == 0 {
                    self.numbers(cond.id).map(|t| t.data[0] != 0.0)
                } else {
                    None
                };
                match decided {
                    Some(true) => self.expr(then),
                    Some(false) => self.expr(otherwise),
                    None => {
                        let negated = self.unary(UnaryOp::Not, &cond);
                        let x = self.guarded(&cond, |l| l.expr(then))?;
                        let y = self.guarded(&negated, |l| l.expr(otherwise))?;
                        self.elementwise(Op::Ternary(TernaryOp::Select), &[&cond, &x, &y])
                    }
                }
            }
            ExprKind::Block(lets, result) => {
                for (var, value) in lets {
                    let value = self.let_value(*var, value)?;
                    self.define(*var, value);
                }
                self.expr(result)
            }
        }
    }

    /// Runs `f` for what is used only where a condition holds.
    pub(super) fn guarded<T>(&mut self, condition: &Val, f: impl FnOnce(&mut Self) -> T) -> T {
        // A condition of several elements is about the elements of the result, not about this step.
        let one = condition.rank(&self.b) == 0;
        if one {
            self.guards.push(condition.clone());
        }
        let result = f(self);
        if one {
            self.guards.pop();
        }
        result
    }

    /// The integers `lo..=hi` as a constant.
    pub(super) fn range(&mut self, lo: i64, hi: i64) -> crate::ir::ValueId {
        #[allow(clippy::cast_precision_loss, reason = "integers are exact below 2^53")]
        let data: Vec<f64> = (lo..=hi).map(|i| i as f64).collect();
        self.b.tensor(Tensor::new(IrType::new(DType::Int, [data.len()].as_slice()), data))
    }

    /// The value of a variable in scope.
    fn variable(&mut self, var: VarId) -> Lower<Val> {
        match self.env.get(&var) {
            Some(v) => Ok(v.clone()),
            None => {
                let what = format!("`{}`", self.model.var(var).name);
                Err(self.not_yet(&format!("a reference to {what} here")))
            }
        }
    }

    /// Gives a variable its value.
    pub(super) fn define(&mut self, var: VarId, value: Val) {
        self.env.insert(var, value);
        self.note_definition(var);
    }

    /// An array literal: a further axis in front.
    fn array(&mut self, items: &[Expr]) -> Lower<Val> {
        let vals = items.iter().map(|i| self.expr(i)).collect::<Lower<Vec<Val>>>()?;
        if vals.is_empty() {
            return Ok(Val::plain(self.b.splat(0.0, &[0])));
        }
        self.stack(&vals)
    }

    /// Values of one shape along a new first axis.
    pub(super) fn stack(&mut self, vals: &[Val]) -> Lower<Val> {
        let axes = AxisTable::union(vals);
        let own = vals[0].shape(&self.b);
        let mut one: Shape = [1].as_slice().into();
        one.extend_from_slice(&own);
        let mut ids = Vec::with_capacity(vals.len());
        for v in vals {
            let shape = v.shape(&self.b);
            if shape != own {
                return Err(self.shapes_differ(&own, &shape));
            }
            let id = self.axes.spread(&mut self.b, v, &axes, &own);
            ids.push(self.reshape_own(&Val { id, axes: axes.clone() }, &one).id);
        }
        Ok(Val { id: self.b.concat(&ids, axes.len()), axes })
    }

    /// A function applied to values: its body with the parameters bound, once for all elements.
    pub(super) fn call(&mut self, f: FnId, args: &[Val]) -> Lower<Val> {
        let def = self.model.function(f);
        let ranks: Vec<usize> = def.params.iter().map(|&p| rank(&self.model.var(p).ty)).collect();
        self.lifted(args, &ranks, |l, args| {
            for (&param, arg) in def.params.iter().zip(args) {
                l.define(param, arg.clone());
            }
            l.bind_sizes(&def.sizes, args);
            l.expr(&def.body)
        })
    }

    /// Binds size variables to the shapes of the arguments.
    pub(super) fn bind_sizes(&mut self, sizes: &[SizeBinding], args: &[Val]) {
        for size in sizes {
            let n = args[size.param].shape(&self.b)[size.axis];
            let n = self.int(n);
            self.define(size.var, n);
        }
    }

    /// Runs `f` once for every element of the axes that arguments have beyond `ranks`, which all who
    /// have any share; these axes come in front of the result.
    ///
    /// # Errors
    /// E0501 when those axes differ in shape.
    pub(super) fn lifted(
        &mut self,
        args: &[Val],
        ranks: &[usize],
        f: impl FnOnce(&mut Self, &[Val]) -> Lower<Val>,
    ) -> Lower<Val> {
        let mut extra = Shape::new();
        for (arg, &rank) in args.iter().zip(ranks) {
            let shape = arg.shape(&self.b);
            let lead: Shape = shape[..shape.len().saturating_sub(rank)].into();
            if lead.is_empty() || lead == extra {
                continue;
            }
            if !extra.is_empty() {
                return Err(self.shapes_differ(&extra, &lead));
            }
            extra = lead;
        }
        if extra.is_empty() {
            return f(self, args);
        }
        let new: Vec<Axis> = extra.iter().map(|&n| self.axes.add(n)).collect();
        let inner: Vec<Val> = args
            .iter()
            .zip(ranks)
            .map(|(arg, &rank)| {
                if arg.rank(&self.b) > rank {
                    AxisTable::own_to_axes(arg, &new)
                } else {
                    arg.clone()
                }
            })
            .collect();
        let result = self.within(&new, |l| f(l, &inner))?;
        Ok(self.axes.axes_to_own(&mut self.b, &result, &new))
    }

    /// Runs `f` with further axes around, newer than those that are.
    pub(super) fn within<T>(&mut self, axes: &[Axis], f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.loops.len();
        self.loops.extend_from_slice(axes);
        let result = f(self);
        self.loops.truncate(outer);
        result
    }
}

/// The rank of a declared type.
pub(super) fn rank(ty: &Type) -> usize {
    match ty {
        Type::Array { dims, .. } => dims.len(),
        Type::Function { .. } | Type::Error => 0,
    }
}

/// The number of integers in `lo..=hi`, or `usize::MAX` where that is too small a number.
pub(super) fn steps(lo: i64, hi: i64) -> usize {
    let steps = i128::from(hi) - i128::from(lo) + 1;
    usize::try_from(steps.max(0)).unwrap_or(usize::MAX)
}
