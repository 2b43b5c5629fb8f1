//! The files of mimicry on a machine, with owner and mode: the one list of them, from which `mimicryd install`, the Debian package, the
//! RPM and the image of a container are made.
//!
//! Must never: touch the disk.

use clap_complete::Shell;

/// Where things are put if they are put below `/usr`.
pub const USR: &str = "/usr";

/// The program.
pub const PROGRAM: &str = "/usr/sbin/mimicryd";

/// The user that workers run as.
pub const USER: &str = "mimicry";

/// What makes the user.
pub const SYSUSERS: &str = "/usr/lib/sysusers.d/mimicry.conf";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Root,
    /// [`USER`]: a directory that only a running machine has; a package leaves it to tmpfiles.d(5).
    Workers,
}

#[derive(Clone, Copy, Debug)]
pub enum Content {
    Directory(Owner),
    /// This program itself.
    Program,
    /// A file of the source.
    File(&'static [u8]),
    /// One that the administrator edits: what was edited is never replaced.
    Configuration(&'static [u8]),
    /// The completions of a shell.
    Completions(Shell),
}

/// One of them; `path` as it is if things are put below [`USR`].
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub path: &'static str,
    pub mode: u32,
    pub content: Content,
    /// The file of the source, for the tests.
    #[cfg_attr(not(test), allow(dead_code, reason = "for the tests"))]
    pub source: &'static str,
}

/// A file, and what stands in it.
macro_rules! item {
    ($kind:ident $mode:literal $path:literal $source:literal) => {
        Item {
            path: $path,
            mode: $mode,
            content: Content::$kind(include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../",
                $source
            ))),
            source: $source,
        }
    };
}

/// A file of etc/, among the samples under the same name.
macro_rules! sample {
    ($name:literal) => {
        Item {
            path: concat!("/usr/share/doc/mimicry/examples/", $name),
            mode: 0o644,
            content: Content::File(include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../etc/",
                $name
            ))),
            source: concat!("etc/", $name),
        }
    };
}

/// The completions of a shell.
const fn completions(shell: Shell, path: &'static str) -> Item {
    Item {
        path,
        mode: 0o644,
        content: Content::Completions(shell),
        source: "",
    }
}

const fn directory(path: &'static str, mode: u32, owner: Owner) -> Item {
    Item {
        path,
        mode,
        content: Content::Directory(owner),
        source: "",
    }
}

