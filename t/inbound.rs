//! Listeners behind other servers: XFORWARD and AUTH= of a trusted client, the PROXY protocol of a load balancer, LMTP, and
//! STARTTLS.

use rustls::pki_types::CertificateDer;

use crate::harness::client::{Client, Gone, stuffed};
use crate::harness::daemon::{OWN_SOCKET, PLAIN, Setup, World, open_directory, open_to_all};
use crate::harness::hop::{Act, Stage};
use crate::harness::{FOOTER, contains};

const BALANCED: &str = "clients = [\"192.0.2.0/24\"]\nproxy_clients = [\"127.0.0.1\"]";

fn with(listen: &str, rules: &str) -> World {
    World::new(Setup {
        listen,
        rules,
        ..Setup::default()
    })
}

/// A connection that begins with these octets.
fn opened(world: &World, first: &[u8]) -> Client {
    let mut client = world.connect();
    client.send(first);
    client
}

fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).expect("a length");
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[0x20 | command, family][..],
        &length.to_be_bytes(),
        addresses,
    ]
    .concat()
}

const FROM_192_0_2_7: &[u8] = &[192, 0, 2, 7, 192, 0, 2, 1, 0x30, 0x39, 0, 25];

// T72
// man: mimicry.toml(5) "From then on the address in the header is the client"
#[test]
fn the_client_behind_a_load_balancer_is_the_one_that_it_names() {
    let rule = "[[rule]]\nname = \"there\"\nplugin = \"disclaim\"\nmatch = { client = \"192.0.2.7\" }\noptions = { text = \"from there\", html = \"from there\" }\n";
    let mut world = with(BALANCED, rule);
    for header in [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 12345 25\r\n".to_vec(),
        version_2(1, 0x11, FROM_192_0_2_7),
    ] {
        let mut client = opened(&world, &header).greeted();
        let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
        assert!(reply.is_done(), "{reply}");
        let message = world.hop.only_mail().message();
        assert!(contains(
            &message,
            b"Received: from client.test ([192.0.2.7])\r\n"
        ));
        assert!(contains(&message, b"from there"));
        world.daemon().logs("client=192.0.2.7 ");
        client.quit();
    }
    // Header and commands in one write, and the header in pieces.
    let mut client = opened(
        &world,
        b"PROXY TCP4 192.0.2.8 192.0.2.1 1 25\r\nEHLO client.test\r\n",
    );
    client.expect(220);
    client.expect(250);
    client.quit();
    let mut client = opened(&world, b"PROXY TC");
    client.send(b"P4 192.0.2.8 192.0.2.1 1 25\r");
    client.send(b"\n");
    client.greeted().quit();
}

// T72
// man: mimicry.toml(5) "A connection of the balancer itself (LOCAL, such as a health check) is always accepted."
#[test]
fn a_load_balancer_may_look_whether_we_are_well() {
    let world = with(BALANCED, "");
    opened(&world, &version_2(0, 0, b"")).greeted().quit();
}

