//! Dependencies point upwards in the layer table of `lib.rs`, and every module has its row there.

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The first names of the table's rows.
fn layers() -> Vec<String> {
    let table = fs::read_to_string(source().join("lib.rs")).expect("lib.rs");
    table
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next().map(str::to_owned))
        .collect()
}

/// All text of a module: its file, or the files of its folder.
fn text(module: &str) -> String {
    let file = source().join(module).with_extension("rs");
    if file.exists() {
        return fs::read_to_string(file).expect("a module's file");
    }
    let folder = fs::read_dir(source().join(module)).expect("a module's folder");
    folder.map(|entry| fs::read_to_string(entry.expect("entry").path()).expect("file")).collect()
}

#[test]
fn modules_use_only_the_layers_above_them() {
    let layers = layers();
    for (depth, module) in layers.iter().enumerate() {
        for used in text(module).split("crate::").skip(1) {
            let name = used.split(|c: char| !c.is_alphanumeric() && c != '_').next();
            let name = name.unwrap_or_default();
            let allowed = layers[..=depth].iter().any(|layer| layer == name);
            assert!(allowed, "`{module}` uses crate::{name}, which is not a layer above it");
        }
    }
}

#[test]
fn every_module_has_a_row_in_the_table() {
    let layers = layers();
    for entry in fs::read_dir(source()).expect("src") {
        let name = entry.expect("entry").path().file_stem().expect("stem").to_owned();
        let name = name.to_string_lossy();
        assert!(name == "lib" || layers.iter().any(|layer| *layer == name), "`{name}` has no row");
    }
}
