//! The state of lowering: the function being built, what each variable is, what is known now.

use std::collections::HashMap;

use crate::check::typed::{Expr, Model, VarId};
use crate::data::DataSet;
use crate::diagnostics::{Code, Diagnostic};
use crate::exec::reference;
use crate::ir::{Builder, DType, Op, Shape, Tensor, Type, ValueId, num_elements};
use crate::source::Span;

use super::Lower;
use super::dependence::Dependence;
use super::elements::Frame;
use super::latents::Latents;
use super::missing::MissingData;
use super::recursion::Sequence;
use super::value::{Axes, Axis, AxisTable, Val};

/// Lowers one model.
pub(super) struct Lowerer<'m> {
    pub(super) model: &'m Model,
    /// The data file, for messages about it.
    pub(super) file: &'m DataSet,
    /// Most elements of an array.
    limit: usize,
    /// Most operations, written out.
    pub(super) most_steps: usize,
    /// Expressions lowered so far.
    steps: usize,
    /// The function being built; inside a recursion, its step.
    pub(super) b: Builder,
    /// Loop axes so far.
    pub(super) axes: AxisTable,
    /// What each variable in scope is.
    pub(super) env: HashMap<VarId, Val>,
    /// Numbers of the inputs that are data, by input index.
    pub(super) data: HashMap<u32, Tensor>,
    /// Values whose numbers have been asked for.
    known: HashMap<ValueId, Option<Tensor>>,
    /// The recursion being lowered, if any.
    pub(super) sequence: Option<Sequence>,
    /// Arrays being defined element by element, innermost last.
    pub(super) frames: Vec<Frame>,
    /// Axes of the loops around the current statement, and of the arrays that the functions around the
    /// current expression are lifted over.
    pub(super) loops: Axes,
    /// The input that random numbers are drawn with, once something is random.
    pub(super) key: Option<ValueId>,
    /// Random numbers so far; each has a counter of its own.
    pub(super) counters: usize,
    /// Conditions around the current statement that data does not decide for all steps at once.
    pub(super) masks: Vec<Val>,
    /// Conditions around the current expression: where they do not hold, its value is not used.
    pub(super) guards: Vec<Val>,
    /// Terms of the log joint so far.
    pub(super) terms: Vec<Term>,
    /// Discrete latents and what has been said about them.
    pub(super) latents: Latents,
    pub(super) dependence: Dependence,
    /// Data fields with missing elements.
    pub(super) missing: MissingData,
    /// Axes of the loops over the values of latents around the current statement.
    pub(super) enumerated: Axes,
    /// What the statement being lowered is about, for messages.
    pub(super) subject: Option<Subject>,
}

/// The left side of a statement.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) lhs: Expr,
    /// The loop axes that its batch has become.
    pub(super) axes: Vec<Axis>,
}

/// One summand of the log joint, before it is summed over its elements.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) value: ValueId,
    pub(super) span: Span,
    /// The data variable that this is the likelihood of.
    pub(super) observed: Option<String>,
    /// Whether it is the distribution of a discrete latent.
    pub(super) of_latent: bool,
}

impl<'m> Lowerer<'m> {
    pub(super) fn new(model: &'m Model, file: &'m DataSet) -> Self {
        Lowerer {
            model,
            file,
            limit: file.limit(),
            most_steps: file.most_operations(),
            steps: 0,
            b: Builder::new("log_joint"),
            axes: AxisTable::default(),
            env: HashMap::new(),
            data: HashMap::new(),
            known: HashMap::new(),
            sequence: None,
            frames: Vec::new(),
            loops: Axes::new(),
            key: None,
            counters: 0,
            masks: Vec::new(),
            terms: Vec::new(),
            latents: Latents::default(),
            dependence: Dependence::default(),
            missing: MissingData::new(),
            enumerated: Axes::new(),
            guards: Vec::new(),
            subject: None,
        }
    }

    /// The place being lowered.
    pub(super) fn here(&self) -> Span {
        self.b.span().expect("lowering starts at a declaration")
    }

    /// Runs `f` with instructions attributed to `span`.
    pub(super) fn at<T>(&mut self, span: Span, f: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.b.span();
        self.b.set_span(Some(span));
        let result = f(self);
        self.b.set_span(outer);
        result
    }

