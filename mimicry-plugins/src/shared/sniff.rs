//! Is a part's content compressed already, so that compressing it again would cost time and save nothing?
//!
//! The content decides where it can be told; the sender's words (file name, media type) only where it
//! cannot. Must never be used to judge what a file *is*: a wrong answer here costs octets or time, no more.
//!
//! PDF does not count as compressed. Its head does not tell whether the streams inside are: deflating
//! saved 0.4 to 3 % of scans and of documents from TeX and FOP, 9 to 26 % of plots and reports, 85 % of a
//! report written without compression. Nor do OLE documents, TIFF, WAV and executables.

use std::path::Path;

use super::names::extension_for;

/// How much of the content is looked at. Less is enough for most formats; documents inside a zip, whose
/// kind does not matter here, are the ones that need more.
pub const HEAD_OCTETS: usize = 4096;

/// From here on a head without a single binary octet is text, whatever its name says.
const TEXT_OCTETS: usize = 32;

/// Whether deflating the content would be wasted. `head` is the beginning of the decoded content (up to
/// `HEAD_OCTETS` are read; empty if there is none at hand), `name` the decoded file name, `media_type`
/// `type/subtype` in any case, parameters ignored.
pub fn already_compressed(head: &[u8], name: Option<&str>, media_type: &str) -> bool {
    let head = head.get(..HEAD_OCTETS).unwrap_or(head);
    if let Some(kind) = infer::get(head) {
        return is_compressed_kind(kind.extension());
    }
    if head.len() >= TEXT_OCTETS && head.iter().all(|&octet| is_text(octet)) {
        return false;
    }
    let extension = name
        .and_then(|name| Path::new(name).extension())
        .and_then(|extension| extension.to_str())
        .unwrap_or_else(|| extension_for(media_type));
    is_compressed_kind(extension)
}

fn is_text(octet: u8) -> bool {
    !octet.is_ascii_control() || matches!(octet, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B)
}

