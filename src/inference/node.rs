//! Matrices on dfdx's tape that carry their numbers and their gradients with them.
//!
//! A step of a Langevin chain is a handful of operations on a few hundred numbers, each of which takes
//! less time than what dfdx does around one: a tensor's allocation, copies into it and out of it,
//! gradients looked up in a tree. A [`Node`] has less around it: its operations put their backward
//! halves on the same tape in the same order, but read and write the gradients of nodes where they are,
//! and all buffers come from a pool. [`Node::of`] and [`Node::tensor`] lead from dfdx and back.

use std::cell::RefCell;
use std::ops::{Deref, Range};
use std::rc::Rc;
use std::sync::Arc;

use dfdx::prelude::{HasErr, HasShape, PutTape, ReshapeTo, SplitTape, Tape};

use super::optimizer::{Handle, Parameters};
use super::tape::{Element, Grads, Matrix, Pooled, SharedTape, tensor};
use super::vector::{Product, add, add_product, set_products};

/// A row-major matrix `[rows, columns]` that is on a [`SharedTape`], or constant.
#[derive(Clone)]
pub struct Node<E: Element> {
    cell: Rc<Cell<E>>,
    tape: SharedTape<E>,
}

/// A node without its tape: what backward operations hold, which the tape holds.
struct Cell<E: Element> {
    shape: (usize, usize),
    numbers: Numbers<E>,
    /// `None` for zeros.
    gradient: RefCell<Option<Pooled<E>>>,
}

/// Where a node's numbers are.
enum Numbers<E: Element> {
    Own(Pooled<E>),
    /// Among those of a trainable tensor.
    Trained(Arc<Vec<E>>),
    /// Among those of another node.
    Part(Rc<Cell<E>>, Range<usize>),
}

impl<E: Element> Deref for Numbers<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        match self {
            Numbers::Own(numbers) => numbers,
            Numbers::Trained(numbers) => numbers,
            Numbers::Part(whole, range) => &whole.numbers[range.clone()],
        }
    }
}

impl<E: Element> std::fmt::Debug for Node<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?})", self.cell.shape)
    }
}

/// What a backward operation ends with.
pub type Done<E> = Result<(), <<E as Element>::Device as HasErr>::Err>;

impl<E: Element> Node<E> {
    /// A matrix without a gradient.
    #[must_use]
    pub fn constant(numbers: Pooled<E>, shape: (usize, usize)) -> Self {
        Self::on(SharedTape::off(), numbers, shape)
    }

