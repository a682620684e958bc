//! A compiled program as text: what `ppl emit --stage program` shows.
//!
//! One line for each step, in the order in which they run. Values are named by where they are: an input
//! by its name, a constant as `c1` (or its number, where it is one), a slot of the workspace as `@1`, a
//! register of a fused loop as `r1`. Positions count from 1, as in a model.
//! With costs (`--cost`), each step comes after a line that says what it costs for a point.

use std::fmt;

use super::cost::{Cost, costs};
use super::element::Element;
use super::kernels::elementwise::Micro;
use super::plan::{Arg, FusedLoop, Home, LoopOp, Places, Plan, ScanPlan, Step};
use super::program::{Program, most_lanes};
use super::view::{Class, Map, View};

/// Numbers of a constant or positions of a table that are shown.
const SHOWN: usize = 4;

impl<E: Element> fmt::Display for Program<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        program(f, self, &[])
    }
}

/// A program whose text says what each step costs.
#[derive(Debug)]
pub(super) struct Costed<'a, E>(pub(super) &'a Program<E>);

impl<E: Element> fmt::Display for Costed<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.0.plan();
        let inputs = self.0.signature().0.iter().map(|(_, len)| len).sum();
        program(f, self.0, &costs(plan, most_lanes(&[plan]), inputs))
    }
}

fn program<E: Element>(
    f: &mut fmt::Formatter<'_>,
    program: &Program<E>,
    costs: &[Cost],
) -> fmt::Result {
    let plan = program.plan();
    let list = |parts: Vec<String>| parts.join(", ");
    let (inputs, outputs) = program.signature();
    let shown = inputs.iter().map(|(name, len)| format!("{name}[{len}]")).collect();
    writeln!(f, "program({})", list(shown))?;
    let lanes = most_lanes(&[plan]);
    writeln!(f, "// @ slot, c constant, r register of a loop; {lanes} points at a time")?;
    if !costs.is_empty() {
        writeln!(f, "// a point: {}", costs.iter().copied().sum::<Cost>())?;
    }
    let mut end = 0;
    let mut first = |len| {
        end += len;
        end - len
    };
    let externals = inputs.into_iter().map(|(name, len)| (first(len), name)).collect();
    let printer = Printer { plan, externals, depth: 0, costs };
    printer.body(f)?;
    let returned = outputs.iter().zip(&plan.outputs);
    let returned = returned.map(|(name, v)| format!("{name} = {}", printer.view(v))).collect();
    writeln!(f, "return {}", list(returned))
}

/// Prints one plan; loops over time have plans of their own.
struct Printer<'a, E> {
    plan: &'a Plan<E>,
    /// Name and first element of each input in the caller's buffer.
    externals: Vec<(usize, String)>,
    depth: usize,
    /// Of each step, or none.
    costs: &'a [Cost],
}