    /// Runs `f` with a new function under construction, which sees nothing of the one around. Gives the
    /// result and the new function.
    pub(super) fn isolated<T>(
        &mut self,
        name: &str,
        f: impl FnOnce(&mut Self) -> T,
    ) -> (T, Builder) {
        let mut inner = Builder::new(name);
        inner.set_span(self.b.span());
        let outer = std::mem::replace(&mut self.b, inner);
        let data = std::mem::take(&mut self.data);
        let known = std::mem::take(&mut self.known);
        let sequence = self.sequence.take();
        let frames = std::mem::take(&mut self.frames);
        let loops = std::mem::take(&mut self.loops);
        let masks = std::mem::take(&mut self.masks);
        let guards = std::mem::take(&mut self.guards);
        let result = f(self);
        self.data = data;
        self.known = known;
        self.sequence = sequence;
        self.frames = frames;
        self.loops = loops;
        self.masks = masks;
        self.guards = guards;
        (result, std::mem::replace(&mut self.b, outer))
    }

    /// The numbers of a value, if it depends on data alone.
    pub(super) fn numbers(&mut self, value: ValueId) -> Option<Tensor> {
        if self.sequence.as_ref().is_some_and(Sequence::is_inside) {
            return self.numbers_in_step(value);
        }
        let mut stack = vec![value];
        while let Some(&v) = stack.last() {
            if self.known.contains_key(&v) {
                stack.pop();
                continue;
            }
            let inst = self.b.inst(v).clone();
            let result = match &inst.op {
                Op::Input(i) => self.data.get(i).cloned(),
                _ => {
                    let missing: Vec<ValueId> =
                        inst.args.iter().copied().filter(|a| !self.known.contains_key(a)).collect();
                    if !missing.is_empty() {
                        stack.extend(missing);
                        continue;
                    }
                    let args: Option<Vec<&Tensor>> =
                        inst.args.iter().map(|a| self.known[a].as_ref()).collect();
                    match (&inst.op, args) {
                        (Op::Scan(_) | Op::Proj(_), _) => self.numbers_of_scan(v),
                        (_, Some(args)) => Some(reference::apply(&inst, &args)),
                        (_, None) => None,
                    }
                }
            };
            self.known.insert(v, result);
            stack.pop();
        }
        self.known[&value].clone()
    }

    /// Inside a step constants are known, and what it reads whole of what is known outside.
    fn numbers_in_step(&mut self, value: ValueId) -> Option<Tensor> {
        let inst = self.b.inst(value).clone();
        if let Op::Input(i) = inst.op {
            let outer = self.sequence.as_ref().and_then(|s| s.imported_whole(i))?;
            return self.in_enclosing(|l| l.numbers(outer));
        }
        let args: Option<Vec<Tensor>> =
            inst.args.iter().map(|&a| self.numbers_in_step(a)).collect();
        match (&inst.op, args) {
            (Op::Scan(_) | Op::Proj(_), _) | (_, None) => None,
            (_, Some(args)) => Some(reference::apply(&inst, &args.iter().collect::<Vec<_>>())),
        }
    }

    /// A recursion over data alone: evaluated through a function of its own.
    fn numbers_of_scan(&mut self, value: ValueId) -> Option<Tensor> {
        let inst = self.b.inst(value).clone();
        let Op::Proj(_) = inst.op else { return None };
        let scan = self.b.inst(inst.args[0]).clone();
        let args: Vec<Tensor> =
            scan.args.iter().map(|&a| self.numbers(a)).collect::<Option<_>>()?;
        let mut b = Builder::new("constant");
        let ids: Vec<ValueId> = args.into_iter().map(|t| b.tensor(t)).collect();
        let tuple = b.add(scan.op, ids.as_slice());
        let component = b.add(inst.op, [tuple].as_slice());
        b.output("value", component);
        reference::evaluate(&b.finish(), &[]).pop()
    }

    /// The integers among the variables in scope that are known now.
    pub(super) fn known_sizes(&mut self) -> HashMap<VarId, i64> {
        let scalars: Vec<(VarId, ValueId)> = self
            .env
            .iter()
            .filter(|(_, v)| {
                v.axes.is_empty() && *self.b.ty(v.id) == Type::new(DType::Int, Shape::new())
            })
            .map(|(var, v)| (*var, v.id))
            .collect();
        #[allow(clippy::cast_possible_truncation, reason = "integers are exact below 2^53")]
        let known = |(var, id)| self.numbers(id).map(|t| (var, t.data[0] as i64));
        scalars.into_iter().filter_map(known).collect()
    }

