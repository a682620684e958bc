//! Lints: what is allowed but probably not meant.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

use super::checker::Checker;
use super::dist::{Value, quoted};
use super::typed::{Dist, Expr, Support, VarId};

/// Adds the warnings that need the whole model.
pub(super) fn lint(_checker: &mut Checker<'_>) {}

impl Checker<'_> {
    /// Warns of an argument that has to be positive and need not be.
    pub(super) fn lint_negative_scale(&mut self, param: &str, arg: &Expr, name: &str) {
        let mut diagnostic = Diagnostic::warning(
            Code::W0605,
            arg.span,
            format!("`{param}` of `{name}` can become negative"),
            "nothing keeps this positive",
        );
        if let Some((var, _)) = self.culprit(arg, super::typed::Stage::Data) {
            let var = self.model.var(var);
            diagnostic = diagnostic
                .with_label(var.span, "declared without a lower bound")
                .with_help("declare `<lower=0>`, or take `exp(…)`");
        }
        self.report(diagnostic);
    }

    /// Warns of a prior whose constant on the declared support is not known.
    pub(super) fn lint_unnormalised(&mut self, value: &Value, dist: &Dist, support: &Support) {
        self.report(
            Diagnostic::warning(
                Code::W0609,
                dist.span,
                format!(
                    "the prior of {} is not normalised on a `{}`",
                    quoted(&value.name),
                    support.structure.name()
                ),
                "its constant is not known there",
            )
            .with_note("the evidence estimate is off by that constant; the posterior is not"),
        );
    }

    /// Remembers that a statement gives a parameter its prior.
    pub(super) fn note_prior(&mut self, _var: VarId, _span: Span) {}
}
