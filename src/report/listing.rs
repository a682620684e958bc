//! A model's text, line by line: highlighted, and with what the checker inferred beside each declaration.

use maud::{Markup, html};

use crate::check::print;
use crate::check::typed::{Model, Stage, VarId, VarKind};
use crate::source::FileId;
use crate::syntax::{Class, highlight, lex};

/// The model's own file in its compilation.
const FILE: FileId = FileId(0);

/// A model to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Line {
    /// Pieces of the text; blanks have no class.
    pieces: Vec<(Option<Class>, String)>,
    /// What is declared there.
    notes: Vec<Note>,
}

#[derive(Debug, Clone, PartialEq)]
struct Note {
    name: String,
    /// The inferred type, such as `real[J]`.
    ty: String,
    stage: Stage,
}

impl Listing {
    /// The listing of a text, with types and stages where it is that of a checked model: the first file of
    /// its compilation.
    #[must_use]
    pub fn new(text: &str, model: Option<&Model>) -> Self {
        let mut lines = vec![Line::default()];
        let mut end = 0;
        for (span, class) in highlight(text, &lex(FILE, text)) {
            add(&mut lines, None, &text[end..span.range().start]);
            add(&mut lines, Some(class), &text[span.range()]);
            end = span.range().end;
        }
        add(&mut lines, None, &text[end..]);
        if lines.last().is_some_and(|line| line.pieces.is_empty()) {
            lines.pop();
        }
        if let Some(model) = model {
            annotate(&mut lines, text, model);
        }
        Listing { lines }
    }

    /// The listing as a table of lines.
    pub(super) fn markup(&self) -> Markup {
        html! {
            div.listing role="group" aria-label="The model" {
                @for (number, line) in self.lines.iter().enumerate() {
                    div.line {
                        span.number aria-hidden="true" { (number + 1) }
                        code {
                            @for (class, text) in &line.pieces {
                                @match class.map(class_name) {
                                    Some(class) => span class=(class) { (text) },
                                    None => (text),
                                }
                            }
                        }
                        span.notes {
                            @for note in &line.notes {
                                span class={ "note " (stage_name(note.stage)) } title=(stage_help(note.stage)) {
                                    (note.name) " : " (note.ty)
                                }
                                " "
                            }
                        }
                    }
                }
            }
        }
    }
}

fn add(lines: &mut Vec<Line>, class: Option<Class>, text: &str) {
    for (i, piece) in text.split('\n').enumerate() {
        if i > 0 {
            lines.push(Line::default());
        }
        let piece = piece.trim_end_matches('\r');
        if !piece.is_empty()
            && let Some(line) = lines.last_mut()
        {
            line.pieces.push((class, piece.to_owned()));
        }
    }
}

fn annotate(lines: &mut [Line], text: &str, model: &Model) {
    let names = |id: VarId| model.var(id).name.clone();
    for var in model.vars.iter().filter(|var| var.span.file == FILE) {
        let told = match var.kind {
            VarKind::Data | VarKind::Param | VarKind::Let | VarKind::Gen | VarKind::Marginal => {
                true
            }
            VarKind::Size
            | VarKind::Predicted
            | VarKind::Local
            | VarKind::Index
            | VarKind::Argument => false,
        };
        let line = text[..var.span.range().start].matches('\n').count();
        if told && let Some(line) = lines.get_mut(line) {
            let (name, ty) = (var.name.clone(), print::ty(&var.ty, &names));
            line.notes.push(Note { name, ty, stage: var.stage });
        }
    }
}

/// The legend of the notes.
pub(super) fn legend() -> Markup {
    html! {
        p.legend {
            @for stage in [Stage::Data, Stage::Parameter, Stage::Generated] {
                span class={ "note " (stage_name(stage)) } { (stage_name(stage)) } " " (stage_help(stage)) ". "
            }
        }
    }
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Data => "data",
        Stage::Parameter => "parameter",
        Stage::Generated => "generated",
    }
}

fn stage_help(stage: Stage) -> &'static str {
    match stage {
        Stage::Data => "known once the data is read",
        Stage::Parameter => "computed for each point of the parameter space",
        Stage::Generated => "computed for each draw after inference",
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Keyword => "k",
        Class::Type => "t",
        Class::Function => "f",
        Class::Name => "n",
        Class::Literal => "l",
        Class::Text => "s",
        Class::Operator => "o",
        Class::Punctuation => "p",
        Class::Comment => "c",
        Class::Doc => "d",
        Class::Error => "e",
    }
}
