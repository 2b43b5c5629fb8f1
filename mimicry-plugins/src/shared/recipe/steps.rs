//! Steps as JSON: `{"c": [first, last]}`, `{"d": ["text"]}`, and `{"u": ["base64"]}` for what is no UTF-8.
//!
//! Must never: read more than one thing out of a step.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::lines::Step;
use crate::shared::dkim::tags::base64;

/// The steps as JSON.
pub fn to_json(steps: &[Step]) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for step in steps {
        let lines = match step {
            Step::Copy(first, last) => {
                out.push(json!({ "c": [first, last] }));
                continue;
            }
            Step::Lines(lines) => lines,
        };
        // Each run of lines that are text, or are none.
        for run in lines.chunk_by(|one, next| is_text(one) == is_text(next)) {
            out.push(match run.iter().all(|line| is_text(line)) {
                true => {
                    let text = run.iter().map(|line| String::from_utf8_lossy(line));
                    json!({ "d": text.collect::<Vec<_>>() })
                }
                false => {
                    let coded = run.iter().map(|line| BASE64.encode(line));
                    json!({ "u": coded.collect::<Vec<_>>() })
                }
            });
        }
    }
    Value::Array(out)
}

fn is_text(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok()
}

/// The steps that are meant. `None` = they are none of the draft.
pub fn of_json(json: &Value) -> Option<Vec<Step>> {
    json.as_array()?.iter().map(of_step).collect()
}

fn of_step(json: &Value) -> Option<Step> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    let (key, value) = object.iter().next()?;
    let list = value.as_array()?;
    match key.as_str() {
        "c" => {
            let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
            match list.as_slice() {
                [first, last] => Some(Step::Copy(number(first)?, number(last)?)),
                _ => None,
            }
        }
        "d" => lines(list, |text| Some(text.as_bytes().to_vec())),
        "u" => lines(list, base64),
        _ => None,
    }
}

fn lines(list: &[Value], read: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Step> {
    let is_line = |line: &Vec<u8>| !line.iter().any(|octet| matches!(octet, b'\r' | b'\n'));
    let lines = list
        .iter()
        .map(|value| read(value.as_str()?).filter(is_line));
    Some(Step::Lines(lines.collect::<Option<_>>()?))
}