impl<E: Element> Printer<'_, E> {
    fn indent(&self) -> String {
        "  ".repeat(self.depth)
    }

    /// Constants, slots and steps.
    fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pad = self.indent();
        for (i, numbers) in self.plan.consts.iter().enumerate().filter(|(_, c)| c.len() != 1) {
            let shown: Vec<String> =
                numbers.iter().take(SHOWN).map(|x| x.f64().to_string()).collect();
            let more = if numbers.len() > SHOWN { ", …" } else { "" };
            writeln!(f, "{pad}c{}[{}] = {}{more}", i + 1, numbers.len(), shown.join(", "))?;
        }
        for (i, slot) in self.plan.slots.iter().enumerate() {
            writeln!(f, "{pad}@{}[{}]{}", i + 1, slot.len, shared(slot.class))?;
        }
        for (i, step) in self.plan.steps.iter().enumerate() {
            if let Some(cost) = self.costs.get(i) {
                writeln!(f, "{pad}// {cost}")?;
            }
            self.step(f, step)?;
        }
        Ok(())
    }

    fn step(&self, f: &mut fmt::Formatter<'_>, step: &Step<E>) -> fmt::Result {
        let pad = self.indent();
        match step {
            Step::Solver { solver, args, out } => {
                let args: Vec<String> = args.iter().map(|view| self.view(view)).collect();
                writeln!(f, "{pad}{} = {} {}", self.value(*out), solver.name(), args.join(" "))
            }
            Step::Fused(fused) => self.fused(f, fused),
            Step::Scan(scan) => self.scan(f, scan),
            Step::Place { parts, zero, out } => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|(view, places)| {
                        format!("{} at {}", self.view(view), at(places, view.len))
                    })
                    .collect();
                let rest = if *zero { ", 0 elsewhere" } else { "" };
                writeln!(f, "{pad}{} = place {}{rest}", self.value(*out), parts.join(", "))
            }
            Step::Gather { data, index, out, .. } => {
                let (data, index) = (self.view(data), self.view(index));
                writeln!(f, "{pad}{} = gather {data} by {index}", self.value(*out))
            }
            Step::Scatter { data, places, out } => {
                let data = self.view(data);
                let places: Vec<usize> = places.iter().map(|&p| p as usize).collect();
                writeln!(f, "{pad}{} = scatter {data} to {}", self.value(*out), table(&places))
            }
            Step::ScatterAt { data, index, out, .. } => {
                let (data, index) = (self.view(data), self.view(index));
                writeln!(f, "{pad}{} = scatter {data} by {index}", self.value(*out))
            }
            Step::CumSum { data, reverse, out, .. } => {
                let way = if *reverse { " from the end" } else { "" };
                writeln!(f, "{pad}{} = cumulative_sum{way} {}", self.value(*out), self.view(data))
            }
            Step::Extreme { data, cols, log_sum_exp, out } => {
                let name = if *log_sum_exp { "log_sum_exp" } else { "max" };
                let data = self.view(data);
                writeln!(f, "{pad}{} = {name} of rows of {cols} of {data}", self.value(*out))
            }
            Step::MatMul(product) => {
                let (m, k, n) = product.size;
                let (a, b) = (self.view(&product.a), self.view(&product.b));
                let out = self.value(product.out);
                writeln!(f, "{pad}{out} = matmul {a} {b}  // [{m}, {k}] @ [{k}, {n}]")
            }
            Step::Cholesky { a, n, out } => {
                let (a, out) = (self.view(a), self.value(*out));
                writeln!(f, "{pad}{out} = cholesky {a}  // [{n}, {n}]")
            }
            Step::TriSolve { a, b, n, cols, lower, trans, out } => {
                let side = if *lower { "lower" } else { "upper" };
                let transposed = if *trans { " transposed" } else { "" };
                let (a, b, out) = (self.view(a), self.view(b), self.value(*out));
                writeln!(
                    f,
                    "{pad}{out} = solve {side}{transposed} {a} {b}  // [{n}, {n}] for [{n}, {cols}]"
                )
            }
        }
    }

    fn fused(&self, f: &mut fmt::Formatter<'_>, fused: &FusedLoop) -> fmt::Result {
        let pad = self.indent();
        writeln!(f, "{pad}loop {}{} {{", fused.len, shared(fused.class))?;
        for (source, reg) in &fused.once {
            let source = self.view(&fused.sources[*source]);
            writeln!(f, "{pad}  r{} = {source}  // once", reg + 1)?;
        }
        let arg = |arg: &Arg| match arg {
            Arg::None => String::new(),
            Arg::Reg(reg) => format!(" r{}", reg + 1),
            Arg::Source(source) => format!(" {}", self.view(&fused.sources[*source])),
        };
        for op in &fused.ops {
            match op {
                LoopOp::Load { source, reg } => {
                    writeln!(f, "{pad}  r{} = {}", reg + 1, self.view(&fused.sources[*source]))?;
                }
                LoopOp::Apply { op, args, reg } => {
                    let args: String = args.iter().map(arg).collect();
                    writeln!(f, "{pad}  r{} = {}{args}", reg + 1, name(*op))?;
                }
                LoopOp::Store { arg: from, out } => {
                    writeln!(f, "{pad}  {} ={}", self.value(fused.stores[*out]), arg(from))?;
                }
                LoopOp::Sum { arg: from, out } => {
                    let rows = if fused.cols == fused.len {
                        String::new()
                    } else {
                        format!("  // of rows of {}", fused.cols)
                    };
                    let out = self.value(fused.sums[*out]);
                    writeln!(f, "{pad}  {out} = sum{}{rows}", arg(from))?;
                }
                LoopOp::SumColumns { arg: from, out } => {
                    let out = self.value(fused.columns[*out]);
                    let arg = arg(from);
                    writeln!(f, "{pad}  {out} = sum{arg}  // of columns of {}", fused.cols)?;
                }
            }
        }
        writeln!(f, "{pad}}}")
    }

    fn scan(&self, f: &mut fmt::Formatter<'_>, scan: &ScanPlan<E>) -> fmt::Result {
        let pad = self.indent();
        let way = if scan.reverse { " backwards" } else { "" };
        let body = &scan.body;
        let inner =
            Printer { plan: body, externals: Vec::new(), depth: self.depth + 1, costs: &[] };
        let given = |input: usize| body.inputs[input].map(|value| inner.value(value));
        let carries = scan.carries.iter().enumerate().filter_map(|(input, view)| {
            given(input).map(|name| format!("{name} = {} at first", self.view(view)))
        });
        let rows = scan.xs.iter().filter_map(|(view, input)| {
            given(*input).map(|name| format!("{name} = row of {}", self.view(view)))
        });
        let fixed = scan.fixed.iter().filter_map(|(view, input)| {
            given(*input).map(|name| format!("{name} = {}", self.view(view)))
        });
        writeln!(f, "{pad}scan {} steps{way}{} {{", scan.length, shared(scan.class))?;
        for line in carries.chain(rows).chain(fixed) {
            writeln!(f, "{pad}  {line}")?;
        }
        inner.body(f)?;
        for (i, (view, &component)) in body.outputs.iter().zip(&scan.components).enumerate() {
            let what = if i < scan.carries.len() { "next" } else { "each" };
            writeln!(f, "{pad}  {what} {}  // into {}", inner.view(view), self.value(component))?;
        }
        writeln!(f, "{pad}}}")
    }

    /// Where a value is.
    fn value(&self, value: usize) -> String {
        let Some(value) = self.plan.values.get(value) else { return "nothing".into() };
        match value.home {
            Home::Register => "unused".into(),
            Home::Const(i) => self.constant(i),
            Home::External { buffer, offset } => {
                let of = |(first, _): &&(usize, String)| *first <= offset && buffer == 0;
                let name = self.externals.iter().rev().find(of);
                name.map_or_else(|| format!("saved{}", offset + 1), |(_, name)| name.clone())
            }
            Home::Slot(slot) => format!("@{}", slot + 1),
        }
    }

    fn constant(&self, i: usize) -> String {
        match self.plan.consts[i].as_ref() {
            [x] => x.f64().to_string(),
            _ => format!("c{}", i + 1),
        }
    }

    /// An operand.
    fn view(&self, view: &View) -> String {
        let name = self.value(view.value);
        let len = self.plan.values.get(view.value).map_or(0, |v| v.len);
        match &view.map {
            _ if len == 1 => name,
            Map::Contiguous(0) if view.len == len => name,
            Map::Contiguous(offset) if view.len == 1 => format!("{name}[{}]", offset + 1),
            Map::Contiguous(offset) => format!("{name}[{}:{}]", offset + 1, offset + view.len),
            Map::Splat(offset) => format!("{name}[{}]", offset + 1),
            Map::Table(places) => {
                let places: Vec<usize> = places.iter().map(|&p| p as usize).collect();
                format!("{name}{}", table(&places))
            }
        }
    }
}

/// What is stored once for all points is said; the rest is stored for each.
fn shared(class: Class) -> &'static str {
    match class {
        Class::Uniform => " for all points",
        Class::Varying => "",
    }
}

fn at(places: &Places, len: usize) -> String {
    match places {
        Places::From(start) => format!("[{}:{}]", start + 1, start + len),
        Places::Blocks { start, chunk, stride } => {
            format!("[{}] in blocks of {chunk}, {stride} apart", start + 1)
        }
        Places::Table(places) => table(&places.iter().map(|&p| p as usize).collect::<Vec<_>>()),
    }
}

/// Positions from 1; `u32::MAX` is none.
fn table(places: &[usize]) -> String {
    let shown: Vec<String> = places
        .iter()
        .take(SHOWN)
        .map(|&p| if p == u32::MAX as usize { "-".into() } else { (p + 1).to_string() })
        .collect();
    let more = if places.len() > SHOWN { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

fn name(op: Micro) -> &'static str {
    match op {
        Micro::Unary(op) => op.name(),
        Micro::Binary(op) => op.name(),
        Micro::Ternary(op) => op.name(),
        Micro::Trunc => "trunc",
        Micro::NonZero => "nonzero",
        Micro::Copy => "copy",
    }
}
