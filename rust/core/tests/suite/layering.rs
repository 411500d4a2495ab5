//! Dependencies point upwards in the layer tables of `lib.rs` and of its larger folders, and every
//! module has its row there.

use std::fs;
use std::path::{Path, PathBuf};

/// A table of layers, and how its modules call each other.
struct Table {
    head: PathBuf,
    folder: PathBuf,
    path: &'static str,
}

fn tables() -> Vec<Table> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folder = |name: &str, path: &'static str| {
        let folder = source.join(name);
        Table { head: folder.join("mod.rs"), folder, path }
    };
    vec![
        Table { head: source.join("lib.rs"), folder: source.clone(), path: "crate::" },
        folder("network", "crate::network::"),
        folder("spectrum", "crate::spectrum::"),
        folder("critical", "crate::critical::"),
        folder("path", "crate::path::"),
        folder("walk", "crate::walk::"),
    ]
}

impl Table {
    /// The names of each row: modules of one row may use each other.
    fn rows(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(&self.head).expect("the table's file");
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
        let first = rows.filter_map(|row| row.split('|').next());
        let names = |cell: &str| {
            cell.split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect()
        };
        first.map(names).collect()
    }

    /// All text of a module: its file, and the files of its folder. Tests may use anything.
    fn text(&self, module: &str) -> String {
        let file = self.folder.join(module).with_extension("rs");
        let own = fs::read_to_string(file).unwrap_or_default();
        let inner = folder_text(&self.folder.join(module), &tests_of(&own));
        own + &inner
    }
}

/// The modules that are declared for tests alone.
fn tests_of(text: &str) -> Vec<String> {
    let declared =
        text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.strip_prefix("mod "));
    declared.filter_map(|rest| rest.split([';', ' ']).next().map(str::to_owned)).collect()
}

fn folder_text(folder: &Path, tests: &[String]) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let own = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let tests = [tests_of(&own).as_slice(), tests].concat();
    let text = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy();
        match path.is_dir() {
            _ if tests.iter().any(|test| *test == name) => String::new(),
            true => folder_text(&path, &[]),
            false => fs::read_to_string(path).expect("a file"),
        }
    };
    entries.map(|entry| text(entry.expect("an entry").path())).collect()
}

#[test]
fn modules_use_only_the_layers_above_them() {
    for table in tables() {
        let rows = table.rows();
        for (depth, row) in rows.iter().enumerate() {
            for module in row {
                for used in table.text(module).split(table.path).skip(1) {
                    let name = used.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                    let name = name.unwrap_or_default();
                    let exported = name.starts_with(char::is_uppercase) || name.is_empty();
                    let allowed = rows[..=depth].iter().flatten().any(|layer| layer == name);
                    let path = table.path;
                    assert!(allowed || exported, "`{module}` uses {path}{name}, not a layer above");
                }
            }
        }
    }
}

#[test]
fn every_module_has_a_row_in_its_table() {
    for table in tables() {
        let rows = table.rows();
        for entry in fs::read_dir(&table.folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            let known = rows.iter().flatten().any(|layer| *layer == name);
            assert!(known || path == table.head, "`{name}` has no row");
        }
    }
}
