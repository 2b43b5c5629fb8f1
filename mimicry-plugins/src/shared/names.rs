//! Member names for archives: safe on every common file system, and unique within one archive.
//!
//! A file name in a mail is the sender's text. The result is a base name that no unpacker can take for a path, a
//! device, a hidden file or a name that looks different from what it is. Must never hand out a separator, a control or
//! bidirectional character, more than 200 octets, or the same name twice; "the same" has the meaning of
//! case-insensitive, normalising file systems.
//!
//! Limits: look-alike letters of different scripts stay as they are, and the cut at 200 octets may
//! fall between a letter and its combining marks.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

/// The longest member name, in octets of UTF-8: below the 255 of the file systems, with room for what
/// an unpacker appends.
pub const MAX_OCTETS: usize = 200;

/// What `" (4294967295)"` needs. Always set aside in full when a name is numbered, so that the number
/// does not change what is left of the name (see `Names::number`).
const NUMBER_OCTETS: usize = 13;

/// The longest extension, in octets, that survives a cut and stays after a number.
const MAX_EXTENSION: usize = 16;

/// Hands out the member names of one archive.
#[derive(Debug, Default)]
pub struct Names {
    /// The folded form of each name handed out.
    taken: HashSet<String>,
    /// The number to try next, by stem and extension as they stand around it (see `number`).
    numbers: HashMap<String, u32>,
}

impl Names {
    pub fn new() -> Self {
        Self::default()
    }

    /// A safe name like `wanted` that was not handed out before. `wanted` is the decoded file name, if
    /// the part has one; without it (or with nothing left of it) the name is `part-INDEX.EXT`, where
    /// `fallback_index` is the part's index path (`1.2`) and EXT follows from `media_type`
    /// (`type/subtype`, parameters are ignored).
    ///
    /// The same calls in the same order give the same names. Time is linear in the length of the names,
    /// however many of them are equal.
    pub fn member(
        &mut self,
        wanted: Option<&str>,
        fallback_index: &str,
        media_type: &str,
    ) -> String {
        let name = wanted
            .and_then(file_name)
            .or_else(|| file_name(&nameless(fallback_index, media_type)))
            .unwrap_or_else(|| String::from("part.bin"));
        if self.taken.insert(fold(&name)) {
            name
        } else {
            self.number(&name)
        }
    }

    /// `report.pdf` → `report (2).pdf`. The counter belongs to the stem as it is cut for numbering: each
    /// try that fails uses up one name handed out earlier, so all tries together are linear, also when
    /// thousands of long names differ only in what the cut removes.
    fn number(&mut self, name: &str) -> String {
        let (stem, extension) = split_extension(name);
        let room = MAX_OCTETS.saturating_sub(NUMBER_OCTETS + extension.len());
        let stem = cut(stem, room);
        let number = self
            .numbers
            .entry(fold(&format!("{stem}{extension}")))
            .or_insert(2);
        loop {
            let candidate = format!("{stem} ({number}){extension}");
            *number = number.saturating_add(1);
            if self.taken.insert(fold(&candidate)) {
                return candidate;
            }
        }
    }
}

/// The usual extension of a media type, without the dot; `bin` for those not in the table.
pub fn extension_for(media_type: &str) -> &'static str {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    EXTENSIONS
        .iter()
        .find(|(name, _)| essence.eq_ignore_ascii_case(name))
        .map_or("bin", |(_, extension)| extension)
}

