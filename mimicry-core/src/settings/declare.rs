//! The macro that declares a table of settings: from one row for each setting it makes the field, the row of
//! [`SETTINGS`](super::SETTINGS), and what puts the checked value of the file into the field.
//!
//! ```text
//! settings! {
//!     ["limits"] pub struct Limits, over LimitsOver {
//!         mail: usize = size("1K", "1G"), "\"100M\"", Mail, "Octets of a mail.";
//!         message: MessageLimits;
//!         // …
//!     }
//! }
//! ```
//!
//! A row is: the field; after `as`, the key in the file where it is another; the type; the kind, which holds the range and the
//! unit; the default as the file would have it, `-` for none, or `required`; when banks may still change it, `Load` for never;
//! and one sentence. A row without all that is a group: settings of the same table that have a struct of their own.
//!
//! With `over`, banks may change the table: the second struct lies over the first, and has each field as an [`Option`].
//!
//! Must never: name a setting.

use super::given::{Given, Show, Values};
use super::row::Setting;

/// Settings of one table that have a struct.
pub(crate) trait Group: Sized {
    /// Adds the rows, in the order of the manual.
    fn rows(rows: &mut Vec<Setting>);

    /// Of the table's values. `None`: one is missing that is required, which was complained about.
    fn read(values: &Values) -> Option<Self>;
}

/// A group that may be left out: it is there when all its settings are.
impl<G: Group> Group for Option<G> {
    fn rows(rows: &mut Vec<Setting>) {
        G::rows(rows);
    }

    fn read(values: &Values) -> Option<Self> {
        let mut rows = Vec::new();
        G::rows(&mut rows);
        match rows.iter().all(|row| values.is_set(row.name)) {
            true => G::read(values).map(Some),
            false => Some(None),
        }
    }
}

/// A group that banks may change.
pub(crate) trait Changeable: Group {
    type Over: Over;

    /// Lays what is set over this.
    fn lay(&mut self, over: &Self::Over);

    /// Shows what is set.
    fn show(&self, show: Show<'_>);
}

/// What lies over a group: each field is set or not.
pub(crate) trait Over: Default {
    /// Of the values that `given` finds by table and name.
    fn read(given: &dyn Fn(&'static str, &'static str) -> Option<Given>) -> Self;