// T72
// man: mimicry.toml(5) "A connection whose header is missing, malformed, longer than 536 octets or not complete
// within 5 seconds is closed without a reply."
#[test]
fn who_must_name_the_client_and_does_not_is_sent_away() {
    let mut world = with(BALANCED, "");
    let long = [FROM_192_0_2_7, &[4, 2, 0], &[0; 512]].concat();
    for first in [
        b"EHLO client.test\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.700 192.0.2.1 1 25\r\n".to_vec(),
        [&b"PROXY "[..], &[b'x'; 200]].concat(),
        version_2(1, 0x11, &long),
        version_2(3, 0x11, FROM_192_0_2_7),
        b"\x16\x03\x01\x02\x00".to_vec(),
    ] {
        let mut client = opened(&world, &first);
        assert_ne!(client.end(), Gone::Silent);
    }
    // One that says nothing.
    assert_eq!(world.connect().end(), Gone::Closed);
    world.daemon().logs("no header of the PROXY protocol");
    // A client that the balancer names is asked as any other is.
    let mut client = opened(&world, b"PROXY TCP4 198.51.100.1 192.0.2.1 1 25\r\n");
    client.expect(554);
    assert!(world.hop.mails().is_empty());
    opened(&world, b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n")
        .greeted()
        .quit();
}

// T72
#[test]
fn a_header_of_the_proxy_protocol_that_nobody_asked_for_is_junk() {
    let world = with("", "");
    let mut client = world.connect();
    client.expect(220);
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25\r\n");
    client.expect(500);
    assert_eq!(client.end(), Gone::Closed);
    let mut client = opened(&world, &version_2(1, 0x11, FROM_192_0_2_7));
    client.expect(220);
    client.expect(500);
    world.alive();
}

// T70
// man: mimicry.toml(5) "then judge that client, for this one mail, and the next hop is told if it offers XFORWARD."
#[test]
fn whom_a_trusted_client_had_the_mail_from_is_judged_for_one_mail() {
    let rule = "[[rule]]\nname = \"there\"\nplugin = \"disclaim\"\nmatch = { client = \"192.0.2.0/24\", helo = '^spike$' }\noptions = { text = \"from there\", html = \"from there\" }\n";
    let mut world = with("xforward_clients = [\"127.0.0.1\"]", rule);
    world.hop.offer(&["XFORWARD NAME ADDR HELO"]);
    let mut client = world.connect();
    client.expect(220);
    let offered = client.says("EHLO client.test", 250);
    assert!(
        offered
            .lines
            .iter()
            .any(|line| line == "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"),
        "{offered}"
    );
    for forwarded in [true, false] {
        if forwarded {
            client.says(
                "XFORWARD NAME=spike+2Eexample.org ADDR=192.0.2.7 PORT=999",
                250,
            );
            client.says("XFORWARD HELO=spike IDENT=4Xy", 250);
        }
        let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
        assert!(reply.is_done(), "{reply}");
        let message = world.hop.only_mail().message();
        assert_eq!(contains(&message, b"from there"), forwarded);
        // The Received field names who spoke to us.
        assert!(contains(
            &message,
            b"Received: from client.test ([127.0.0.1])\r\n"
        ));
    }
    client.quit();
    let lines = world.daemon().mail_lines().join("\n");
    assert!(lines.contains("client=192.0.2.7 "), "{lines}");
    assert!(lines.contains("client=127.0.0.1 "), "{lines}");
    let said: Vec<String> = world.hop.see(|record| {
        let commands = record.commands.iter().map(|(_, line)| line.clone());
        commands
            .filter(|line| line.starts_with("XFORWARD"))
            .collect()
    });
    let said = said.join("\n");
    assert!(
        said.contains("NAME=spike.example.org") && said.contains("ADDR=192.0.2.7"),
        "{said}"
    );
    assert!(
        !said.contains("PORT=") && !said.contains("IDENT="),
        "{said}"
    );
}

// T70
// man: mimicry.toml(5) "From any other client XFORWARD is refused with a 550."
// man: mimicry.toml(5) "from any other client it is refused with a 555."
#[test]
fn nobody_else_is_believed() {
    let world = with("xforward_clients = [\"192.0.2.0/24\"]", "");
    let mut client = world.client();
    client.says("XFORWARD ADDR=192.0.2.7", 550);
    client.says("MAIL FROM:<anna@example.org> AUTH=anna@example.org", 555);
    client.quit();
    world.alive();
}

// T176
// man: mimicry.toml(5) "AUTH= in MAIL of such a client is the filter auth_user; AUTH=<> is nobody."
// man: mimicry.toml(5) "From a client that is only in xforward_clients, AUTH= is accepted and counts as AUTH=<>"
#[test]
fn who_submitted_a_mail_is_what_the_clients_say_who_are_named_for_it() {
    let rules = "[[rule]]\nname = \"anna\"\nplugin = \"disclaim\"\nmatch = { auth_user = '^anna\\+x@' }\noptions = { text = \"by anna\", html = \"by anna\" }\n\
         [[rule]]\nname = \"somebody\"\nplugin = \"disclaim\"\nmatch = { auth_user = '' }\noptions = { text = \"by somebody\", html = \"by somebody\" }\n\
         [[rule]]\nname = \"outside\"\nplugin = \"banner\"\noptions = { text = \"from outside\", own_domains = [\"inside.example\"] }\n\
         [[bank]]\nname = \"anna's\"\nwhen.auth_user = '^anna'\nlimits.recipients = 7\n";
    let elsewhere = "auth_clients = [\"192.0.2.0/24\"]";
    for (listen, may_give, is_believed) in [
        ("auth_clients = [\"127.0.0.1\"]".to_string(), true, true),
        (
            format!("xforward_clients = [\"127.0.0.1\"]\n{elsewhere}"),
            true,
            false,
        ),
        (elsewhere.to_string(), false, false),
    ] {
        let mut world = with(&listen, rules);
        world.hop.offer(&["AUTH PLAIN"]);
        let mut client = world.client();
        let anna = "MAIL FROM:<anna@example.org> AUTH=anna+2Bx@example.org";
        if !may_give {
            client.says(anna, 555);
            continue;
        }
        for (auth, is_anna) in [
            (anna, is_believed),
            ("MAIL FROM:<anna@example.org> AUTH=<>", false),
            ("MAIL FROM:<anna@example.org> AUTH=+3C+3E", false),
            ("MAIL FROM:<anna@example.org>", false),
        ] {
            client.says(auth, 250);
            client.says("RCPT TO:<bob@example.net>", 250);
            let reply = client.data(PLAIN);
            assert!(reply.is_done(), "{reply}");
            let message = world.hop.only_mail().message();
            assert_eq!(contains(&message, b"by anna"), is_anna, "{listen} {auth}");
            assert_eq!(
                contains(&message, b"by somebody"),
                is_anna,
                "{listen} {auth}"
            );
            assert_eq!(
                contains(&message, b"from outside"),
                !is_anna,
                "{listen} {auth}"
            );
        }
        client.quit();
        let lines = world.daemon().mail_lines();
        let of_anna = |line: &&String| line.contains(" bank=base/anna's ");
        assert_eq!(
            lines.iter().filter(of_anna).count(),
            usize::from(is_believed),
            "{lines:?}"
        );
        // The next hop, which takes AUTH=, is told no more than we believe.
        let told = world
            .hop
            .count("MAIL FROM:<anna@example.org> AUTH=anna+2Bx");
        assert_eq!(told > 0, is_believed);
    }
}

// T74
// man: mimicryd(8) "On an LMTP listener each recipient has a reply of its own"
#[test]
fn an_lmtp_client_hears_what_became_of_each_recipient() {
    let world = with("protocol = \"lmtp\"", FOOTER);
    let mut client = world.connect();
    client.expect(220);
    client.says("EHLO client.test", 500);
    client.says("LHLO client.test", 250);
    // The second class is refused, and only its recipient hears so.
    world.hop.behave(|moment| match moment.stage {
        Stage::Dot if moment.nth == 2 => Act::Say(b"550 5.7.1 not for you\r\n".to_vec()),
        _ => Act::Normal,
    });
    client.envelope(
        "anna@example.org",
        &["bob@example.net", "in@inside.example", "carl@example.net"],
    );
    client.says("DATA", 354);
    client.send(&stuffed(PLAIN));
    let replies: Vec<u16> = (0..3).map(|_| client.reply().code).collect();
    assert_eq!(replies, [250, 550, 250]);
    client.says("NOOP", 250);
    client.quit();
    let mails = world.hop.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        mails[0].recipients(),
        ["bob@example.net", "carl@example.net"]
    );
    assert!(contains(&mails[0].message(), b" with LMTP id "));
}