    /// A scalar that has to be known now, as an integer.
    pub(super) fn known_int(&mut self, v: &Val) -> Lower<i64> {
        let numbers = if v.axes.is_empty() { self.numbers(v.id) } else { None };
        match numbers {
            #[allow(clippy::cast_possible_truncation, reason = "integers are exact below 2^53")]
            Some(t) if t.data.len() == 1 => Ok(t.data[0] as i64),
            _ => Err(self.error(
                Code::E0503,
                "this has to be known from the data",
                "depends on parameters or on a loop index",
            )),
        }
    }

    /// A size that has to be known now.
    pub(super) fn size(&mut self, v: &Val) -> Lower<usize> {
        let n = self.known_int(v)?;
        let size = usize::try_from(n).map_err(|_| {
            self.error(
                Code::E0504,
                format!("a size cannot be negative, but this is {n}"),
                "this size",
            )
        })?;
        self.room_for(&[size])?;
        Ok(size)
    }

    /// That an array of this shape, about to be made, is not too large.
    pub(super) fn room_for(&self, shape: &[usize]) -> Lower<()> {
        match num_elements(shape) > self.limit {
            true => Err(Box::new(too_large(self.here(), shape, self.limit))),
            false => Ok(()),
        }
    }

    /// That the model does not come to too many operations, now that there is one more.
    ///
    /// # Errors
    /// E0507: functions that call functions, or distributions of distributions, may double with each line.
    pub(super) fn count_step(&mut self) -> Lower<()> {
        self.steps += 1;
        match self.steps > self.most_steps {
            true => Err(Box::new(
                Diagnostic::error(
                    Code::E0507,
                    self.here(),
                    format!("written out, this model has more than {} operations", self.most_steps),
                    "here at the latest",
                )
                .with_help(MORE_OPERATIONS),
            )),
            false => Ok(()),
        }
    }

    /// That no array made so far is too large.
    pub(super) fn check_sizes(&self) -> Lower<()> {
        let Some(largest) = self.b.largest() else { return Ok(()) };
        let inst = self.b.inst(largest);
        match inst.ty.len() > self.limit {
            true => {
                let span = inst.span.unwrap_or_else(|| self.here());
                Err(Box::new(too_large(span, &inst.ty.shape, self.limit)))
            }
            false => Ok(()),
        }
    }

    /// Whether a value differs between the values of a latent that is being summed out.
    pub(super) fn is_enumerated(&self, v: &Val) -> bool {
        v.axes.iter().any(|a| self.enumerated.contains(a))
    }

    /// An error at the current place.
    pub(super) fn error(
        &self,
        code: Code,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Box<Diagnostic> {
        Box::new(Diagnostic::error(code, self.here(), message, label))
    }

    /// Two shapes that should agree do not, now that the data gives their sizes.
    pub(super) fn shapes_differ(&self, a: &Shape, b: &Shape) -> Box<Diagnostic> {
        let show = |s: &Shape| {
            let sizes: Vec<String> = s.iter().map(usize::to_string).collect();
            format!("[{}]", sizes.join(", "))
        };
        let message = format!("with this data the shapes {} and {} meet here", show(a), show(b));
        self.error(Code::E0501, message, "these do not fit together")
    }

    /// Something the language has and this release cannot run.
    pub(super) fn not_yet(&self, what: &str) -> Box<Diagnostic> {
        self.error(Code::E0506, format!("{what} cannot be run by this release"), "used here")
    }

    /// A real version of a value.
    pub(super) fn as_real(&mut self, v: &Val) -> Val {
        self.convert(DType::Real, v)
    }
}

/// What to do where there would be too many.
pub(super) const MORE_OPERATIONS: &str =
    "if it is meant, and there is time and memory for it, `--max-operations` takes another limit";

/// The error that an array would have more than `limit` elements.
pub(super) fn too_large(span: Span, shape: &[usize], limit: usize) -> Diagnostic {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let message = format!("an array has at most {limit} elements");
    let label = format!("this would have the shape [{}]", sizes.join(", "));
    Diagnostic::error(Code::E0508, span, message, label).with_help(
        "if it is meant, and there is memory for it, `--max-elements` takes another limit",
    )
}
