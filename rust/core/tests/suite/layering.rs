//! Dependencies between the files of this crate: they point upwards in the module tables, and they
//! form no circle. Tests are exempt.
//!
//! Paths are resolved as the compiler does: `crate::`, `super::` and `self::`, nested `use` trees,
//! paths through a declared child module, and names that a module re-exports. A re-export alone is
//! no dependency; using the name is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module path below the crate, such as `["network", "kernel"]`; empty for `lib.rs`.
type Module = Vec<String>;

/// Modules of one folder that may do without a table.
const MAX_WITHOUT_TABLE: usize = 5;

/// A `use` declaration of one name.
struct Import {
    path: Vec<String>,
    name: String,
    public: bool,
}

/// A source file.
#[derive(Default)]
struct File {
    /// Rows of the module table, each a list of names.
    rows: Vec<Vec<String>>,
    /// Declared child modules, those for tests excepted.
    children: BTreeSet<String>,
    imports: Vec<Import>,
    /// The code without comments, imports and tests.
    code: String,
}

/// All files of the crate that are not tests.
struct Crate(BTreeMap<Module, File>);

impl Crate {
    fn read() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        read_module(&source.join("lib.rs"), &source, Vec::new(), &mut files);
        Self(files)
    }

    /// The module that defines what a path names, if it is one of this crate.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => {
                let mut module = from.clone();
                module.pop();
                while rest.first().is_some_and(|segment| segment == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
                module
            }
            child if self.0[from].children.contains(child) => {
                [from.as_slice(), &[child.to_owned()]].concat()
            }
            _ => return None,
        };
        while let Some((segment, tail)) = rest.split_first() {
            let child = [module.as_slice(), std::slice::from_ref(segment)].concat();
            if self.0.contains_key(&child) {
                (module, rest) = (child, tail);
                continue;
            }
            let file = self.0.get(&module)?;
            let export =
                file.imports.iter().find(|import| import.public && import.name == *segment);
            let target = export.filter(|_| depth < 8);
            return target
                .and_then(|import| self.resolve(&module, &import.path, depth + 1))
                .or(Some(module));
        }
        Some(module)
    }

    /// The modules that a module depends on.
    fn dependencies(&self, module: &Module) -> BTreeSet<Module> {
        let file = &self.0[module];
        let used = |name: &str| has_word(&file.code, name);
        let imports = file.imports.iter().filter(|import| !import.public || used(&import.name));
        let mut paths: Vec<Vec<String>> = imports.map(|import| import.path.clone()).collect();
        let starts = ["crate", "super", "self"].into_iter();
        for start in starts.chain(file.children.iter().map(String::as_str)) {
            paths.extend(paths_from(&file.code, start));
        }
        let resolved = paths.iter().filter_map(|path| self.resolve(module, path, 0));
        resolved.filter(|target| target != module).collect()
    }
}

fn read_module(path: &Path, folder: &Path, module: Module, files: &mut BTreeMap<Module, File>) {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let names = |row: &str| {
        let cell = row.split('|').next().unwrap_or_default();
        let names = cell.split(',').flat_map(|names| names.split(" with "));
        names.map(|name| name.trim().trim_matches('`').to_owned()).collect()
    };
    let is_table = text
        .lines()
        .any(|line| line.starts_with("//! | module |") || line.starts_with("//! | layer |"));
    let mut file = File { rows: rows.filter(|_| is_table).map(names).collect(), ..File::default() };
    let mut statement = String::new();
    for line in without_tests(&text).lines() {
        let line = line.split("//").next().unwrap_or_default();
        if statement.is_empty() && !starts_item(line) {
            file.code += line;
            file.code.push('\n');
            continue;
        }
        statement += line;
        statement.push(' ');
        if line.contains(';') {
            read_item(&statement, &mut file);
            statement.clear();
        }
    }
    for child in file.children.clone() {
        let inner = folder.join(&child);
        let flat = folder.join(format!("{child}.rs"));
        let path = if flat.exists() { flat } else { inner.join("mod.rs") };
        read_module(&path, &inner, [module.as_slice(), &[child]].concat(), files);
    }
    files.insert(module, file);
}

/// The text without modules that are compiled for tests alone.
fn without_tests(text: &str) -> String {
    let mut parts = text.split("#[cfg(test)]\n");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = if part.lines().next().is_some_and(|line| line.ends_with('{')) {
            part.find("\n}\n").map_or(part.len(), |end| end + 3)
        } else {
            part.find('\n').unwrap_or(part.len())
        };
        kept += &part[end..];
    }
    kept
}

/// The item after its visibility.
fn without_visibility(line: &str) -> &str {
    let line = line.trim_start();
    let Some(rest) = line.strip_prefix("pub") else { return line };
    let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |r| r.1);
    rest.trim_start()
}

/// Whether a line begins an import or declares a module in a file of its own.
fn starts_item(line: &str) -> bool {
    let item = without_visibility(line);
    item.starts_with("use ") || item.starts_with("mod ") && item.trim_end().ends_with(';')
}

fn read_item(statement: &str, file: &mut File) {
    let public = statement.trim_start().starts_with("pub");
    let item = without_visibility(statement).trim().trim_end_matches(';');
    if let Some(name) = item.strip_prefix("mod ") {
        file.children.insert(name.trim().to_owned());
    } else if let Some(tree) = item.strip_prefix("use ") {
        expand(&[], tree.trim(), public, &mut file.imports);
    }
}

