//! HTML insertion: the place is within the page, and what is put there stands between the same octets as before.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimicry_plugins::shared::html;
use mimicry_plugins::shared::plain;
use mimicry_plugins::shared::text_end::TextEnd;

fuzz_target!(|page: &[u8]| {
    for place in [TextEnd::Top, TextEnd::Bottom] {
        if let Ok(spot) = html::place(page, place) {
            let (before, after) = page.split_at_checked(spot.at).expect("a place within the page");
            let ours = format!("{}\n<p>ours</p>\n", spot.close);
            let new = [before, ours.as_bytes(), after].concat();
            // The text is there now: the next place is beside ours or beyond, never inside of it.
            if let Ok(next) = html::place(&new, place) {
                let inside = spot.at + 1..spot.at + ours.trim_end().len();
                assert!(place == TextEnd::Top || !inside.contains(&next.at), "{next:?} is inside of ours");
            }
        }
        if let Ok(block) = plain::block((place, page), "ours", "", "\r\n", None) {
            assert_eq!(block.matches("ours").count(), 1);
        }
        assert!(plain::place(page, place) <= page.len());
    }
    if let Ok(text) = std::str::from_utf8(page) {
        // Both derivations are text a mail can hold, and none of what was markup comes through as markup.
        let derived = html::to_text(text);
        assert!(!derived.contains('\r'));
        assert!(!html::from_text(&derived).contains("<script"));
    }
});
