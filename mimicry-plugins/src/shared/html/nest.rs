//! The elements that matter for a spot, and how they are nested there.
//!
//! Must never: build a tree; a few octets of nesting are all that is kept.

/// Why there is no safe spot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// The page is a set of frames: it has no body that could show text.
    Frameset,
    /// The text ends inside a comment or another `<!`, `<?` construct.
    Comment,
    /// The text ends inside a tag, most often in a quoted attribute.
    Tag,
    /// The text ends inside a textarea, title, script, style or another element without markup.
    RawText,
    /// The text ends inside a conditional of Outlook (`<![if !mso]>`), which would not show it.
    Conditional,
    /// Readers disagree on what is markup (`<noscript>` with and without scripts, raw text and CDATA in SVG or MathML).
    Ambiguous,
    /// Tables and the like are nested deeper than browsers follow.
    TooDeep,
}

/// The elements the scanner or the choice of a spot must tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shared) enum Tag {
    Html,
    Head,
    Body,
    Frameset,
    /// meta, link, base: belongs into a head and shows nothing.
    Meta,
    Title,
    Script,
    Style,
    Textarea,
    Xmp,
    Iframe,
    Noembed,
    Noframes,
    Noscript,
    Plaintext,
    Template,
    Select,
    Object,
    Applet,
    Video,
    Audio,
    Canvas,
    Svg,
    Math,
    Table,
    /// td, th, caption.
    Cell,
    /// tr, tbody, thead, tfoot, colgroup, col.
    Row,
    /// An element of HTML whose start tag ends SVG and MathML ("in foreign content" of the HTML standard).
    Breakout,
    Other,
}

/// The small letters of a name as a number, of at most eight of them its own.
pub(in crate::shared) const fn key(name: &[u8]) -> u64 {
    let mut key = 0;
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        key = key << 8 | first.to_ascii_lowercase() as u64;
        rest = tail;
    }
    key
}

/// The same of the first `length` octets, one at least, of these.
fn key_of_first(octets: [u8; 8], length: usize) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = ONES << 7;
    const FROM_A: u64 = ONES * (0x80 - b'A' as u64);
    const BEHIND_Z: u64 = ONES * (0x7f - b'Z' as u64);
    let spare = 8usize.saturating_sub(length);
    let word = u64::from_be_bytes(octets) >> (spare & 7).saturating_mul(8);
    // The highest bit of an octet tells whether it is an upper-case letter; a quarter of it is what makes it lower case.
    let low = word & !HIGHS;
    let upper = low.wrapping_add(FROM_A) & !low.wrapping_add(BEHIND_Z) & !word & HIGHS;
    word | upper >> 2
}

impl Tag {
    /// The element whose name is the first `length` octets of these.
    pub(super) fn of_first(octets: &[u8], length: usize) -> Self {
        match octets.first_chunk() {
            Some(chunk) if (1..=8).contains(&length) => Self::of(key_of_first(*chunk, length)),
            _ => Self::new(octets.get(..length).unwrap_or(octets)),
        }
    }

    pub(super) fn new(name: &[u8]) -> Self {
        match name.len() {
            0..=8 => Self::of(key(name)),
            9 if name.eq_ignore_ascii_case(b"plaintext") => Self::Plaintext,
            10 if name.eq_ignore_ascii_case(b"blockquote") => Self::Breakout,
            _ => Self::Other,
        }
    }

    /// The element whose name has this [`key`], if that is of at most eight letters.
    pub(in crate::shared) fn of(key: u64) -> Self {
        macro_rules! table {
            ($key:ident: $($($name:literal)+ => $tag:ident),+ $(,)?) => {
                match $key {
                    $($(k if k == const { self::key($name) } => Self::$tag,)+)+
                    _ => Self::Other,
                }
            };
        }
        table! { key:
            b"td" b"th" b"caption" => Cell,
            b"tr" b"tbody" b"thead" b"tfoot" b"col" b"colgroup" => Row,
            b"table" => Table,
            b"html" => Html, b"head" => Head, b"body" => Body, b"frameset" => Frameset,
            b"meta" b"link" b"base" => Meta,
            b"title" => Title, b"script" => Script, b"style" => Style, b"textarea" => Textarea, b"xmp" => Xmp,
            b"iframe" => Iframe, b"noembed" => Noembed, b"noframes" => Noframes, b"noscript" => Noscript,
            b"template" => Template, b"select" => Select, b"object" => Object, b"applet" => Applet,
            b"video" => Video, b"audio" => Audio, b"canvas" => Canvas, b"svg" => Svg, b"math" => Math,
            b"p" b"div" b"span" b"br" b"b" b"i" b"u" b"s" b"em" b"strong" b"img" b"li" b"ul" b"ol" b"hr" b"h1" b"h2"
            b"h3" b"h4" b"h5" b"h6" b"big" b"center" b"code" b"dd" b"dl" b"dt" b"embed" b"listing" b"menu" b"nobr"
            b"pre" b"ruby" b"small" b"strike" b"sub" b"sup" b"tt" b"var" => Breakout,
        }
    }