    fn show(&self, show: Show<'_>);
}

macro_rules! settings {
    ($(#[$meta:meta])* [$table:tt] pub struct $name:ident, over $over:ident $rows:tt) => {
        settings! { @struct $(#[$meta])* $name $rows }
        settings! { [$table] for $name, over $over $rows }
    };
    ($(#[$meta:meta])* [$table:tt] pub struct $name:ident $rows:tt) => {
        settings! { @struct $(#[$meta])* $name $rows }
        settings! { @group $name $table $rows }
    };
    // The struct stands elsewhere.
    ([$table:tt] for $name:ident, over $over:ident $rows:tt) => {
        settings! { @group $name $table $rows }
        settings! { @over $name $over $table $rows }
    };

    (@struct $(#[$meta:meta])* $name:ident {
        $($field:ident $(as $key:literal)? : $type:ty $(= $kind:expr, $default:tt, $phase:ident, $doc:literal)?;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])? pub $field: $type,)+
        }
    };
    (@group $name:ident $table:tt {
        $($field:ident $(as $key:literal)? : $type:ty $(= $kind:expr, $default:tt, $phase:ident, $doc:literal)?;)+
    }) => {
        impl Group for $name {
            fn rows(rows: &mut Vec<Setting>) {
                $(settings!(@row rows, $table, ($field $($key)?), $type $(, $kind, $default, $phase, $doc)?);)+
            }

            fn read(values: &Values) -> Option<$name> {
                Some($name {
                    $($field: settings!(@read values, ($field $($key)?), $type $(, $kind)?),)+
                })
            }
        }
    };
    (@over $name:ident $over:ident $table:tt {
        $($field:ident $(as $key:literal)? : $type:ty $(= $kind:expr, $default:tt, $phase:ident, $doc:literal)?;)+
    }) => {
        #[doc = concat!("What lies over [`", stringify!($name), "`].")]
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $over {
            $(pub(crate) $field: settings!(@type $type $(, $kind)?),)+
        }

        impl Changeable for $name {
            type Over = $over;

            fn lay(&mut self, over: &$over) {
                $(settings!(@lay self.$field, over.$field $(, $kind)?);)+
            }

            fn show(&self, show: Show<'_>) {
                $(settings!(@show self.$field, show, $table, ($field $($key)?) $(, $kind)?);)+
            }
        }

        impl Over for $over {
            fn read(given: &dyn Fn(&'static str, &'static str) -> Option<Given>) -> $over {
                $over {
                    $($field: settings!(@find given, $table, ($field $($key)?), $type $(, $kind)?),)+
                }
            }

            fn show(&self, show: Show<'_>) {
                $(settings!(@show self.$field, show, $table, ($field $($key)?) $(, $kind)?);)+
            }
        }
    };

    // The name in a `[[bank]]`: limits stand in a table there too.
    (@in_bank "limits", ($field:ident)) => { concat!("limits.", stringify!($field)) };
    (@in_bank $table:tt, $key:tt) => { settings!(@key $key) };
    (@key ($field:ident)) => { stringify!($field) };
    (@key ($field:ident $key:literal)) => { $key };
    (@row $rows:ident, $table:tt, $key:tt, $type:ty) => { <$type as Group>::rows($rows) };
    (@row $rows:ident, $table:tt, $key:tt, $type:ty, $kind:expr, $default:tt, $phase:ident, $doc:literal) => {
        $rows.push(settings!(@setting $table, $key, $kind, $default, $phase, $doc))
    };
    (@setting $table:tt, $key:tt, $kind:expr, required, $phase:ident, $doc:literal) => {
        Setting { table: $table, name: settings!(@key $key), kind: $kind, default: None, required: true, phase: Phase::$phase, in_bank: settings!(@in_bank $table, $key), doc: $doc }
    };
    (@setting $table:tt, $key:tt, $kind:expr, -, $phase:ident, $doc:literal) => {
        Setting { table: $table, name: settings!(@key $key), kind: $kind, default: None, required: false, phase: Phase::$phase, in_bank: settings!(@in_bank $table, $key), doc: $doc }
    };
    (@setting $table:tt, $key:tt, $kind:expr, $default:literal, $phase:ident, $doc:literal) => {
        Setting { table: $table, name: settings!(@key $key), kind: $kind, default: Some($default), required: false, phase: Phase::$phase, in_bank: settings!(@in_bank $table, $key), doc: $doc }
    };
    (@read $values:ident, $key:tt, $type:ty) => { <$type as Group>::read($values)? };
    (@read $values:ident, $key:tt, $type:ty, $kind:expr) => {
        <$type as Field>::field($values.get(settings!(@key $key)))?
    };
    (@type $type:ty) => { <$type as Changeable>::Over };
    (@type $type:ty, $kind:expr) => { Option<$type> };
    (@lay $below:expr, $over:expr) => { $below.lay(&$over) };
    (@lay $below:expr, $over:expr, $kind:expr) => {
        if let Some(value) = &$over {
            $below.clone_from(value);
        }
    };
    (@find $given:ident, $table:tt, $key:tt, $type:ty) => { Over::read($given) };
    (@find $given:ident, $table:tt, $key:tt, $type:ty, $kind:expr) => {
        $given($table, settings!(@key $key)).and_then(|given| <$type as Field>::field(Some(&given)))
    };
    (@show $value:expr, $show:ident, $table:tt, $key:tt) => { $value.show($show) };
    (@show $value:expr, $show:ident, $table:tt, $key:tt, $kind:expr) => {
        if let Some(shown) = $value.shown($kind) {
            $show(settings!(@in_bank $table, $key), shown);
        }
    };
}

pub(super) use settings;
