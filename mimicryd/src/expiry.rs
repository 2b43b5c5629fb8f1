//! When the keys of rules end: for metrics, and for whoever checks a configuration.
//!
//! Must never: show more of a key than whose it is.

use std::collections::BTreeMap;

use mimicry_core::config::Config;
use mimicry_core::plugin::KeyInUse;
use mimicry_plugins::shared::date::day;

/// How long before its end a key is spoken of, in seconds.
pub const AHEAD: i64 = 30 * 24 * 3600;

/// Keys that are spoken of at most, for each rule.
const MOST: usize = 20;

/// Of each rule that has keys that end: when the first of those whom it signs for or encrypts to has none left.
pub fn of_rules(config: &Config, now: i64) -> Vec<(String, u64)> {
    let rules = config.banks.in_use().into_iter();
    let ends = rules.filter_map(|rule| {
        let first = first_end(&rule.plugin.keys(now), now)?;
        Some((rule.name.clone(), u64::try_from(first).ok()?))
    });
    ends.collect()
}

/// An old key beside its successor ends nothing. Whose keys have all ended has been without one since; who has none that was ever of use,
/// or lost it in another way, has no such time.
fn first_end(keys: &[KeyInUse], now: i64) -> Option<i64> {
    let mut of_owners: BTreeMap<(&str, &str), Vec<&KeyInUse>> = BTreeMap::new();
    for key in keys {
        for owner in &key.owners {
            let owner = (owner.as_str(), key.used.word());
            of_owners.entry(owner).or_default().push(key);
        }
    }
    let ends = of_owners.into_values().filter_map(|keys| {
        let fit = || keys.iter().filter(|key| key.unfit.is_none());
        match fit().next() {
            Some(_) if fit().any(|key| key.expires.is_none()) => None,
            Some(_) => fit().filter_map(|key| key.expires).max(),
            None => {
                let ended = keys.iter().filter_map(|key| key.expires);
                ended.filter(|end| *end <= now).max()
            }
        }
    });
    ends.min()
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
    let (owner, name) = (key.owner(), &key.name);
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
                owners: vec!["a@b".into()],
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

    #[test]
    fn a_successor_counts_and_whoever_has_none_left_is_the_first() {
        const NOW: i64 = 1_000;
        let key = |owners: &[&str], used, expires, unfit: Option<&str>| KeyInUse {
            owners: owners.iter().map(ToString::to_string).collect(),
            name: "F".into(),
            kind: "rsa 2048".into(),
            used,
            record: None,
            expires,
            unfit: unfit.map(String::from),
        };
        let (sign, encrypt) = (KeyUse::Sign, KeyUse::Encrypt);
        let old = || key(&["a@b"], sign, Some(900), Some("expired"));
        let new = |expires| key(&["a@b", "c@d"], sign, expires, None);
        for (keys, expected) in [
            (vec![], None),
            (vec![old()], Some(900)),
            (vec![old(), new(Some(5_000))], Some(5_000)),
            (vec![old(), new(None)], None),
            // Another's key, and a key for something else, is no successor.
            (
                vec![old(), key(&["c@d"], sign, Some(5_000), None)],
                Some(900),
            ),
            (
                vec![old(), key(&["a@b"], encrypt, Some(5_000), None)],
                Some(900),
            ),
            (
                vec![new(Some(2_000)), key(&["c@d"], sign, Some(5_000), None)],
                Some(2_000),
            ),
            (
                vec![key(&["a@b"], sign, Some(5_000), Some("was revoked"))],
                None,
            ),
            (
                vec![key(&["a@b"], sign, None, Some("was revoked")), old()],
                Some(900),
            ),
        ] {
            assert_eq!(first_end(&keys, NOW), expected, "{keys:?}");
        }
    }
}