// T48
// man: mimicry.toml(5) "The master reads certificate and key, at the start and on reload."
#[test]
fn starttls() {
    let made = rcgen::generate_simple_self_signed(vec!["mx.example.org".into()]).expect("a key");
    let directory = tempfile::tempdir().expect("a directory");
    open_to_all(directory.path());
    let (cert, key) = (
        directory.path().join("c.pem"),
        directory.path().join("k.pem"),
    );
    std::fs::write(&cert, made.cert.pem()).expect("a certificate");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a key");
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, only_mine).expect("permissions");
    let authority = CertificateDer::from(made.cert.der().to_vec());
    let listen = format!(
        "tls_cert = \"{}\"\ntls_key = \"{}\"",
        cert.display(),
        key.display()
    );
    let world = with(&listen, FOOTER);
    let offers = |client: &mut Client| {
        let reply = client.says("EHLO client.test", 250);
        reply.lines.iter().any(|line| line == "STARTTLS")
    };
    let mut client = world.connect();
    client.expect(220);
    assert!(offers(&mut client));
    client.says("MAIL FROM:<mallory@example.com>", 250);
    client.says("RCPT TO:<victim@example.net>", 250);
    client.says("STARTTLS", 220);
    let mut client = client.secured("mx.example.org", &authority);
    // What was said in the clear is forgotten, and TLS is not offered twice.
    client.says("MAIL FROM:<anna@example.org>", 503);
    assert!(!offers(&mut client));
    client.says("STARTTLS", 503);
    let large = [
        PLAIN,
        &b"0123456789 0123456789 0123456789\r\n".repeat(20_000),
    ]
    .concat();
    for message in [PLAIN, &large] {
        let reply = client.mail("anna@example.org", &["bob@example.net"], message);
        assert!(reply.is_done(), "{reply}");
        let arrived = world.hop.only_mail();
        assert!(contains(&arrived.message(), b" with ESMTPS id "));
        assert!(world.untraced(&arrived).starts_with(PLAIN));
    }
    client.quit();
    // Commands behind STARTTLS in the same write are not run, neither before TLS nor in it.
    let mut client = world.client();
    client.send(b"STARTTLS\r\nMAIL FROM:<mallory@example.com>\r\nRCPT TO:<victim@example.net>\r\n");
    client.expect(220);
    let mut client = client.secured("mx.example.org", &authority);
    client.says("EHLO client.test", 250);
    client.says("RCPT TO:<bob@example.net>", 503);
    client.quit();
    // One that breaks off as TLS begins does no harm.
    let mut client = world.client();
    client.says("STARTTLS", 220);
    client.send(b"EHLO again\r\n");
    client.vanish();
    world.alive();
    assert!(world.hop.see(|record| {
        record
            .commands
            .iter()
            .all(|(_, line)| !line.contains("mallory") || line.starts_with("MAIL"))
    }),);
}

