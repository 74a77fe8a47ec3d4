//! The specification, executed: its tables, formulas and hex against the code.
//!
//! `format-spec.md` is right by definition. Each test here reads a piece of it and holds the
//! format crate against it, both ways where it is a list: nothing may be only in the text, and
//! nothing only in the code.

mod example;
mod formula;
mod layouts;
mod reading;
mod vocabulary;

/// The whole text.
pub(crate) const TEXT: &str = include_str!("../format-spec.md");

/// Every table whose first column heads are these, as rows of cells without backticks.
fn tables(heads: &[&str]) -> Vec<Vec<Vec<String>>> {
    let mut found: Vec<Vec<Vec<String>>> = Vec::new();
    let mut inside = false;
    for line in TEXT.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            inside = false;
            continue;
        };
        let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        if cells.iter().map(String::as_str).take(heads.len()).eq(heads.iter().copied()) {
            inside = true;
            found.push(Vec::new());
        } else if inside && !cells.iter().all(|cell| cell.chars().all(|c| "-:".contains(c))) {
            found.last_mut().unwrap().push(cells);
        }
    }
    found
}

/// The one table whose first column heads are these.
fn table(heads: &[&str]) -> Vec<Vec<String>> {
    let mut found = tables(heads);
    assert_eq!(found.len(), 1, "tables that begin with {heads:?}");
    found.remove(0)
}

/// The contents of every fence of this language, without the fence lines.
fn fences(language: &str) -> Vec<String> {
    let open = format!("\n```{language}\n");
    let parts = TEXT.split(&open).skip(1);
    parts.map(|part| part.split("\n```").next().unwrap().to_owned()).collect()
}

/// A number of the text.
fn number<T: std::str::FromStr>(cell: &str) -> T {
    cell.parse().unwrap_or_else(|_| panic!("{cell:?} is no number"))
}

/// What follows `before` in the text, up to `end`, on one line.
fn between(before: &str, end: &str) -> String {
    let mut parts = TEXT.split(before);
    let after = parts.nth(1).unwrap_or_else(|| panic!("the text has no {before:?}"));
    assert!(parts.next().is_none(), "{before:?} stands twice in the text");
    after.split(end).next().unwrap().replace('\n', " ")
}
