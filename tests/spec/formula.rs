//! Geometry: the formulas of section 2.1, worked out, against the code.

use std::collections::HashMap;

use flightrec_format::superblock::Geometry;

/// Works out `text`: names, numbers, `+ - * /`, parentheses and `clamp(value, low, high)`.
fn evaluate(text: &str, names: &HashMap<String, u64>) -> u64 {
    let mut tokens = tokens(text);
    tokens.reverse();
    let value = sum(&mut tokens, names);
    assert!(tokens.is_empty(), "{tokens:?} left of {text:?}");
    value
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in text.chars().filter(|c| *c != ' ') {
        match tokens.last_mut() {
            Some(token) if c.is_alphanumeric() && last.is_alphanumeric() => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        last = c;
    }
    tokens
}

fn sum(tokens: &mut Vec<String>, names: &HashMap<String, u64>) -> u64 {
    let mut value = product(tokens, names);
    while let Some(sign) = tokens.pop_if(|token| "+-".contains(token.as_str())) {
        let next = product(tokens, names);
        value = if sign == "+" { value + next } else { value - next };
    }
    value
}

fn product(tokens: &mut Vec<String>, names: &HashMap<String, u64>) -> u64 {
    let mut value = atom(tokens, names);
    while let Some(sign) = tokens.pop_if(|token| "*/".contains(token.as_str())) {
        let next = atom(tokens, names);
        value = if sign == "*" { value * next } else { value / next };
    }
    value
}

fn atom(tokens: &mut Vec<String>, names: &HashMap<String, u64>) -> u64 {
    let token = tokens.pop().unwrap();
    let is_clamp = token == "clamp";
    if is_clamp {
        assert_eq!(tokens.pop().as_deref(), Some("("));
    } else if token != "(" {
        return token.parse().unwrap_or_else(|_| names[&token]);
    }
    let mut values = vec![sum(tokens, names)];
    while tokens.pop_if(|token| token == ",").is_some() {
        values.push(sum(tokens, names));
    }
    assert_eq!(tokens.pop().as_deref(), Some(")"));
    if is_clamp { values[0].clamp(values[1], values[2]) } else { values[0] }
}

/// Every name of the formula fence for a recording of `size` bytes.
fn by_formula(size: u64) -> HashMap<String, u64> {
    let fence = super::fences("formula").concat();
    let mut names = HashMap::from([("N".to_owned(), size / 4096)]);
    for line in fence.lines() {
        let (name, text) = line.split_once(" = ").unwrap();
        let value = evaluate(text, &names);
        names.insert(name.to_owned(), value);
    }
    names
}

fn by_code(geometry: &Geometry) -> HashMap<String, u64> {
    let named = [
        ("N", u32::try_from(geometry.size / 4096).unwrap()),
        ("L", geometry.lane_slots),
        ("A", geometry.archive_slots),
        ("H", geometry.history_slots),
        ("K", geometry.commits_per_seal_max()),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), u64::from(value))).collect()
}

#[test]
fn the_formulas_and_their_table_are_the_geometry_of_the_code() {
    let sizes = (256..3000).map(|slots| slots * 4096).chain((20..=40).map(|bits| 1 << bits));
    for size in sizes {
        assert_eq!(by_formula(size), by_code(&Geometry::for_size(size).unwrap()), "{size}");
    }
    let rows = super::table(&["size", "N", "L", "A", "H", "K"]);
    assert!(rows.len() >= 3);
    for row in rows {
        let cells: Vec<u64> = row.iter().map(|cell| super::number(cell)).collect();
        let values = by_formula(cells[0]);
        let values = ["N", "L", "A", "H", "K"].map(|name| values[name]);
        assert_eq!(values, cells[1..], "size {}", cells[0]);
    }
}

/// G1: the conditions in the text are those of the code.
#[test]
fn the_conditions_of_a_safe_geometry_are_those_of_the_code() {
    let rule = super::between("**G1** ", ":");
    let conditions: Vec<&str> =
        rule.split('`').skip(1).step_by(2).filter(|piece| piece.contains(">=")).collect();
    assert_eq!(conditions.len(), 2, "{rule}");
    let some = Geometry::for_size(1 << 20).unwrap();
    for lane_slots in 0..60 {
        for history_slots in [0, 63, 64, 65] {
            let geometry = Geometry { lane_slots, history_slots, ..some };
            let names = by_code(&geometry);
            let safe = conditions.iter().all(|condition| {
                let (left, right) = condition.split_once(">=").unwrap();
                evaluate(left, &names) >= evaluate(right, &names)
            });
            assert_eq!(geometry.is_safe(), safe, "L {lane_slots}, H {history_slots}");
        }
    }
}

/// G3: a flash page that holds a slot of one area holds none of another.
#[test]
fn areas_lie_a_flash_page_apart() {
    for size in (256..3000).map(|slots| slots * 4096).chain((20..=40).map(|bits| 1 << bits)) {
        let geometry = Geometry::for_size(size).unwrap();
        let tail_end = geometry.tail_start + 2 * geometry.lane_slots;
        let archive_end = geometry.archive_start + geometry.archive_slots;
        assert!(geometry.archive_start - tail_end >= 16, "{size}");
        assert!(geometry.history_start - 1 - archive_end >= 16, "{size}");
    }
}

/// Section 2: the picture.
#[test]
fn the_areas_stand_in_the_order_of_the_picture() {
    let heads = super::between("## 2 Overview\n\n```\n", "\n");
    let names = by_formula(1 << 20);
    let firsts: Vec<u64> = heads
        .split("  ")
        .map(|head| head.trim().trim_start_matches("slot").split("..").next().unwrap().trim())
        .filter(|head| !head.is_empty())
        .map(|head| evaluate(&head.replace("2L", "2*L"), &names))
        .collect();
    let geometry = Geometry::for_size(1 << 20).unwrap();
    let superblocks = geometry.superblock_slots();
    let [tail, archive, history] =
        [geometry.tail_start, geometry.archive_start, geometry.history_start].map(u64::from);
    assert_eq!(firsts, [superblocks[0], tail, archive, superblocks[1], history, superblocks[2]]);
}
