//! Leadership: one leads at a time, under a token that only grows.

use std::time::Duration;

use crate::{
    conformance::Stage,
    leader::{CandidateId, Elected, FencingToken, Renewal, Standing},
};

const TERM: Duration = Duration::from_secs(60);

async fn stand(stage: &Stage, candidate: CandidateId) -> Standing {
    stage.connection.leader().stand(candidate, TERM).await.expect("stands")
}

async fn elected(stage: &Stage, candidate: CandidateId) -> Elected {
    match stand(stage, candidate).await {
        Standing::Elected(elected) => elected,
        Standing::Beaten(left) => panic!("somebody leads for {left:?}"),
    }
}

async fn renew(stage: &Stage, candidate: CandidateId, token: FencingToken) -> Renewal {
    stage.connection.leader().renew(candidate, token, TERM).await.expect("answers")
}

async fn resign(stage: &Stage, candidate: CandidateId, token: FencingToken) {
    stage.connection.leader().resign(candidate, token).await.expect("answers");
}

/// While one leads, another is beaten, and told how long at most.
pub async fn only_one_leads(stage: Stage) {
    let [first, second] = [CandidateId::generate(), CandidateId::generate()];
    let before = stage.now().await;
    let lead = elected(&stage, first).await;
    assert_eq!(lead.term, TERM);
    assert!(lead.now >= before && lead.now <= stage.now().await);
    stage.advance(TERM / 4).await;
    let Standing::Beaten(left) = stand(&stage, second).await else { panic!("two lead") };
    assert!(left <= TERM * 3 / 4 && left > TERM / 2, "{left:?}");
    assert_eq!(renew(&stage, second, lead.token).await, Renewal::Lost, "a token is nobody else's");
    resign(&stage, second, lead.token).await;
    assert!(matches!(renew(&stage, first, lead.token).await, Renewal::Renewed(_)));
}

/// Standing again, after an answer was lost, gives the same leadership with a whole term.
pub async fn a_leader_that_stands_again_keeps_its_token(stage: Stage) {
    let [first, second] = [CandidateId::generate(), CandidateId::generate()];
    let lead = elected(&stage, first).await;
    stage.advance(TERM / 2).await;
    assert_eq!(elected(&stage, first).await.token, lead.token);
    stage.advance(TERM * 3 / 4).await;
    assert!(matches!(stand(&stage, second).await, Standing::Beaten(_)));
}

/// A renewal counts from the moment when it arrives.
pub async fn a_renewed_term_goes_on(stage: Stage) {
    let [first, second] = [CandidateId::generate(), CandidateId::generate()];
    let lead = elected(&stage, first).await;
    for _ in 0..3 {
        stage.advance(TERM * 3 / 4).await;
        let Renewal::Renewed(now) = renew(&stage, first, lead.token).await else { panic!("lost") };
        assert!(now > lead.now);
    }
    assert!(matches!(stand(&stage, second).await, Standing::Beaten(_)));
}

/// Even if nobody else leads, a late renewal comes too late.
pub async fn a_term_that_is_over_is_not_prolonged(stage: Stage) {
    let first = CandidateId::generate();
    let lead = elected(&stage, first).await;
    stage.advance(TERM + Duration::from_millis(1)).await;
    assert_eq!(renew(&stage, first, lead.token).await, Renewal::Lost);
    assert!(elected(&stage, first).await.token > lead.token, "it is another leadership");
    assert_eq!(renew(&stage, first, lead.token).await, Renewal::Lost, "the old token is none");
}

/// A candidate takes over when the term of a leader that died has ended, and not before.
pub async fn a_dead_leader_is_followed_when_its_term_ends(stage: Stage) {
    let [dead, next] = [CandidateId::generate(), CandidateId::generate()];
    let lead = elected(&stage, dead).await;
    let Standing::Beaten(left) = stand(&stage, next).await else { panic!("two lead") };
    stage.advance(left + Duration::from_millis(1)).await;
    let follows = elected(&stage, next).await;
    assert!(follows.token > lead.token);
    assert_eq!(renew(&stage, dead, lead.token).await, Renewal::Lost);
    resign(&stage, dead, lead.token).await;
    assert!(matches!(stand(&stage, dead).await, Standing::Beaten(_)), "the dead one resigned for itself alone");
}

