//! What a mail server hears, what a mail has in it, and what is made of refusals.

use serde_json::{Value, json};
use taskq_core::clock::Simulation;
use taskq_scheduler::alert::Notice;

use super::{
    Desk, NASTY, notice, notice_of,
    post_office::{Manners, PostOffice},
};
use crate::{
    certificates::{Authority, acceptor, params},
    world::LONG,
};

/// A mail in clear.
fn plain(office: &PostOffice) -> Value {
    json!({
        "server": format!("smtp://127.0.0.1:{}", office.port), "tls": "none",
        "from": "taskq <taskq@shop.example>", "to": ["ops@shop.example"],
    })
}

fn with(mut email: Value, key: &str, value: impl Into<Value>) -> Value {
    email[key] = value.into();
    email
}

async fn deliver(email: Value, notice: &Notice) {
    Desk::new().deliver(json!({ "email": email }), notice).await.expect("taken");
}

async fn refused(email: Value) -> (String, bool) {
    let (told, is_final, retry_after) = Desk::new().refused(json!({ "email": email })).await;
    assert_eq!(retry_after, None);
    (told.splitn(4, ':').nth(3).expect("who refused").trim_start().to_owned(), is_final)
}

/// A password in a file, with its folder.
fn password(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("password");
    std::fs::write(&path, text).expect("writes");
    (folder, path.display().to_string())
}

#[tokio::test]
async fn a_mail_is_plain_text_with_an_id_of_its_own() {
    let office = PostOffice::open(Manners::default()).await;
    for _ in 0..2 {
        deliver(plain(&office), &notice()).await;
    }
    let expected = ["EHLO [127.0.0.1]", "MAIL FROM:<taskq@shop.example>", "RCPT TO:<ops@shop.example>", "DATA"];
    assert_eq!(office.lines()[..4], expected);
    let letters = office.letters();
    assert_eq!(letters[0], letters[1], "the same id, as it is the same notice");
    let (head, text) = letters[0].split_once("\r\n\r\n").expect("a whole mail");
    for line in [
        "Subject: [taskq] shop is unhealthy",
        "To: ops@shop.example",
        "Auto-Submitted: auto-generated",
        "Date: Tue, 01 Jan 2030 00:00:00 +0000",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(head.lines().any(|found| found == line), "{line}\n{head}");
    }
    assert!(head.contains("From: ") && head.contains("<taskq@shop.example>"), "{head}");
    let id = head.lines().find(|line| line.starts_with("Message-ID: <taskq.")).expect("an id");
    assert!(id.ends_with("@shop.example>"), "{id}");
    let expected = "shop is unhealthy: connection refused\r\n\r\ncheck:   shop\r\nhealth:  unhealthy\r\n\
        since:   2029-12-31T23:59:00Z\r\nat:      2030-01-01T00:00:00Z\r\nreason:  connection refused\r\n\
        label:   team=web\r\nalert:   team-web";
    assert_eq!(text, expected);
    deliver(plain(&office), &Notice { at: taskq_core::Timestamp::from_millis(1), ..notice() }).await;
    assert!(!office.letters()[2].contains(id), "another notice has another id");
}

#[tokio::test]
async fn several_recipients_get_one_mail_with_a_subject_of_ones_own() {
    let office = PostOffice::open(Manners::default()).await;
    let email = with(plain(&office), "to", json!(["ops@shop.example", "Jörg <jorg@shop.example>"]));
    deliver(with(email, "subject", "{{check}} {{labels.team}} süß"), &notice()).await;
    let recipients: Vec<_> = office.lines().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(recipients, ["RCPT TO:<ops@shop.example>", "RCPT TO:<jorg@shop.example>"]);
    assert_eq!(office.letters().len(), 1);
    let letter = &office.letters()[0];
    assert!(letter.contains("To: ops@shop.example, ") && letter.contains("<jorg@shop.example>"), "{letter}");
    assert!(letter.contains("Subject: shop web =?utf-8?b?") && letter.is_ascii(), "{letter}");
}

#[tokio::test]
async fn nothing_of_a_notice_becomes_a_header_or_a_command() {
    let office = PostOffice::open(Manners::default()).await;
    let email = with(plain(&office), "subject", "{{check}} {{reason}} {{labels}}");
    deliver(email.clone(), &notice_of(NASTY)).await;
    deliver(email.clone(), &notice_of("\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n")).await;
    deliver(email.clone(), &notice_of(&"long ".repeat(2_000))).await;
    deliver(email, &notice_of(".")).await;
    let lines = office.lines();
    assert!(lines.len() == 16 && !lines.iter().any(|line| line.contains("evil")), "{lines:?}");
    let known =
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding"];
    assert!(office.letters()[3].contains("\r\n\r\n. is unhealthy: .\r\n"), "a dot at the beginning of a line stays");
    for letter in office.letters() {
        let (head, text) = letter.split_once("\r\n\r\n").expect("a whole mail");
        for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
            let name = line.split(':').next().expect("a name");
            assert!(known.contains(&name), "{line}");
        }
        assert!(letter.is_ascii() && letter.split("\r\n").all(|line| line.len() <= 998), "{letter}");
        assert!(!letter.replace("\r\n", "").contains(['\r', '\n', '\0']), "{letter:?}");
        assert!(!text.contains("\r\n.\r\n"), "{text}");
    }
}

