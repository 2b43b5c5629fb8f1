//! The words by which mail programs introduce a quoted mail, in thirteen tongues, and what a line made of them is.
//!
//! Must never allocate more than a few copies of the line it is given (the callers bound it), nor take longer than a
//! fixed number of passes over it. Must never say that a mail is quoted: that takes the lines around, see `judge`.
//!
//! Known limits: words composed of a letter and a combining accent are not recognised; tongues other than the thirteen
//! only where a date, a time or an address stands in the introduction.
//!
//! Longer than 600 lines by its tables of words and the rows of its tests.

/// A line that stands above a quoted mail and is no sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// `-----Original Message-----`, `-----Laura wrote: -----`: known words between dashes.
    Divider(&'static str),
    /// Dashes around other words, or a summary as Notes writes it: something only if header lines follow.
    Dashes,
    /// `Begin forwarded message:`
    Begin,
    /// A line of underscores or dashes alone.
    Rule,
}

/// What a header line in a quoted mail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    From = 1,
    Sent = 2,
    To = 4,
    Subject = 8,
    /// Cc, Reply-To, Importance …: continues a block and proves nothing.
    Other = 16,
    /// A field of a mail's source, as in a mail that came back: begins a block and proves nothing.
    Source = 32,
}

/// How much of an introduction (`On DATE, NAME <ADDRESS> wrote:`) a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// `On`, `Am`, `Le` … at the start.
    pub opener: bool,
    /// `wrote`, `schrieb`, `a écrit` …
    pub verb: bool,
    /// A day or a year.
    pub date: bool,
    pub time: bool,
    /// An `@` between two characters.
    pub address: bool,
    pub colon: bool,
}

impl Traits {
    pub(super) fn of(line: &str) -> Traits {
        if !ends_in_colon(line) {
            return Traits::default();
        }
        let line = small(line.trim_matches(is_decoration));
        let (date, time) = date_and_time(&line);
        Traits {
            opener: OPENERS.iter().any(|opener| line.starts_with(opener)),
            verb: has_verb(&line),
            date,
            time,
            address: has_address(&line),
            colon: true,
        }
    }

    /// An introduction if a quote follows.
    pub(super) fn is_introduction(self) -> bool {
        self.colon && (self.facts() >= 2 || (self.verb && (self.facts() > 0 || self.opener)))
    }

    /// An introduction whatever follows.
    pub(super) fn is_complete(self) -> bool {
        self.colon && self.verb && self.facts() == 3
    }

    /// The higher, the more of the introduction is there: of a wrapped one, the lines with the highest belong to it.
    pub(super) fn weight(self) -> u8 {
        self.facts()
            .saturating_add(if self.opener { 3 } else { 0 })
            .saturating_add(u8::from(self.verb))
    }

    pub(super) fn facts(self) -> u8 {
        [self.date, self.time, self.address]
            .iter()
            .map(|&fact| u8::from(fact))
            .sum()
    }
}

/// Whether the line, blanks around it aside, ends in a colon.
pub(super) fn ends_in_colon(line: &str) -> bool {
    line.trim_end_matches(is_decoration).ends_with(COLONS)
}

pub(super) fn lead(line: &str) -> Option<Lead> {
    let line = line.trim_matches(is_decoration);
    if line.starts_with(is_dash) {
        let inner = line.trim_matches(is_dash);
        if inner.is_empty() {
            return (line.chars().take(RULE).count() == RULE).then_some(Lead::Rule);
        }
        let dashes = |inner: &str| inner.chars().take_while(|&c| is_dash(c)).count();
        let tail = line.chars().rev().take_while(|&c| is_dash(c)).count();
        if dashes(line) < 2 || tail < 2 {
            return None;
        }
        let inner = small(inner.trim().trim_end_matches(COLONS).trim_end());
        return Some(if ORIGINAL.contains(&inner.as_str()) {
            Lead::Divider("original-message")
        } else if FORWARDED.contains(&inner.as_str()) {
            Lead::Divider("forwarded-message")
        } else if has_verb(&inner) {
            Lead::Divider("wrote-divider")
        } else {
            Lead::Dashes
        });
    }
    if is_summary(line) {
        return Some(Lead::Dashes);
    }
    let words = small(line.strip_suffix(COLONS)?.trim_end());
    BEGIN.contains(&words.as_str()).then_some(Lead::Begin)
}

