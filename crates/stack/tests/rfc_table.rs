//! docs/rfc.md is held against the sources: functions and tests that it names exist, and none of the 69 MUSTs is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(fs::read_to_string(path).expect("text"));
        }
    }
}

/// Names of all functions behind a `#[test]`.
fn tests() -> BTreeSet<String> {
    let mut texts = Vec::new();
    sources(&crate_dir().join("src"), &mut texts);
    sources(&crate_dir().join("tests"), &mut texts);
    let mut names = BTreeSet::new();
    for text in texts {
        for after in text.split("#[test]").skip(1) {
            let name = after
                .split_once("fn ")
                .and_then(|(_, rest)| rest.split_once('('));
            names.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// Rows of the tables that have a column "tests": their cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut inside = false;
    let mut rows = Vec::new();
    for line in text.lines() {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        if !line.starts_with('|') {
            inside = false;
        } else if cells.last().is_some_and(|cell| cell == "tests") {
            inside = true;
        } else if inside && !cells[0].starts_with("---") {
            rows.push(cells);
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_test_and_function_in_the_table_exists() {
    let path = crate_dir().join("../../docs/rfc.md");
    let text = fs::read_to_string(path).expect("docs/rfc.md");
    let tests = tests();
    let rows = rows(&text);
    assert!(rows.len() >= 69 + 20, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        for name in quoted(&row[3]) {
            if !tests.contains(name) {
                wrong.push(format!("no test {name}"));
            }
        }
        for place in quoted(&row[2]) {
            let (file, function) = place.split_once(": ").expect("`file: function`");
            let source = fs::read_to_string(crate_dir().join("src").join(file));
            let there = source.is_ok_and(|source| {
                [format!("fn {function}("), format!("fn {function}<")]
                    .iter()
                    .any(|head| source.contains(head))
            });
            if !there {
                wrong.push(format!("no {place}"));
            }
        }
        let named = quoted(&row[2]).count();
        if named == 0 && !row[2].starts_with("refused") && !row[2].starts_with("not yet") {
            wrong.push(format!("{}: neither where nor why not", row[0]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_must_is_in_the_table_once_and_in_order() {
    let path = crate_dir().join("../../docs/rfc.md");
    let text = fs::read_to_string(path).expect("docs/rfc.md");
    let numbers: Vec<u32> = rows(&text)
        .iter()
        .map_while(|row| row[0].parse().ok())
        .collect();
    assert_eq!(numbers, (1..=69).collect::<Vec<_>>());
}
