//! Tags of the subject, which are not repeated on replies and can be removed again.
//!
//! Must never: know what a tag is for.

use mimicry_core::message::header::{self, End};
use mimicry_core::message::words;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What mail programs write before the subject of a reply or a forwarded mail, as [`folded`] makes it, and which do.
#[rustfmt::skip]
const REPLY_MARKS: &[(&str, &str)] = &[
    ("re", "Thunderbird, Gmail, Apple Mail, Outlook: everywhere"),
    ("fw", "Outlook: en, cs, hr, hu, nl, pt, ru, sk; Yahoo"),
    ("fwd", "Gmail, Thunderbird, Apple Mail: everywhere"),
    ("forwarded", "older programs: en"),
    ("aw", "Outlook: de"),
    ("wg", "Outlook: de"),
    ("antwort", "GroupWise, Notes: de"),
    ("weitergeleitet", "Notes: de"),
    ("sv", "Outlook: da, is, no, sv"),
    ("vs", "Outlook: da, fi, no"),
    ("svar", "Apple Mail, Notes: da, no, sv"),
    ("videresendt", "Notes: da, no"),
    ("videresend", "Outlook: no"),
    ("videres", "Zimbra: no"),
    ("vb", "Outlook: sv"),
    ("vidarebefordrat", "Notes: sv"),
    ("vl", "Outlook: fi"),
    ("vastaus", "Notes: fi"),
    ("välitetty", "Notes: fi"),
    ("vet", "Outlook: nn"),
    ("fs", "Outlook: is"),
    ("frs", "Notes: is"),
    ("svara", "Notes: is"),
    ("framsenda", "Notes: is"),
    ("áfram", "Proton Mail: is"),
    ("antw", "Outlook, GroupWise: nl"),
    ("betr", "Notes: nl"),
    ("doorst", "Outlook: nl"),
    ("antwoord", "Notes: nl"),
    ("doorgestuurd", "Notes: nl"),
    ("r", "Outlook: it"),
    ("i", "Outlook: it"),
    ("rif", "Notes: it"),
    ("inoltro", "Notes: it"),
    ("tr", "Outlook: fr"),
    ("réf", "Notes: fr"),
    ("ref", "Notes: fr without accents"),
    ("rép", "Outlook on the web: fr"),
    ("rep", "Outlook on the web: fr without accents"),
    ("réponse", "Notes: fr"),
    ("transf", "Notes: fr"),
    ("transfert", "Notes: fr"),
    ("rv", "Outlook: ca, es"),
    ("rm", "Notes: es"),
    ("resp", "Notes: es"),
    ("reenviar", "Notes: es"),
    ("respuesta", "Notes: es"),
    ("res", "Outlook: pt-BR"),
    ("enc", "Outlook: pt, pt-BR"),
    ("resposta", "Notes: ca, pt"),
    ("encaminhado", "Notes: pt"),
    ("encam", "Notes: pt"),
    ("odp", "Outlook: cs, pl, sl"),
    ("pd", "Outlook: pl"),
    ("odpowiedź", "Notes: pl"),
    ("przekazanie", "Notes: pl"),
    ("podaj dalej", "Outlook: pl"),
    ("przek", "Zimbra: pl"),
    ("odg", "Outlook: hr, sl, sr"),
    ("posr", "Outlook: sl"),
    ("prosl", "Outlook: hr"),
    ("pro", "Outlook: sr"),
    ("на", "Outlook: sr in Cyrillic"),
    ("одг", "Outlook: sr in Cyrillic"),
    ("пр", "Outlook: bg"),
    ("отг", "Outlook: bg"),
    ("прп", "Outlook: bg"),
    ("odpověď", "Notes: cs"),
    ("předáno", "Notes: cs"),
    ("přep", "Outlook: cs"),
    ("odpoveď", "Notes: sk"),
    ("posl", "Notes: sk"),
    ("vá", "Outlook: hu"),
    ("válasz", "Notes: hu"),
    ("továbbítás", "Outlook: hu"),
    ("továbbítva", "Notes: hu"),
    ("továbbított", "Notes: hu"),
    ("redir", "Outlook on the web: ro"),
    ("răsp", "Outlook: ro"),
    ("raspuns", "Notes: ro without accents"),
    ("răspuns", "Notes: ro"),
    ("redirecționat", "Notes: ro"),
    ("ynt", "Outlook: tr"),
    ("ilt", "Outlook: tr (İLT)"),
    ("yanit", "Notes: tr"),
    ("ilet", "Notes: tr (İlet)"),
    ("cevap", "Mynet: tr"),
    ("отв", "The Bat!: ru"),
    ("ответ", "Mail.ru, Notes: ru"),
    ("ha", "Outlook: ru, written with Latin letters"),
    ("пересл", "Mail.ru: ru"),
    ("перенапр", "Notes: ru"),
    ("пересылка", "The Bat!: ru"),
    ("відп", "Outlook: uk"),
    ("відповідь", "Notes: uk"),
    ("перес", "Outlook: uk"),
    ("пересилання", "Notes: uk"),
    ("адк", "Notes: be"),
    ("απ", "Outlook: el"),
    ("πρθ", "Outlook: el"),
    ("σχετ", "Outlook: el"),
    ("απάντηση", "Notes: el"),
    ("προωθημένο", "Notes: el"),
    ("προώθ", "Proton Mail: el"),
    ("ats", "Outlook: lt"),
    ("prs", "Outlook: lt"),
    ("persiųsta", "Notes: lt"),
    ("atb", "Outlook: cy, lv"),
    ("pārs", "Outlook: lv"),
    ("hl", "Outlook: et"),
    ("ed", "Outlook: et"),
    ("edasi", "Notes: et"),
    ("er", "Outlook: eu"),
    ("bir", "Outlook: eu"),
    ("bidali", "Notes: eu"),
    ("yml", "Outlook: cy"),
    ("ang", "Notes, GroupWise: sv"),
    ("bls", "Outlook: id, ms"),
    ("trs", "Outlook: id"),
    ("balas", "Notes: id"),
    ("terusan", "Notes: id"),
    ("maju", "Outlook: ms"),
    ("trả lời", "Outlook, Zimbra: vi"),
    ("tl", "Outlook: vi"),
    ("chuyển tiếp", "Zimbra: vi"),
    ("ct", "Outlook: vi"),
    ("回复", "Outlook, Foxmail: zh-CN"),
    ("答复", "Outlook: zh-CN"),
    ("转发", "Outlook, Foxmail: zh-CN"),
    ("关于", "Notes: zh-CN"),
    ("回覆", "Outlook: zh-TW"),
    ("回信", "Yahoo: zh-TW"),
    ("答覆", "Notes: zh-TW"),
    ("答復", "Zimbra: zh-TW"),
    ("轉寄", "Outlook: zh-TW"),
    ("轉發", "Outlook: zh-HK"),
    ("轉送", "Notes: zh-TW"),
    ("關於", "Notes: zh-TW"),
    ("返信", "Notes, Becky!: ja"),
    ("転送", "Notes, Becky!: ja"),
    ("답장", "Naver: ko"),
    ("회신", "Outlook: ko"),
    ("전달", "Outlook: ko"),
    ("ตอบ", "Outlook: th"),
    ("ตอบกลับ", "Notes: th"),
    ("ส่งต่อ", "Outlook: th"),
    ("השב", "Outlook: he"),
    ("תשובה", "Outlook: he"),
    ("תגובה", "Notes: he"),
    ("הועבר", "Outlook: he"),
    ("העבר", "Notes: he"),
    ("رد", "Outlook: ar"),
    ("إعادة توجيه", "Outlook: ar"),
    ("توجيه", "Notes: ar"),
    ("پاسخ", "Outlook: fa"),
    ("ارسال", "Outlook: fa"),
    ("بازارسال", "Notes: fa"),
    ("उत्तर", "Outlook: hi"),
    ("अग्रेषित", "Outlook: hi"),
    ("प्रत्युत्तर", "Zimbra: hi"),
    ("फ़ॉरवर्ड", "Zimbra: hi"),
    ("பதில்", "Zimbra: ta"),
    ("முன்னனுப்பு", "Zimbra: ta"),
    ("ເລື່ອງ", "Zimbra: lo"),
    ("ສົ່ງຕໍ່", "Zimbra: lo"),
    ("welleh", "Proton Mail: kab"),
    ("wtrlt", "GroupWise: de"),
    ("réexp", "GroupWise: fr"),
    ("rsp", "GroupWise: es"),
    ("vedr", "Notes: da"),
];

