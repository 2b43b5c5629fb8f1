use data_encoding::BASE64;
use mimicry_core::message::kept::Kept;
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::back::{Why, back};
use super::fields::{NoRecipe, hashed, recipe};
use super::instance::{Came, Hashes, Instance};
use super::lines::{Lost, Step, apply, steps};
use super::steps::{of_json, to_json};

#[test]
#[rustfmt::skip]
fn steps_of_lines() {
    for (old, new, expected) in [
        ("a\nb\n", "a\nb\nfoot\n", json!([{"c": [1, 2]}])),
        ("a\nb\n", "top\na\nb\nfoot\n", json!([{"c": [2, 3]}])),
        ("a\nb\nc\n", "a\nB\nc\n", json!([{"c": [1, 1]}, {"d": ["b"]}, {"c": [3, 3]}])),
        ("a\nb\n", "", json!([{"d": ["a", "b"]}])),
        ("", "a\n", json!([])),
        ("a\n\nb\n", "x\n\ny\na\n\nb\nz\n", json!([{"c": [4, 6]}])),
        // A last line without an end.
        ("a\nb", "a\nb\nfoot\n", json!([{"c": [1, 1]}, {"d": ["b"]}])),
    ] {
        let found = steps(old.as_bytes(), new.as_bytes(), &[], 100).unwrap();
        assert_eq!(to_json(&found), expected, "{old:?} {new:?}");
        assert_eq!(of_json(&expected), Some(found));
    }
    assert_eq!(steps(b"a\nb\n", b"", &[], 7), None);
    assert!(steps(b"a\nb\n", b"", &[], 8).is_some());
    assert_eq!(steps(b"a\rb\n", b"", &[], 100), None);
    let octets = steps(b"\xff\nx\n", b"", &[], 100).unwrap();
    assert_eq!(to_json(&octets), json!([{"u": ["/w=="]}, {"d": ["x"]}]));
}

#[test]
#[rustfmt::skip]
fn steps_that_are_none() {
    for json in [
        json!({}), json!([{}]), json!([[]]), json!([{"c": [1]}]), json!([{"c": [1, 2, 3]}]), json!([{"c": [-1, 2]}]), json!([{"c": [1.5, 2]}]),
        json!([{"c": [1, 2], "d": []}]), json!([{"d": "x"}]), json!([{"d": ["a\nb"]}]), json!([{"d": ["a\rb"]}]), json!([{"u": ["a"]}]),
        json!([{"u": ["DQo="]}]), json!([{"z": 1}]), json!(null),
    ] {
        assert_eq!(of_json(&json), None, "{json}");
    }
    for (copies, expected) in [
        (&[(1, 2), (2, 3)][..], Err(Lost::Order)), (&[(2, 2), (1, 1)], Err(Lost::Order)), (&[(0, 1)], Err(Lost::Order)), (&[(2, 1)], Err(Lost::Order)),
        (&[(1, 4)], Err(Lost::Range)), (&[(4, 4)], Err(Lost::Range)), (&[(1, usize::MAX)], Err(Lost::Range)),
        (&[(usize::MAX, usize::MAX)], Err(Lost::Range)), (&[(1, 1), (3, 3)], Ok(&b"a\nc\n"[..])), (&[], Ok(b"")),
    ] {
        let copies: Vec<Step> = copies.iter().map(|(first, last)| Step::Copy(*first, *last)).collect();
        assert_eq!(apply(b"a\nb\nc", &copies, b"\n").as_deref(), expected.as_ref().map(|out| &out[..]), "{copies:?}");
    }
}

