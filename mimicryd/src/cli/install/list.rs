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
    item!(File 0o644 "/usr/share/doc/mimicry/examples/mimicry.toml" "etc/mimicry.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/mimicry.minimal.toml" "etc/mimicry.minimal.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/mimicry.demo.toml" "etc/mimicry.demo.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/mimicry.programs.toml" "etc/mimicry.programs.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/footer.txt" "etc/footer.txt"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/footer.html" "etc/footer.html"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/banner.txt" "etc/banner.txt"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/banner.html" "etc/banner.html"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/logo.png" "etc/logo.png"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/people.csv" "etc/people.csv"),
    directory("/usr/share/doc/mimicry/examples/postfix", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/postfix/after-queue.main.cf" "etc/postfix/after-queue.main.cf"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/postfix/after-queue.master.cf" "etc/postfix/after-queue.master.cf"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/postfix/after-queue-lmtp.master.cf" "etc/postfix/after-queue-lmtp.master.cf"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/postfix/before-queue.master.cf" "etc/postfix/before-queue.master.cf"),
    directory("/usr/share/doc/mimicry/examples/exim", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/exim/mimicry.acl" "etc/exim/mimicry.acl"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/exim/mimicry.main" "etc/exim/mimicry.main"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/exim/mimicry.retry" "etc/exim/mimicry.retry"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/exim/mimicry.router" "etc/exim/mimicry.router"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/exim/mimicry.transport" "etc/exim/mimicry.transport"),
    directory("/usr/share/doc/mimicry/examples/opensmtpd", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/opensmtpd/smtpd.conf" "etc/opensmtpd/smtpd.conf"),
    directory("/usr/share/doc/mimicry/examples/haproxy", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/haproxy/haproxy.cfg" "etc/haproxy/haproxy.cfg"),
    directory("/usr/share/doc/mimicry/examples/test", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/01-plain.eml" "etc/test/01-plain.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/01-plain.toml" "etc/test/01-plain.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/02-plain-within-the-house.eml" "etc/test/02-plain-within-the-house.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/02-plain-within-the-house.toml" "etc/test/02-plain-within-the-house.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/03-plain-latin1.eml" "etc/test/03-plain-latin1.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/03-plain-latin1.toml" "etc/test/03-plain-latin1.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/04-plain-base64.eml" "etc/test/04-plain-base64.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/04-plain-base64.toml" "etc/test/04-plain-base64.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/05-plain-flowed.eml" "etc/test/05-plain-flowed.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/05-plain-flowed.toml" "etc/test/05-plain-flowed.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/06-alternative.eml" "etc/test/06-alternative.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/06-alternative.toml" "etc/test/06-alternative.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/07-html-with-picture.eml" "etc/test/07-html-with-picture.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/07-html-with-picture.toml" "etc/test/07-html-with-picture.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/08-newsletter.eml" "etc/test/08-newsletter.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/08-newsletter.toml" "etc/test/08-newsletter.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/09-reply-gmail.eml" "etc/test/09-reply-gmail.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/09-reply-gmail.toml" "etc/test/09-reply-gmail.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/10-reply-outlook.eml" "etc/test/10-reply-outlook.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/10-reply-outlook.toml" "etc/test/10-reply-outlook.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/11-forwarded.eml" "etc/test/11-forwarded.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/11-forwarded.toml" "etc/test/11-forwarded.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/12-attachments.eml" "etc/test/12-attachments.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/12-attachments.toml" "etc/test/12-attachments.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/13-one-attachment.eml" "etc/test/13-one-attachment.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/13-one-attachment.toml" "etc/test/13-one-attachment.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/14-program.eml" "etc/test/14-program.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/14-program.toml" "etc/test/14-program.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/15-bounce.eml" "etc/test/15-bounce.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/15-bounce.toml" "etc/test/15-bounce.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/16-vacation.eml" "etc/test/16-vacation.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/16-vacation.toml" "etc/test/16-vacation.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/17-signed.eml" "etc/test/17-signed.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/17-signed.toml" "etc/test/17-signed.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/18-encrypted.eml" "etc/test/18-encrypted.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/18-encrypted.toml" "etc/test/18-encrypted.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/19-dkim.eml" "etc/test/19-dkim.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/19-dkim.toml" "etc/test/19-dkim.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/20-two-classes.eml" "etc/test/20-two-classes.eml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/20-two-classes.toml" "etc/test/20-two-classes.toml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/test/mimicry.toml" "etc/test/mimicry.toml"),
    directory("/usr/share/doc/mimicry/examples/prometheus", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/prometheus/mimicry.rules.yml" "etc/prometheus/mimicry.rules.yml"),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/prometheus/mimicry.test.yml" "etc/prometheus/mimicry.test.yml"),
    directory("/usr/share/doc/mimicry/examples/grafana", 0o755, Owner::Root),
    item!(File 0o644 "/usr/share/doc/mimicry/examples/grafana/mimicry.json" "etc/grafana/mimicry.json"),

    // Last: the user must be there by then.
    directory("/var/lib/mimicry", 0o755, Owner::Root),
    directory("/var/log/mimicry", 0o755, Owner::Root),
    directory("/var/spool/mimicry", 0o755, Owner::Workers),
];