/// The names of a `use` tree.
fn expand(prefix: &[String], tree: &str, public: bool, imports: &mut Vec<Import>) {
    if let Some((head, inner)) = tree.split_once('{') {
        let inner = inner.trim_end().trim_end_matches('}');
        let head = head.trim().trim_end_matches("::").split("::").filter(|part| !part.is_empty());
        let prefix: Vec<_> = prefix.iter().cloned().chain(head.map(str::to_owned)).collect();
        let (mut depth, mut start) = (0, 0);
        for (index, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let part = inner[start..index].trim();
                    // Closing braces of the part were trimmed with the list's own.
                    let open = part.matches('{').count() - part.matches('}').count();
                    if !part.is_empty() {
                        expand(&prefix, &(part.to_owned() + &"}".repeat(open)), public, imports);
                    }
                    start = index + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, a)| (path, Some(a)));
    let segments = path.split("::").map(|segment| segment.trim().to_owned());
    let mut path: Vec<_> = prefix.iter().cloned().chain(segments).collect();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.map(str::trim).or(path.last().map(String::as_str)).unwrap_or_default();
    imports.push(Import { name: name.to_owned(), path, public });
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a name occurs in code as a whole word.
fn has_word(code: &str, name: &str) -> bool {
    code.split(|c| !is_word(c)).any(|word| word == name)
}

/// The paths in code that begin with a segment.
fn paths_from(code: &str, start: &str) -> Vec<Vec<String>> {
    let begin = format!("{start}::");
    let whole = |&(index, _): &(usize, &str)| {
        !code[..index].ends_with(|c: char| is_word(c) || c == ':' || c == '$')
    };
    let path = |(index, _): (usize, &str)| {
        let text = code[index..].split(|c: char| !is_word(c) && c != ':').next();
        let segments = text.unwrap_or_default().split("::").filter(|part| !part.is_empty());
        segments.map(str::to_owned).collect()
    };
    code.match_indices(&begin).filter(whole).map(path).collect()
}

#[test]
fn files_use_only_modules_above_their_own_in_every_table() {
    let files = Crate::read();
    let tables: Vec<_> = files.0.iter().filter(|(_, file)| !file.rows.is_empty()).collect();
    assert!(tables.len() > 8, "got {} tables", tables.len());
    for (folder, table) in tables {
        let depth = |module: &Module| {
            let name = module.strip_prefix(folder.as_slice())?.first()?;
            table.rows.iter().position(|row| row.contains(name))
        };
        for module in files.0.keys() {
            let Some(own) = depth(module) else { continue };
            for used in files.dependencies(module) {
                let above = depth(&used).is_none_or(|used| used <= own);
                assert!(above, "{} uses {}, which is below it", module.join("::"), used.join("::"));
            }
        }
    }
}

#[test]
fn every_module_has_a_row_in_its_table() {
    for (folder, file) in Crate::read().0 {
        let name = folder.join("::");
        let count = file.children.len();
        assert!(
            !file.rows.is_empty() || count <= MAX_WITHOUT_TABLE,
            "`{name}` has {count} modules and no table"
        );
        let rows: BTreeSet<_> = file.rows.concat().into_iter().collect();
        if !rows.is_empty() {
            let missing: Vec<_> = file.children.symmetric_difference(&rows).collect();
            assert!(
                missing.is_empty(),
                "the table of `{name}` and its modules differ: {missing:?}"
            );
        }
    }
}

#[test]
fn no_files_depend_on_each_other_in_a_circle() {
    let files = Crate::read();
    let mut graph: BTreeMap<&Module, BTreeSet<Module>> =
        files.0.keys().map(|module| (module, files.dependencies(module))).collect();
    // Removing files that depend on none that is left, until only circles and their users are.
    loop {
        let free: Vec<_> =
            graph.iter().filter(|(_, used)| used.is_empty()).map(|(&module, _)| module).collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            graph.remove(module);
            for used in graph.values_mut() {
                used.remove(module);
            }
        }
    }
    let Some(mut module) = graph.keys().next().map(|&module| module.clone()) else { return };
    let mut walk = Vec::new();
    while !walk.contains(&module) {
        walk.push(module.clone());
        module = graph[&module].first().expect("each depends on one that is left").clone();
    }
    let start = walk.iter().position(|other| *other == module).unwrap_or(0);
    let circle: Vec<_> = walk[start..].iter().chain([&module]).map(|m| m.join("::")).collect();
    panic!("a circle of files: {}", circle.join(" -> "));
}

#[test]
fn paths_are_resolved_as_the_compiler_does() {
    let mut imports = Vec::new();
    expand(&[], "super::{a::{self, B as C}, d::{e, f::G}, h}", false, &mut imports);
    let found: Vec<_> =
        imports.iter().map(|i| format!("{}={}", i.path.join("::"), i.name)).collect();
    assert_eq!(
        found,
        ["super::a=a", "super::a::B=C", "super::d::e=e", "super::d::f::G=G", "super::h=h"]
    );
    assert_eq!(paths_from("x(super::a::B) ysuper::c", "super"), [["super", "a", "B"]]);
    assert_eq!(
        without_tests("a\n#[cfg(test)]\nmod t {\n    b\n}\nc\n#[cfg(test)]\nmod u;\nd"),
        "a\nc\n\nd"
    );
    let files = Crate::read();
    let path = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let data = path("network::data");
    let resolved = |name: &str| files.resolve(&data, &path(name), 0).map(|m| m.join("::"));
    assert_eq!(resolved("crate::network::kernel::Real").as_deref(), Some("network::kernel::real"));
    assert_eq!(resolved("super::shape::Shape").as_deref(), Some("network::shape"));
    assert_eq!(resolved("std::fmt"), None);
}