/// The header line that this is, if it starts with a known name and a colon.
pub(super) fn label(line: &str) -> Option<Label> {
    let line = line.trim_start_matches(is_decoration);
    let (at, _) = line
        .char_indices()
        .take(24)
        .find(|&(_, c)| COLONS.contains(&c))?;
    let name = small(line.get(..at)?.trim_end_matches(is_decoration));
    if name == "received" {
        // People begin lines with that word too.
        let value = line.get(at..)?.trim_start_matches(COLONS).trim_start();
        let is_trace = ["from ", "by ", "("]
            .iter()
            .any(|start| value.starts_with(start));
        return is_trace.then_some(Label::Source);
    }
    LABELS
        .iter()
        .find(|(_, names)| names.contains(&name.as_str()))
        .map(|(label, _)| *label)
}

pub(super) fn has_address(line: &str) -> bool {
    let bytes = line.as_bytes();
    memchr::memchr_iter(b'@', bytes).any(|at| {
        let beside = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at))
                .is_some_and(|&b| b.is_ascii_alphanumeric() || b >= 0x80)
        };
        beside(at.checked_sub(1)) && beside(at.checked_add(1))
    })
}

/// Whether a signature, the footer of a mailing list or what a telephone adds starts with this line.
pub(super) fn starts_tail(line: &str) -> bool {
    let line = line.trim();
    if line == "--" || lead(line) == Some(Lead::Rule) {
        return true;
    }
    let line = line.to_lowercase();
    SENT_FROM.iter().any(|words| line.starts_with(words))
}

/// White space, what shows nothing, and what stands for bold type or a table in text made from HTML.
fn is_decoration(c: char) -> bool {
    c.is_whitespace() || is_unseen(c) || matches!(c, '*' | '|')
}

pub(super) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}

/// In small letters, with one blank for any white space.
fn small(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars().filter(|&c| !is_unseen(c)) {
        if !c.is_whitespace() {
            out.extend(c.to_lowercase());
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

/// `Laura Chen ---03/19/2024 03:58:12 PM---Hello Peter, could you`, which Notes puts above the header lines.
fn is_summary(line: &str) -> bool {
    let mut parts = line.split("---");
    parts.next().is_some_and(|name| !name.is_empty())
        && parts
            .next()
            .is_some_and(|when| date_and_time(when) == (true, true))
        && parts.next().is_some()
}

/// Characters of a rule, at least.
const RULE: usize = 10;

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2500}')
}

const COLONS: [char; 2] = [':', '：'];

fn has_verb(line: &str) -> bool {
    let mut before = ' ';
    line.char_indices().any(|(at, c)| {
        // Neither `rewrote` nor `underwrote`; Chinese and Japanese have no blanks.
        let starts = c.is_alphabetic() && !(is_spaced(c) && is_spaced(before));
        before = c;
        let rest = line.get(at..).unwrap_or_default();
        starts && VERBS.iter().any(|verb| rest.starts_with(verb))
    })
}

/// Letters of scripts that part words by blanks.
fn is_spaced(c: char) -> bool {
    c < '\u{2E80}' && c.is_alphabetic()
}

/// `19.03.2024`, `2024`, `3/19/24`, `2024年`; `15:58`, `15h58`, `15.58`, `3時`.
fn date_and_time(line: &str) -> (bool, bool) {
    let (mut date, mut time) = (false, false);
    let mut rest = line;
    let mut before: Option<(usize, char)> = None;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let run = rest.get(start..).unwrap_or_default();
        let length = run.find(|c: char| !c.is_ascii_digit()).unwrap_or(run.len());
        let (digits, tail) = run.split_at_checked(length).unwrap_or((run, ""));
        let joined = before.filter(|_| start == 0);
        date |= length == 4 && (digits.starts_with("19") || digits.starts_with("20"));
        match joined {
            Some((hours, ':' | 'h' | '.')) if hours <= 2 && length == 2 => time = true,
            _ => {}
        }
        match joined {
            Some((_, '.' | '/' | '-')) if length <= 4 => date = true,
            _ => {}
        }
        let mut chars = tail.chars();
        let next = chars.next();
        time |= length <= 2 && matches!(next, Some('時' | '时' | '点' | '點' | 'u'));
        date |= length <= 2 && matches!(next, Some('月' | '日'));
        before = next.map(|next| (length, next));
        rest = chars.as_str();
    }
    (date, time)
}