/// Who resigns is followed at once, and repeating it harms nobody.
pub async fn resigning_hands_over_at_once(stage: Stage) {
    let [first, second] = [CandidateId::generate(), CandidateId::generate()];
    let lead = elected(&stage, first).await;
    resign(&stage, first, lead.token).await;
    assert_eq!(renew(&stage, first, lead.token).await, Renewal::Lost);
    let follows = elected(&stage, second).await;
    assert!(follows.token > lead.token);
    resign(&stage, first, lead.token).await;
    assert!(matches!(renew(&stage, second, follows.token).await, Renewal::Renewed(_)));
}

/// Whoever the candidates are, and however each leadership ended.
pub async fn tokens_only_grow(stage: Stage) {
    let mut last = FencingToken::default();
    for round in 0..6 {
        let candidate = CandidateId::generate();
        let lead = elected(&stage, candidate).await;
        assert!(lead.token > last, "{} after {last}", lead.token);
        last = lead.token;
        match round % 2 {
            0 => resign(&stage, candidate, lead.token).await,
            _ => stage.advance(TERM + Duration::from_millis(1)).await,
        }
    }
}

/// A follower that waits is told of a resignation before the term would end.
pub async fn a_resignation_wakes_who_waits(stage: Stage) {
    let [first, second] = [CandidateId::generate(), CandidateId::generate()];
    let lead = elected(&stage, first).await;
    let other = stage.connection.open_another().await.expect("opens");
    let waiting = tokio::spawn(async move { other.leader().vacated(TERM).await });
    stage.advance(Duration::from_millis(10)).await;
    resign(&stage, first, lead.token).await;
    let before = stage.now().await;
    stage.finish(waiting).await.expect("waits");
    assert!(stage.now().await.since(before) < TERM / 2);
    elected(&stage, second).await;
}

/// Waiting ends by itself: at once while nobody leads, with the term, and with its bound.
pub async fn waiting_for_a_vacancy_ends(stage: Stage) {
    let leader = stage.connection.leader();
    leader.vacated(TERM).await.expect("nobody leads");
    let short = Duration::from_millis(200);
    leader.stand(CandidateId::generate(), short).await.expect("stands");
    let (leader, other) = (leader.clone(), leader.clone());
    stage.finish(tokio::spawn(async move { leader.vacated(TERM).await })).await.expect("waits for the term");
    elected(&stage, CandidateId::generate()).await;
    stage.finish(tokio::spawn(async move { other.vacated(short).await })).await.expect("waits for the bound");
    assert!(matches!(stand(&stage, CandidateId::generate()).await, Standing::Beaten(_)));
}

/// People are told who leads, and that nobody does.
pub async fn the_incumbent_is_told(stage: Stage) {
    let leader = stage.connection.leader();
    assert_eq!(leader.incumbent().await.expect("looks"), None);
    let candidate = CandidateId::generate();
    let Standing::Elected(elected) = leader.stand(candidate, TERM).await.expect("stands") else {
        panic!("nobody else stands");
    };
    let incumbent = leader.incumbent().await.expect("looks").expect("one leads");
    assert_eq!((incumbent.candidate, incumbent.token), (candidate, elected.token));
    assert!(incumbent.ends_in <= TERM && !incumbent.ends_in.is_zero(), "{incumbent:?}");
    stage.advance(TERM + Duration::from_millis(10)).await;
    assert_eq!(leader.incumbent().await.expect("looks"), None);
    let Standing::Elected(elected) = leader.stand(candidate, TERM).await.expect("stands") else {
        panic!("nobody else stands");
    };
    leader.resign(candidate, elected.token).await.expect("resigns");
    assert_eq!(leader.incumbent().await.expect("looks"), None);
}