/// What programs write before the subject of the mail that they answer for their user: an invitation, a mail that was read or
/// that came while nobody was there. As [`folded`] makes it.
#[rustfmt::skip]
const ANSWER_MARKS: &[(&str, &str)] = &[
    ("accepted", "Outlook, Google Calendar: en"),
    ("declined", "Outlook, Google Calendar: en"),
    ("tentative", "Outlook: en"),
    ("tentatively accepted", "Google Calendar: en"),
    ("new time proposed", "Outlook: en"),
    ("canceled", "Outlook: en"),
    ("cancelled", "Outlook: en-GB"),
    ("read", "Outlook: en"),
    ("not read", "Outlook: en"),
    ("automatic reply", "Exchange: en"),
    ("out of office", "Exchange: en"),
    ("undeliverable", "Exchange: en"),
    ("zugesagt", "Outlook, Google Calendar: de"),
    ("abgelehnt", "Outlook, Google Calendar: de"),
    ("mit vorbehalt", "Outlook: de"),
    ("abgesagt", "Outlook: de"),
    ("gelesen", "Outlook: de"),
    ("automatische antwort", "Exchange: de"),
    ("abwesend", "Exchange: de"),
    ("unzustellbar", "Exchange: de"),
    ("accepté", "Outlook: fr"),
    ("refusé", "Outlook: fr"),
    ("provisoire", "Outlook: fr"),
    ("annulé", "Outlook: fr"),
    ("lu", "Outlook: fr"),
    ("réponse automatique", "Exchange: fr"),
    ("non remis", "Exchange: fr"),
    ("aceptada", "Outlook: es"),
    ("rechazada", "Outlook: es"),
    ("provisional", "Outlook: es"),
    ("cancelada", "Outlook: es"),
    ("leído", "Outlook: es"),
    ("respuesta automática", "Exchange: es"),
    ("accettato", "Outlook: it"),
    ("rifiutato", "Outlook: it"),
    ("provvisorio", "Outlook: it"),
    ("annullato", "Outlook: it"),
    ("letto", "Outlook: it"),
    ("risposta automatica", "Exchange: it"),
    ("geaccepteerd", "Outlook: nl"),
    ("geweigerd", "Outlook: nl"),
    ("voorlopig", "Outlook: nl"),
    ("geannuleerd", "Outlook: nl"),
    ("gelezen", "Outlook: nl"),
    ("automatisch antwoord", "Exchange: nl"),
    ("aceito", "Outlook: pt-BR"),
    ("recusado", "Outlook: pt-BR"),
    ("cancelado", "Outlook: pt-BR"),
    ("resposta automática", "Exchange: pt"),
    ("zaakceptowano", "Outlook: pl"),
    ("odrzucono", "Outlook: pl"),
    ("odwołano", "Outlook: pl"),
    ("przeczytano", "Outlook: pl"),
    ("automatyczna odpowiedź", "Exchange: pl"),
    ("accepterat", "Outlook: sv"),
    ("avböjt", "Outlook: sv"),
    ("preliminärt", "Outlook: sv"),
    ("läst", "Outlook: sv"),
    ("automatiskt svar", "Exchange: sv"),
    ("autosvar", "Exchange: sv"),
    ("accepteret", "Outlook: da"),
    ("afvist", "Outlook: da"),
    ("automatisk svar", "Exchange: da, no"),
    ("hyväksytty", "Outlook: fi"),
    ("hylätty", "Outlook: fi"),
    ("automaattinen vastaus", "Exchange: fi"),
    ("přijato", "Outlook: cs"),
    ("odmítnuto", "Outlook: cs"),
    ("automatická odpověď", "Exchange: cs"),
    ("принято", "Outlook: ru"),
    ("отклонено", "Outlook: ru"),
    ("прочитано", "Outlook: ru"),
    ("автоматический ответ", "Exchange: ru"),
    ("otomatik yanit", "Exchange: tr"),
    ("承諾", "Outlook: ja"),
    ("辞退", "Outlook: ja"),
    ("自動応答", "Exchange: ja"),
    ("已接受", "Outlook: zh-CN"),
    ("已拒绝", "Outlook: zh-CN"),
    ("自动答复", "Exchange: zh-CN"),
    ("自動回覆", "Exchange: zh-TW"),
];

