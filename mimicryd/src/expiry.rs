//! When the keys of rules end: for metrics, and for whoever checks a configuration.
//!
//! Must never: show more of a key than whose it is.

use mimicry_core::config::Config;
use mimicry_core::plugin::KeyInUse;
use mimicry_plugins::shared::date::day;

/// How long before its end a key is spoken of, in seconds.
const AHEAD: i64 = 30 * 24 * 3600;

/// Keys that are spoken of at most, for each rule.
const MOST: usize = 20;

/// The first end of each rule that has keys that end.
pub fn of_rules(config: &Config, now: i64) -> Vec<(String, u64)> {
    let rules = config.banks.in_use().into_iter();
    let ends = rules.filter_map(|rule| {
        let keys = rule.plugin.keys(now).into_iter();
        let first = keys.filter_map(|key| key.expires).min()?;
        Some((rule.name.clone(), u64::try_from(first).ok()?))
    });
    ends.collect()
}

/// What an administrator should know of the keys now, a line for each.
pub fn warnings(config: &Config, now: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in config.banks.in_use() {
        let keys = rule.plugin.keys(now);
        let said: Vec<String> = keys.iter().filter_map(|key| said(key, now)).collect();
        let more = said.len().saturating_sub(MOST);
        let name = &rule.name;
        lines.extend(
            said.into_iter()
                .take(MOST)
                .map(|text| format!("rule \"{name}\": {text}")),
        );
        if more > 0 {
            lines.push(format!("rule \"{name}\": and {more} more keys"));
        }
    }
    lines
}

fn said(key: &KeyInUse, now: i64) -> Option<String> {
    let KeyInUse { owner, name, .. } = key;
    if let Some(unfit) = &key.unfit {
        return Some(format!("the key of {owner} ({name}) {unfit}"));
    }
    let end = key.expires.filter(|end| end.saturating_sub(now) <= AHEAD)?;
    Some(format!("the key of {owner} ({name}) ends on {}", day(end)))
}

#[cfg(test)]
mod tests {
    use mimicry_core::plugin::KeyUse;

    use super::*;

    #[test]
    fn what_is_said_of_a_key() {
        const NOW: i64 = 1_781_481_600;
        const DAY: i64 = 24 * 3600;
        for (expires, unfit, expected) in [
            (None, None, None),
            (Some(NOW + 31 * DAY), None, None),
            (
                Some(NOW + 30 * DAY),
                None,
                Some("the key of a@b (F) ends on 2026-07-15"),
            ),
            (
                Some(NOW),
                None,
                Some("the key of a@b (F) ends on 2026-06-15"),
            ),
            (
                None,
                Some("was revoked"),
                Some("the key of a@b (F) was revoked"),
            ),
        ] {
            let key = KeyInUse {
                owner: "a@b".into(),
                name: "F".into(),
                kind: "rsa 2048".into(),
                used: KeyUse::Encrypt,
                record: None,
                expires,
                unfit: unfit.map(String::from),
            };
            assert_eq!(said(&key, NOW).as_deref(), expected);
        }
    }
}
