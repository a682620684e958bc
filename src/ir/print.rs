//! IR → text.
//!
//! ```text
//! function log_joint(theta: real[2]) {
//!   %0: real[2] = input theta
//!   %1: real = const -0.5
//!   %2: real[2] = square %0
//!   %3: real[2] = mul %1, %2
//!   %4: real = sum{axes=[0]} %3
//!   return log_joint = %4
//! }
//! ```
//!
//! One instruction a line; attributes in braces after the operation. The body of a `scan` follows its
//! operands as an indented function. [`to_text`] writes every constant whole, so that `parse` reads
//! back the same function; `Display` leaves large constants out, for reading.

use std::fmt::{self, Write};

use super::function::Function;
use super::op::{Op, Tensor};
use super::solver::{Search, Tolerance};

/// Constants longer than this are left out for reading.
const SHOWN: usize = 16;

/// The text of `f` with every constant in full; `parse::parse` reads it back.
#[must_use]
pub fn to_text(f: &Function) -> String {
    Printer { full: true }.text(f)
}

impl fmt::Display for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&Printer { full: false }.text(self))
    }
}

struct Printer {
    full: bool,
}

impl Printer {
    fn text(&self, f: &Function) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.function(&mut out, f, 0);
        out
    }

    fn function(&self, out: &mut String, f: &Function, indent: usize) -> fmt::Result {
        let pad = "  ".repeat(indent);
        let inputs: Vec<String> =
            f.inputs.iter().map(|i| format!("{}: {}", quoted(&i.name), i.ty)).collect();
        writeln!(out, "function {}({}) {{", quoted(&f.name), inputs.join(", "))?;
        for (value, inst) in f.values() {
            write!(out, "{pad}  {value}: {} = ", inst.ty)?;
            self.op(out, f, &inst.op)?;
            for (i, arg) in inst.args.iter().enumerate() {
                write!(out, "{} {arg}", if i == 0 { "" } else { "," })?;
            }
            for f in inst.op.functions() {
                out.push(' ');
                self.function(out, f, indent + 1)?;
            }
            out.push('\n');
        }
        let outputs: Vec<String> =
            f.outputs.iter().map(|o| format!(" {} = {}", quoted(&o.name), o.value)).collect();
        writeln!(out, "{pad}  return{}", outputs.join(","))?;
        write!(out, "{pad}}}")?;
        if indent == 0 {
            out.push('\n');
        }
        Ok(())
    }

    fn op(&self, out: &mut String, f: &Function, op: &Op) -> fmt::Result {
        match op {
            Op::Input(i) => match f.inputs.get(*i as usize) {
                Some(input) if f.input(&input.name) == Some(*i as usize) => {
                    write!(out, "input {}", quoted(&input.name))
                }
                // Named alike, or missing: by number.
                _ => write!(out, "input {{index={i}}}"),
            },
            Op::Const(tensor) => self.constant(out, tensor),
            Op::Unary(super::op::UnaryOp::Polygamma(n)) => write!(out, "polygamma{{order={n}}}"),
            Op::Unary(op) => out.write_str(op.name()),
            Op::Binary(op) => out.write_str(op.name()),
            Op::Ternary(op) => out.write_str(op.name()),
            Op::Convert(dtype) => write!(out, "convert{{to={}}}", dtype.name()),
            Op::Broadcast { shape, axes } => {
                write!(out, "broadcast{{shape={}, axes={}}}", list(shape), list(axes))
            }
            Op::Reshape(shape) => write!(out, "reshape{{shape={}}}", list(shape)),
            Op::Transpose(perm) => write!(out, "transpose{{perm={}}}", list(perm)),
            Op::Slice { start, stop } => {
                write!(out, "slice{{start={}, stop={}}}", list(start), list(stop))
            }
            Op::Pad { low, high } => write!(out, "pad{{low={}, high={}}}", list(low), list(high)),
            Op::Concat { axis } => write!(out, "concat{{axis={axis}}}"),
            Op::Gather { axis } => write!(out, "gather{{axis={axis}}}"),
            Op::ScatterAdd { axis, size } => write!(out, "scatter_add{{axis={axis}, size={size}}}"),
            Op::Sum(axes) => write!(out, "sum{{axes={}}}", list(axes)),
            Op::ReduceMax(axes) => write!(out, "reduce_max{{axes={}}}", list(axes)),
            Op::LogSumExp(axes) => write!(out, "log_sum_exp{{axes={}}}", list(axes)),
            Op::CumSum { axis, reverse } => {
                write!(out, "cum_sum{{axis={axis}, reverse={reverse}}}")
            }
            Op::MatMul { ta, tb } => write!(out, "matmul{{ta={ta}, tb={tb}}}"),
            Op::Cholesky => out.write_str("cholesky"),
            Op::TriSolve { lower, trans } => {
                write!(out, "tri_solve{{lower={lower}, trans={trans}}}")
            }
            Op::Solve { trans } => write!(out, "solve{{trans={trans}}}"),
            Op::Det => out.write_str("det"),
            Op::LogAbsDet => out.write_str("log_abs_det"),
            Op::EigenSym => out.write_str("eigen_sym"),
            Op::MatrixExp => out.write_str("matrix_exp"),
            Op::SortIndices => out.write_str("sort_indices"),
            Op::Ode(ode) => {
                write!(out, "ode{{method={}, {}}}", ode.method_name(), accuracy(&ode.tolerance))
            }
            Op::Root(root) => match &root.search {
                Search::Newton(tolerance) => write!(out, "root{{{}}}", accuracy(tolerance)),
                Search::Increasing => out.write_str("root{search=increasing}"),
            },
            Op::Scan(scan) => write!(
                out,
                "scan{{length={}, carries={}, xs={}, reverse={}}}",
                scan.length, scan.carries, scan.xs, scan.reverse
            ),
            Op::Proj(i) => write!(out, "proj{{index={i}}}"),
        }
    }

    fn constant(&self, out: &mut String, t: &Tensor) -> fmt::Result {
        if t.ty.rank() == 0 && t.data.len() == 1 {
            return write!(out, "const {:?}", t.data[0]);
        }
        if !self.full && t.data.len() > SHOWN {
            return write!(out, "const <{} numbers, first {:?}, …>", t.data.len(), t.data[0]);
        }
        let numbers: Vec<String> = t.data.iter().map(|x| format!("{x:?}")).collect();
        write!(out, "const [{}]", numbers.join(", "))
    }
}

fn accuracy(t: &Tolerance) -> String {
    let Tolerance { relative, absolute, most_steps } = t;
    format!("relative=\"{relative:?}\", absolute=\"{absolute:?}\", most_steps={most_steps}")
}

fn list(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    format!("[{}]", numbers.join(", "))
}

/// A name as it is when it is an identifier, else in quotes, as in JSON.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        serde_json::Value::from(name).to_string()
    }
}
