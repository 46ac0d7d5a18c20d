//! Priority: ten strict levels, 9 first, first in first out within one.

use crate::conformance::Stage;

/// Whatever the order of enqueueing, a higher priority is handed out first, on all ten levels.
pub async fn all_ten_levels_are_strict_with_nine_first(stage: Stage) {
    for priority in [4, 9, 0, 7, 2, 5, 8, 1, 6, 3] {
        stage.enqueue(stage.invocation(u32::from(priority)).priority(priority)).await;
    }
    let claimed = stage.claim(stage.worker().await, 20).await;
    let got: Vec<_> = claimed.iter().map(|claimed| claimed.envelope.priority).collect();
    assert_eq!(got, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
}

/// Tasks of one level keep their order though levels mix.
pub async fn equal_priorities_keep_their_order(stage: Stage) {
    for number in 0..12u32 {
        stage.enqueue(stage.invocation(number).priority(if number % 2 == 0 { 2 } else { 8 })).await;
    }
    let owner = stage.worker().await;
    let mut numbers = Vec::new();
    for _ in 0..12 {
        let payload = stage.claim_one(owner).await.envelope.payload.clone();
        numbers.push(payload.decode::<serde_json::Value>().expect("json")["number"].as_u64().expect("number"));
    }
    assert_eq!(numbers, [1, 3, 5, 7, 9, 11, 0, 2, 4, 6, 8, 10]);
}
