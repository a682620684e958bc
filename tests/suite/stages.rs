//! Every stage of every fixture in `tests/ir`, as `ppl emit` prints it.

use ppl::data::DataSet;
use ppl::driver::{Session, Stage};

#[test]
fn stages() {
    insta::glob!("..", "ir/*.ppl", |path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let data = DataSet::read(&path.with_extension("json")).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        for stage in Stage::ALL {
            // Tokens and trees of all syntax have snapshots of their own in `syntax`.
            if matches!(stage, Stage::Tokens | Stage::Ast) {
                continue;
            }
            let mut session = Session::new();
            let shown = session.emit(stage, name, &text, &data);
            let shown = shown.unwrap_or_else(|| panic!("{}", session.render(false)));
            insta::with_settings!({
                omit_expression => true,
                prepend_module_to_snapshot => false,
                snapshot_suffix => "",
                snapshot_path => "snapshots/stages",
                description => text.clone(),
            }, {
                insta::assert_snapshot!(format!("{stem}.{}", stage.name()), shown);
            });
        }
    });
}
