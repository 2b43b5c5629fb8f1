//! The word that a misspelt word was probably meant to be.
//!
//! Must never: suggest what is as far from the word as anything else.

/// The nearest of the candidates, when it is near enough to be meant: case and `-` for `_` do not count.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Suggests the nearest, or names them all.
pub fn did_you_mean(word: &str, known: &[&str], all: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{all}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_suggested_when_it_is_near() {
        for (word, near) in [
            ("trase", Some("trace")),
            ("hide-extensions", Some("hide_extensions")),
            ("Trace", Some("trace")),
            ("rlay", Some("relay")),
            ("erlay", Some("relay")),
            ("bananas", None),
            ("x", None),
        ] {
            assert_eq!(
                nearest(word, ["trace", "relay", "hide_extensions", "a"].into_iter()),
                near,
                "{word}"
            );
        }
    }
}