    /// What was computed from `operands`; [`record`](Self::record) how gradients get back to them.
    #[must_use]
    pub fn computed<'a>(
        numbers: Pooled<E>,
        shape: (usize, usize),
        operands: impl IntoIterator<Item = &'a Self>,
    ) -> Self {
        let tape = operands.into_iter().find(|o| o.tape.is_recording()).map(|o| o.tape.clone());
        Self::on(tape.unwrap_or_default(), numbers, shape)
    }

    /// A matrix on a tape.
    #[must_use]
    pub fn on(tape: SharedTape<E>, numbers: Pooled<E>, shape: (usize, usize)) -> Self {
        Self::holding(tape, Numbers::Own(numbers), shape)
    }

    fn holding(tape: SharedTape<E>, numbers: Numbers<E>, shape: (usize, usize)) -> Self {
        debug_assert_eq!(numbers.len(), shape.0 * shape.1, "numbers of a matrix");
        Node { cell: Rc::new(Cell { shape, numbers, gradient: RefCell::default() }), tape }
    }

    /// A trainable tensor where it is, to which the gradient goes back.
    #[must_use]
    pub fn trained(
        parameters: &Parameters<E>,
        handle: Handle,
        shape: (usize, usize),
        tape: &SharedTape<E>,
    ) -> Self {
        let node = Self::holding(tape.clone(), Numbers::Trained(parameters.numbers(handle)), shape);
        let ghost = parameters.vector(handle, tape).split_tape().0.ghost();
        node.record(move |grads, up| {
            add(grads.get_or_alloc_mut(&ghost)?, &up);
            Ok(())
        });
        node
    }

    /// Rows of a constant, where they are.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let columns = self.shape().1;
        let part = rows.start * columns..rows.end * columns;
        let numbers = Numbers::Part(Rc::clone(&self.cell), part);
        Self::holding(SharedTape::off(), numbers, (rows.len(), columns))
    }

    /// The numbers of a tensor, to which the gradient goes back.
    #[must_use]
    pub fn of(tensor: Matrix<E>) -> Self {
        let shape @ (rows, columns) = *tensor.shape();
        let (tensor, tape) = tensor.contiguous().split_tape();
        let mut numbers = Pooled::new(rows * columns);
        tensor.copy_into(&mut numbers);
        let node = Self::on(tape, numbers, shape);
        let ghost = tensor.ghost();
        node.record(move |grads, up| {
            add(grads.get_or_alloc_mut(&ghost)?, &up);
            Ok(())
        });
        node
    }

    /// The same as a tensor.
    #[must_use]
    pub fn tensor(&self) -> Matrix<E> {
        let out = tensor(self.numbers(), self.shape());
        let (ghost, operand, mut tape) = (out.ghost(), self.operand(), self.tape.clone());
        tape.add_backward_op(move |grads| {
            let up = grads.get_or_alloc_mut(&ghost)?;
            operand.receive_product((None, Some(up)));
            Ok(())
        });
        out.put_tape(tape)
    }

    /// The same numbers off the tape.
    #[must_use]
    pub fn detached(&self) -> Self {
        Node { cell: Rc::clone(&self.cell), tape: SharedTape::off() }
    }

    /// The tape that it is on.
    #[must_use]
    pub fn tape(&self) -> SharedTape<E> {
        self.tape.clone()
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        self.cell.shape
    }

    /// The numbers, row-major.
    #[must_use]
    pub fn numbers(&self) -> &[E] {
        &self.cell.numbers
    }

    /// The node for use in a backward operation.
    #[must_use]
    pub fn operand(&self) -> Operand<E> {
        Operand { cell: Rc::clone(&self.cell), tracked: self.tape.is_recording() }
    }

    /// Records the backward half of the operation that computed this node, which gets the gradient of the
    /// node; it is left out where nothing depends on the node.
    pub fn record(&self, backward: impl FnOnce(&mut Grads<E>, Pooled<E>) -> Done<E> + 'static) {
        let cell = Rc::clone(&self.cell);
        self.tape.clone().add_backward_op(move |grads| match cell.gradient.take() {
            Some(up) => backward(grads, up),
            None => Ok(()),
        });
    }
}

/// A node that a backward operation reads, and to whose gradient it adds.
pub struct Operand<E: Element> {
    cell: Rc<Cell<E>>,
    tracked: bool,
}

impl<E: Element> std::fmt::Debug for Operand<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operand({:?})", self.cell.shape)
    }
}

impl<E: Element> Operand<E> {
    /// The numbers, row-major.
    #[must_use]
    pub fn numbers(&self) -> &[E] {
        &self.cell.numbers
    }

    /// Whether there is a gradient.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// Lets `f` add to the gradient, if there is one.
    pub fn receive(&self, f: impl FnOnce(&mut [E])) {
        if self.tracked {
            let mut gradient = self.cell.gradient.borrow_mut();
            f(gradient.get_or_insert_with(|| Pooled::zeros(self.cell.numbers.len())));
        }
    }

    /// Adds a product to the gradient, if there is one.
    pub(super) fn receive_product(&self, product: Product<'_, E>) {
        if self.tracked {
            let mut gradient = self.cell.gradient.borrow_mut();
            match &mut *gradient {
                Some(gradient) => add_product(gradient, product),
                none => {
                    let mut first = Pooled::new(self.cell.numbers.len());
                    set_products(&mut first, &[product]);
                    *none = Some(first);
                }
            }
        }
    }

    /// Adds `up` to the gradient, if there is one.
    pub fn give(&self, up: Pooled<E>) {
        if self.tracked {
            let mut gradient = self.cell.gradient.borrow_mut();
            match &mut *gradient {
                Some(gradient) => add(gradient, &up),
                none => *none = Some(up),
            }
        }
    }
}
