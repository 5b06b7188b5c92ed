//! Words against a plain way of finding them.

use proptest::prelude::*;

use crate::event::Words;

fn plainly(texts: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for word in texts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).filter(|w| !w.is_empty()) {
        let word: String =
            word.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).take(64).collect();
        if all.len() < 500 && !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

fn ours(words: &mut Words, texts: &[String]) -> Vec<String> {
    words.clear();
    texts.iter().for_each(|text| words.add(text));
    words.iter().map(str::to_owned).collect()
}

/// The strings of a JSON value, its members' names among them, and its numbers and words.
fn leaves(json: &serde_json::Value, out: &mut Vec<String>) {
    match json {
        serde_json::Value::Array(all) => all.iter().for_each(|one| leaves(one, out)),
        serde_json::Value::Object(all) => {
            for (name, value) in all {
                // As they stand in the text: a member's name can be looked at like any text.
                out.push(name.clone());
                leaves(value, out);
            }
        }
        serde_json::Value::String(text) => out.push(text.clone()),
        other => out.push(other.to_string()),
    }
}

#[test]
fn of_json_are_those_of_its_strings() {
    let strings =
        ["one\ntwo\tthree", "C:\\new\\table", "say \"hello\"", "\\\\nine", "bell\u{7}rings", "\\u0041x", "\\", "a/b"];
    let json = serde_json::json!({ "first\nname": strings, "x": [1.5, true, null, {"\\n": "\n\\"}] });
    let mut texts = Vec::new();
    leaves(&json, &mut texts);
    let mut words = Words::default();
    words.add_json(&json.to_string());
    assert_eq!(words.iter().map(str::to_owned).collect::<Vec<_>>(), plainly(&texts));
    assert!(plainly(&texts).contains(&"two".to_owned()) && plainly(&texts).contains(&"u0041x".to_owned()));
}

proptest! {
    #[test]
    fn of_any_json(strings in prop::collection::vec("[a-c0-9un\\\\\"/ \\n\\t\\x01é]{0,12}", 0..6)) {
        let mut words = Words::default();
        words.add_json(&serde_json::json!(strings).to_string());
        prop_assert_eq!(words.iter().map(str::to_owned).collect::<Vec<_>>(), plainly(&strings));
    }

    #[test]
    fn are_found(texts in prop::collection::vec("([a-cA-CäÄßİΣς0-2]{0,3}[ .{}\":\\-_¹½]){0,30}|\\PC{0,80}", 0..5)) {
        let mut words = Words::default();
        prop_assert_eq!(ours(&mut words, &texts), plainly(&texts));
        prop_assert_eq!(ours(&mut words, &texts), plainly(&texts), "the second time");
    }

    #[test]
    fn are_cut_off(length in 60_usize..70, more in "[aÄİ]{60,70}") {
        let texts = ["X".repeat(length), more];
        prop_assert_eq!(ours(&mut Words::default(), &texts), plainly(&texts));
    }

    #[test]
    fn are_five_hundred(count in 490_usize..1200, step in 1_usize..5000) {
        let texts = [(0..count).map(|i| format!("{} ", i * step % 3000)).collect::<String>()];
        prop_assert_eq!(ours(&mut Words::default(), &texts), plainly(&texts));
    }
}
