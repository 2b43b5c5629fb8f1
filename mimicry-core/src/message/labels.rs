//! Charset labels beyond the web's list, for file names and encoded words: what mail programs write that encoding_rs does
//! not know by that name (cp932, utf8, latin-1), and what it does not know at all (the code pages of DOS, ISO-2022-KR, HZ).
//!
//! Bodies are not read with it: an edit would have to write text under such a label, and other programs would read it.
//!
//! Must never: say that octets are text if they are not. The tables are those of Python's codecs.
//!
//! Known limits: EBCDIC, UTF-32 and ISO-2022-CN are unknown labels.

use std::borrow::Cow;

use super::charset::{BOM, Charset, decode_unlabelled};

/// The charset of a name or word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordCharset(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Known(Charset),
    /// The 128 characters above ASCII.
    Page(&'static str),
    /// Pairs of seven-bit octets between shifts, of the charset of eight-bit pairs (RFC 1557, RFC 1843).
    Shifted {
        pairs: Charset,
        hz: bool,
    },
    /// Octets that nobody has labelled, and the label says so (RFC 1428).
    Unlabelled,
}

/// Other names of what encoding_rs knows.
#[rustfmt::skip]
const ALIASES: &[(&str, &str)] = &[
    ("utf8", "utf-8"), ("utf-8-mac", "utf-8"), ("utf8-mac", "utf-8"), ("cp65001", "utf-8"), ("utf-8-sig", "utf-8"),
    ("utf_8", "utf-8"), ("cp65000", "utf-7"), ("utf7", "utf-7"), ("csutf7", "utf-7"), ("cp1200", "utf-16le"),
    ("cp1201", "utf-16be"), ("utf16", "utf-16"), ("utf16le", "utf-16le"), ("utf16be", "utf-16be"),
    ("ansi", "windows-1252"), ("latin-1", "iso-8859-1"), ("latin-2", "iso-8859-2"), ("latin-9", "iso-8859-15"),
    ("latin9", "iso-8859-15"), ("latin0", "iso-8859-15"), ("8859-1", "iso-8859-1"), ("cp20127", "us-ascii"),
    ("iso646", "us-ascii"), ("646", "us-ascii"),
    ("cp932", "shift_jis"), ("windows-932", "shift_jis"), ("x-ms-cp932", "shift_jis"), ("mskanji", "shift_jis"),
    ("cp943", "shift_jis"), ("cp943c", "shift_jis"), ("cswindows31j", "shift_jis"), ("shift_jisx0213", "shift_jis"),
    ("cp51932", "euc-jp"), ("eucjp", "euc-jp"), ("eucjp-ms", "euc-jp"), ("euc-jp-ms", "euc-jp"), ("ujis", "euc-jp"), ("cp20932", "euc-jp"),
    ("cp50220", "iso-2022-jp"), ("cp50221", "iso-2022-jp"), ("cp50222", "iso-2022-jp"), ("iso-2022-jp-1", "iso-2022-jp"),
    ("iso-2022-jp-2", "iso-2022-jp"), ("iso-2022-jp-3", "iso-2022-jp"), ("iso-2022-jp-ms", "iso-2022-jp"), ("jis", "iso-2022-jp"),
    ("cp936", "gbk"), ("ms936", "gbk"), ("windows-936", "gbk"), ("euc-cn", "gb2312"), ("euccn", "gb2312"),
    ("gb_2312", "gb2312"), ("gb2312-80", "gb2312"), ("cp54936", "gb18030"), ("gb18030-2000", "gb18030"),
    ("cp949", "euc-kr"), ("ms949", "euc-kr"), ("uhc", "euc-kr"), ("euckr", "euc-kr"), ("x-windows-949", "euc-kr"), ("ksc5601", "euc-kr"),
    ("ks_c_5601", "euc-kr"), ("ksc5601-1987", "euc-kr"), ("cp51949", "euc-kr"), ("ks_c-5601-1987", "euc-kr"),
    ("cp950", "big5"), ("ms950", "big5"), ("windows-950", "big5"), ("x-windows-950", "big5"), ("big-5", "big5"),
    ("big5hkscs", "big5-hkscs"), ("cp951", "big5-hkscs"), ("big5-eten", "big5"),
    ("cp874", "windows-874"), ("tis620", "tis-620"), ("cp20866", "koi8-r"), ("cp878", "koi8-r"), ("cp21866", "koi8-u"), ("koi8r", "koi8-r"), ("koi8u", "koi8-u"),
    ("cp10000", "macintosh"), ("mac-roman", "macintosh"), ("macroman", "macintosh"), ("x-mac-roman", "macintosh"),
];