    /// The name of an element without markup inside, as its end tag must repeat it.
    pub(super) fn raw_name(self) -> Option<&'static [u8]> {
        Some(match self {
            Self::Title => b"title",
            Self::Script => b"script",
            Self::Style => b"style",
            Self::Textarea => b"textarea",
            Self::Xmp => b"xmp",
            Self::Iframe => b"iframe",
            Self::Noembed => b"noembed",
            Self::Noframes => b"noframes",
            Self::Noscript => b"noscript",
            Self::Plaintext => b"plaintext",
            _ => return None,
        })
    }

    pub(super) fn is_invisible(self) -> bool {
        matches!(
            self,
            Self::Html
                | Self::Head
                | Self::Body
                | Self::Meta
                | Self::Title
                | Self::Script
                | Self::Style
                | Self::Template
        )
    }

    /// May [`Nest`] follow how often it is open.
    pub(in crate::shared) fn is_followed(self) -> bool {
        matches!(
            self,
            Self::Table
                | Self::Template
                | Self::Select
                | Self::Object
                | Self::Applet
                | Self::Video
                | Self::Audio
                | Self::Canvas
                | Self::Svg
                | Self::Math
        )
    }

    pub(super) fn breaks_out(self) -> bool {
        matches!(self, Self::Breakout | Self::Table | Self::Body | Self::Head)
    }
}

/// The open elements that hide or displace what is put into them, outermost first.
#[derive(Default)]
pub(in crate::shared) struct Nest {
    open: Vec<Tag>,
}

impl Nest {
    /// Browsers stop nesting at 512 elements; the bound also keeps the search for a partner constant.
    pub(super) const DEPTH: usize = 512;

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    pub(in crate::shared) fn start(&mut self, tag: Tag, self_closing: bool) -> Result<(), NoPlace> {
        if tag.breaks_out() {
            while matches!(self.open.last(), Some(Tag::Svg | Tag::Math)) {
                self.open.pop();
            }
        }
        let last = self.open.last().copied();
        let push = match tag {
            // A table right in a table, and a select in a select, end the outer one.
            Tag::Table => last != Some(Tag::Table),
            Tag::Select if self.open.contains(&Tag::Select) => {
                self.end(Tag::Select);
                false
            }
            Tag::Cell => last == Some(Tag::Table),
            Tag::Row => {
                if last == Some(Tag::Cell) {
                    self.open.pop();
                }
                false
            }
            Tag::Svg | Tag::Math => !self_closing,
            tag => tag.is_followed(),
        };
        if push {
            if self.open.len() >= Self::DEPTH {
                return Err(NoPlace::TooDeep);
            }
            self.open.push(tag);
        }
        Ok(())
    }

    pub(in crate::shared) fn end(&mut self, tag: Tag) {
        if self.open.is_empty() {
            return;
        }
        match tag {
            Tag::Row | Tag::Cell => {
                if self.open.last() == Some(&Tag::Cell) {
                    self.open.pop();
                }
            }
            _ => {
                // Nothing inside a template reaches out of it.
                let found = self
                    .open
                    .iter()
                    .rposition(|&open| open == tag || open == Tag::Template);
                if let Some(at) = found.filter(|&at| self.open.get(at) == Some(&tag)) {
                    self.open.truncate(at);
                }
            }
        }
    }

    /// Not right in a table, from where browsers move what they find above it, nor right in what hides it.
    pub(in crate::shared) fn is_in_flow(&self) -> bool {
        matches!(self.open.last(), None | Some(Tag::Cell))
    }

    /// The end tags that bring what follows into sight when the outer `depth` elements are open. A cell shows what is in
    /// it; a table outside its cells pushes it above the table.
    pub(super) fn close(&self, depth: usize) -> String {
        let open = self.open.get(..depth).unwrap_or(&self.open);
        let bad = (0..open.len()).find(|&at| match open.get(at) {
            Some(Tag::Table) => open.get(at.saturating_add(1)) != Some(&Tag::Cell),
            Some(Tag::Cell) | None => false,
            Some(_) => true,
        });
        let Some(from) = bad else {
            return String::new();
        };
        let hiding = open.get(from..).unwrap_or_default();
        hiding
            .iter()
            .rev()
            .map(|tag| match tag {
                Tag::Template => "</template>",
                Tag::Select => "</select>",
                Tag::Object => "</object>",
                Tag::Applet => "</applet>",
                Tag::Video => "</video>",
                Tag::Audio => "</audio>",
                Tag::Canvas => "</canvas>",
                Tag::Svg => "</svg>",
                Tag::Math => "</math>",
                Tag::Table => "</table>",
                _ => "",
            })
            .collect()
    }
}
