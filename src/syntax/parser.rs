//! One item's text → a tree of grammar rules. The only file that imports pest.
//!
//! Spans are rebased from the item to the file and trimmed to token edges (pest lets a rule that
//! ends with an optional part cover the blanks after it).

use pest::Parser as _;
use pest::error::{ErrorVariant, InputLocation};
use pest::iterators::Pair;

use super::token::Token;
use crate::source::{FileId, Span};

/// The parser that pest generates from the grammar.
#[derive(pest_derive::Parser)]
#[grammar = "../grammar/ppl.pest"]
struct Grammar;

/// A grammar rule with the text it matched.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The rule.
    pub(super) rule: Rule,
    /// The matched text without blanks at its ends.
    pub(super) span: Span,
    /// What matched inside, in order.
    pub(super) children: Vec<Self>,
}

/// Where a parse stopped.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// Byte offset in the file, behind blanks.
    pub(super) offset: usize,
    /// What would have been read further.
    pub(super) expected: Vec<Rule>,
}

/// Parses the item that `tokens` make up; they are a run of the tokens of `text`, neither the
/// first nor the last of them trivia.
pub(super) fn parse_item(file: FileId, text: &str, tokens: &[Token]) -> Result<Node, Failure> {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return Err(Failure { offset: 0, expected: vec![Rule::item] });
    };
    let base = first.span.range().start;
    let slice = &text[base..last.span.range().end];
    let rebase = Rebase { file, base, tokens };
    match Grammar::parse(Rule::item, slice) {
        Ok(mut pairs) => pairs
            .next()
            .map(|pair| rebase.node(pair))
            .ok_or(Failure { offset: base, expected: vec![Rule::item] }),
        Err(error) => {
            let (InputLocation::Pos(offset) | InputLocation::Span((offset, _))) = error.location;
            let expected = match error.variant {
                ErrorVariant::ParsingError { positives, .. } => positives,
                ErrorVariant::CustomError { .. } => Vec::new(),
            };
            Err(Failure { offset: base + offset, expected })
        }
    }
}

/// How an item's offsets become the file's.
struct Rebase<'a> {
    file: FileId,
    base: usize,
    tokens: &'a [Token],
}

impl Rebase<'_> {
    fn node(&self, pair: Pair<'_, Rule>) -> Node {
        let rule = pair.as_rule();
        let span = pair.as_span();
        let span = self.trimmed(self.base + span.start(), self.base + span.end());
        Node { rule, span, children: pair.into_inner().map(|inner| self.node(inner)).collect() }
    }

    /// Drops trivia at both ends; a span of nothing but trivia is empty, at its start.
    fn trimmed(&self, start: usize, end: usize) -> Span {
        let begin = self.tokens.partition_point(|token| token.span.range().start < start);
        let stop = self.tokens.partition_point(|token| token.span.range().end <= end);
        let inside = self.tokens.get(begin..stop).unwrap_or_default();
        let mut significant = inside.iter().filter(|token| !token.kind.is_trivia());
        match (significant.next(), significant.next_back()) {
            (Some(first), Some(last)) => first.span.to(last.span),
            (Some(only), None) => only.span,
            (None, _) if inside.is_empty() => Span::new(self.file, start, end),
            (None, _) => Span::at(self.file, start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::lexer::lex;
    use crate::syntax::split::split;

    /// The grammar and the lexer each know what a name or number is; here they agree.
    #[test]
    fn leaves_of_the_grammar_lie_on_token_edges() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/syntax/ok");
        let mut leaves = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let file = FileId(0);
            let tokens = lex(file, &text);
            let mut edges: Vec<u32> = tokens.iter().map(|token| token.span.start).collect();
            edges.push(u32::try_from(text.len()).unwrap());
            for item in split(&text, &tokens).items {
                let mut stack = vec![parse_item(file, &text, item.tokens).unwrap()];
                while let Some(node) = stack.pop() {
                    let Span { start, end, .. } = node.span;
                    let on_edges = edges.contains(&start) && edges.contains(&end);
                    assert!(on_edges, "{}: {:?} at {start}..{end}", path.display(), node.rule);
                    leaves += usize::from(node.children.is_empty());
                    stack.extend(node.children);
                }
            }
        }
        assert!(leaves > 1000);
    }
}
