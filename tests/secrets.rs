//! No secret is ever shown: one run of everything that can go right and wrong, with a canary for each secret, and a search
//! for the canaries in all that was logged, printed, told in errors, shown by `Debug`, and kept by the broker.

use std::{
    fmt::Debug,
    io::Write,
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use taskq::{
    Connection, EncryptionKey, Invocation, KeyBytes, KeyRing, QueueName, SigningKey, Unique, WorkerId, config::Config,
    prelude::*,
};
use taskq_core::{
    broker::{Ending, Settlement},
    id::{BatchId, ClaimNumber, DeliveryToken, Owner},
};
use taskq_test_support::{Persistence, RedisServer, TempFolder, example_program};

const PASSWORD: &str = "canary-password-1f9c";
const ARGUMENT: &str = "canary-argument-77aa";
const RESULT: &str = "canary-result-e2d0";
const KEY: &[u8; 32] = b"canary-key-material-of-32-bytes!";
/// The key as it stands in files and variables.
const KEY_TEXT: &str = "Y2FuYXJ5LWtleS1tYXRlcmlhbC1vZi0zMi1ieXRlcyE=";
const KEY_HEX: &str = "63616e6172792d6b65792d6d6174657269616c2d6f662d33322d627974657321";

const LONG: Duration = Duration::from_secs(60);

#[task]
async fn returns_a_secret(text: String) -> String {
    assert_eq!(text, ARGUMENT);
    RESULT.to_owned()
}

#[task(retry = Retry::fixed(Duration::from_millis(1)).attempts(2))]
async fn succeeds_at_last(ctx: &Context, text: String) -> TaskResult<String> {
    match ctx.attempt() {
        1 => Err("not yet".into()),
        _ => Ok(text),
    }
}

#[task(retry = Retry::fixed(Duration::from_millis(1)).attempts(2))]
async fn fails_for_good(ctx: &Context, text: String) -> TaskResult<()> {
    see(ctx);
    Err(format!("{} letters are too many", text.len()).into())
}

#[task(retry = Retry::never())]
async fn panics(text: String) {
    panic!("{} letters", text.len());
}

#[task]
async fn wants_a_number(number: u64) -> u64 {
    number
}

/// Everything that was logged, printed, told or shown.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

static SHOWN: std::sync::OnceLock<Shown> = std::sync::OnceLock::new();

impl Shown {
    /// Begins to catch what is logged at any level, and panics.
    fn catch() -> &'static Self {
        let shown = SHOWN.get_or_init(Self::default);
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        log.with_writer(|| SHOWN.get().expect("set above").clone()).try_init().expect("the only subscriber");
        std::panic::set_hook(Box::new(|panic| {
            // A failed test has to be seen as well.
            eprintln!("{panic}");
            see(panic);
        }));
        shown
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Shows a value as people show it when they look for a mistake.
fn see(value: impl Debug) {
    if let Some(shown) = SHOWN.get() {
        writeln!(shown.clone(), "{value:?} {value:#?}").expect("memory");
    }
}

/// Shows an error in every way, with its causes.
fn see_error(error: &(dyn std::error::Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        see(error);
        see(error.to_string());
        next = error.source();
    }
}

fn keys() -> KeyRing {
    let signing = SigningKey::ed25519("s1", KeyBytes::new(*KEY)).expect("valid");
    let signing_too = SigningKey::hmac_sha256("s2", KeyBytes::from_base64(KEY_TEXT).expect("valid")).expect("valid");
    let encryption = EncryptionKey::xchacha20_poly1305("e1", KeyBytes::new(*KEY)).expect("valid");
    see((&signing, &signing_too, signing.verifying_key(), signing_too.verifying_key(), &encryption));
    see(KeyBytes::new(*KEY));
    KeyRing::new().sign_with(signing).verify_with(signing_too).encrypt_with(encryption)
}

/// Success, failure, panic, retry, dead letters of every kind, bulk, unique, cancel: once each.
async fn play(connection: &Connection) {
    see(connection);
    see(connection.broker());
    let worker = Worker::builder(connection.clone());
    see(&worker);
    let worker = worker.start().await.expect("starts");
    let client = connection.client();
    see((&worker, &client));
    let text = || ARGUMENT.to_owned();

    let invocation = returns_a_secret::with(text()).unique(Unique::by_args());
    see(&invocation);
    see(invocation.payload());
    let succeeds = client.enqueue(invocation).await.expect("enqueues");
    assert_eq!(succeeds.wait(LONG).await.expect("succeeds"), RESULT);
    see(&succeeds);
    see(succeeds.snapshot().await.expect("answers"));
    let of_another_type = client.handle::<wants_a_number>(succeeds.id()).wait(LONG).await.expect_err("is text");
    see_error(&of_another_type);

    let retried = client.enqueue(succeeds_at_last::with(text())).await.expect("enqueues");
    assert_eq!(retried.wait(LONG).await.expect("succeeds"), ARGUMENT);
    let fails = client.enqueue(fails_for_good::with(text())).await.expect("enqueues");
    see_error(&fails.wait(LONG).await.expect_err("fails"));
    let panics = client.enqueue(panics::with(text())).await.expect("enqueues");
    see_error(&panics.wait(LONG).await.expect_err("panics"));
    let named = client.enqueue_named("wants_a_number", &serde_json::json!({ "number": ARGUMENT })).await;
    see_error(&named.expect("enqueues").wait::<u64>(LONG).await.expect_err("does not decode"));
    let unknown = client.enqueue_named("from_the_future", &serde_json::json!({ "text": ARGUMENT })).await;
    see(unknown.expect("enqueues").state().await.expect("answers"));
    let delayed = client.enqueue(returns_a_secret::with(text()).delay(LONG)).await.expect("enqueues");
    see(delayed.snapshot().await.expect("answers"));
    see(delayed.cancel().await.expect("answers"));

    let too_large = Invocation::named("returns_a_secret", &serde_json::json!({ "text": ARGUMENT.repeat(20_000) }));
    see_error(&client.enqueue(too_large.clone()).await.expect_err("too large"));
    let some = client.enqueue_all([returns_a_secret::with(text()).erased(), too_large]).await.expect_err("too large");
    see(&some);
    see(&some.uncertain);
    see_error(&some.error);

    for letter in connection.inspect().dead_letters(&queue(), None, 99).await.expect("lists") {
        see(&letter);
    }
    let mut envelope = returns_a_secret::with(text()).into_envelope().expect("valid");
    see(&envelope);
    envelope.payload = taskq::Payload::from_json("test", &format!("\"{ARGUMENT}\""), 99).expect("json");
    let ending = Ending::Succeeded(envelope.payload.clone());
    see(Settlement { token: DeliveryToken(1), envelope: Arc::new(envelope.clone()), ending });
    if let Some(keys) = connection.keys() {
        see(keys);
        // Altered on its way: its arguments stand open, as whoever altered it wished.
        keys.seal(&mut envelope).expect("seals");
        envelope.priority = 9;
        let (queue, batch) = (queue(), BatchId::generate());
        let smuggled = connection.broker().enqueue(&queue, batch, std::slice::from_ref(&envelope)).await;
        smuggled.expect("enqueues");
        see_error(&client.handle::<returns_a_secret>(&envelope.id).wait(LONG).await.expect_err("is untrusted"));
    }
    let nobody = Owner { worker: WorkerId::generate(), term: 0 };
    see_error(&connection.broker().claim(nobody, &queue(), 1, ClaimNumber(1)).await.expect_err("has no lease"));
    worker.drain();
    see(worker.ended().await);
}

fn queue() -> QueueName {
    QueueName::new("default").expect("valid")
}

/// Every way to fail before there is a connection.
async fn fail_to_connect(server: &RedisServer, folder: &TempFolder) {
    let port = server.port();
    for url in [
        format!("redis://me:{PASSWORD}@127.0.0.1:1/0"),
        format!("redis://me:{PASSWORD}-wrong@127.0.0.1:{port}/0"),
        format!("redis://somebody:{PASSWORD}@127.0.0.1:{port}/0"),
        format!("redis://me:{PASSWORD}@127.0.0.1:{port}/nothing"),
        format!("redis://me:{PASSWORD}@127.0.0.1:{port}/0?namespce=a"),
        format!("redis://me:{PASSWORD}@127.0.0.1:{port}/0?namespace=a:b"),
        format!("redis://me:{PASSWORD}@ not a host"),
        format!("redis://me:?{PASSWORD}@127.0.0.1:{port}/0"),
        format!("redis://me:#{PASSWORD}@127.0.0.1:{port}/0"),
        format!("redis://me:/{PASSWORD}@127.0.0.1:{port}/0"),
        format!("rediss://me:{PASSWORD}@127.0.0.1:{port}/0?ca=/does/not/exist"),
        format!("redis:me:{PASSWORD}@127.0.0.1:{port}"),
        format!("mysql://me:{PASSWORD}@127.0.0.1:{port}"),
        format!("me:{PASSWORD}@127.0.0.1:{port}"),
    ] {
        see_error(&taskq::connect(&url).await.expect_err("not a connection"));
        let config = Config::from_parts(None, [("TASKQ__BROKER__URL".to_owned(), url)]).expect("valid");
        see((&config, config.explain()));
    }
    let wrong_files = [
        format!("[broker]\nurl = [\"redis://me:{PASSWORD}@host\"]\n"),
        format!("[security.keys]\na = \"{KEY_TEXT}\"\n"),
        format!("[security.keys]\na = {{ algorithm = \"hmac-sha256\", secret = \"{KEY_TEXT}\" }}\n"),
        format!("[security]\nsign_with = [\"{KEY_TEXT}\"]\n"),
    ];
    for file in wrong_files {
        see_error(&Config::from_parts(Some(("taskq.toml".into(), file)), []).expect_err("refused"));
    }
    let short = folder.file("short.key");
    std::fs::write(&short, &KEY_TEXT[..40]).expect("writes");
    see_error(&KeyBytes::from_file(short).expect_err("too short"));
    see_error(&KeyBytes::from_base64(&format!("{KEY_TEXT}{KEY_TEXT}")).expect_err("too long"));
}

/// What the one-line main prints of a configuration with a password and keys.
fn run_the_program(server: &RedisServer, folder: &TempFolder) {
    std::fs::write(folder.file("s1.key"), KEY_TEXT).expect("writes");
    let file = "[security]\nsign_with = \"s1\"\nencrypt_with = \"e1\"\nrequire_signature = true\n[security.keys]\n\
        s1 = { algorithm = \"hmac-sha256\", file = \"s1.key\" }\ne1 = { algorithm = \"xchacha20-poly1305\", env = \"E1\" }\n\
        [log]\nfilter = \"trace\"\n";
    std::fs::write(folder.file("taskq.toml"), file).expect("writes");
    let arguments = format!("{{\"path\": \"{ARGUMENT}\"}}");
    for (arguments, password) in [
        (["check"].as_slice(), PASSWORD),
        (&["check"], "canary-password-1f9c-wrong"),
        (&["enqueue", "index_file", &arguments], PASSWORD),
    ] {
        let mut program = Command::new(example_program("index_files"));
        let url = format!("redis://me:{password}@127.0.0.1:{}/0?namespace=program", server.port());
        program.args(arguments).current_dir(folder.path()).env_remove("RUST_LOG").env("TASKQ__BROKER__URL", url);
        let output = program.env("E1", KEY_TEXT).output().expect("the example was built and starts");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), password == PASSWORD, "{text}");
        see(text);
    }
}

