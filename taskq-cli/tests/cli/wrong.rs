//! What somebody types wrongly, and what they are told.

use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_told_with_its_cure() {
    let shop = Shop::open().await;
    for (arguments, code, words) in [
        (&["taks"][..], 2, "unrecognized subcommand 'taks'"),
        (&["tasks", "lst"], 2, "list"),
        (&["tasks", "show", "no-slash"], 2, "no-slash"),
        (&["tasks", "show", "payments/order-1"], 1, "no such task: payments/order-1"),
        (&["tasks", "cancel"], 1, "name tasks by their ids, or say which"),
        (&["tasks", "list", "--state", "redy"], 2, "ready"),
        (&["tasks", "list", "--since", "yesterday"], 2, "write how long ago, as 90s"),
        (&["tasks", "list", "--after", "nonsense"], 1, "--after takes what the page before printed"),
        (&["queues", "pause", "no/such"], 2, "no/such"),
        (&["queues", "purge", "payments"], 1, "Nobody can be asked here; say --yes"),
        (&["workers", "show", "abc"], 1, "no worker or scheduler has an id that ends in \"abc\""),
        (&["workers", "drain", ""], 1, "`workers` lists them"),
        (&["why", "payments/order-1"], 1, ""),
        (&["bench", "--tasks", "0"], 2, "0"),
        (&["completions", "tcsh"], 2, "bash"),
        (&["--url", "sqlite://typo.db", "status"], 1, "there is no such file"),
        (&["--url", "redsi://localhost", "status"], 1, "redis"),
        (&["--url", "redis://127.0.0.1:1", "status"], 1, "127.0.0.1:1"),
    ] {
        let told = shop.refuses(arguments, code);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    assert!(!std::path::Path::new("typo.db").exists());
    assert!(shop.says(&["status"]).contains("nobody leads"), "an empty broker is no mistake");
}
