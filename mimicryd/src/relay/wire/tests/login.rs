//! AUTH to scripted next hops. `logging_in` has more than 80 lines: most of them are the table of its cases.

use super::*;

/// AUTH before lettre has the line, and on ours.
#[test]
fn logging_in() {
    const PLAIN: &str = "AUTH PLAIN AG1lAHNlY3JldA==";
    const REPEATED: &str = "451 4.7.8 the next hop refuses our login: 500 5.5.1 its text repeats the login and is not shown";
    let pki = Pki::new();
    for (offer, act, expected, cause, sent) in [
        (
            "AUTH PLAIN LOGIN",
            None,
            "250 2.0.0 taken",
            Cause::Said,
            PLAIN,
        ),
        (
            "AUTH CRAM-MD5 plain",
            None,
            "250 2.0.0 taken",
            Cause::Said,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("535 5.7.8 no\r\n")),
            "451 4.7.8 the next hop refuses our login: 535 5.7.8 no",
            Cause::Login,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("454 4.7.0 later\r\n")),
            "451 4.7.8 the next hop refuses our login: 454 4.7.0 later",
            Cause::Login,
            PLAIN,
        ),
        // T156: it repeats the command, in its own way.
        (
            "AUTH PLAIN",
            Some(say(
                "500 5.5.1 Command unrecognized: \"AUTH PLAIN AG1lAHNlY3JldA==\"\r\n",
            )),
            REPEATED,
            Cause::Login,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say(
                "500-5.5.1 not known:\r\n500 5.5.1 AUTH PLAIN AG1LAHNLY...\r\n",
            )),
            REPEATED,
            Cause::Login,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("334 AG1lAHNlY3JldA==\r\n")),
            "451 4.5.0 the next hop's answer is not understood (AUTH): 334 its text repeats the login",
            Cause::NotUnderstood,
            PLAIN,
        ),
        // What is no success of AUTH is none.
        (
            "AUTH PLAIN",
            Some(say("250 2.0.0 ok\r\n")),
            "451 4.7.8 ",
            Cause::Login,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("334 \r\n")),
            "451 4.5.0 ",
            Cause::NotUnderstood,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(Act::Last(Vec::new())),
            "451 4.4.2 ",
            Cause::Lost,
            PLAIN,
        ),
        ("AUTH GSSAPI", None, "451 4.7.0 ", Cause::Login, ""),
        ("DSN", None, "451 4.7.0 ", Cause::Login, ""),
    ] {
        for scheme in ["smtp", "lmtp", "smtps"] {
            let ehlo = say(&format!("250-hop\r\n250 {offer}\r\n"));
            let act = act.clone();
            let script = script(move |stage| match stage {
                Stage::Ehlo | Stage::NextEhlo => Some(ehlo.clone()),
                Stage::Auth => act.clone(),
                _ => None,
            });
            let tls = match scheme {
                "smtps" => Tls::Implicit(pki.good()),
                _ => Tls::Never,
            };
            let next_hop = Scripted::with(script, tls);
            let route = pki.route(&format!("{scheme}://{}", next_hop.address), Setting::None);
            let route = with_login(route, pki.directory.path());
            let mut pool = pool(&route);
            for _ in 0..2 {
                let answer = deliver(&mut pool, &route);
                let text = answer.reply.to_string();
                assert!(text.starts_with(expected), "{offer} {scheme}: {text}");
                assert_eq!(answer.cause, cause, "{offer} {scheme}: {text}");
            }
            let seen = next_hop.seen();
            let auth: Vec<&String> = seen
                .commands
                .iter()
                .filter(|line| line.starts_with("AUTH"))
                .collect();
            let times = match (sent, cause) {
                ("", _) => 0,
                (_, Cause::Said) => 1,
                _ => 2,
            };
            assert_eq!(
                auth,
                vec![&format!("{sent}\r\n"); times],
                "{offer} {scheme}"
            );
            assert_eq!(seen.dots > 0, cause == Cause::Said, "{offer} {scheme}");
        }
    }
}

#[test]
fn logging_in_by_the_older_dialogue() {
    let directory = tempfile::tempdir().unwrap();
    for (last, expected) in [
        ("235 2.7.0 welcome\r\n", "250 2.0.0 taken"),
        (
            "535 5.7.8 no\r\n",
            "451 4.7.8 the next hop refuses our login: 535 5.7.8 no",
        ),
        (
            "500 5.5.1 what is c2VjcmV0?\r\n",
            "451 4.7.8 the next hop refuses our login: 500 5.5.1 its text repeats",
        ),
        (
            "535 5.7.8 secret is wrong\r\n",
            "451 4.7.8 the next hop refuses our login: 535 5.7.8 its text repeats",
        ),
    ] {
        let next_hop = Scripted::start(script(move |stage| match stage {
            Stage::Ehlo => Some(say("250-hop\r\n250 AUTH LOGIN\r\n")),
            Stage::Auth => Some(say("334 VXNlcm5hbWU6\r\n")),
            Stage::Word("bWU=") => Some(say("334 UGFzc3dvcmQ6\r\n")),
            Stage::Word("c2VjcmV0") => Some(say(last)),
            _ => None,
        }));
        let route = route(&format!("smtp://{}", next_hop.address));
        let route = with_login(route, directory.path());
        let answer = deliver(&mut pool(&route), &route);
        let text = answer.reply.to_string();
        assert!(text.starts_with(expected), "{text}");
    }
}

/// T190: whatever the configuration says, the line is asked again.
/// man: mimicry.toml(5) "A password is told only to a next hop that proves to be the one meant"
#[test]
fn a_password_is_not_sent_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Ours::new(Kind::Tcp, Protocol::Smtp);
    let (next_hop, hop) = {
        let offer = say("250-hop\r\n250 AUTH PLAIN\r\n");
        let scripted = Scripted::start(one_act(Stage::Ehlo, offer));
        let terms = Terms {
            route: &route("smtp://192.0.2.1"),
            protocol: Protocol::Smtp,
            place: ServerAddress::Tcp(scripted.address),
            name: None,
            tls: None,
            patience: Patience::until(None),
        };
        let hop = WireHop::connect(&terms);
        (scripted, hop)
    };
    drop((ours, directory));
    let mut hop = hop.unwrap();
    let answer = hop.login("me", &"secret".into(), false);
    let answer = answer.unwrap_err();
    assert_eq!(answer.cause, Cause::Login);
    assert!(
        answer
            .reply
            .to_string()
            .starts_with("451 4.7.0 the password is not sent")
    );
    assert_eq!(next_hop.seen().commands, ["EHLO client.example\r\n"]);
}