#[rustfmt::skip]
const EXTENSIONS: &[(&str, &str)] = &[
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/pgp-keys", "asc"),
    ("application/pgp-signature", "asc"),
    ("application/pkcs7-mime", "p7m"),
    ("application/pkcs7-signature", "p7s"),
    ("application/postscript", "ps"),
    ("application/rtf", "rtf"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-bzip2", "bz2"),
    ("application/x-gzip", "gz"),
    ("application/x-pkcs7-mime", "p7m"),
    ("application/x-pkcs7-signature", "p7s"),
    ("application/x-tar", "tar"),
    ("application/x-zip-compressed", "zip"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tif"),
    ("image/webp", "webp"),
    ("message/delivery-status", "txt"),
    ("message/rfc822", "eml"),
    ("text/calendar", "ics"),
    ("text/css", "css"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/rtf", "rtf"),
    ("text/vcard", "vcf"),
    ("text/x-vcard", "vcf"),
    ("text/xml", "xml"),
    ("video/mp4", "mp4"),
    ("video/mpeg", "mpg"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

fn nameless(index: &str, media_type: &str) -> String {
    let extension = extension_for(media_type);
    if index.is_empty() {
        format!("part.{extension}")
    } else {
        format!("part-{index}.{extension}")
    }
}

/// The safe form of `wanted`, or nothing when nothing of it may stay. Applied to its own result it
/// changes nothing.
pub fn file_name(wanted: &str) -> Option<String> {
    // Invisible characters go first: they could hide a separator's neighbour, a drive or a device.
    let visible: String = wanted.chars().filter(|&c| !is_removed(c)).collect();
    let path = visible.trim_end_matches(is_separator);
    let mut base = path.rsplit(is_separator).next().unwrap_or_default();
    while let Some(rest) = without_drive(base) {
        base = rest;
    }
    let clean: String = base
        .nfc()
        .map(|c| if is_reserved_char(c) { '_' } else { c })
        .collect();
    let name = clean
        .trim_start_matches(is_dot_or_blank)
        .trim_end_matches(is_dot_or_blank);
    if name.is_empty() {
        return None;
    }
    let name = shorten(guard_device(name.to_owned()));
    // The cut may strip blanks and so bare a device name again (`CON`, 200 blanks, `x`); it is then
    // far below the limit.
    Some(guard_device(name))
}

/// Characters without a glyph of their own or with power over their neighbours' place: controls,
/// bidirectional marks and overrides, zero-width characters, separators of lines, tags, noncharacters.
/// Variation selectors stay: emoji names need them.
fn is_removed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
            | '\u{FDD0}'..='\u{FDEF}'
            | '\u{E0000}'..='\u{E007F}')
        || (u32::from(c) & 0xFFFE) == 0xFFFE
}

fn is_separator(c: char) -> bool {
    c == '/' || c == '\\'
}

/// Reserved in names by Windows (the separators are gone by now).
fn is_reserved_char(c: char) -> bool {
    matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
}

fn is_dot_or_blank(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// `C:rest` → `rest`.
fn without_drive(name: &str) -> Option<&str> {
    let (drive, rest) = name.split_once(':')?;
    let mut letters = drive.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some(rest),
        _ => None,
    }
}

/// Windows takes these for devices in any directory, with any extension, and with blanks before it.
fn guard_device(name: String) -> String {
    const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let is_port = || {
        let mut from_end = stem.chars();
        let digit = from_end.next_back();
        let port = from_end.as_str();
        (port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT"))
            && matches!(digit, Some('0'..='9' | '¹' | '²' | '³'))
    };
    if DEVICES.iter().any(|d| stem.eq_ignore_ascii_case(d)) || is_port() {
        format!("_{name}")
    } else {
        name
    }
}

fn shorten(name: String) -> String {
    if name.len() <= MAX_OCTETS {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    let stem = cut(stem, MAX_OCTETS.saturating_sub(extension.len()));
    format!("{stem}{extension}")
}

/// The first characters of `text` that fit into `octets`, without a dot or blank at the end.
fn cut(text: &str, octets: usize) -> &str {
    let (kept, _) = text.split_at(text.floor_char_boundary(octets));
    kept.trim_end_matches(is_dot_or_blank)
}

/// Stem and extension, the latter with its dot; empty if there is none. `.tar.gz` and its kin are
/// one extension; a sentence after a full stop is none.
fn split_extension(name: &str) -> (&str, &str) {
    let Some(at) = name.rfind('.') else {
        return (name, "");
    };
    let (stem, extension) = name.split_at(at);
    let is_extension = stem.chars().any(|c| !is_dot_or_blank(c))
        && (2..=MAX_EXTENSION).contains(&extension.len())
        && extension.chars().skip(1).all(char::is_alphanumeric);
    if !is_extension {
        return (name, "");
    }
    let is_packed_tar = [".gz", ".bz2", ".xz", ".zst"]
        .iter()
        .any(|packed| extension.eq_ignore_ascii_case(packed));
    match stem.len().checked_sub(4) {
        Some(tar_at) if is_packed_tar && tar_at > 0 => match name.split_at_checked(tar_at) {
            Some((inner, both)) if starts_with_tar(both) => (inner, both),
            _ => (stem, extension),
        },
        _ => (stem, extension),
    }
}

fn starts_with_tar(extension: &str) -> bool {
    extension
        .get(..4)
        .is_some_and(|first| first.eq_ignore_ascii_case(".tar"))
}

/// The form in which two names are compared. Upper case before lower brings ß and SS, ſ and s, ς and σ
/// together, as full case folding does; it also joins some that a file system may keep apart, which
/// costs a number and nothing else.
fn fold(name: &str) -> String {
    name.nfd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfc()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn one(wanted: &str) -> String {
        Names::new().member(Some(wanted), "1.2", "application/pdf")
    }

    #[test]
    fn a_single_name() {
        #[rustfmt::skip]
        let table: &[(&str, &str)] = &[
            // ordinary names stay
            ("report.pdf", "report.pdf"),
            ("Quarterly report 2026.pdf", "Quarterly report 2026.pdf"),
            ("Übersicht.pdf", "Übersicht.pdf"),
            ("見積書.xlsx", "見積書.xlsx"),
            ("❤\u{FE0F}.png", "❤\u{FE0F}.png"),
            ("a-b_c+d=e,f;g&h'i(j)[k]{l}!.txt", "a-b_c+d=e,f;g&h'i(j)[k]{l}!.txt"),
            ("README", "README"),
            ("-rf", "-rf"),
            // paths
            ("/etc/passwd", "passwd"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\Users\\x\\y.doc", "y.doc"),
            ("C:/Users/x/y.doc", "y.doc"),
            ("C:y.doc", "y.doc"),
            ("c:d:y.doc", "y.doc"),
            ("\\\\server\\share\\y.doc", "y.doc"),
            ("dir/", "dir"),
            ("dir\\\\", "dir"),
            ("mixed/way\\y.doc", "y.doc"),
            ("1:2.txt", "1_2.txt"),
            ("ab:c.txt", "ab_c.txt"),
            // nothing left: the nameless form
            ("", "part-1.2.pdf"),
            (".", "part-1.2.pdf"),
            ("..", "part-1.2.pdf"),
            ("../", "part-1.2.pdf"),
            ("...", "part-1.2.pdf"),
            ("/", "part-1.2.pdf"),
            ("C:", "part-1.2.pdf"),
            (" \t ", "part-1.2.pdf"),
            ("\u{202E}\u{200B}\u{FEFF}", "part-1.2.pdf"),
            ("\0", "part-1.2.pdf"),
            // characters that go
            ("a\0b.txt", "ab.txt"),
            ("a.txt\0.exe", "a.txt.exe"),
            ("a\r\n b.txt", "a b.txt"),
            ("a\tb\x7F\u{85}.txt", "ab.txt"),
            ("\u{FEFF}bom.txt", "bom.txt"),
            ("photo\u{202E}gpj.exe", "photogpj.exe"),
            ("a\u{2066}b\u{2069}\u{200E}\u{200F}\u{61C}.txt", "ab.txt"),
            ("a\u{200B}\u{200D}\u{2060}\u{AD}b.txt", "ab.txt"),
            ("a\u{2028}b\u{2029}.txt", "ab.txt"),
            ("a\u{E0041}\u{FFFE}\u{FDD0}\u{10FFFF}b.txt", "ab.txt"),
            (".\u{200B}./x", "x"),
            ("x/.\u{200B}.", "part-1.2.pdf"),
            // characters that become an underscore
            ("a<b>c:d\"e|f?g*h.txt", "a_b_c_d_e_f_g_h.txt"),
            ("???", "___"),
            ("file.txt:stream", "file.txt_stream"),
            // dots and blanks at the ends
            (".htaccess", "htaccess"),
            ("..hidden", "hidden"),
            (" . .x", "x"),
            ("x. . ", "x"),
            ("x.txt...", "x.txt"),
            ("\u{A0}x\u{3000}", "x"),
            // devices
            ("CON", "_CON"),
            ("con", "_con"),
            ("Con.txt", "_Con.txt"),
            ("NUL.tar.gz", "_NUL.tar.gz"),
            ("aux .h", "_aux .h"),
            ("PRN...", "_PRN"),
            ("COM1", "_COM1"),
            ("com9.log", "_com9.log"),
            ("COM¹", "_COM¹"),
            ("LPT³.x", "_LPT³.x"),
            ("LPT0", "_LPT0"),
            ("CONIN$", "_CONIN$"),
            ("C\u{200B}ON", "_CON"),
            (".con", "_con"),
            ("x/CON", "_CON"),
            ("CONSOLE", "CONSOLE"),
            ("COM10", "COM10"),
            ("COM", "COM"),
            ("a.con", "a.con"),
            ("CON:", "CON_"),
            // NFD from a Mac becomes NFC
            ("Mu\u{308}ller.txt", "Müller.txt"),
        ];
        for (wanted, expected) in table {
            assert_eq!(one(wanted), *expected, "{wanted:?}");
        }
    }

    #[test]
    fn several_names_in_one_archive() {
        #[rustfmt::skip]
        let table: &[(&[&str], &[&str])] = &[
            (&["a.pdf", "a.pdf", "a.pdf"], &["a.pdf", "a (2).pdf", "a (3).pdf"]),
            (&["a.pdf", "A.PDF"], &["a.pdf", "A (2).PDF"]),
            (&["x/a.pdf", "y\\a.pdf"], &["a.pdf", "a (2).pdf"]),
            (&["a (2).pdf", "a.pdf", "a.pdf"], &["a (2).pdf", "a.pdf", "a (3).pdf"]),
            (&["a.pdf", "a.pdf", "a (2).pdf"], &["a.pdf", "a (2).pdf", "a (2) (2).pdf"]),
            (&["a (2).pdf", "a (2).pdf", "a.pdf", "a.pdf"], &["a (2).pdf", "a (2) (2).pdf", "a.pdf", "a (3).pdf"]),
            (&["a", "a"], &["a", "a (2)"]),
            (&["a.tar.gz", "a.tar.gz"], &["a.tar.gz", "a (2).tar.gz"]),
            (&["é.tar.gz", "é.tar.gz"], &["é.tar.gz", "é (2).tar.gz"]),
            (&["tar.gz", ".tar.gz"], &["tar.gz", "tar (2).gz"]),
            (&["Mr. Smith", "Mr. Smith"], &["Mr. Smith", "Mr. Smith (2)"]),
            (&["ü.txt", "u\u{308}.txt"], &["ü.txt", "ü (2).txt"]),
            (&["straße", "STRASSE"], &["straße", "STRASSE (2)"]),
            (&["ΣΑΣ", "σας"], &["ΣΑΣ", "σας (2)"]),
            (&["\u{212A}.txt", "k.txt"], &["K.txt", "k (2).txt"]),
            (&["CON", "_con"], &["_CON", "_con (2)"]),
            (&["", ""], &["part-1.2.pdf", "part-1.2 (2).pdf"]),
            (&["part-1.2.pdf", ""], &["part-1.2.pdf", "part-1.2 (2).pdf"]),
            (&["a?b", "a*b"], &["a_b", "a_b (2)"]),
        ];
        for (wanted, expected) in table {
            let mut names = Names::new();
            let got: Vec<String> = wanted
                .iter()
                .map(|w| names.member(Some(w), "1.2", "application/pdf"))
                .collect();
            assert_eq!(got, *expected);
        }
    }

    #[test]
    fn the_nameless() {
        #[rustfmt::skip]
        let table: &[(&str, &str, &str)] = &[
            ("1.2", "application/pdf", "part-1.2.pdf"),
            ("1", "IMAGE/JPEG; name=x", "part-1.jpg"),
            ("3", "message/rfc822", "part-3.eml"),
            ("2.1.1", " text/plain ; charset=utf-8", "part-2.1.1.txt"),
            ("1", "application/octet-stream", "part-1.bin"),
            ("1", "x/y", "part-1.bin"),
            ("1", "", "part-1.bin"),
            ("", "text/html", "part.html"),
            ("../1", "text/html", "1.html"),
        ];
        for (index, media_type, expected) in table {
            assert_eq!(Names::new().member(None, index, media_type), *expected);
        }
    }

    #[test]
    fn the_cut_keeps_the_extension() {
        #[rustfmt::skip]
        let table: &[(String, String)] = &[
            ("x".repeat(200), "x".repeat(200)),
            ("x".repeat(201), "x".repeat(200)),
            (format!("{}.pdf", "x".repeat(300)), format!("{}.pdf", "x".repeat(196))),
            (format!("{}.pdf", "ü".repeat(300)), format!("{}.pdf", "ü".repeat(98))),
            (format!("{}.pdf", "見".repeat(300)), format!("{}.pdf", "見".repeat(65))),
            (format!("{}.tar.gz", "x".repeat(300)), format!("{}.tar.gz", "x".repeat(193))),
            (format!("a.{}", "x".repeat(300)), format!("a.{}", "x".repeat(198))),
            (format!("x{}y.pdf", " ".repeat(300)), "x.pdf".into()),
            (format!("{}{}", "x".repeat(100), ".".repeat(300)), "x".repeat(100)),
            (format!("CON{}y.pdf", " ".repeat(300)), "_CON.pdf".into()),
            (format!("CON.{}.pdf", "x".repeat(300)), format!("_CON.{}.pdf", "x".repeat(191))),
        ];
        for (wanted, expected) in table {
            assert_eq!(one(wanted), *expected, "{wanted}");
        }
        let mut names = Names::new();
        let long = format!("{}.pdf", "x".repeat(300));
        names.member(Some(&long), "1", "");
        let second = names.member(Some(&long), "1", "");
        assert_eq!(second, format!("{} (2).pdf", "x".repeat(183)));
    }

    /// Quadratic numbering would need 50 million tries for each of these.
    #[test]
    fn ten_thousand_names_are_unique_whatever_they_share() {
        let equal = |_: usize| String::from("report.pdf");
        let taken_in_advance = |i: usize| match i {
            0..5_000 => format!("report ({i}).pdf"),
            _ => String::from("report.pdf"),
        };
        let alike_once_cut = |i: usize| format!("{}{:05}.pdf", "x".repeat(191), i / 2);
        let spread_over_case = |i: usize| {
            let bit = |n: usize, c: char| match (i >> n) & 1 {
                0 => c,
                _ => c.to_ascii_uppercase(),
            };
            "report-number"
                .chars()
                .enumerate()
                .map(|(n, c)| bit(n, c))
                .collect()
        };
        let cases: [&dyn Fn(usize) -> String; 4] = [
            &equal,
            &taken_in_advance,
            &alike_once_cut,
            &spread_over_case,
        ];
        for (case, wanted) in cases.iter().enumerate() {
            let mut names = Names::new();
            let mut seen = HashSet::new();
            for i in 0..10_000 {
                assert!(
                    seen.insert(names.member(Some(&wanted(i)), "1", "")),
                    "case {case}"
                );
            }
        }
    }

    #[test]
    fn a_huge_name_is_cut() {
        for unit in ["\u{308}\u{323}", "/", "C:", ". ", "\u{202E}", "x (2)", "."] {
            assert!(one(&unit.repeat(500_000)).len() <= MAX_OCTETS);
        }
    }

    #[test]
    fn the_extension_table_is_sorted_and_safe() {
        assert!(EXTENSIONS.is_sorted_by(|a, b| a.0 < b.0));
        for (media_type, extension) in EXTENSIONS {
            assert_eq!(*media_type, media_type.to_ascii_lowercase());
            assert!(extension.len() < MAX_EXTENSION);
            assert!(extension.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
    }

    fn hostile_name() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just(".".to_owned()),
            Just(" ".to_owned()),
            Just("/".to_owned()),
            Just("\\".to_owned()),
            Just("C:".to_owned()),
            Just("CON".to_owned()),
            Just("com¹".to_owned()),
            Just(" (2)".to_owned()),
            Just(".pdf".to_owned()),
            Just(".tar.gz".to_owned()),
            Just("\u{202E}".to_owned()),
            Just("\u{308}".to_owned()),
            Just("ß".to_owned()),
            Just("a".to_owned()),
            "[ -~]{0,4}",
            any::<char>().prop_map(String::from),
            (any::<char>(), 50usize..250).prop_map(|(c, n)| c.to_string().repeat(n)),
            (0usize..250).prop_map(|n| " ".repeat(n)),
        ];
        prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_name_is_safe_and_unique(wanted in prop::collection::vec(prop::option::of(hostile_name()), 1..12)) {
            let mut names = Names::new();
            let (mut lower, mut upper) = (HashSet::new(), HashSet::new());
            // Each twice: collisions must be common.
            for wanted in wanted.iter().chain(&wanted) {
                let name = names.member(wanted.as_deref(), "1.2", "text/plain");
                prop_assert!(!name.is_empty() && name.len() <= MAX_OCTETS, "{name:?}");
                prop_assert!(!name.contains(['/', '\\', ':', '<', '>', '"', '|', '?', '*']), "{name:?}");
                prop_assert!(!name.chars().any(is_removed), "{name:?}");
                prop_assert!(!name.starts_with(is_dot_or_blank) && !name.ends_with(is_dot_or_blank), "{name:?}");
                prop_assert!(name.nfc().eq(name.chars()), "{name:?}");
                prop_assert!(lower.insert(name.to_lowercase().nfc().collect::<String>()), "{name:?}");
                prop_assert!(upper.insert(name.to_uppercase().nfc().collect::<String>()), "{name:?}");
            }
        }

        #[test]
        fn a_name_handed_out_is_kept_by_a_new_archive(wanted in hostile_name(), again in hostile_name()) {
            let mut names = Names::new();
            for wanted in [&wanted, &again, &wanted] {
                let name = names.member(Some(wanted), "1.2", "text/plain");
                prop_assert_eq!(&one(&name), &name);
            }
        }
    }
}
