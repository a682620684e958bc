//! Operations defined by functions: initial value problems and systems of equations.
//!
//! Like the body of a scan, these functions see nothing but their inputs. The first inputs are the
//! solver's, the others, in order, the operation's *arguments*; `autodiff::solver` makes derivatives of
//! such an operation out of operations of the same kind.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::function::Function;
use super::shape_rule::TypeError;
use super::ty::{Shape, Type};

/// The solution of `dy/dt = rhs(t, y, args…)`, `y(0) = init(args…)` at given times.
///
/// Operands: times `[T]`, then the arguments. Result: `[T, n]`, row `i` the state at time `i`. Times
/// are reached one from another, the first from 0; they need not increase. From where a step fails or
/// [`Tolerance::most_steps`] are not enough, the result is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Ode {
    /// Initial state. Inputs: the arguments. Output: `[n]`.
    pub init: Function,
    /// Right-hand side. Inputs: time, state `[n]`, the arguments. Output: `[n]`.
    pub rhs: Function,
    /// How it is solved.
    pub method: Method,
    /// How exact.
    pub tolerance: Tolerance,
}

/// How an initial value problem is solved.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// An explicit Runge–Kutta method.
    Explicit,
    /// An implicit one, for stiff problems. The states are blocks of `m`, the first of which depends on
    /// itself only, and all in the first approximation on themselves as it does.
    Implicit {
        /// Inputs as those of `rhs`, but the first block of states only; output `∂rhs/∂y: [m, m]` of it.
        jacobian: Function,
    },
    /// Quadrature: the right-hand side does not depend on the state.
    Quadrature,
}

/// A root `x` of `system(x, args…) = 0`.
///
/// Operands: a guess `[n]`, then the arguments. Result: `[n]`; NaN when none is found.
#[derive(Debug, Clone, PartialEq)]
pub struct Root {
    /// Inputs: `x: [n]`, the arguments. Outputs: the residuals `[n]` and `∂residuals/∂x: [n, n]`.
    pub system: Function,
    /// How it is searched for.
    pub search: Search,
}

/// How a root is searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Search {
    /// From the guess, by Newton's method. In the tolerance, `relative` is on the step in `x`, `absolute` on
    /// the residuals.
    Newton(Tolerance),
    /// Everywhere: the one residual increases with the one unknown. It may jump, and then the least number at
    /// which it is not negative is the root.
    Increasing,
}

/// When a solver is content, and when it gives up.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Relative to the size of the solution.
    pub relative: f64,
    /// In the solution's own unit.
    pub absolute: f64,
    /// Steps from one time to the next, or iterations.
    pub most_steps: usize,
}

impl PartialEq for Tolerance {
    fn eq(&self, other: &Self) -> bool {
        let bits = |t: &Self| (t.relative.to_bits(), t.absolute.to_bits(), t.most_steps);
        bits(self) == bits(other)
    }
}

/// A shared problem, compared by content: the same solution is computed once.
#[derive(Debug, Clone)]
pub struct Problem<T>(pub Arc<T>);

impl<T> std::ops::Deref for Problem<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: PartialEq> PartialEq for Problem<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

// Functions hold no numbers but constants, which are compared by bits.
impl<T: PartialEq> Eq for Problem<T> {}

impl Hash for Problem<Ode> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.init.insts.len(), self.rhs.insts.len()).hash(state);
    }
}

impl Hash for Problem<Root> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.system.insts.len().hash(state);
    }
}

impl Ode {
    /// The functions that define it.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        let jacobian = match &self.method {
            Method::Implicit { jacobian } => Some(jacobian),
            Method::Explicit | Method::Quadrature => None,
        };
        [&self.init, &self.rhs].into_iter().chain(jacobian)
    }

    /// The same problem with its functions replaced by what `f` makes of them.
    #[must_use]
    pub fn map(&self, f: &dyn Fn(&Function) -> Function) -> Self {
        Ode {
            init: f(&self.init),
            rhs: f(&self.rhs),
            method: match &self.method {
                Method::Implicit { jacobian } => Method::Implicit { jacobian: f(jacobian) },
                method => method.clone(),
            },
            tolerance: self.tolerance,
        }
    }

    /// The name of the method.
    pub(super) fn method_name(&self) -> &'static str {
        match self.method {
            Method::Explicit => "explicit",
            Method::Implicit { .. } => "implicit",
            Method::Quadrature => "quadrature",
        }
    }

    /// Number of components of the state.
    #[must_use]
    pub fn states(&self) -> usize {
        self.rhs.outputs.first().map_or(0, |o| self.rhs.ty(o.value).len())
    }

    /// The type of the solution.
    pub(super) fn result(&self, operands: &[&Type]) -> Result<Type, TypeError> {
        let Some((times, args)) = operands.split_first() else {
            return Err(TypeError("an initial value problem without times".into()));
        };
        let n = self.states();
        let state = Type::real([n].as_slice());
        let time = Type::real(Shape::new());
        check(&self.init, args, &[&[n]])?;
        let inputs: Vec<&Type> = [&time, &state].into_iter().chain(args.iter().copied()).collect();
        check(&self.rhs, &inputs, &[&[n]])?;
        if let Method::Implicit { jacobian } = &self.method {
            let m = jacobian.inputs.get(1).map_or(0, |i| i.ty.len());
            let block = Type::real([m].as_slice());
            let inputs: Vec<&Type> =
                [&time, &block].into_iter().chain(args.iter().copied()).collect();
            check(jacobian, &inputs, &[&[m, m]])?;
            if m == 0 || !n.is_multiple_of(m) {
                return Err(TypeError(format!("{n} states are not blocks of {m}")));
            }
        }
        match times.shape[..] {
            [length] => Ok(Type::real([length, n].as_slice())),
            _ => Err(TypeError(format!("times {times} are no vector"))),
        }
    }
}

impl Root {
    /// The same problem with its function replaced by what `f` makes of it.
    #[must_use]
    pub fn map(&self, f: &dyn Fn(&Function) -> Function) -> Self {
        Root { system: f(&self.system), search: self.search }
    }

    /// The type of the root.
    pub(super) fn result(&self, operands: &[&Type]) -> Result<Type, TypeError> {
        let [guess, ..] = operands else {
            return Err(TypeError("a system of equations without a guess".into()));
        };
        let n = guess.len();
        if self.search == Search::Increasing && n != 1 {
            return Err(TypeError(format!("{n} unknowns, of one increasing function")));
        }
        check(&self.system, operands, &[&[n], &[n, n]])?;
        Ok(Type::real([n].as_slice()))
    }
}

/// Checks the shapes of a defining function.
fn check(f: &Function, inputs: &[&Type], outputs: &[&[usize]]) -> Result<(), TypeError> {
    let takes = f.inputs.len() == inputs.len()
        && f.inputs.iter().zip(inputs).all(|(i, ty)| i.ty.shape == ty.shape);
    let gives = f.outputs.len() == outputs.len()
        && f.outputs.iter().zip(outputs).all(|(o, s)| f.ty(o.value).shape[..] == **s);
    if takes && gives {
        return Ok(());
    }
    let inputs: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    Err(TypeError(format!("`{}` does not take {} to {outputs:?}", f.name, inputs.join(", "))))
}
