//! Rows put together and added up by known indices.
//!
//! dfdx has no concatenation that needs no compiler at run time, and no scattering outside of backward
//! passes; both are made of `gather` and `choose`, in a number of rounds that is logarithmic.

use dfdx::prelude::Device;

use super::array::{Array, Index, Number};

/// Indices of rows as a tensor.
pub(super) fn index<E: Number, D: Device<E>>(dev: &D, rows: Vec<usize>) -> Index<D> {
    let n = rows.len();
    dev.tensor_from_vec(rows, (n,))
}

/// Rows of an operand, zeros or another number in the place of some.
#[derive(Debug)]
pub(super) struct Rows<E: Number, D: Device<E>> {
    rows: Index<D>,
    /// 1 for a row of the operand; all of them if there is none.
    known: Option<Array<E, D>>,
    otherwise: Array<E, D>,
}

impl<E: Number, D: Device<E>> Rows<E, D> {
    /// The operand's rows of these numbers, and `otherwise` for `None`.
    pub(super) fn new(dev: &D, rows: &[Option<usize>], otherwise: f64) -> Self {
        let truth = |row: &Option<usize>| f64::from(u8::from(row.is_some()));
        let all = rows.iter().all(Option::is_some);
        let known: Vec<f64> = rows.iter().map(truth).collect();
        Rows {
            rows: index::<E, D>(dev, rows.iter().map(|row| row.unwrap_or(0)).collect()),
            known: (!all).then(|| Array::uniform(dev, &known)),
            otherwise: Array::filled(dev, 1, otherwise),
        }
    }

    pub(super) fn of(&self, operand: &Array<E, D>) -> Array<E, D> {
        let rows = operand.rows(&self.rows);
        match &self.known {
            None => rows,
            Some(known) => Array::select(known, &rows, &self.otherwise),
        }
    }
}

/// Operands of known lengths one after the other, and what of it is wanted, if that is not all.
#[derive(Debug)]
pub(crate) struct Join<E: Number, D: Device<E>> {
    operands: usize,
    tree: Tree<E, D>,
    then: Option<Rows<E, D>>,
}

#[derive(Debug)]
enum Tree<E: Number, D: Device<E>> {
    /// An operand.
    One,
    /// What two halves of the operands are joined to.
    Two {
        halves: Box<[Tree<E, D>; 2]>,
        /// Operands in the first half.
        first: usize,
        rows: [Index<D>; 2],
        /// 1 for rows of the first half.
        in_first: Array<E, D>,
    },
}

impl<E: Number, D: Device<E>> Join<E, D> {
    /// Of operands with these numbers of rows, one at least.
    pub(crate) fn new(dev: &D, lengths: &[usize]) -> Self {
        Join { operands: lengths.len(), tree: Tree::new(dev, lengths), then: None }
    }

    /// With rows of what is joined.
    pub(super) fn then(self, rows: Rows<E, D>) -> Self {
        Join { then: Some(rows), ..self }
    }

    /// How many there are to join.
    pub(super) fn operands(&self) -> usize {
        self.operands
    }

    pub(crate) fn of(&self, operands: &[&Array<E, D>]) -> Array<E, D> {
        let all = self.tree.of(operands);
        self.then.as_ref().map_or_else(|| all.clone(), |rows| rows.of(&all))
    }
}

impl<E: Number, D: Device<E>> Tree<E, D> {
    fn new(dev: &D, lengths: &[usize]) -> Self {
        if lengths.len() <= 1 {
            return Tree::One;
        }
        let first = lengths.len() / 2;
        let (a, b) = lengths.split_at(first);
        let (n, m) = (a.iter().sum::<usize>(), b.iter().sum::<usize>());
        let of_first = (0..n + m).map(|i| if i < n { i } else { 0 }).collect();
        let of_second = (0..n + m).map(|i| i.saturating_sub(n)).collect();
        let in_first: Vec<f64> = (0..n + m).map(|i| f64::from(u8::from(i < n))).collect();
        Tree::Two {
            halves: Box::new([Tree::new(dev, a), Tree::new(dev, b)]),
            first,
            rows: [index::<E, D>(dev, of_first), index::<E, D>(dev, of_second)],
            in_first: Array::uniform(dev, &in_first),
        }
    }

    fn of(&self, operands: &[&Array<E, D>]) -> Array<E, D> {
        match self {
            Tree::One => operands[0].clone(),
            Tree::Two { halves, first, rows, in_first } => {
                let (a, b) = operands.split_at(*first);
                let (a, b) = (halves[0].of(a).rows(&rows[0]), halves[1].of(b).rows(&rows[1]));
                Array::select(in_first, &a, &b)
            }
        }
    }
}

/// Rows added up where they belong together, neighbours first, so that every run has the same rounding.
#[derive(Debug)]
pub(super) struct Scatter<E: Number, D: Device<E>> {
    sorted: Index<D>,
    rounds: Vec<[Rows<E, D>; 2]>,
    places: Rows<E, D>,
}

impl<E: Number, D: Device<E>> Scatter<E, D> {
    /// `n` rows, zero but for the operand's rows that are added to them, given as (row, to which).
    pub(super) fn new(dev: &D, mut rows: Vec<(usize, usize)>, n: usize) -> Self {
        rows.sort_by_key(|row| row.1);
        let sorted = index::<E, D>(dev, rows.iter().map(|row| row.0).collect());
        let mut targets: Vec<usize> = rows.into_iter().map(|row| row.1).collect();
        let mut rounds = Vec::new();
        while targets.windows(2).any(|pair| pair[0] == pair[1]) {
            let (mut left, mut right, mut next) = (Vec::new(), Vec::new(), Vec::new());
            let mut i = 0;
            while i < targets.len() {
                let paired = targets.get(i + 1) == Some(&targets[i]);
                left.push(Some(i));
                right.push(paired.then_some(i + 1));
                next.push(targets[i]);
                i += 1 + usize::from(paired);
            }
            rounds.push([Rows::new(dev, &left, 0.0), Rows::new(dev, &right, 0.0)]);
            targets = next;
        }
        let mut places = vec![None; n];
        for (i, target) in targets.into_iter().enumerate() {
            places[target] = Some(i);
        }
        Scatter { sorted, rounds, places: Rows::new(dev, &places, 0.0) }
    }

    pub(super) fn of(&self, operand: &Array<E, D>) -> Array<E, D> {
        let mut sums = operand.rows(&self.sorted);
        for [left, right] in &self.rounds {
            sums = left.of(&sums) + right.of(&sums);
        }
        self.places.of(&sums)
    }
}
