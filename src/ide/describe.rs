//! Declarations as text: what hovers, completions and signatures show.

use crate::check::Combinator;
use crate::check::builtins::Builtin;
use crate::check::print::primitive_forms;
use crate::check::stdlib;
use crate::syntax::{ast, type_text};

use super::analysis::Analysis;
use super::library::library;

/// Something that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Callable {
    /// `normal(mu: real, sigma: real<lower=0>) on real`.
    pub(super) heads: Vec<String>,
    /// What is said of it.
    pub(super) doc: String,
    /// The file of the standard library that defines it.
    pub(super) library: Option<&'static str>,
    /// Whether it is a distribution.
    pub(super) dist: bool,
}

/// Finds what a name in front of parentheses stands for: the model's own, a primitive, a combinator, or
/// the standard library's, as the checker does; local functions are not known here.
pub(super) fn callable(analysis: &Analysis, name: &str) -> Option<Callable> {
    let own = |item: &&ast::Item| head(item).is_some_and(|(known, ..)| known == name);
    let declared = &analysis.checked.places.items;
    if let Some(item) = declared.iter().filter(|d| !d.library).map(|d| d.item()).find(own) {
        return of_item(item, None);
    }
    if let Some(builtin) = Builtin::parse(name) {
        return Some(of_builtin(builtin));
    }
    if let Some((combinator, _)) = Combinator::ALL.into_iter().find(|(_, known)| *known == name) {
        return Some(of_combinator(combinator));
    }
    if let Some(item) = library().get(name) {
        return of_item(item, stdlib::file_of(name).map(|file| stdlib::FILES[file].0));
    }
    // `normal_cdf`: a member of a distribution.
    let (at, _) = name.rmatch_indices('_').find(|(at, _)| {
        matches!(library().get(&name[..*at]), Some(ast::Item::Dist(_)))
            || declared
                .iter()
                .any(|d| matches!(d.item(), ast::Item::Dist(_)) && d.name.text == name[..*at])
    })?;
    let dist = callable(analysis, &name[..at])?;
    let member = &name[at + 1..];
    let argument = match member {
        "sample" | "rng" | "mean" | "variance" => "",
        "quantile" => "p, ",
        _ => "x, ",
    };
    let heads = dist.heads.iter().filter_map(|head| {
        let params = head.split_once('(')?.1.rsplit_once(") on ")?.0;
        let list = format!("{argument}{params}");
        Some(format!("{name}({})", list.trim_end_matches(", ")))
    });
    Some(Callable { heads: heads.collect(), dist: false, ..dist })
}

/// A primitive.
pub(super) fn of_builtin(builtin: Builtin) -> Callable {
    let heads = primitive_forms(builtin).split("; ").map(str::to_string).collect();
    Callable { heads, doc: builtin.doc().to_string(), library: None, dist: false }
}

/// A combinator of distributions.
pub(super) fn of_combinator(combinator: Combinator) -> Callable {
    let (head, doc) = combinator.doc();
    Callable { heads: vec![head.into()], doc: doc.into(), library: None, dist: true }
}

/// A function or distribution; nothing else can be called.
pub(super) fn of_item(item: &ast::Item, library: Option<&'static str>) -> Option<Callable> {
    let (_, text, doc) = head(item)?;
    let doc = doc.map(|doc| doc.text.clone()).unwrap_or_default();
    let dist = matches!(item, ast::Item::Dist(_));
    Some(Callable { heads: vec![text], doc, library, dist })
}

/// Name, first line and documentation of a function or distribution.
fn head(item: &ast::Item) -> Option<(&str, String, Option<&ast::Doc>)> {
    match item {
        ast::Item::Fn(f) => {
            let (name, result) = (&f.name.text, type_text(&f.result));
            Some((name, format!("{name}({}) -> {result}", params(&f.params)), f.doc.as_ref()))
        }
        ast::Item::Dist(d) => {
            let (name, support) = (&d.name.text, type_text(&d.support));
            Some((name, format!("{name}({}) on {support}", params(&d.params)), d.doc.as_ref()))
        }
        _ => None,
    }
}

fn params(params: &[ast::TypedParam]) -> String {
    let one = |p: &ast::TypedParam| format!("{}: {}", p.name.text, type_text(&p.ty));
    params.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The documentation of a declaration of a variable.
pub(super) fn item_doc(item: &ast::Item) -> Option<&ast::Doc> {
    match item {
        ast::Item::Data(d) => d.doc.as_ref(),
        ast::Item::Param(d) => d.doc.as_ref(),
        ast::Item::Let(d) | ast::Item::Gen(d) => d.doc.as_ref(),
        ast::Item::Marginal(d) => d.doc.as_ref(),
        ast::Item::Fn(d) => d.doc.as_ref(),
        ast::Item::Dist(d) => d.doc.as_ref(),
        ast::Item::Import(_) | ast::Item::Stmt(_) | ast::Item::Error(_) => None,
    }
}
