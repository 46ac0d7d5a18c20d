//! Health checks of the databases that taskq has drivers for, through the facade.

use taskq::{
    Clock,
    scheduler::health::{Cause, Check, Finding, Look, Trust},
};
use taskq_test_support::{RedisServer, TempFolder};

async fn look(kind: &str, target: &str) -> Look {
    let form = serde_json::json!({ "every": "30s", "timeout": "20s", kind: target });
    let check: Check = serde_json::from_value(form).expect("valid");
    taskq::observer(Clock::system()).look(&check, &Trust::Config).await
}

async fn bad(kind: &str, target: &str) -> (Cause, String) {
    match look(kind, target).await.finding {
        Finding::Bad(reason) => (reason.cause(), reason.to_string()),
        other => panic!("bad was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_redis_is_looked_at() {
    let mut server = RedisServer::builder().password("canary").start();
    let url = server.url();
    assert_eq!(look("redis", &url).await.finding, Finding::Well);
    let shown = format!("redis://127.0.0.1:{}", server.port());
    for wrong in [url.replace("canary", "canary-2"), shown.clone()] {
        let (cause, told) = bad("redis", &wrong).await;
        assert_eq!(cause, Cause::Answer, "{told}");
        assert!(told.starts_with(&shown) && !told.contains("canary"), "{told}");
    }
    server.kill();
    let (cause, told) = bad("redis", &url).await;
    assert_eq!(cause, Cause::Connection, "{told}");
    assert!(!told.contains("canary") && !told.contains("broker"), "{told}");
}

#[tokio::test]
async fn a_file_is_looked_at() {
    let folder = TempFolder::new();
    let path = folder.file("shop.db");
    let shown = path.display().to_string();
    assert_eq!(bad("sqlite", &shown).await, (Cause::Answer, format!("{shown}: the file does not exist")));
    assert!(!path.exists());
    let connection = taskq::connect(&format!("sqlite://{shown}")).await.expect("opens");
    assert_eq!(look("sqlite", &shown).await.finding, Finding::Well);
    drop(connection);
    std::fs::write(&path, "no database").expect("writes");
    let (cause, told) = bad("sqlite", &shown).await;
    assert_eq!(cause, Cause::Answer);
    assert!(told.contains("not a SQLite database"), "{told}");
}
