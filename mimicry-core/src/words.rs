//! Closed lists of words of the configuration: an enum and the word of each of its values, written once.
//!
//! Must never: hold such a list itself; each list stands beside the code that it is about.

/// A value that has a word in the configuration; made by [`words!`](crate::words!).
pub trait Word: Copy + Sized + 'static {
    /// All of them, in the order of the manual.
    const WORDS: &'static [&'static str];

    fn from_word(word: &str) -> Option<Self>;

    fn word(self) -> &'static str;
}

/// Declares an enum with the word of each value. The order is that of the manual.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$note])* $variant,)+
        }

        impl $name {
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            pub fn from_word(word: &str) -> Option<$name> {
                match word {
                    $($word => Some($name::$variant),)+
                    _ => None,
                }
            }

            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl $crate::words::Word for $name {
            const WORDS: &'static [&'static str] = $name::WORDS;

            fn from_word(word: &str) -> Option<$name> {
                $name::from_word(word)
            }

            fn word(self) -> &'static str {
                $name::word(self)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    words! {
        /// What a lamp shows.
        Light {
            Red = "red",
            /// After red.
            DarkGreen = "dark-green",
        }
    }

    #[test]
    fn words_are_read_as_written() {
        assert_eq!(Light::WORDS, ["red", "dark-green"]);
        for word in Light::WORDS {
            assert_eq!(Light::from_word(word).map(Light::word), Some(*word));
        }
        assert_eq!(Light::from_word("DarkGreen"), None);
    }
}