// man: mimicry.toml(5) "On a unix socket the permissions of the file decide."
#[test]
fn listeners_on_unix_sockets() {
    let (_directory, path) = open_directory();
    let listeners = format!(
        "{FOOTER}\n[[listen]]\nname = \"u\"\naddress = \"unix:{0}/smtp\"\nclients = []\n\n[[listen]]\nname = \"l\"\naddress = \"unix:{0}/lmtp\"\nprotocol = \"lmtp\"\n",
        path.display()
    );
    let mut world = World::new(Setup {
        rules: &listeners,
        shell: OWN_SOCKET,
        ..Setup::default()
    });
    let mut client = Client::connect_unix(&path.join("smtp")).greeted();
    let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
    assert!(reply.is_done(), "{reply}");
    client.quit();
    let message = world.hop.only_mail().message();
    assert!(contains(&message, b"Received: from client.test\r\n"));
    assert!(contains(&message, b"registered in Exampleton"));
    let mut client = Client::connect_unix(&path.join("lmtp"));
    client.expect(220);
    client.says("LHLO client.test", 250);
    client.envelope(
        "anna@example.org",
        &["bob@example.net", "in@inside.example"],
    );
    client.says("DATA", 354);
    client.send(&stuffed(PLAIN));
    assert!(client.reply().is_done() && client.reply().is_done());
    client.quit();
    assert_eq!(world.hop.mails().len(), 2);
    world.daemon().logs(" client=unix listener=l ");
}

