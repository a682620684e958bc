//! The declarations of a generative model in an order of dependence; those left out that need what is
//! not there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::source::Span;

use super::super::lagged;
use super::super::typed::{
    Decl, Expr, ExprKind, LetValue, Scalar, Stage, Structure, Support, Type, VarId, VarKind,
};
use super::super::visit::{self, reads};
use super::{Parameters, Reader};

/// A declaration of the new model.
pub(super) struct Node {
    pub(super) decl: Decl,
    /// The declaration with data where `decl` has drawn copies, for a cycle through it.
    pub(super) original: Option<Decl>,
    pub(super) span: Span,
    /// Whether to say so when it is left out.
    pub(super) named: bool,
}

impl Reader<'_> {
    /// Sizes that only absent data would give are read from the file by their names.
    pub(super) fn stated_sizes(&mut self) {
        let mut given = HashSet::new();
        let mut wanted = BTreeMap::new();
        for decl in &self.source.decls {
            let Decl::Data { var, support, .. } = decl else { continue };
            visit::support_exprs(support, &mut |e| {
                if let ExprKind::Var(size) = e.kind
                    && self.source.var(size).kind == VarKind::Size
                {
                    if self.absent.contains(var) {
                        wanted.insert(size, e.span);
                    } else {
                        given.insert(size);
                    }
                }
            });
        }
        for (var, span) in wanted.into_iter().filter(|(var, _)| !given.contains(var)) {
            let zero = Expr { kind: ExprKind::Int(0), ty: Type::INT, stage: Stage::Data, span };
            let structure = Structure::Scalar {
                scalar: Scalar::Int,
                lower: Some(zero),
                upper: None,
                offset: None,
                multiplier: None,
            };
            let support = Support { array: Vec::new(), structure, missing: false };
            let decl = Decl::Data { var, support, default: None };
            self.nodes.insert(0, Node { decl, original: None, span, named: true });
        }
    }

    /// Leaves out what reads something that is not there.
    pub(super) fn leave_out_unavailable(&mut self) {
        let defined: HashSet<VarId> = self.nodes.iter().flat_map(|n| n.decl.defines()).collect();
        let declared = self.source.decls.iter().flat_map(Decl::defines);
        let copies = (0..).map(VarId).zip(&self.model.vars);
        let copies = copies.filter(|(_, v)| v.kind == VarKind::Predicted).map(|(id, _)| id);
        let mut gone: HashSet<VarId> =
            declared.chain(copies).filter(|var| !defined.contains(var)).collect();
        // Lost for want of data without a word, which is for those to say that are missed.
        let mut unnamed: HashSet<VarId> = HashSet::new();
        loop {
            let before = self.nodes.len();
            let mut lost = Vec::new();
            self.nodes.retain(|node| {
                let mut read: Vec<VarId> = reads(&node.decl).into_iter().collect();
                read.sort_unstable();
                let own = node.decl.defines();
                let missing = |var: &VarId| gone.contains(var) && !own.contains(var);
                match read.into_iter().find(missing) {
                    Some(culprit) => {
                        let lose = |var| (var, culprit, node.span, node.named);
                        lost.extend(own.into_iter().map(lose));
                        false
                    }
                    None => true,
                }
            });
            if self.nodes.len() == before {
                return;
            }
            for (var, culprit, span, named) in lost {
                gone.insert(var);
                let why = if self.absent.contains(&culprit) {
                    "is not in the data"
                } else if unnamed.contains(&culprit) {
                    unnamed.insert(var);
                    "needs data that is not there"
                } else {
                    "cannot be drawn"
                };
                if !named {
                    unnamed.insert(var);
                    continue;
                }
                let (var, of) = (self.model.var(var), self.model.var(culprit));
                let parameter = var.kind == VarKind::Param;
                let reason = format!("`{}` depends on `{}`, which {why}", var.name, of.name);
                self.obstacle(span, parameter, reason);
            }
        }
    }

    /// Brings the declarations into an order of dependence.
    pub(super) fn in_order(&mut self) {
        let mut waiting: Vec<Option<Node>> =
            std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        let mut definers: HashMap<VarId, Vec<usize>> = HashMap::new();
        for (i, node) in waiting.iter().flatten().enumerate() {
            node.decl.defines().iter().for_each(|var| definers.entry(*var).or_default().push(i));
        }
        let needs = |(i, node): (usize, &Node)| -> BTreeSet<usize> {
            let read = reads(&node.decl);
            let needed = read.iter().filter_map(|var| definers.get(var)).flatten();
            needed.copied().filter(|&needed| needed != i).collect()
        };
        let mut missing: Vec<BTreeSet<usize>> =
            waiting.iter().flatten().enumerate().map(needs).collect();
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); waiting.len()];
        for (i, needed) in missing.iter().enumerate() {
            needed.iter().for_each(|&n| readers[n].push(i));
        }
        let mut ready: BTreeSet<usize> =
            (0..waiting.len()).filter(|&i| missing[i].is_empty()).collect();
        loop {
            while let Some(next) = ready.pop_first() {
                let Some(node) = waiting[next].take() else { continue };
                self.model.decls.push(node.decl);
                for &reader in &readers[next] {
                    missing[reader].remove(&next);
                    if missing[reader].is_empty() {
                        ready.insert(reader);
                    }
                }
            }
            // A cycle: what is drawn depends on itself through a `let`. Given the parameters, that
            // `let` is computed from the data: each element is drawn given the data before it.
            let from_data = |node: &Node| {
                let original = node.original.as_ref()?;
                let there = reads(original).iter().all(|var| !self.absent.contains(var));
                (there && self.parameters == Parameters::Given).then(|| original.clone())
            };
            let through = waiting
                .iter()
                .enumerate()
                .find_map(|(i, node)| Some((i, from_data(node.as_ref()?)?)));
            if let Some((at, original)) = through {
                let Some(node) = &mut waiting[at] else { break };
                node.decl = original;
                node.original = None;
                let done = |i: &usize| waiting[*i].is_none();
                missing[at] =
                    waiting[at].as_ref().map(|node| needs((at, node))).unwrap_or_default();
                missing[at] = missing[at].iter().copied().filter(|i| !done(i)).collect();
                if missing[at].is_empty() {
                    ready.insert(at);
                }
                continue;
            }
            // Else all of the cycle is drawn element by element, in one recursion.
            let Some((group, lets)) = self.recursion(&waiting, &missing) else { break };
            for &i in &group {
                waiting[i] = None;
                for &reader in &readers[i] {
                    missing[reader].remove(&i);
                    if missing[reader].is_empty() {
                        ready.insert(reader);
                    }
                }
            }
            self.model.decls.push(Decl::Recursion(lets));
        }
        for node in waiting.iter().flatten() {
            for var in node.decl.defines() {
                let var = self.model.var(var);
                let parameter = var.kind == VarKind::Param;
                let reason = format!("`{}` depends on itself through other variables", var.name);
                self.obstacle(node.span, parameter, reason);
            }
        }
    }

    /// Nodes that wait for each other and for nothing else, as definitions element by element; `None` if
    /// there are none, or not all of them can be that.
    fn recursion(
        &mut self,
        waiting: &[Option<Node>],
        missing: &[BTreeSet<usize>],
    ) -> Option<(BTreeSet<usize>, Vec<(VarId, LetValue)>)> {
        let reached = |from: usize| {
            let mut reached = BTreeSet::new();
            let mut next: Vec<usize> = missing[from].iter().copied().collect();
            while let Some(i) = next.pop() {
                if reached.insert(i) {
                    next.extend(&missing[i]);
                }
            }
            reached
        };
        // Of what is reached from any node, what reaches the least is reached from all of itself.
        let all = (0..waiting.len()).filter(|&i| waiting[i].is_some()).map(reached);
        let group = all.min_by_key(BTreeSet::len)?;
        let mut lets = Vec::new();
        for node in group.iter().filter_map(|&i| waiting[i].as_ref()) {
            match &node.decl {
                Decl::Let { var, value } => {
                    let value = lagged::by_elements(&mut self.model, *var, value, node.span)?;
                    lets.push((*var, value));
                }
                Decl::Recursion(several) => lets.extend(several.iter().cloned()),
                _ => return None,
            }
        }
        Some((group, lets))
    }
}