/// The bytes of every file below a folder.
fn files_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let entry = entry.expect("readable");
        let kind = entry.file_type().expect("readable");
        if kind.is_dir() {
            bytes.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            bytes.extend(std::fs::read(entry.path()).expect("readable"));
        }
    }
    bytes
}

fn holds(bytes: &[u8], canary: &[u8]) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary)
}

fn assert_holds_none(what: &str, bytes: &[u8], canaries: &[&[u8]]) {
    for canary in canaries {
        let found = bytes.windows(canary.len()).position(|window| window == *canary);
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(300)..(at + 100).min(bytes.len())];
            panic!("{} is {what}: ..{}..", String::from_utf8_lossy(canary), String::from_utf8_lossy(around));
        }
    }
}

const SECRETS: [&[u8]; 4] = [PASSWORD.as_bytes(), KEY, KEY_TEXT.as_bytes(), KEY_HEX.as_bytes()];
const TEXTS: [&[u8]; 2] = [ARGUMENT.as_bytes(), RESULT.as_bytes()];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_shown_told_or_kept() {
    let shown = Shown::catch();
    let server = || {
        let user = RedisServer::builder().persistence(Persistence::AppendAlways);
        user.user("me", PASSWORD, "~* &* +@all").start()
    };
    let (open_server, sealed_server) = (server(), server());
    let (open_folder, sealed_folder, config_folder) = (TempFolder::new(), TempFolder::new(), TempFolder::new());
    // An append-only file has every write that ever was.
    let written = |server: &RedisServer| {
        let folder = server.command(&["CONFIG", "GET", "dir"]).array()[1].text().to_owned();
        files_below(Path::new(&folder))
    };
    for (server, folder, keys) in [(&open_server, &open_folder, None), (&sealed_server, &sealed_folder, Some(keys()))] {
        for url in [format!("sqlite://{}", folder.file("taskq.db").display()), server.url()] {
            assert_eq!(url.contains(PASSWORD), url.starts_with("redis"));
            let connection = taskq::connect(&url).await.expect("connects");
            match &keys {
                Some(keys) => play(&connection.with_keys(keys.clone())).await,
                None => play(&connection).await,
            }
        }
    }
    fail_to_connect(&open_server, &config_folder).await;
    run_the_program(&sealed_server, &config_folder);

    tracing::trace!("logged at the lowest level");
    // What this test looks at would show the canaries if they were there.
    let text = shown.text();
    for word in [
        "logged at the lowest level",
        "worker started",
        "task is dead",
        "letters are too many",
        "SigningKey(ed25519 s1)",
        "me:***@",
    ] {
        assert!(text.contains(word), "{word} was not caught");
    }
    for kept in [written(&open_server), files_below(open_folder.path())] {
        assert!(TEXTS.iter().all(|canary| holds(&kept, canary)), "without keys, arguments and results stand there");
        assert_holds_none("kept without keys", &kept, &SECRETS);
    }

    assert_holds_none("shown", text.as_bytes(), &SECRETS);
    assert_holds_none("shown", text.as_bytes(), &TEXTS);
    for kept in [written(&sealed_server), files_below(sealed_folder.path())] {
        assert!(holds(&kept, b"returns_a_secret") && holds(&kept, b"taskq-sealed:e1:"));
        assert_holds_none("kept", &kept, &SECRETS);
        // The altered task's arguments were put there in the clear by this test, sealed: they do not show either.
        assert_holds_none("kept", &kept, &TEXTS);
    }
}
