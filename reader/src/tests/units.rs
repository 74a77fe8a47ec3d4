//! Units with their limit of memory, and what systemd does when they end.

use serde_json::{Value, json};

use super::*;

const LIMIT: (u64, u64) = (4, 64 << 20);
const ALWAYS: (u64, u64) = (5, 7);

/// A unit whose `Restart=` and limit become known after the first ten samples.
fn told_late() -> Builder {
    let mut builder = Builder::new(MIB);
    let mut run = TestRun::of_boot(1);
    run.unit = Some(Vec::new());
    builder.frame(&run, Area::Tail, 10, 19);
    run.unit = Some(vec![LIMIT, ALWAYS]);
    builder.frame(&run, Area::Tail, 20, 29);
    builder
}

fn top(builder: &Builder, arguments: &[&str]) -> String {
    let file = builder.file();
    let (code, text, _) = flightrec(&[&["top", file.path().to_str().unwrap()], arguments].concat());
    assert_eq!(code, 0, "{text}");
    text
}

#[test]
fn memory_stands_beside_its_limit_and_what_systemd_does_at_the_end() {
    let text = top(&told_late(), &[]);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("unit "));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let title = words(lines.next().unwrap());
    assert_eq!(
        title,
        "unit cpu% mem max swap rd/s wr/s tasks restart".split(' ').collect::<Vec<_>>()
    );
    let unit = words(lines.next().unwrap());
    let expected = "vector.service 25 47M 64M - 0 0 4 always";
    assert_eq!(unit, expected.split(' ').collect::<Vec<_>>(), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (_, text, _) = dump(&told_late(), &["--top", "3"]);
    assert!(text.lines().any(|line| line.starts_with("vector.service ") && line.contains(" 64M")));
}

/// 9.6.
#[test]
fn a_unit_is_one_whatever_its_limit_and_json_has_both() {
    let all: Value = serde_json::from_str(&top(&told_late(), &["--json"])).unwrap();
    let units = all["units"].as_array().unwrap();
    assert_eq!(units.len(), 1, "{units:?}");
    let of = |unit: &Value| [unit["memory_max_bytes"].clone(), unit["restart"].clone()];
    assert_eq!(of(&units[0]), [json!(64 << 20), json!("always")]);
    let (_, text, _) = dump(&told_late(), &["--format", "jsonl"]);
    let units: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["units"][0].clone())
        .collect();
    assert_eq!(of(&units[0]), [Value::Null, Value::Null]);
    assert_eq!(of(&units[19]), [json!(64 << 20), json!("always")]);
    let keys: Vec<_> = units[19].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    let (_, text, _) = dump(&told_late(), &["--format", "jsonl", "--rates", "--series", "unit.*"]);
    let at_the_change = text.lines().nth(10).unwrap();
    assert!(at_the_change.contains("\"unit.user_ms_per_s\":249."), "{at_the_change}");
}

#[test]
fn a_code_that_nobody_knows_is_no_word() {
    let mut run = TestRun::of_boot(1);
    for code in [0, 8, u64::MAX] {
        run.unit = Some(vec![(5, code)]);
        let mut builder = Builder::new(MIB);
        builder.frame(&run, Area::Tail, 10, 29);
        let (_, text, _) = dump(&builder, &["--format", "jsonl"]);
        assert!(text.contains("\"memory_max_bytes\":null,\"restart\":null"), "{text}");
        assert!(top(&builder, &[]).contains(" 4 -"));
    }
}
