//! Declarations and types.

use super::{Builder, Children};
use crate::source::Span;
use crate::syntax::ast::{
    Block, Bound, Data, DistDecl, DistMember, Doc, Expr, FnDecl, Ident, Import, Item, Let,
    LetValue, Marginal, Param, TypeExpr, TypeKind, TypedParam,
};
use crate::syntax::parser::{Node, Rule};

impl Builder<'_> {
    /// Builds an item from a node of rule `item`.
    pub(super) fn item(&mut self, node: Node, doc: Option<Doc>) -> Item {
        let node = Children::of(node).any();
        let span = node.span;
        match node.rule {
            Rule::import_decl => {
                let path_span = Children::of(node).need(Rule::string).span;
                let path = self.slice(path_span).trim_matches('"').to_string();
                Item::Import(Import { path, path_span, span })
            }
            Rule::data_decl => Item::Data(self.data(node, doc)),
            Rule::param_decl => Item::Param(self.param(node, doc)),
            Rule::marginal_decl => Item::Marginal(self.marginal(node, doc)),
            Rule::gen_decl => Item::Gen(self.binding(node, doc)),
            Rule::fn_decl => Item::Fn(self.function(node, doc)),
            Rule::dist_decl => Item::Dist(self.dist(node, doc)),
            _ => self.top_level_stmt(node, doc),
        }
    }

    fn data(&mut self, node: Node, doc: Option<Doc>) -> Data {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        let ty = self
            .annotation(&mut children)
            .unwrap_or_else(|| unreachable!("bug in ppl: the grammar promises the type of data"));
        let default = children.accept(Rule::equals).map(|_| self.value(children.need(Rule::value)));
        Data { doc, name, ty, default, span }
    }

    fn param(&mut self, node: Node, doc: Option<Doc>) -> Param {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        let ty = self.annotation(&mut children);
        let dist = children.accept(Rule::tilde).map(|_| self.expr(children.need(Rule::expr)));
        Param { doc, name, ty, dist, span }
    }

    fn marginal(&mut self, node: Node, doc: Option<Doc>) -> Marginal {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        let ty = self.annotation(&mut children);
        let dist = children.accept(Rule::tilde).map(|_| self.expr(children.need(Rule::expr)));
        Marginal { doc, name, ty, dist, span }
    }

    /// Builds a `let` or `gen` from a node whose one child is a `binding` or `drawn`.
    pub(super) fn binding(&mut self, node: Node, doc: Option<Doc>) -> Let {
        let span = node.span;
        let mut children = Children::of(Children::of(node).any());
        let name = self.ident(&children.need(Rule::name));
        let ty = self.annotation(&mut children);
        let value = match (children.accept(Rule::tilde), children.accept(Rule::equals)) {
            (Some(_), _) => LetValue::Draw(self.expr(children.need(Rule::expr))),
            (None, Some(_)) => LetValue::Expr(self.value(children.need(Rule::value))),
            (None, None) => {
                let block = children.need(Rule::block);
                if ty.is_none() {
                    self.report_elements_without_type(&name, block.span);
                }
                LetValue::Elements(self.elements(block))
            }
        };
        Let { doc, name, ty, value, span }
    }

    fn function(&mut self, node: Node, doc: Option<Doc>) -> FnDecl {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        let params = self.typed_params(children.need(Rule::typed_param_list));
        let result = self.type_expr(children.need(Rule::type_expr));
        let body = self.body(children.need(Rule::body));
        FnDecl { doc, name, params, result, body, span }
    }

    fn dist(&mut self, node: Node, doc: Option<Doc>) -> DistDecl {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        let params = self.typed_params(children.need(Rule::typed_param_list));
        let support = self.type_expr(children.need(Rule::type_expr));
        let members = children.map(|member| self.member(member)).collect();
        DistDecl { doc, name, params, support, members, span }
    }

    fn member(&mut self, node: Node) -> DistMember {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        let list = Children::of(children.need(Rule::name_list));
        let params: Vec<Ident> = list.map(|param| self.ident(&param)).collect();
        let body = self.body(children.need(Rule::body));
        DistMember { name, params, body, span }
    }

    /// `= expr` or a block.
    fn body(&mut self, node: Node) -> Block {
        let mut children = Children::of(node);
        match children.accept(Rule::equals) {
            Some(_) => {
                let result = self.value(children.need(Rule::value));
                Block { lets: Vec::new(), span: result.span, result: Box::new(result) }
            }
            None => self.value_block(children.need(Rule::block)),
        }
    }

    fn typed_params(&mut self, node: Node) -> Vec<TypedParam> {
        Children::of(node)
            .map(|param| {
                let mut children = Children::of(param);
                let name = self.ident(&children.need(Rule::name));
                let ty = self.annotation(&mut children).unwrap_or_else(|| {
                    unreachable!("bug in ppl: the grammar promises the type of a parameter")
                });
                TypedParam { name, ty }
            })
            .collect()
    }

    /// `: type`, if it comes next.
    fn annotation(&mut self, children: &mut Children) -> Option<TypeExpr> {
        children.accept(Rule::colon)?;
        Some(self.type_expr(children.need(Rule::type_expr)))
    }

    fn type_expr(&mut self, node: Node) -> TypeExpr {
        let span = node.span;
        let kind = self.nested(1, span, |builder| builder.type_kind(node));
        TypeExpr { kind: kind.unwrap_or_else(|| no_type(span)), span }
    }

    fn type_kind(&mut self, node: Node) -> TypeKind {
        let form = Children::of(node).any();
        let rule = form.rule;
        let mut children = Children::of(form);
        match rule {
            Rule::fn_type => {
                let mut types: Vec<TypeExpr> = children.map(|ty| self.type_expr(ty)).collect();
                let result = types.pop().unwrap_or_else(|| {
                    unreachable!("bug in ppl: the grammar promises the type of the value")
                });
                TypeKind::Function { params: types, result: Box::new(result) }
            }
            Rule::array_type => {
                let dims = self.dims(children.need(Rule::dims));
                let elem = Box::new(self.type_expr(children.need(Rule::type_expr)));
                TypeKind::Array { dims, elem }
            }
            _ => {
                let name = self.ident(&children.need(Rule::type_name));
                let before = children.accept(Rule::question);
                let bounds = children.accept(Rule::bounds).map_or_else(Vec::new, |bounds| {
                    Children::of(bounds).map(|bound| self.bound(bound)).collect()
                });
                let missing = before.or_else(|| children.accept(Rule::question));
                let missing = missing.map(|question| question.span);
                let dims =
                    children.accept(Rule::dims).map_or_else(Vec::new, |dims| self.dims(dims));
                TypeKind::Base { name, bounds, missing, dims }
            }
        }
    }

    fn dims(&mut self, node: Node) -> Vec<Expr> {
        Children::of(node).map(|dim| self.expr(dim)).collect()
    }

    fn bound(&mut self, node: Node) -> Bound {
        let span = node.span;
        let mut children = Children::of(node);
        let name = self.ident(&children.need(Rule::name));
        children.need(Rule::equals);
        let value = self.expr(children.need(Rule::arith));
        Bound { name, value, span }
    }
}

/// Stands for a type that could not be built.
fn no_type(span: Span) -> TypeKind {
    let name = Ident { text: String::new(), span };
    TypeKind::Base { name, bounds: Vec::new(), missing: None, dims: Vec::new() }
}