/// The first words of introductions, in small letters.
const OPENERS: &[&str] = &[
    "on ",
    "am ",
    "le ",
    "el ",
    "il ",
    "il giorno ",
    "op ",
    "em ",
    "dnia ",
    "w dniu ",
    "den ",
    "dne ",
    "в ",
    "в сообщении ",
    "在",
    "於",
    "于",
    "wiadomość napisana przez ",
    "a ",
    "no dia ",
    "vous écriviez",
    "вы писали",
    "at ",
];

/// The words that say who wrote, in small letters.
const VERBS: &[&str] = &[
    "wrote",
    "writes", // en
    "schrieb",
    "geschrieben", // de
    "a écrit",
    "écrivait",
    "écriviez", // fr
    "escribió",
    "escribía", // es
    "ha scritto",
    "scrisse", // it
    "schreef",
    "geschreven", // nl
    "escreveu",   // pt
    "napisał",
    "pisze",
    "napisana przez", // pl
    "skrev",          // sv
    "napsal",
    "píše", // cs
    "написал",
    "пишет",
    "писал", // ru
    "のメール",
    "書きました",
    "のメッセージ", // ja
    "写道",
    "寫道",
    "写到", // zh
];

/// What stands between dashes above the original of an answer, in small letters.
const ORIGINAL: &[&str] = &[
    "original message",
    "original appointment",
    "original",
    "original e-mail",
    "original email", // en
    "ursprüngliche nachricht",
    "urspruengliche nachricht",
    "originalnachricht",
    "original-nachricht",
    "original nachricht",
    "ursprünglicher termin", // de
    "message d'origine",
    "message d’origine",
    "message original",
    "courriel original",
    "message initial", // fr
    "mensaje original",
    "correo original", // es
    "messaggio originale",
    "messaggio original", // it
    "oorspronkelijk bericht",
    "origineel bericht",
    "oorspronkelijke bericht", // nl
    "mensagem original",       // pt
    "wiadomość oryginalna",
    "oryginalna wiadomość",
    "pierwotna wiadomość", // pl
    "ursprungligt meddelande",
    "originalmeddelande",
    "ursprungsmeddelande", // sv
    "původní zpráva",
    "původní e-mail", // cs
    "исходное сообщение",
    "оригинальное сообщение",
    "исходное письмо", // ru
    "元のメッセージ",
    "元のメール",
    "オリジナルメッセージ", // ja
    "原始邮件",
    "邮件原件",
    "原始郵件",
    "原邮件",
    "原郵件",
    "原始信件", // zh
];

/// What stands between dashes above a forwarded mail, in small letters.
const FORWARDED: &[&str] = &[
    "forwarded message",
    "forwarded mail",
    "forwarded email", // en
    "weitergeleitete nachricht",
    "weitergeleitete mail", // de
    "message transféré",
    "message réexpédié",
    "courriel transféré",   // fr
    "mensaje reenviado",    // es
    "messaggio inoltrato",  // it
    "doorgestuurd bericht", // nl
    "mensagem encaminhada",
    "mensagem reencaminhada", // pt
    "przekazana wiadomość",
    "wiadomość przekazana dalej",
    "treść przekazanej wiadomości", // pl
    "vidarebefordrat meddelande",
    "vidarebefordrat mail", // sv
    "přeposlaná zpráva",    // cs
    "пересылаемое сообщение",
    "пересланное сообщение",
    "перенаправленное сообщение", // ru
    "転送されたメッセージ",
    "転送メッセージ",
    "forwarded message / 転送メッセージ", // ja
    "转发的邮件",
    "转发邮件信息",
    "轉寄的郵件",
    "轉寄郵件",
    "已转发邮件", // zh
];