/// The code pages of DOS, each with its characters from 0x80 to 0xff.
#[rustfmt::skip]
const PAGES: &[(&str, &str)] = &[
    ("437", "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("850", "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}"),
    ("852", "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}"),
    ("855", "ђЂѓЃёЁєЄѕЅіІїЇјЈљЉњЊћЋќЌўЎџЏюЮъЪаАбБцЦдДеЕфФгГ«»░▒▓│┤хХиИ╣║╗╝йЙ┐└┴┬├─┼кК╚╔╩╦╠═╬¤лЛмМнНоОп┘┌█▄Пя▀ЯрРсСтТуУжЖвВьЬ№\u{ad}ыЫзЗшШэЭщЩчЧ§■\u{a0}"),
    ("857", "ÇüéâäàåçêëèïîıÄÅÉæÆôöòûùİÖÜø£ØŞşáíóúñÑĞğ¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ºªÊËÈ�ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµ�×ÚÛÙìÿ¯´\u{ad}±�¾¶§÷¸°¨·¹³²■\u{a0}"),
    ("858", "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}"),
    ("860", "ÇüéâãàÁçêÊèÍÔìÃÂÉÀÈôõòÚùÌÕÜ¢£Ù₧ÓáíóúñÑªº¿Ò¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("861", "ÇüéâäàåçêëèÐðÞÄÅÉæÆôöþûÝýÖÜø£Ø₧ƒáíóúÁÍÓÚ¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("862", "\u{5d0}\u{5d1}\u{5d2}\u{5d3}\u{5d4}\u{5d5}\u{5d6}\u{5d7}\u{5d8}\u{5d9}\u{5da}\u{5db}\u{5dc}\u{5dd}\u{5de}\u{5df}\u{5e0}\u{5e1}\u{5e2}\u{5e3}\u{5e4}\u{5e5}\u{5e6}\u{5e7}\u{5e8}\u{5e9}\u{5ea}¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("863", "ÇüéâÂà¶çêëèïî‗À§ÉÈÊôËÏûù¤ÔÜ¢£ÙÛƒ¦´óú¨¸³¯Î⌐¬½¼¾«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("864", "°·∙√▒─│┼┤┬├┴┐┌└┘β∞φ±½¼≈«»\u{fef7}\u{fef8}��\u{fefb}\u{fefc}�\u{a0}\u{ad}\u{fe82}£¤\u{fe84}��\u{fe8e}\u{fe8f}\u{fe95}\u{fe99}\u{60c}\u{fe9d}\u{fea1}\u{fea5}\u{660}\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}\u{669}\u{fed1}\u{61b}\u{feb1}\u{feb5}\u{feb9}\u{61f}¢\u{fe80}\u{fe81}\u{fe83}\u{fe85}\u{feca}\u{fe8b}\u{fe8d}\u{fe91}\u{fe93}\u{fe97}\u{fe9b}\u{fe9f}\u{fea3}\u{fea7}\u{fea9}\u{feab}\u{fead}\u{feaf}\u{feb3}\u{feb7}\u{febb}\u{febf}\u{fec1}\u{fec5}\u{fecb}\u{fecf}¦¬÷×\u{fec9}\u{640}\u{fed3}\u{fed7}\u{fedb}\u{fedf}\u{fee3}\u{fee7}\u{feeb}\u{feed}\u{feef}\u{fef3}\u{febd}\u{fecc}\u{fece}\u{fecd}\u{fee1}\u{fe7d}\u{651}\u{fee5}\u{fee9}\u{feec}\u{fef0}\u{fef2}\u{fed0}\u{fed5}\u{fef5}\u{fef6}\u{fedd}\u{fed9}\u{fef1}■�"),
    ("865", "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø₧ƒáíóúñÑªº¿⌐¬½¼¡«¤░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}"),
    ("737", "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρσςτυφχψ░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀ωάέήϊίόύϋώΆΈΉΊΌΎΏ±≥≤ΪΫ÷≈°∙·√ⁿ²■\u{a0}"),
    ("775", "ĆüéāäģåćłēŖŗīŹÄÅÉæÆōöĢ¢ŚśÖÜø£Ø×¤ĀĪóŻżź”¦©®¬½¼Ł«»░▒▓│┤ĄČĘĖ╣║╗╝ĮŠ┐└┴┬├─┼ŲŪ╚╔╩╦╠═╬Žąčęėįšųūž┘┌█▄▌▐▀ÓßŌŃõÕµńĶķĻļņĒŅ’\u{ad}±“¾¶§÷„°∙·¹³²■\u{a0}"),
    ("869", "������Ά�·¬¦‘’Έ―ΉΊΪΌ��ΎΫ©Ώ²³ά£έήίϊΐόύΑΒΓΔΕΖΗ½ΘΙ«»░▒▓│┤ΚΛΜΝ╣║╗╝ΞΟ┐└┴┬├─┼ΠΡ╚╔╩╦╠═╬ΣΤΥΦΧΨΩαβγ┘┌█▄δε▀ζηθικλμνξοπρσςτ΄\u{ad}±υφχ§ψ΅°¨ωϋΰώ■\u{a0}"),
];

impl WordCharset {
    /// The charset that a label names; `None` when nobody here knows it.
    pub fn for_label(label: &[u8]) -> Option<WordCharset> {
        if let Some(charset) = Charset::for_label(label) {
            return Some(WordCharset(Kind::Known(charset)));
        }
        let label = std::str::from_utf8(label.trim_ascii()).ok()?;
        let label = label.to_ascii_lowercase();
        if let Some((_, usual)) = ALIASES.iter().find(|(alias, _)| *alias == label) {
            return Charset::for_label(usual.as_bytes())
                .map(|charset| WordCharset(Kind::Known(charset)));
        }
        if label == "unknown-8bit" {
            return Some(WordCharset(Kind::Unlabelled));
        }
        let shifted = match label.as_str() {
            "iso-2022-kr" | "csiso2022kr" | "cp50225" => Some(("euc-kr", false)),
            "hz-gb-2312" | "hz" | "cp52936" => Some(("gb2312", true)),
            _ => None,
        };
        if let Some((pairs, hz)) = shifted {
            let pairs = Charset::for_label(pairs.as_bytes())?;
            return Some(WordCharset(Kind::Shifted { pairs, hz }));
        }
        number(&label).and_then(numbered)
    }

    /// The text, or `None` when one octet is no text in this charset.
    pub fn decode<'a>(&self, octets: &'a [u8]) -> Option<Cow<'a, str>> {
        match self.0 {
            Kind::Known(charset) => charset.resolve(octets).decode(octets),
            Kind::Page(page) => Some(of_page(page, octets)).filter(|text| !text.contains(LOST)),
            Kind::Shifted { pairs, hz } => {
                let text = pairs.decode(&unshift(octets, hz))?.into_owned();
                Some(Cow::Owned(text))
            }
            Kind::Unlabelled => Some(decode_unlabelled(octets)),
        }
    }

    /// The text for filters: what is broken becomes U+FFFD, a leading byte order mark is dropped.
    pub fn decode_for_matching<'a>(&self, octets: &'a [u8]) -> Cow<'a, str> {
        match self.0 {
            Kind::Known(charset) => charset.decode_for_matching(octets),
            Kind::Page(page) => of_page(page, octets),
            Kind::Shifted { pairs, hz } => {
                Cow::Owned(pairs.decode_for_matching(&unshift(octets, hz)).into_owned())
            }
            Kind::Unlabelled => decode_unlabelled(octets),
        }
    }
}

