//! The fingerprint of a certificate, as a configuration names it.
//!
//! Must never: read a certificate.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;

/// SHA-256 of a certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// 64 hexadecimal digits, with or without colons between the octets, as openssl(1) writes them.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let digits = match text.contains(':') {
            true if text.split(':').all(|octet| octet.len() == 2) => text.replace(':', ""),
            true => return None,
            false => text.to_string(),
        };
        let octets = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
        octets.try_into().ok().map(Fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, octet) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    // T190
    #[test]
    fn fingerprints_are_read_as_openssl_writes_them() {
        let plain = Fingerprint::parse(DIGITS).unwrap();
        let shown = plain.to_string();
        assert!(
            shown.starts_with("00:11:22:") && shown.ends_with(":EE:FF"),
            "{shown}"
        );
        assert_eq!(Fingerprint::parse(&shown), Some(plain));
        assert_eq!(Fingerprint::parse(&shown.to_lowercase()), Some(plain));
        for wrong in [
            "",
            ":",
            "00",
            &DIGITS[1..],
            &format!("{DIGITS}00"),
            &DIGITS.replace('a', "g"),
            &shown.replacen(':', "", 1),
            &format!("{shown}:"),
            &format!("SHA256:{DIGITS}"),
        ] {
            assert_eq!(Fingerprint::parse(wrong), None, "{wrong}");
        }
    }
}
