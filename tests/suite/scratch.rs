use ppl::source::SourceMap;
use ppl::syntax;
#[test]
fn scratch() {
    for path in std::env::var("SCRATCH").unwrap().split(' ') {
    let text = std::fs::read_to_string(path).unwrap();
    let mut sources = SourceMap::new();
    let file = sources.add(path.rsplit('/').next().unwrap(), text.clone());
    let out = syntax::parse(file, &text);
    println!("{}", ppl::diagnostics::render_all(&out.diagnostics, &sources, ppl::diagnostics::Color::Off));
    if std::env::var("AST").is_ok() { println!("{}", syntax::emit_ast(&out.value.unwrap())); }
    }
}