/// Stands for octets that are not valid in the charset.
pub const LOST: char = '\u{fffd}';

/// The number of a code page in one of its many names: `cp1251`, `ms932`, `windows1251`, `win-1251`, `ibm00858`.
fn number(label: &str) -> Option<u32> {
    let prefixes = [
        "cp", "ms", "windows", "win", "ibm", "dos", "x-cp", "oem", "codepage", "ccsid",
    ];
    let digits = prefixes.iter().find_map(|prefix| {
        let rest = label.strip_prefix(prefix)?.trim_start_matches(['-', '_']);
        (!rest.is_empty() && rest.len() <= 5 && rest.bytes().all(|octet| octet.is_ascii_digit()))
            .then_some(rest)
    })?;
    digits.parse().ok()
}

fn numbered(number: u32) -> Option<WordCharset> {
    let known = |label: String| {
        Charset::for_label(label.as_bytes()).map(|charset| WordCharset(Kind::Known(charset)))
    };
    let name = number.to_string();
    if let Some((_, page)) = PAGES.iter().find(|(page, _)| *page == name) {
        return Some(WordCharset(Kind::Page(page)));
    }
    match number {
        1250..=1258 => known(format!("windows-{number}")),
        28591..=28605 => known(format!("iso-8859-{}", number.saturating_sub(28590))),
        866 => known("ibm866".into()),
        // By its number the alias is known under another prefix.
        _ => {
            let alias = format!("cp{number}");
            let (_, usual) = ALIASES.iter().find(|(known, _)| *known == alias)?;
            known((*usual).into())
        }
    }
}