fn is_compressed_kind(extension: &str) -> bool {
    COMPRESSED
        .iter()
        .flat_map(|family| family.iter())
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// By the extensions that people use and by those that `infer` names its kinds with.
#[rustfmt::skip]
const COMPRESSED: [&[&str]; 6] = [
    // archives and single compressed files
    &["zip", "zipx", "gz", "tgz", "bz2", "tbz", "tbz2", "bz3", "xz", "txz", "zst", "tzst", "lz", "lz4", "lzo",
      "lzma", "br", "z", "7z", "rar", "cab", "arj", "lha", "lzh", "ace", "deb", "rpm", "crx", "xpi", "jar",
      "war", "apk", "ipa", "msix", "dmg", "whl", "nupkg"],
    // documents that are zip files
    &["docx", "docm", "dotx", "xlsx", "xlsm", "xlsb", "xltx", "pptx", "pptm", "ppsx", "potx", "vsdx", "ooxml",
      "odt", "ods", "odp", "odg", "odf", "ott", "ots", "otp", "epub", "pages", "numbers", "key", "kmz", "3mf",
      "ora", "sketch"],
    // pictures
    &["jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "webp", "heic", "heif", "avif", "jxl", "jp2", "jxr",
      "cr2", "djvu", "svgz"],
    // sound
    &["mp3", "m4a", "aac", "ogg", "oga", "opus", "flac", "ape", "wma", "amr"],
    // moving pictures
    &["mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "flv", "mpg", "mpeg", "ogv", "3gp", "mts"],
    // fonts
    &["woff", "woff2"],
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOB: &[u8] =
        b"\x01\x83\x9c\x00\xf1\x7f\x11\x92\x05\x44\x8a\xe0\xd3\x10\x06\xb7\x01\x83\x9c\x00\xf1\x7f\x11\x92\x05\x44\x8a\xe0\xd3\x10\x06\xb7";
    const TEXT: &[u8] = b"Dear all,\r\n\r\nplease find attached what you asked for.\r\n";

    #[test]
    fn content_decides_first() {
        let riff = |kind: &[u8]| [b"RIFF\x24\x10\0\0", kind].concat();
        let zip = |member: &str, content: &str| {
            let lengths = [(member.len() as u16).to_le_bytes(), 0u16.to_le_bytes()].concat();
            let size = (content.len() as u32).to_le_bytes();
            [
                b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0\0\0\0\0".as_slice(),
                &size,
                &size,
                &lengths,
                member.as_bytes(),
                content.as_bytes(),
            ]
            .concat()
        };
        let tar = [vec![b'a'; 257], b"ustar\x0000".to_vec(), vec![0; 247]].concat();
        #[rustfmt::skip]
        let table: &[(&str, Vec<u8>, bool)] = &[
            ("zip", zip("readme.txt", "hello"), true),
            ("empty zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), true),
            ("docx", zip("[Content_Types].xml", &"x".repeat(60)), true),
            ("docx, word first", zip("word/document.xml", "x"), true),
            ("odt", zip("mimetype", "application/vnd.oasis.opendocument.text"), true),
            ("epub", zip("mimetype", "application/epub+zip"), true),
            ("gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), true),
            ("bz2", b"BZh91AY&SY".to_vec(), true),
            ("xz", b"\xfd7zXZ\0\0\x04".to_vec(), true),
            ("zst", b"\x28\xb5\x2f\xfd\x04\x58".to_vec(), true),
            ("7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), true),
            ("rar 4", b"Rar!\x1a\x07\0\xcf".to_vec(), true),
            ("rar 5", b"Rar!\x1a\x07\x01\0".to_vec(), true),
            ("cab", b"MSCF\0\0\0\0".to_vec(), true),
            ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), true),
            ("png", b"\x89PNG\r\n\x1a\n".to_vec(), true),
            ("gif", b"GIF89a\x10\0".to_vec(), true),
            ("webp", riff(b"WEBPVP8 "), true),
            ("heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), true),
            ("mp4", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2".to_vec(), true),
            ("mov", b"\0\0\0\x14ftypqt  \0\0\0\0".to_vec(), true),
            ("mp3 with id3", b"ID3\x03\0\0\0\0\0\0".to_vec(), true),
            ("mp3", b"\xff\xfb\x90\x64\0".to_vec(), true),
            ("ogg", b"OggS\0\x02\0\0".to_vec(), true),
            ("flac", b"fLaC\0\0\0\x22".to_vec(), true),
            ("avi", riff(b"AVI LIST"), true),
            ("woff2", b"wOF2\0\x01\0\0".to_vec(), true),
            ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(), false),
            ("wav", riff(b"WAVEfmt "), false),
            ("bmp", b"BM\x36\0\x0c\0\0\0\0\0".to_vec(), false),
            ("tiff", b"II*\0\x08\0\0\0\x10\0\xfe\0".to_vec(), false),
            ("doc (OLE)", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0".to_vec(), false),
            ("exe", b"MZ\x90\0\x03\0\0\0".to_vec(), false),
            ("rtf", b"{\\rtf1\\ansi".to_vec(), false),
            ("ps", b"%!PS-Adobe-3.0\n".to_vec(), false),
            ("html", b"<!DOCTYPE html><html>".to_vec(), false),
            ("xml", b"<?xml version=\"1.0\"?>".to_vec(), false),
            ("tar", tar, false),
            ("text", TEXT.to_vec(), false),
        ];
        // Whatever the sender calls it.
        for (what, head, expected) in table {
            for (name, media_type) in [
                (None, "application/octet-stream"),
                (Some("x.txt"), "text/plain"),
                (Some("x.zip"), "application/zip"),
            ] {
                let short = head.len() < TEXT_OCTETS && infer::get(head).is_none();
                assert!(!short, "{what} is not told by its content");
                assert_eq!(
                    already_compressed(head, name, media_type),
                    *expected,
                    "{what} as {name:?}"
                );
            }
        }
    }

    #[test]
    fn then_the_name_then_the_media_type() {
        #[rustfmt::skip]
        let table: &[(&[u8], Option<&str>, &str, bool)] = &[
            (BLOB, Some("x.zip"), "application/octet-stream", true),
            (BLOB, Some("X.ZIP"), "", true),
            (BLOB, Some("backup.tar.lzma"), "", true),
            (BLOB, Some("film.3gp"), "", true),
            (BLOB, Some("plan.vsdx"), "", true),
            (BLOB, Some("data.bin"), "application/octet-stream", false),
            (BLOB, Some("data.bin"), "image/jpeg", false),
            (BLOB, Some("data.csv"), "application/zip", false),
            (BLOB, Some("zip"), "", false),
            (BLOB, Some(".zip"), "", false),
            (BLOB, Some("zip"), "application/zip", true),
            (BLOB, None, "application/zip", true),
            (BLOB, None, "Image/JPEG; name=x", true),
            (BLOB, None, "application/octet-stream", false),
            (BLOB, None, "", false),
            (b"", Some("x.zip"), "", true),
            (b"", None, "", false),
            (b"PK", Some("x.zip"), "", true),
            (b"short text", Some("x.zip"), "", true),
            (TEXT, Some("x.jpg"), "image/jpeg", false),
            ("Größe in Zoll, Länge in Fuß, Preis in €, und so fort".as_bytes(), Some("x.zip"), "", false),
        ];
        for (head, name, media_type, expected) in table {
            assert_eq!(
                already_compressed(head, *name, media_type),
                *expected,
                "{name:?} {media_type:?} {head:?}"
            );
        }
    }

    #[test]
    fn only_the_head_is_read() {
        let mut long = TEXT.repeat(200);
        long.push(0);
        assert!(!already_compressed(&long, Some("x.zip"), ""));
        long.truncate(HEAD_OCTETS - 1);
        long.push(0);
        assert!(already_compressed(&long, Some("x.zip"), ""));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// The detectors behind `infer` slice and add lengths from the content: none may panic.
        #[test]
        fn no_head_is_a_panic(
            magic in prop::sample::select(vec![
                &b"PK\x03\x04"[..], b"\0\0\0\x18ftyp", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\x04\x22\x4d\x18",
                b"dex\n035\0", b"\x1a\x45\xdf\xa3", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xca\xfe\xba\xbe", b"RIFF", b"%PDF",
                b"PAR2\0PKT", b"\x80\0\0\0", b"<", b"\xef\xbb\xbf<", b"",
            ]),
            middle in prop::sample::select(vec![&b""[..], b"\xff\xff\xff\xff", b"[Content_Types].xml", b"mimetype", b"PK\x03\x04", b"ftypheic"]),
            before in prop::collection::vec(any::<u8>(), 0..40),
            after in prop::collection::vec(any::<u8>(), 0..400),
            cut in 0usize..500,
        ) {
            let mut head = [magic, &before, middle, &after].concat();
            head.truncate(cut);
            already_compressed(&head, None, "");
        }

        #[test]
        fn no_zip_member_is_a_panic(size in any::<u32>(), member in "(\\[Content_Types\\]\\.xml|_rels/\\.rels|docProps/|word/|mimetype).{0,20}", more in 0usize..5) {
            let one = [b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0\0\0\0\0".as_slice(), &size.to_le_bytes(), &[0; 8], member.as_bytes()].concat();
            let mut head = one.repeat(more + 1);
            head.push(0);
            already_compressed(&head, None, "");
        }
    }
}