/// What stands above a forwarded mail with a colon behind it, in small letters.
const BEGIN: &[&str] = &[
    "begin forwarded message", // en
    "anfang der weitergeleiteten nachricht",
    "anfang der weitergeleiteten e-mail", // de
    "début du message réexpédié",
    "début du message transféré",   // fr
    "inicio del mensaje reenviado", // es
    "inizio messaggio inoltrato",   // it
    "begin doorgestuurd bericht",   // nl
    "início da mensagem reencaminhada",
    "início da mensagem encaminhada", // pt
    "początek przekazywanej wiadomości",
    "rozpoczęcie przekazywanej wiadomości", // pl
    "vidarebefordrat brev",
    "vidarebefordrat mejl", // sv
    "začátek přeposílané zprávy",
    "začátek přeposlané zprávy", // cs
    "начало переадресованного сообщения",
    "начало пересылаемого сообщения", // ru
    "転送されたメッセージ",
    "受信メールの転送", // ja
    "下面是被转发的邮件",
    "开始转发的邮件",
    "開始轉寄郵件",
    "以下是轉寄的郵件", // zh
];

/// The names of header lines, in small letters.
const LABELS: &[(Label, &[&str])] = &[
    (
        Label::Source,
        &[
            "return-path",
            "delivered-to",
            "x-original-to",
            "dkim-signature",
            "authentication-results",
            "message-id",
            "mime-version",
        ],
    ),
    (
        Label::From,
        &[
            "from",
            "von",
            "de",
            "da",
            "van",
            "od",
            "från",
            "от",
            "от кого",
            "отправитель",
            "差出人",
            "送信者",
            "送信元",
            "发件人",
            "發件人",
            "寄件者",
            "寄件人",
            "absender",
            "expéditeur",
            "remitente",
            "mittente",
            "afzender",
            "remetente",
            "nadawca",
            "avsändare",
            "odesílatel",
        ],
    ),
    (
        Label::Sent,
        &[
            "sent",
            "date",
            "sent at",
            "gesendet",
            "gesendet am",
            "datum",
            "envoyé",
            "envoyé le",
            "date d'envoi",
            "enviado",
            "enviado el",
            "fecha",
            "fecha de envío",
            "inviato",
            "data",
            "data invio",
            "verzonden",
            "verstuurd",
            "enviado em",
            "enviada",
            "enviada em",
            "wysłano",
            "wysłane",
            "data wysłania",
            "skickat",
            "odesláno",
            "отправлено",
            "дата",
            "дата отправки",
            "送信日時",
            "日付",
            "日時",
            "发送时间",
            "发送日期",
            "日期",
            "时间",
            "時間",
            "寄件日期",
            "傳送時間",
            "傳送日期",
        ],
    ),
    (
        Label::To,
        &[
            "to",
            "an",
            "à",
            "a",
            "para",
            "aan",
            "do",
            "till",
            "komu",
            "кому",
            "宛先",
            "收件人",
            "收件者",
            "destinataire",
        ],
    ),
    (
        Label::Subject,
        &[
            "subject",
            "betreff",
            "objet",
            "sujet",
            "asunto",
            "oggetto",
            "onderwerp",
            "assunto",
            "temat",
            "ämne",
            "předmět",
            "тема",
            "件名",
            "题名",
            "主题",
            "主旨",
            "主題",
        ],
    ),
    (
        Label::Other,
        &[
            "cc",
            "bcc",
            "reply-to",
            "reply to",
            "importance",
            "priority",
            "attachments",
            "when",
            "where",
            "kopie",
            "kopie (cc)",
            "antwort an",
            "wichtigkeit",
            "priorität",
            "anlagen",
            "copie",
            "cc :",
            "copie à",
            "répondre à",
            "importance haute",
            "pièces jointes",
            "copia",
            "responder a",
            "importancia",
            "rispondi a",
            "priorità",
            "allegati",
            "beantwoorden",
            "urgentie",
            "bijlagen",
            "responder para",
            "prioridade",
            "dw",
            "do wiadomości",
            "kopia",
            "ważność",
            "prioritet",
            "viktigt",
            "priorita",
            "důležitost",
            "копия",
            "важность",
            "返信先",
            "重要度",
            "抄送",
            "副本",
            "密送",
            "重要性",
            "organisation",
            "organization",
        ],
    ),
];