/// Has the subject the tag: a reply to a mail that had it has it, too. An empty tag is everywhere.
#[must_use]
pub fn bears(subject: &str, tag: &str, place: End) -> bool {
    if tag.is_empty() {
        return true;
    }
    let same = |text: Option<&str>| is_tag(text, tag);
    let subject = subject.trim();
    match place {
        End::Back => {
            let start = subject.len().checked_sub(tag.len());
            same(start.and_then(|start| subject.get(start..)))
        }
        End::Front => {
            let mut rest = subject;
            loop {
                if same(rest.get(..tag.len())) {
                    return true;
                }
                match behind_mark(rest) {
                    Some(behind) => rest = behind,
                    None => return false,
                }
            }
        }
    }
}

/// The raw value of a Subject without the tag where its octets say the same as `left`, the decoded one: then nothing of it need
/// be written anew.
#[must_use]
pub fn raw_without_tag(raw: &[u8], tag: &str, left: &str) -> Option<Vec<u8>> {
    let spliced = without_tag(std::str::from_utf8(raw).ok()?, tag)?;
    let is_same = words::decode(header::unfold(spliced.as_bytes()).trim_ascii()) == left;
    (is_same && !spliced.is_empty()).then(|| spliced.into_bytes())
}

/// The subject without the tag, where it stands before the subject or behind reply marks, as often as it does; `None` if
/// it does not.
#[must_use]
pub fn without_tag(subject: &str, tag: &str) -> Option<String> {
    let mut out = String::with_capacity(subject.len());
    let mut rest = subject.trim_start();
    let mut found = false;
    while !tag.is_empty() {
        if is_tag(rest.get(..tag.len()), tag) {
            found = true;
            rest = rest.get(tag.len()..).unwrap_or_default().trim_start();
        } else if let Some(behind) = behind_mark(rest) {
            out.push_str(rest.strip_suffix(behind).unwrap_or_default());
            rest = behind;
        } else {
            break;
        }
    }
    out.push_str(rest);
    found.then(|| out.trim().to_string())
}