/// Who may open the socket is whom the permissions of its file let in: the listener can name them.
// T204
// man: mimicry.toml(5) "unix in the list stands for the clients of a unix socket. They have no address; the permissions of
// the socket's file decide who they are."
#[test]
fn the_clients_of_a_unix_socket_can_be_believed() {
    let (_directory, path) = open_directory();
    let listeners = format!(
        "[[listen]]\nname = \"u\"\naddress = \"unix:{0}/smtp\"\nxforward_clients = [\"unix\"]\nauth_clients = \"unix\"\n\n\
         [[listen]]\nname = \"p\"\naddress = \"unix:{0}/proxied\"\nclients = [\"192.0.2.0/24\"]\nproxy_clients = [\"unix\"]\n\n\
         [[listen]]\nname = \"n\"\naddress = \"unix:{0}/nobody\"\nxforward_clients = [\"0.0.0.0/0\", \"::/0\"]\n\n\
         [[rule]]\nname = \"there\"\nplugin = \"disclaim\"\nmatch = {{ client = \"192.0.2.0/24\" }}\noptions = {{ text = \"from there\", html = \"from there\" }}\n",
        path.display()
    );
    let mut world = World::new(Setup {
        rules: &listeners,
        shell: OWN_SOCKET,
        ..Setup::default()
    });
    let mut client = Client::connect_unix(&path.join("smtp")).greeted();
    client.says("XFORWARD NAME=spike ADDR=IPv6:fe80::1%eth0", 250);
    client.says("XFORWARD ADDR=192.0.2.7", 250);
    client.says("MAIL FROM:<anna@example.org> AUTH=anna", 250);
    client.says("RCPT TO:<bob@example.net>", 250);
    assert!(client.data(PLAIN).is_done());
    client.quit();
    assert!(contains(&world.hop.only_mail().message(), b"from there"));
    world.daemon().logs(" client=192.0.2.7 listener=u ");
    let mut client = Client::connect_unix(&path.join("proxied"));
    client.send(b"PROXY TCP4 192.0.2.8 192.0.2.1 12345 25\r\n");
    let mut client = client.greeted();
    assert!(
        client
            .mail("anna@example.org", &["bob@example.net"], PLAIN)
            .is_done()
    );
    client.quit();
    assert!(contains(&world.hop.only_mail().message(), b"from there"));
    world.daemon().logs(" client=192.0.2.8 listener=p ");
    // Networks name no client of a unix socket.
    let mut client = Client::connect_unix(&path.join("nobody")).greeted();
    client.says("XFORWARD ADDR=192.0.2.7", 550);
    client.says("MAIL FROM:<anna@example.org> AUTH=anna", 555);
    client.quit();
}

// T204
// man: mimicryd(8) "Commands are read as Postfix reads them: a TAB is a blank, a path may stand without its brackets, and ENVID,
// ORCPT and XFORWARD may be as long as the line. What goes on to the next hop has brackets and blanks."
#[test]
fn commands_are_taken_as_postfix_takes_them() {
    let world = with("xforward_clients = [\"127.0.0.1\"]", "");
    let long = "x".repeat(250);
    let envid = "e".repeat(300);
    let mut client = world.client();
    client.says(
        format!("XFORWARD NAME={long} HELO={long} IDENT={long}"),
        250,
    );
    client.says(
        format!("MAIL\tFROM:anna@example.org\tRET=HDRS \tENVID={envid}"),
        250,
    );
    client.says("RCPT TO: bob@example.net\tNOTIFY=NEVER", 250);
    client.says("RCPT TO:carol@example.net", 250);
    assert!(client.data(PLAIN).is_done());
    client.quit();
    let taken = world.hop.only_mail();
    assert_eq!(
        taken.from,
        format!("<anna@example.org> RET=HDRS ENVID={envid}")
    );
    assert_eq!(
        taken.to,
        ["<bob@example.net> NOTIFY=NEVER", "<carol@example.net>"]
    );
}