#[tokio::test]
async fn somebody_logs_in_with_a_password_that_is_read_each_time() {
    for (auth, expected) in
        [("PLAIN LOGIN", &["AUTH PLAIN AG1lAHPDvMOf"][..]), ("LOGIN", &["AUTH LOGIN", "bWU=", "c8O8w58="])]
    {
        let office = PostOffice::open(Manners { auth, ..Manners::default() }).await;
        let (_folder, path) = password("süß\n");
        deliver(with(with(plain(&office), "user", "me"), "password_file", path), &notice()).await;
        assert_eq!(office.lines()[1..=expected.len()], *expected);
    }
    let office = PostOffice::open(Manners { auth: "XOAUTH2", ..Manners::default() }).await;
    let email = with(with(plain(&office), "user", "me"), "password_env", "CARGO_PKG_NAME");
    assert_eq!(refused(email.clone()).await, ("it offers neither AUTH PLAIN nor AUTH LOGIN".to_owned(), false));
    let email = with(with(email, "password_env", Value::Null), "password_file", "/no/such/file");
    assert_eq!(refused(email).await, ("the file /no/such/file: entity not found".to_owned(), false));
    let answers = vec![("AUTH", "535 no, canary")];
    let office = PostOffice::open(Manners { auth: "PLAIN", answers, ..Manners::default() }).await;
    let email = with(with(plain(&office), "user", "me"), "password_env", "CARGO_PKG_NAME");
    assert_eq!(refused(email).await, ("it refused the user or password with 535".to_owned(), true));
}

/// A mail by TLS.
fn secret(office: &PostOffice, scheme: &str, ca: Value) -> Value {
    let email = with(plain(office), "server", format!("{scheme}://127.0.0.1:{}", office.port));
    with(with(email, "tls", Value::Null), "ca", ca)
}

#[tokio::test]
async fn a_connection_is_upgraded_before_anything_is_told() {
    let ours = Authority::new();
    let starttls = Some(ours.server(&["127.0.0.1"]));
    let office = PostOffice::open(Manners { starttls, auth: "PLAIN", ..Manners::default() }).await;
    let email = with(with(secret(&office, "smtp", ours.path()), "user", "me"), "password_env", "CARGO_PKG_NAME");
    deliver(email, &notice()).await;
    let begin: Vec<_> = office.lines().into_iter().take(4).map(|line| line[..4].to_owned()).collect();
    assert_eq!(begin, ["EHLO", "STAR", "EHLO", "AUTH"]);
    assert_eq!(office.letters().len(), 1);

    let unknown = "its certificate is signed by nobody who is trusted; name the authority with ca";
    assert_eq!(refused(secret(&office, "smtp", Value::Null)).await, (unknown.to_owned(), false));
    assert_eq!(refused(secret(&office, "smtp", Authority::new().path())).await, (unknown.to_owned(), false));
    assert_eq!(office.letters().len(), 1);
}

#[tokio::test]
async fn a_server_without_starttls_is_told_nothing() {
    let office = PostOffice::open(Manners { auth: "PLAIN", ..Manners::default() }).await;
    let email = with(with(secret(&office, "smtp", Value::Null), "user", "me"), "password_env", "CARGO_PKG_NAME");
    let (told, is_final) = refused(email.clone()).await;
    assert!(told.starts_with("it offers no STARTTLS, and nothing is told in clear") && !is_final, "{told}");
    assert_eq!(office.lines(), ["EHLO [127.0.0.1]"]);
    let answers = vec![("EHLO", "250-post\r\n250 STARTTLS"), ("STARTTLS", "454 not now")];
    let office = PostOffice::open(Manners { answers, ..Manners::default() }).await;
    assert_eq!(refused(secret(&office, "smtp", Value::Null)).await, ("it refused STARTTLS with 454".to_owned(), false));
    // Somebody on the way adds answers that would be taken for the server's after TLS.
    let answers = vec![("EHLO", "250-post\r\n250 STARTTLS"), ("STARTTLS", "220 go ahead\r\n250 AUTH PLAIN")];
    let office = PostOffice::open(Manners { answers, ..Manners::default() }).await;
    let told = refused(secret(&office, "smtp", Value::Null)).await;
    assert_eq!(told, ("it said more before TLS than it may".to_owned(), false));
}