fn of_page<'a>(page: &'static str, octets: &'a [u8]) -> Cow<'a, str> {
    if let Ok(text) = std::str::from_utf8(octets)
        && text.is_ascii()
    {
        return Cow::Borrowed(text);
    }
    let high: Vec<char> = page.chars().collect();
    let of = |octet: &u8| match octet.checked_sub(0x80) {
        Some(index) => high.get(usize::from(index)).copied().unwrap_or(LOST),
        None => char::from(*octet),
    };
    Cow::Owned(octets.iter().map(of).collect())
}

/// Octets of seven bits with the pairs between shifts raised to eight.
fn unshift(octets: &[u8], hz: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut high = false;
    let mut rest = octets;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, tail) {
            (b'~', [b'{', after @ ..]) if hz => (high, rest) = (true, after),
            (b'~', [b'}', after @ ..]) if hz => (high, rest) = (false, after),
            (b'~', [b'~', after @ ..]) if hz && !high => {
                out.push(b'~');
                rest = after;
            }
            (b'~', [b'\n', after @ ..]) if hz && !high => rest = after,
            (b'~', [b'\r', b'\n', after @ ..]) if hz && !high => rest = after,
            // No escape of HZ: what stands for it is no text in any charset of pairs.
            (b'~', _) if hz && !high => out.push(0xff),
            (0x0e, _) if !hz => high = true,
            (0x0f, _) if !hz => high = false,
            // The designation at the head of the text.
            (0x1b, [b'$', b')', b'C', after @ ..]) if !hz => rest = after,
            (octet @ 0x21..=0x7e, _) if high => out.push(octet | 0x80),
            (octet, _) => out.push(octet),
        }
    }
    out
}

/// The text without the byte order mark that may lead it.
pub fn without_mark(text: &str) -> &str {
    text.trim_start_matches(BOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    // T179
    #[test]
    fn labels_beyond_the_list_of_the_web() {
        for (label, octets, text) in [
            ("cp932", &b"\x90\xbf\x8b\x81\x8f\x91"[..], "請求書"),
            ("MS932", b"\x90\xbf", "請"),
            ("windows-932", b"\x90\xbf", "請"),
            ("cp936", b"\xc7\xeb", "请"),
            ("cp949", b"\xc3\xbb", "청"),
            ("ms949", b"\xc3\xbb", "청"),
            ("KS_C_5601-1987", b"\xc3\xbb", "청"),
            ("cp950", b"\xbd\xd0", "請"),
            ("cp850", b"Gr\x94\xe1e", "Größe"),
            ("IBM850", b"\x94", "ö"),
            ("ibm00858", b"\xd5", "€"),
            ("cp437", b"na\x8bve", "naïve"),
            ("cp1251", b"\xd1", "С"),
            ("win-1251", b"\xd1", "С"),
            ("cp28605", b"\xa4", "€"),
            ("cp866", b"\x80", "А"),
            ("utf8", "ä".as_bytes(), "ä"),
            ("latin-1", b"\xe4", "ä"),
            ("iso-2022-kr", b"\x1b$)C\x0eCk\x0f.exe", "취.exe"),
            ("hz-gb-2312", b"~{Gk~}.exe~~", "请.exe~"),
            ("hz-gb-2312", b"setup~{~}.e~\nxe", "setup.exe"),
            ("unknown-8bit", b"caf\xe9", "café"),
        ] {
            let charset = WordCharset::for_label(label.as_bytes()).expect(label);
            assert_eq!(charset.decode(octets).as_deref(), Some(text), "{label}");
            assert_eq!(charset.decode_for_matching(octets), text, "{label}");
        }
        for label in [
            "cp037",
            "ibm1047",
            "utf-32",
            "x-klingon",
            "",
            "cp",
            "cp99999",
            "windows-0",
        ] {
            assert_eq!(WordCharset::for_label(label.as_bytes()), None, "{label}");
        }
        let hz = WordCharset::for_label(b"hz").expect("hz");
        assert_eq!(hz.decode(b"setup.exe~"), None);
        assert_eq!(hz.decode_for_matching(b"setup.exe~"), "setup.exe\u{fffd}");
        let undefined = WordCharset::for_label(b"cp857")
            .and_then(|page| page.decode(b"\xe7").map(Cow::into_owned));
        assert_eq!(undefined, None);
    }

    #[test]
    fn the_tables_are_whole() {
        for (number, page) in PAGES {
            assert_eq!(page.chars().count(), 128, "{number}");
        }
        for (alias, usual) in ALIASES {
            assert!(Charset::for_label(usual.as_bytes()).is_some(), "{alias}");
        }
    }
}
