//! The stages that `ppl emit` prints, each as text.

use crate::data::DataSet;
use crate::lower::Space;
use crate::{check, syntax};

use super::Session;

/// A stage of compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The token stream, trivia included.
    Tokens,
    /// The syntax tree.
    Ast,
    /// The typed tree.
    Typed,
    /// The IR of the log joint as lowered.
    Ir,
    /// The same with data bound and optimised.
    IrOpt,
    /// With its gradient.
    Grad,
    /// With its Hessian-vector product.
    Hvp,
    /// What the executor runs.
    Program {
        /// With what each instruction costs here and now.
        cost: bool,
    },
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Stage; 8] = [
        Stage::Tokens,
        Stage::Ast,
        Stage::Typed,
        Stage::Ir,
        Stage::IrOpt,
        Stage::Grad,
        Stage::Hvp,
        Stage::Program { cost: false },
    ];

    /// The name for `--stage`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Tokens => "tokens",
            Stage::Ast => "ast",
            Stage::Typed => "typed",
            Stage::Ir => "ir",
            Stage::IrOpt => "ir-opt",
            Stage::Grad => "grad",
            Stage::Hvp => "hvp",
            Stage::Program { .. } => "program",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether the stage needs the data.
    #[must_use]
    pub fn needs_data(self) -> bool {
        !matches!(self, Stage::Tokens | Stage::Ast | Stage::Typed)
    }
}

pub(super) fn emit(
    session: &mut Session,
    stage: Stage,
    name: &str,
    text: &str,
    data: &DataSet,
) -> Option<String> {
    match stage {
        Stage::Tokens => {
            let file = session.sources.add(name, text);
            Some(syntax::emit_tokens(text, &syntax::lex(file, text)))
        }
        Stage::Ast => {
            let file = session.sources.add(name, text);
            let parsed = syntax::parse_at_most(session.sources.most_bytes(), file, text);
            session.take(parsed).map(|tree| syntax::emit_ast(&tree))
        }
        Stage::Typed => session.check(name, text).map(|model| check::emit(&model)),
        Stage::Ir => {
            let model = session.check(name, text)?;
            let lowered = session.lower(&model, data, Space::Unconstrained)?;
            Some(lowered.function.to_string())
        }
        Stage::IrOpt | Stage::Grad | Stage::Hvp | Stage::Program { .. } => {
            let model = session.check(name, text)?;
            let posterior = session.compile(&model, data)?;
            Some(match stage {
                Stage::IrOpt => posterior.log_joint().to_string(),
                Stage::Grad => posterior.gradient().to_string(),
                Stage::Program { cost } => posterior.program_text(cost),
                _ => posterior.hvp().to_string(),
            })
        }
    }
}