// draft-ietf-dkim-dkim2-spec-08 section 6.2
#[test]
fn what_is_hashed_of_a_header() {
    let block = b"Received: x\r\nSUBject:  AbC \t d\r\n\t e \r\nX-A: b\r\nTo : a\r\nto: b\r\nReceived-SPF: x\r\nDKIM-Signature: x\r\nAuto-Submitted: no\r\njunk\r\n";
    let expected = b"auto-submitted:no\r\nsubject:AbC d e\r\nto:b\r\nto:a\r\n";
    assert_eq!(
        hashed(block).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
#[rustfmt::skip]
fn recipes_of_fields() {
    for (old, new, expected) in [
        ("A: 1\r\n", "a:  1 \r\n", json!({})),
        ("A: 1\r\n", "B: 1\r\n", json!({"a": [{"d": ["1"]}], "b": []})),
        ("A: 3\r\nA: 2\r\nA: 1\r\n", "A: 3\r\nA: x\r\nA: 1\r\n", json!({"a": [{"c": [1, 1]}, {"d": ["2"]}, {"c": [3, 3]}]})),
        ("A: 2\r\nA: 1\r\n", "A: 3\r\nA: 2\r\nA: 1\r\n", json!({"a": [{"c": [1, 2]}]})),
        ("A: 2\r\nA: 1\r\n", "A: 1\r\n", json!({"a": [{"c": [1, 1]}, {"d": ["2"]}]})),
        ("A: 1\r\nA: 1\r\n", "A: 1\r\n", json!({"a": [{"c": [1, 1]}, {"d": ["1"]}]})),
        ("A: b\r\n  c\r\n", "", json!({"a": [{"d": ["b c"]}]})),
        ("X-A: 1\r\nReceived: x\r\n", "ARC-Seal: 1\r\n", json!({})),
    ] {
        let found = recipe(old.as_bytes(), new.as_bytes(), 100);
        assert_eq!(found.map(serde_json::Value::from), Ok(expected), "{old} {new}");
    }
    assert_eq!(recipe(b"A: 12345\r\n", b"", 4), Err(NoRecipe::Long));
}

#[test]
#[rustfmt::skip]
fn values_that_are_no_instance() {
    let good = "m=1; h=sha256:AA==:AA==;";
    assert!(Instance::read(good.as_bytes()).is_some());
    assert!(Instance::read(b" M = 1 ;\r\n h=sha512:x:y, sha256:AA\r\n ==:AA==; other=1").is_some());
    for bad in [
        "", "m=1;", "h=sha256:AA==:AA==;", "m=x; h=sha256:AA==:AA==;", "m=1; m=2; h=sha256:AA==:AA==;", "m=1; M=1; h=sha256:AA==:AA==;",
        "m=1; h=sha256:AA==:AA==; r=x;", "m=1; h=sha256:AA==:AA==; r=e30", "m=1; h=sha256:AA==:AA==; r=W10=;", "junk", "m=1; junk; h=sha256:AA==:AA==",
        "m=1; h=sha256:AA==:AA==; r=AAAA;", "m=-1; h=sha256:AA==:AA==;", "m=1; h=sha256:AA==:AA==; mimicry=1; mimicry_h=W10=;",
    ] {
        assert!(Instance::read(bad.as_bytes()).is_none_or(|one| one.hashes.is_none()), "{bad}");
    }
}

/// A mail with a field that says these things.
fn forged(recipe: &str, came: Option<&Came>, body: &str) -> Vec<u8> {
    let hashes = Hashes::of(b"From: a\r\n", body.as_bytes());
    let value = Instance::value(1, &hashes, recipe, came);
    format!("Message-Instance: {value}\r\nFrom: a\r\n\r\n{body}").into_bytes()
}

#[test]
fn what_is_forged_or_changed_leads_nowhere() {
    let original = b"From: a\r\n\r\nhello\r\n";
    let came = Came::of(original, vec![Step::Copy(1, 2)]);
    let good = forged(r#"{"b":[{"c":[1,1]}]}"#, Some(&came), "hello\r\nfoot\r\n");
    assert_eq!(back(good.clone()).unwrap(), original);
    let text = String::from_utf8(good.clone()).unwrap();
    let on_top = format!("Received: x\r\n{text}");
    assert_eq!(back(on_top.into_bytes()).unwrap(), original);
    let in_lf = text.replace("\r\n", "\n");
    for (mail, why) in [
        (&b"From: a\r\n\r\nx"[..], Why::None),
        (b"Message-Instance: junk\r\n\r\nx", Why::Broken),
        (
            b"Message-Instance: m=2; h=sha256:AA==:AA==\r\n\r\nx",
            Why::Broken,
        ),
        (
            b"Message-Instance: m=1; h=sha256:AA==:AA==\r\n\r\nx",
            Why::Unknown,
        ),
        (in_lf.as_bytes(), Why::Hash),
        (text.replace("foot", "feet").as_bytes(), Why::Body),
        (text.replace("hello", "hallo").as_bytes(), Why::Body),
        (text.replace("From: a", "From: b").as_bytes(), Why::Header),
        (&forged(r#"{"b":null}"#, Some(&came), "x\r\n"), Why::Gone),
        (&forged("", None, "x\r\n"), Why::Unknown),
        (&forged("", Some(&came), "x\r\n"), Why::Hash),
        (
            &forged(r#"{"b":[{"c":[1,99999999999]}]}"#, Some(&came), "x\r\n"),
            Why::Lost,
        ),
        (
            &forged(r#"{"b":[{"c":[1,1]},{"c":[1,1]}]}"#, Some(&came), "x\r\n"),
            Why::Lost,
        ),
    ] {
        // What was changed in a line that is not copied does not matter.
        match text.replace("foot", "feet").as_bytes() == mail {
            true => assert_eq!(back(mail.to_vec()).unwrap(), original),
            false => assert_eq!(back(mail.to_vec()), Err(why), "{}", mail.escape_ascii()),
        }
    }
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let number = prop_oneof![0usize..12, Just(usize::MAX), any::<usize>()];
    let step = prop_oneof![
        (number.clone(), number).prop_map(|(first, last)| Step::Copy(first, last)),
        proptest::collection::vec("[a-c\u{e9}]{0,3}".prop_map(String::into_bytes), 0..4)
            .prop_map(Step::Lines),
    ];
    proptest::collection::vec(step, 0..6)
}

proptest! {
    /// Whatever is known to be kept, and even if it is not.
    #[test]
    fn there_and_back(old in "([ab\u{e9}]?[\n]){0,12}[ab]?", new in "([ab\u{e9}]?[\n]){0,12}[ab]?", kept in proptest::collection::vec((0usize..14, 0usize..14, 0usize..9), 0..4)) {
        let kept: Vec<Kept> = kept.into_iter().map(|(before, after, length)| Kept { before, after, length }).collect();
        let steps = steps(old.as_bytes(), new.as_bytes(), &kept, 1000).unwrap();
        let mut made = apply(new.as_bytes(), &steps, b"\n").unwrap();
        if !old.ends_with('\n') && made.len() == old.len() + 1 {
            made.pop();
        }
        prop_assert_eq!(String::from_utf8(made).unwrap(), old);
    }

    /// No recipe makes more than is in the mail and in the recipe.
    #[test]
    fn forged_steps_cost_no_more_than_they_are_long(steps in any_steps(), new in "([ab]{0,3}\n){0,10}") {
        let written: usize = steps.iter().map(|step| match step {
            Step::Lines(lines) => lines.iter().map(|line| line.len() + 2).sum(),
            Step::Copy(..) => 0,
        }).sum();
        if let Ok(made) = apply(new.as_bytes(), &steps, b"\r\n") {
            prop_assert!(made.len() <= new.len() + written + 2);
        }
    }

    /// Whatever the field says, what comes out has the hash that it names.
    #[test]
    fn a_forged_field_leads_to_its_own_hash_or_nowhere(header in any_steps(), body in any_steps(), length in 0usize..200, good: bool, text in "([a-c]{0,3}\r\n){0,6}", noise in "[-a-zA-Z0-9+/=:; \"{}\\[\\],]{0,60}") {
        let recipe = json!({ "b": to_json(&body) }).to_string();
        let region = apply(b"From: a\r\n\r\n", &header, b"\r\n");
        let made = region.and_then(|mut made| {
            made.extend(apply(text.as_bytes(), &body, b"\r\n")?);
            Ok(made)
        });
        let mut came = Came { length, sha256: vec![0; 32], header };
        if let (true, Ok(made)) = (good, &made) {
            came.length = made.len();
            came.sha256 = Sha256::digest(made).to_vec();
        }
        let found = back(forged(&recipe, Some(&came), &text));
        match made {
            Ok(made) if good => prop_assert_eq!(found, Ok(made)),
            _ => prop_assert!(found.is_err()),
        }
        let noise = format!("Message-Instance: m=1; h=sha256:AA==:AA==; mimicry=1:{}; r={noise}\r\n\r\n{text}", BASE64.encode(noise.as_bytes()));
        prop_assert!(back(noise.into_bytes()).is_err());
    }
}