#[rustfmt::skip]
pub const LIST: &[Item] = &[
    Item { path: PROGRAM, mode: 0o755, content: Content::Program, source: "" },

    directory("/etc/mimicry", 0o755, Owner::Root),
    item!(Configuration 0o644 "/etc/mimicry/mimicry.toml" "etc/package/mimicry.toml"),
    item!(Configuration 0o644 "/etc/logrotate.d/mimicry" "etc/package/logrotate"),
    item!(Configuration 0o755 "/etc/init.d/mimicryd" "etc/init.d/mimicryd"),
    item!(Configuration 0o644 "/etc/apparmor.d/usr.sbin.mimicryd" "etc/package/apparmor"),

    item!(File 0o644 "/usr/lib/systemd/system/mimicryd.service" "etc/systemd/mimicryd.service"),
    item!(File 0o644 "/usr/lib/sysusers.d/mimicry.conf" "etc/package/sysusers.conf"),
    item!(File 0o644 "/usr/lib/tmpfiles.d/mimicry.conf" "etc/package/tmpfiles.conf"),

    item!(File 0o644 "/usr/share/man/man8/mimicryd.8" "man/mimicryd.8"),
    item!(File 0o644 "/usr/share/man/man5/mimicry.toml.5" "man/mimicry.toml.5"),
    item!(File 0o644 "/usr/share/man/man7/mimicry-plugins.7" "man/mimicry-plugins.7"),
    item!(File 0o644 "/usr/share/man/man7/mimicry-internals.7" "man/mimicry-internals.7"),

    completions(Shell::Bash, "/usr/share/bash-completion/completions/mimicryd"),
    completions(Shell::Zsh, "/usr/share/zsh/vendor-completions/_mimicryd"),
    completions(Shell::Fish, "/usr/share/fish/vendor_completions.d/mimicryd.fish"),

    directory("/usr/share/doc/mimicry", 0o755, Owner::Root),
    directory("/usr/share/doc/mimicry/examples", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/mimicry.package.toml" "etc/package/mimicry.toml"),
    sample!("mimicry.toml"),
    sample!("mimicry.minimal.toml"),
    sample!("mimicry.demo.toml"),
    sample!("mimicry.programs.toml"),
    sample!("footer.txt"),
    sample!("footer.html"),
    sample!("banner.txt"),
    sample!("banner.html"),
    sample!("logo.png"),
    sample!("people.csv"),
    directory("/usr/share/doc/mimicry/examples/postfix", 0o755, Owner::Root),
    sample!("postfix/after-queue.main.cf"),
    sample!("postfix/after-queue.master.cf"),
    sample!("postfix/after-queue-lmtp.master.cf"),
    sample!("postfix/before-queue.master.cf"),
    directory("/usr/share/doc/mimicry/examples/exim", 0o755, Owner::Root),
    sample!("exim/mimicry.acl"),
    sample!("exim/mimicry.main"),
    sample!("exim/mimicry.retry"),
    sample!("exim/mimicry.router"),
    sample!("exim/mimicry.transport"),
    directory("/usr/share/doc/mimicry/examples/opensmtpd", 0o755, Owner::Root),
    sample!("opensmtpd/smtpd.conf"),
    directory("/usr/share/doc/mimicry/examples/haproxy", 0o755, Owner::Root),
    sample!("haproxy/haproxy.cfg"),
    directory("/usr/share/doc/mimicry/examples/test", 0o755, Owner::Root),
    sample!("test/01-plain.eml"),
    sample!("test/01-plain.toml"),
    sample!("test/02-plain-within-the-house.eml"),
    sample!("test/02-plain-within-the-house.toml"),
    sample!("test/03-plain-latin1.eml"),
    sample!("test/03-plain-latin1.toml"),
    sample!("test/04-plain-base64.eml"),
    sample!("test/04-plain-base64.toml"),
    sample!("test/05-plain-flowed.eml"),
    sample!("test/05-plain-flowed.toml"),
    sample!("test/06-alternative.eml"),
    sample!("test/06-alternative.toml"),
    sample!("test/07-html-with-picture.eml"),
    sample!("test/07-html-with-picture.toml"),
    sample!("test/08-newsletter.eml"),
    sample!("test/08-newsletter.toml"),
    sample!("test/09-reply-gmail.eml"),
    sample!("test/09-reply-gmail.toml"),
    sample!("test/10-reply-outlook.eml"),
    sample!("test/10-reply-outlook.toml"),
    sample!("test/11-forwarded.eml"),
    sample!("test/11-forwarded.toml"),
    sample!("test/12-attachments.eml"),
    sample!("test/12-attachments.toml"),
    sample!("test/13-one-attachment.eml"),
    sample!("test/13-one-attachment.toml"),
    sample!("test/14-program.eml"),
    sample!("test/14-program.toml"),
    sample!("test/15-bounce.eml"),
    sample!("test/15-bounce.toml"),
    sample!("test/16-vacation.eml"),
    sample!("test/16-vacation.toml"),
    sample!("test/17-signed.eml"),
    sample!("test/17-signed.toml"),
    sample!("test/18-encrypted.eml"),
    sample!("test/18-encrypted.toml"),
    sample!("test/19-dkim.eml"),
    sample!("test/19-dkim.toml"),
    sample!("test/20-two-classes.eml"),
    sample!("test/20-two-classes.toml"),
    sample!("test/mimicry.toml"),
    directory("/usr/share/doc/mimicry/examples/prometheus", 0o755, Owner::Root),
    sample!("prometheus/mimicry.rules.yml"),
    sample!("prometheus/mimicry.test.yml"),
    directory("/usr/share/doc/mimicry/examples/grafana", 0o755, Owner::Root),
    sample!("grafana/mimicry.json"),

    // Last: the user must be there by then.
    directory("/var/lib/mimicry", 0o755, Owner::Root),
    directory("/var/log/mimicry", 0o755, Owner::Root),
    directory("/var/spool/mimicry", 0o755, Owner::Workers),
];