/// What telephones write below a mail, in small letters.
const SENT_FROM: &[&str] = &[
    "sent from ",
    "get outlook for ",
    "von meinem ",
    "gesendet von ",
    "gesendet mit ",
    "envoyé de mon ",
    "envoyé depuis ",
    "enviado desde ",
    "inviato da ",
    "verzonden vanaf ",
    "verstuurd vanaf ",
    "enviado do ",
    "enviado a partir ",
    "wysłane z ",
    "wysłano z ",
    "skickat från ",
    "odesláno z ",
    "отправлено с ",
    "отправлено из ",
    "iphoneから送信",
    "发自我的",
    "從我的",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    #[test]
    fn introductions() {
        // Complete, or an introduction only because a quote follows.
        for (line, complete) in [
            ("On Tue, Mar 19, 2024 at 3:58 PM Laura Chen <laura@example.com> wrote:", true),
            ("On Mar 19, 2024, at 15:58, Laura Chen <laura@example.com> wrote:", true),
            ("On 19/03/2024 15:58, Laura Chen wrote:", false),
            ("On Tue, Mar 19, 2024, at 3:58 PM, Laura Chen wrote:", false),
            ("Am Di., 19. März 2024 um 15:58 Uhr schrieb Laura Chen <laura@example.com>:", true),
            ("Am 19.03.24 um 15:58 schrieb Laura Chen:", false),
            ("Laura Chen <laura@example.com> schrieb am Di., 19. März 2024, 15:58:", true),
            ("Le mar. 19 mars 2024 à 15:58, Laura Chen <laura@example.com> a écrit :", true),
            ("Le 19/03/2024 à 15h58, Laura Chen a\u{a0}écrit\u{a0}:", false),
            ("El mar, 19 mar 2024 a las 15:58, Laura Chen (<laura@example.com>) escribió:", true),
            ("Il giorno mar 19 mar 2024 alle ore 15:58 Laura Chen <laura@example.com> ha scritto:", true),
            ("Il 19/03/2024 15.58, Laura Chen ha scritto:", false),
            ("Op di 19 mrt 2024 om 15:58 schreef Laura Chen <laura@example.com>:", true),
            ("Laura Chen <laura@example.com> heeft op 19 mrt 2024 om 15:58 het volgende geschreven:", true),
            ("Em ter., 19 de mar. de 2024 às 15:58, Laura Chen <laura@example.com> escreveu:", true),
            ("wt., 19 mar 2024 o 15:58 Laura Chen <laura@example.com> napisał(a):", true),
            ("W dniu 19.03.2024 o 15:58, Laura Chen pisze:", false),
            ("Wiadomość napisana przez Laura Chen <laura@example.com> w dniu 19 mar 2024, o godz. 15:58:", true),
            ("Den tis 19 mars 2024 kl 15:58 skrev Laura Chen <laura@example.com>:", true),
            ("19 mars 2024 kl. 15:58 skrev Laura Chen <laura@example.com>:", true),
            ("út 19. 3. 2024 v 15:58 odesílatel Laura Chen <laura@example.com> napsal:", true),
            ("Dne 19. 03. 24 v 15:58 Laura Chen napsal(a):", false),
            ("вт, 19 мар. 2024 г. в 15:58, Laura Chen <laura@example.com>:", false),
            ("19.03.2024 15:58, Laura Chen пишет:", false),
            ("Вы писали 19 марта 2024 г., 15:58:33:", false),
            ("19 марта 2024 г., в 15:58, Laura Chen <laura@example.com> написал(а):", true),
            ("2024年3月19日(火) 15:58 Laura Chen <laura@example.com>:", false),
            ("2024/03/19 15:58、Laura Chen <laura@example.com>のメール:", true),
            ("Laura Chen <laura@example.com> 于2024年3月19日周二 15:58写道：", true),
            ("在 2024-03-19 15:58:12，\"Laura Chen\" <laura@example.com> 写道：", true),
            ("Laura Chen <laura@example.com> 於 2024年3月19日 週二 下午3:58寫道：", true),
            ("* Laura Chen <laura@example.com> [2024-03-19 15:58]:", false),
        ] {
            let traits = Traits::of(line);
            assert!(traits.is_introduction(), "{line}: {traits:?}");
            assert_eq!(traits.is_complete(), complete, "{line}: {traits:?}");
        }
        for line in [
            "He wrote:", "See below:", "Laura wrote on 19.03.2024", "Meet at 15:58:", "I rewrote 2024:", "a@b.example:", "wrote:",
        ] {
            assert!(!Traits::of(line).is_introduction(), "{line}");
        }
    }

    #[test]
    fn leads() {
        for (line, is) in [
            (
                "-----Original Message-----",
                Some(Lead::Divider("original-message")),
            ),
            (
                " -------- Ursprüngliche Nachricht -------- ",
                Some(Lead::Divider("original-message")),
            ),
            (
                "*-----Message d'origine-----*",
                Some(Lead::Divider("original-message")),
            ),
            (
                "---------- Forwarded message ---------",
                Some(Lead::Divider("forwarded-message")),
            ),
            (
                "-----\"Laura Chen\" <laura@example.com> wrote: -----",
                Some(Lead::Divider("wrote-divider")),
            ),
            ("---- chapter two ----", Some(Lead::Dashes)),
            (
                "Laura Chen ---03/19/2024 03:58:12 PM---Hello Peter",
                Some(Lead::Dashes),
            ),
            ("a---b---c", None),
            ("__________", Some(Lead::Rule)),
            ("——————————", Some(Lead::Rule)),
            ("_________", None),
            ("-- ", None),
            ("-- Laura", None),
            ("- Original Message -", None),
            ("Begin forwarded message:", Some(Lead::Begin)),
            ("Vidarebefordrat\u{a0}brev:", Some(Lead::Begin)),
            ("Begin forwarded message", None),
            ("Original Message", None),
        ] {
            assert_eq!(lead(line), is, "{line}");
        }
    }

    #[test]
    fn labels() {
        for (line, is) in [
            ("From: Laura", Some(Label::From)),
            ("*From:* Laura", Some(Label::From)),
            ("De\u{a0}: Laura", Some(Label::From)),
            ("Von:Laura", Some(Label::From)),
            ("发件人：Laura", Some(Label::From)),
            ("  Date:\tx", Some(Label::Sent)),
            ("SUBJECT: x", Some(Label::Subject)),
            ("Cc: x", Some(Label::Other)),
            ("Reply\n To: x", Some(Label::Other)),
            ("\u{200E}From: x", Some(Label::From)),
            ("From Laura: x", None),
            ("From", None),
            (": x", None),
            ("", None),
        ] {
            assert_eq!(label(line), is, "{line}");
        }
    }

    #[test]
    fn words_are_in_small_letters_and_stand_once() {
        let labels = LABELS.iter().map(|(_, names)| *names);
        for words in [OPENERS, VERBS, ORIGINAL, FORWARDED, BEGIN, SENT_FROM] {
            check(words.iter());
        }
        check(labels.flatten());

        fn check<'a>(words: impl Iterator<Item = &'a &'a str>) {
            let mut words: Vec<&str> = words.copied().collect();
            words.sort_unstable();
            for pair in words.windows(2) {
                assert_ne!(pair[0], pair[1]);
            }
            for word in words {
                assert_eq!(word, word.to_lowercase());
            }
        }
    }
}