#[tokio::test]
async fn smtps_is_tls_from_the_beginning() {
    let ours = Authority::new();
    let smtps = Some(ours.server(&["127.0.0.1"]));
    let office = PostOffice::open(Manners { smtps, ..Manners::default() }).await;
    deliver(secret(&office, "smtps", ours.path()), &notice()).await;
    assert_eq!((office.lines()[0].as_str(), office.letters().len()), ("EHLO [127.0.0.1]", 1));
    let key = rcgen::KeyPair::generate().expect("a key");
    let own_word = params(&["127.0.0.1"]).self_signed(&key).expect("signs");
    let smtps = Some(acceptor(own_word, &key));
    let stranger = PostOffice::open(Manners { smtps, ..Manners::default() }).await;
    let (told, is_final) = refused(secret(&stranger, "smtps", ours.path())).await;
    assert!(told.contains("signed by nobody who is trusted") && !is_final, "{told}");
    let in_clear = PostOffice::open(Manners::default()).await;
    let (told, is_final) = refused(secret(&in_clear, "smtps", ours.path())).await;
    assert!(told.starts_with("TLS failed") && !is_final, "{told}");
}

#[tokio::test]
async fn a_refusal_is_final_if_the_server_says_so() {
    for (said, answer, expected) in [
        ("", "554 canary", ("it refused the connection with 554", true)),
        ("", "421 canary", ("it refused the connection with 421", false)),
        ("EHLO", "502 canary", ("it refused EHLO with 502", true)),
        ("MAIL", "451 canary", ("it refused the sender with 451", false)),
        ("MAIL", "553 canary", ("it refused the sender with 553", true)),
        ("RCPT", "550 canary", ("it refused the recipient with 550", true)),
        ("RCPT", "450-canary\r\n450 canary", ("it refused the recipient with 450", false)),
        ("DATA", "554 canary", ("it refused DATA with 554", true)),
        (".", "452 canary", ("it refused the mail with 452", false)),
        (".", "554 canary", ("it refused the mail with 554", true)),
        ("MAIL", "canary", ("it answers with what is no SMTP", false)),
        ("MAIL", "999 canary", ("it answers with what is no SMTP", false)),
        ("MAIL", "", ("it answers with what is no SMTP", false)),
    ] {
        let office = PostOffice::open(Manners { answers: vec![(said, answer)], ..Manners::default() }).await;
        let told = refused(plain(&office)).await;
        assert_eq!(told, (expected.0.to_owned(), expected.1), "{said} {answer}");
    }
    let long: &'static str = "250 ".repeat(1_000).leak();
    let endless: &'static str = "250-canary\r\n".repeat(200).leak();
    for (answer, expected) in [(long, "its answer has a line that is too long"), (endless, "its answer does not end")] {
        let office = PostOffice::open(Manners { answers: vec![("EHLO", answer)], ..Manners::default() }).await;
        assert_eq!(refused(plain(&office)).await, (expected.to_owned(), false));
    }
}

#[tokio::test]
async fn one_who_is_refused_does_not_keep_the_mail_from_others() {
    let to = json!(["one@a.example", "two@a.example", "three@a.example"]);
    for (answers, expected, letters) in [
        (
            vec![("RCPT TO:<two", "550 no")],
            ("it refused 1 of 3 recipients, the first with 550; the others have the mail", true),
            1,
        ),
        (
            vec![("RCPT TO:<one", "450 no"), ("RCPT TO:<three", "550 no")],
            ("it refused 2 of 3 recipients, the first with 450; the others have the mail", false),
            1,
        ),
        (vec![("RCPT", "550 no")], ("it refused all 3 recipients, the first with 550", true), 0),
    ] {
        let office = PostOffice::open(Manners { answers, ..Manners::default() }).await;
        let told = refused(with(plain(&office), "to", to.clone())).await;
        assert_eq!(told, (expected.0.to_owned(), expected.1));
        assert_eq!(office.letters().len(), letters);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = format!("smtp://{}", listener.local_addr().expect("bound"));
    let email = json!({ "server": server, "tls": "none", "from": "a@a.example", "to": ["b@a.example"] });
    let desk = Desk::new();
    let simulation: Simulation = desk.simulation.clone();
    let silence = tokio::spawn(async move {
        let accepted = listener.accept().await.expect("accepts");
        simulation.advance(LONG).await;
        accepted
    });
    let told = desk.refused(json!({ "email": email })).await;
    assert_eq!(told, ("not done within 1m: the server was silent".to_owned(), false, None));
    silence.await.expect("ends");
}
