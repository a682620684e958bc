//! Random numbers: each is a function of the draw's key and of a counter that no other number has, so
//! that it depends neither on the order of evaluation nor on what else is drawn with it.

use crate::check::builtins::{Builtin, Signature};
use crate::ir::{BinaryOp, DType, Op, Shape, Tensor, TernaryOp, Type, UnaryOp, ValueId};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::Val;

/// The input that holds each draw's key (`random::keys`); no field of a data set has this name.
pub(crate) const KEY: &str = "random.key";

impl Lowerer<'_> {
    /// A random primitive: a number of its own for each element of the arguments, for each step of the
    /// loops around and for each element that the functions around are lifted over. The arguments of one
    /// without parameters are the sizes of an array.
    pub(super) fn random(&mut self, which: Builtin, args: &[Val]) -> Lower<Val> {
        let mut own = Shape::new();
        for arg in args {
            if which.signature() == Signature::RandomReal(0) {
                own.push(self.size(arg)?);
                continue;
            }
            let shape = arg.shape(&self.b);
            if !shape.is_empty() {
                own = shape;
            }
        }
        let bits = if self.in_row() {
            self.outside(|l| Ok(l.random_bits(&own)))?
        } else {
            self.random_bits(&own)
        };
        match which {
            Builtin::RngStdGamma => self.binary(BinaryOp::GammaDraw, &bits, &args[0]),
            Builtin::RngPoisson => self.binary(BinaryOp::PoissonDraw, &bits, &args[0]),
            Builtin::RngBinomial => {
                self.elementwise(Op::Ternary(TernaryOp::BinomialDraw), &[&bits, &args[0], &args[1]])
            }
            _ => {
                // The middle of one of 2⁵² intervals: neither end of (0, 1) is drawn.
                let half = self.real(0.5);
                let unit = self.real((-52_f64).exp2());
                let middle = self.binary(BinaryOp::Add, &bits, &half)?;
                let uniform = self.binary(BinaryOp::Mul, &middle, &unit)?;
                Ok(match which {
                    Builtin::RngStdNormal => self.unary(UnaryOp::NormalQuantile, &uniform),
                    Builtin::RngStdExponential => {
                        let log = self.unary(UnaryOp::Log, &uniform);
                        self.unary(UnaryOp::Neg, &log)
                    }
                    _ => uniform,
                })
            }
        }
    }

    /// Random whole numbers below 2⁵², with all axes around.
    fn random_bits(&mut self, own: &[usize]) -> Val {
        let axes = self.loops.clone();
        let mut shape: Shape = axes.iter().map(|&a| self.axes.length(a)).collect();
        shape.extend_from_slice(own);
        let first = self.counters;
        self.counters += shape.iter().product::<usize>();
        #[allow(clippy::cast_precision_loss, reason = "counters are far below 2^53")]
        let counters: Vec<f64> = (first..self.counters).map(|i| i as f64).collect();
        let counters = self.b.tensor(Tensor::new(Type::new(DType::Int, shape), counters));
        let key = self.key();
        let id = self.b.add(Op::Binary(BinaryOp::RandomBits), [key, counters].as_slice());
        Val { id, axes }
    }

    fn key(&mut self) -> ValueId {
        if let Some(key) = self.key {
            return key;
        }
        let key = self.b.input(KEY, Type::real(Shape::new()));
        self.key = Some(key);
        key
    }
}