/// The subject in a form for file names: its words in lower case with hyphens between them, without reply marks. Empty when
/// it has none.
#[must_use]
pub fn slug(subject: &str) -> String {
    /// In characters.
    const LONGEST: usize = 60;
    let mut rest = subject;
    while let Some(behind) = behind_one_of(rest, &[REPLY_MARKS]) {
        rest = behind;
    }
    let mut out = String::new();
    let mut length = 0;
    let is_word = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    for word in rest.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
        let hyphen = usize::from(!out.is_empty());
        let word: String = word.chars().take(LONGEST).collect();
        length += hyphen + word.chars().count();
        if length > LONGEST {
            break;
        }
        out.extend(std::iter::repeat_n('-', hyphen));
        out.push_str(&word.to_lowercase());
    }
    out
}

fn is_tag(text: Option<&str>, tag: &str) -> bool {
    text.is_some_and(|text| text.to_lowercase() == tag.to_lowercase())
}

/// What stands behind the first mark of a reply (`Re:`, `AW[2]:`, `RE :`) or of an answer that a program gave, or behind the first tag
/// of somebody else (`[list]`, `{Spam?}`, `***SPAM***`).
fn behind_mark(subject: &str) -> Option<&str> {
    let subject = subject.trim_start();
    let tag = subject
        .strip_prefix('{')
        .and_then(|tag| tag.split_once('}'));
    let stars = || {
        let tag = subject.strip_prefix("**")?.trim_start_matches('*');
        let (_, behind) = tag.split_once("**")?;
        Some(behind.trim_start_matches('*').trim_start())
    };
    let tag = tag.map(|(_, behind)| behind.trim_start()).or_else(stars);
    tag.or_else(|| behind_one_of(subject, &[REPLY_MARKS, ANSWER_MARKS]))
}

fn behind_one_of<'s>(subject: &'s str, marks: &[&[(&str, &str)]]) -> Option<&'s str> {
    let subject = subject.trim_start();
    if let Some(tag) = subject.strip_prefix('[') {
        return tag.split_once(']').map(|(_, behind)| behind.trim_start());
    }
    let (mark, behind) = subject.split_once([':', '\u{ff1a}'])?;
    let word = folded(mark);
    marks
        .iter()
        .flat_map(|marks| marks.iter())
        .any(|(mark, _)| *mark == word)
        .then(|| behind.trim_start())
}

/// In small letters, without what is counted, without the dot of an abbreviation, and with one letter for the two i of Turkish,
/// whose capitals are not those of other tongues.
fn folded(mark: &str) -> String {
    /// In octets: no mark is so long.
    const LONGEST: usize = 64;
    let is_counted = |c: char| {
        c.is_ascii_digit()
            || c.is_whitespace()
            || matches!(c, '[' | ']' | '(' | ')' | '^' | '*' | '.')
    };
    let mark = mark.trim_end_matches(is_counted).trim_start();
    if mark.len() > LONGEST {
        return String::new();
    }
    let is_unseen = |c: &char| !matches!(c, '\u{200E}' | '\u{200F}' | '\u{FEFF}' | '\u{200B}');
    let small = mark.nfc().flat_map(char::to_lowercase).filter(is_unseen);
    // The small letter of İ is two characters.
    let one = |c: char| if c == 'ı' { 'i' } else { c };
    small.filter(|c| *c != '\u{307}').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn tags_taken_off() {
        for (subject, left) in [
            ("[EXTERNAL] Hi", Some("Hi")),
            ("[external] Hi", Some("Hi")),
            ("[EXTERNAL]Hi", Some("Hi")),
            ("[EXTERNAL]", Some("")),
            ("Re: [EXTERNAL] Hi", Some("Re: Hi")),
            ("RE: AW: [EXTERNAL] Hi", Some("RE: AW: Hi")),
            ("[EXTERNAL] Re: [EXTERNAL] Hi", Some("Re: Hi")),
            ("Fwd: [list] Re[2]: [EXTERNAL] Hi", Some("Fwd: [list] Re[2]: Hi")),
            ("回复：[EXTERNAL] Hi", Some("回复：Hi")),
            ("Hi", None),
            ("Re: Hi", None),
            ("Accepted: [EXTERNAL] Hi", Some("Accepted: Hi")),
            ("{Spam?} ***SPAM*** [EXTERNAL] Hi", Some("{Spam?} ***SPAM*** Hi")),
            ("{Spam? [EXTERNAL] Hi", None),
            ("**[EXTERNAL] Hi", None),
            ("Invoice: [EXTERNAL] Hi", None),
            ("[EXTERNALS] Hi", None),
            ("", None),
            ("ä", None),
        ] {
            assert_eq!(without_tag(subject, "[EXTERNAL]").as_deref(), left, "{subject}");
        }
        assert_eq!(without_tag("x", ""), None);
        let many = "[EXTERNAL] Re: ".repeat(50_000);
        assert_eq!(without_tag(&many, "[EXTERNAL]").map(|left| left.len()), Some(50_000 * 4 - 1));
    }

    #[test]
    #[rustfmt::skip]
    fn slugs() {
        let long = "word ".repeat(40);
        for (subject, expected) in [
            ("Offer", "offer"),
            ("Re: AW: Your offer no. 12/2026!", "your-offer-no-12-2026"),
            ("[list] Fwd: Übersicht  März", "übersicht-märz"),
            ("Read: the terms", "read-the-terms"),
            ("見積書", "見積書"),
            ("हिन्दी पत्र", "हिन्दी-पत्र"),
            ("../../etc/passwd\0", "etc-passwd"),
            ("a\u{202E}b", "a-b"),
            ("Re: ", ""),
            ("?!", ""),
            ("", ""),
            (long.as_str(), "word-word-word-word-word-word-word-word-word-word-word-word"),
        ] {
            assert_eq!(slug(subject), expected, "{subject}");
        }
        assert_eq!(slug(&"x".repeat(200)), "x".repeat(60));
    }

    #[test]
    fn every_mark_is_seen_and_names_its_program() {
        let marks = || REPLY_MARKS.iter().chain(ANSWER_MARKS);
        for (mark, program) in marks() {
            assert_eq!(folded(mark), *mark, "{program}");
            assert!(program.contains(": "), "{mark}");
            let count = marks().filter(|(other, _)| other == mark).count();
            assert_eq!(count, 1, "{mark}");
            for written in [
                mark.to_string(),
                mark.to_uppercase(),
                format!("{mark}."),
                format!("{mark} "),
                format!("{mark}[2]"),
                format!("{mark}\u{a0}"),
                mark.nfd().collect(),
            ] {
                let subject = format!("{written}: [EXTERNAL] x");
                assert!(bears(&subject, "[EXTERNAL]", End::Front), "{program}");
                assert_eq!(
                    without_tag(&subject, "[EXTERNAL]").as_deref(),
                    Some(format!("{written}: x").as_str()),
                    "{program}"
                );
            }
        }
    }

    // As the programs write them.
    #[test]
    fn marks_as_they_are_written() {
        for subject in [
            "İLT: [EXTERNAL] Teklif",
            "YNT: [EXTERNAL] x",
            "Yanıt: [EXTERNAL] x",
            "YANIT: [EXTERNAL] x",
            "Videresend: [EXTERNAL] x",
            "Redir.: [EXTERNAL] x",
            "Doorst.: [EXTERNAL] x",
            "Antw.: [EXTERNAL] x",
            "Re*2: [EXTERNAL] x",
            "Re(3): [EXTERNAL] x",
            "RE : [EXTERNAL] x",
            "TR\u{a0}: [EXTERNAL] x",
            "ΑΠ: [EXTERNAL] x",
            "Va\u{301}: [EXTERNAL] x",
            "\u{200F}תשובה: [EXTERNAL] x",
            "SV: VS: Videresendt: [EXTERNAL] x",
            "回复：[EXTERNAL] x",
            "I\u{307}LT: [EXTERNAL] x",
            "إعادة توجيه: [EXTERNAL] x",
            "Προώθ: [EXTERNAL] x",
            "ΠΡΟΏΘ: [EXTERNAL] x",
            "Áfram: [EXTERNAL] x",
            "Videres: [EXTERNAL] x",
            "ສົ່ງ\u{200B}ຕໍ່: [EXTERNAL] x",
            "फ\u{93C}ॉरवर्ड: [EXTERNAL] x",
            "Accepted: [EXTERNAL] x",
            "Automatische Antwort: AW: [EXTERNAL] x",
            "Réponse automatique : [EXTERNAL] x",
            "Otomatik Yanıt: [EXTERNAL] x",
            "Réexp. : [EXTERNAL] x",
            "{Spam?} Re: [EXTERNAL] x",
            "Re: ***SPAM*** [EXTERNAL] x",
        ] {
            assert!(bears(subject, "[EXTERNAL]", End::Front), "{subject}");
        }
        let long = "re".repeat(50_000) + ": [EXTERNAL] x";
        assert!(!bears(&long, "[EXTERNAL]", End::Front));
    }

    #[test]
    fn what_was_put_on_comes_off() {
        for subject in ["Hi", "Re: Hi", "[list] Hi", "Grüße", "a: b: c"] {
            assert!(!bears(subject, "[EXTERNAL]", End::Front));
            let tagged = format!("[EXTERNAL] {subject}");
            assert!(bears(&tagged, "[EXTERNAL]", End::Front));
            assert_eq!(without_tag(&tagged, "[EXTERNAL]").as_deref(), Some(subject));
        }
    }
}
