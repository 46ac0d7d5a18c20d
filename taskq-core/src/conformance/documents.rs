//! Documents: each is changed only by whoever has seen its present version, and a version never comes back.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use crate::{
    broker::memory,
    clock::Clock,
    conformance::Stage,
    connection::Connection,
    control::Purge,
    documents::{Document, DocumentId, DocumentName, Documents, Saved, Version},
    error::{ErrorKind, Result},
    id::{QueueName, WorkerId},
    limits,
    retry::scramble,
};

const MINUTE: Duration = Duration::from_secs(60);

/// How many write at once.
const WRITERS: usize = 4;

fn documents(stage: &Stage) -> &dyn Documents {
    &**stage.connection.documents()
}

fn id(stage: &Stage, name: &str) -> DocumentId {
    DocumentId { queue: stage.queue.clone(), name: DocumentName::new(name).expect("valid") }
}

async fn read(stage: &Stage, name: &str) -> Option<Document> {
    documents(stage).read(&id(stage, name)).await.expect("reads")
}

async fn try_save(stage: &Stage, name: &str, expected: Option<Version>, text: &str) -> Saved {
    documents(stage).save(&id(stage, name), expected, text).await.expect("answers")
}

async fn save(stage: &Stage, name: &str, expected: Option<Version>, text: &str) -> Version {
    match try_save(stage, name, expected, text).await {
        Saved::Applied(version) => version,
        Saved::Changed(present) => panic!("{name} is at {present:?}"),
    }
}

async fn forget(stage: &Stage, name: &str, expected: Version) -> bool {
    documents(stage).forget(&id(stage, name), expected).await.expect("answers")
}

/// Every page, put together.
async fn all(stage: &Stage, count: usize) -> Vec<Document> {
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = page(stage, after.as_ref(), count).await;
        let Some(last) = page.last() else { return listed };
        after = Some(last.id.name.clone());
        listed.extend(page);
    }
}

/// A page, which is in order and goes on after the last.
async fn page(stage: &Stage, after: Option<&DocumentName>, count: usize) -> Vec<Document> {
    let page = documents(stage).list(&stage.queue, after, count).await.expect("lists");
    assert!(page.len() <= count.min(limits::MAX_PAGE));
    let names: Vec<_> = after.into_iter().chain(page.iter().map(|document| &document.id.name)).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    page
}

/// What was saved is read as it was saved, with the broker's time.
pub async fn a_document_is_kept_as_it_was_saved(stage: Stage) {
    assert_eq!(read(&stage, "d").await, None);
    let mut expected = None;
    for text in ["{\"healthy\": \"no\"}\n\u{1F319}\0 %s ' \\", "", "0123456789012345"] {
        stage.advance(MINUTE).await;
        let before = stage.now().await;
        let version = save(&stage, "d", expected, text).await;
        let kept = read(&stage, "d").await.expect("is kept");
        assert_eq!((kept.id.clone(), kept.version, kept.text.as_str()), (id(&stage, "d"), version, text));
        assert!(kept.written_at >= before && kept.written_at <= stage.now().await, "{kept:?}");
        assert_eq!(all(&stage, 9).await, [kept]);
        expected = Some(version);
    }
}

/// Who expects none makes a document, and overwrites none.
pub async fn a_document_is_made_only_where_there_is_none(stage: Stage) {
    assert_eq!(try_save(&stage, "d", Some(Version(1)), "never made").await, Saved::Changed(None));
    assert_eq!(read(&stage, "d").await, None);
    let version = save(&stage, "d", None, "first").await;
    assert_eq!(try_save(&stage, "d", None, "second").await, Saved::Changed(Some(version)));
    assert_eq!(read(&stage, "d").await.expect("is kept").text, "first");
}

/// Who names another version than the present one changes nothing, and hears which it is.
pub async fn what_has_changed_is_not_overwritten(stage: Stage) {
    let first = save(&stage, "d", None, "first").await;
    let second = save(&stage, "d", Some(first), "second").await;
    let kept = read(&stage, "d").await;
    let others = [Some(first), Some(Version(0)), Some(Version(second.0 + 1)), Some(Version(u64::MAX)), None];
    for stale in others {
        assert_eq!(try_save(&stage, "d", stale, "stale").await, Saved::Changed(Some(second)), "{stale:?}");
        assert_eq!(read(&stage, "d").await, kept);
    }
    for stale in others.into_iter().flatten() {
        assert!(!forget(&stage, "d", stale).await, "{stale:?}");
    }
    assert_eq!(read(&stage, "d").await, kept);
}

/// A lost answer is asked for again: nothing is applied twice, and the answer has the version that was made.
pub async fn a_repeated_save_tells_what_it_made(stage: Stage) {
    for _ in 0..2 {
        let before = read(&stage, "d").await.map(|document| document.version);
        let version = save(&stage, "d", before, "text").await;
        assert_eq!(try_save(&stage, "d", before, "text").await, Saved::Changed(Some(version)));
        assert_eq!(read(&stage, "d").await.expect("is kept").version, version);
    }
}

/// A version is greater than all before it in its queue, whatever was forgotten meanwhile: who was away for long and
/// remembers one of a former document of the name changes nothing.
pub async fn versions_grow_and_never_come_back(stage: Stage) {
    let mut seen: Vec<Version> = Vec::new();
    for round in 0..5 {
        for name in ["d", "e"] {
            let made = save(&stage, name, None, "made").await;
            let replaced = save(&stage, name, Some(made), "replaced").await;
            seen.extend([made, replaced]);
            assert!(seen.is_sorted_by(|earlier, later| earlier < later), "round {round}: {seen:?}");
            for zombie in &seen[..seen.len() - 1] {
                assert_eq!(try_save(&stage, name, Some(*zombie), "zombie").await, Saved::Changed(Some(replaced)));
                assert!(!forget(&stage, name, *zombie).await);
            }
            assert_eq!(read(&stage, name).await.expect("is kept").text, "replaced");
            assert!(forget(&stage, name, replaced).await);
        }
    }
}

/// What is forgotten is gone, and forgetting what is not there is no error.
pub async fn a_forgotten_document_is_gone(stage: Stage) {
    assert!(forget(&stage, "d", Version(7)).await, "there never was one");
    let version = save(&stage, "d", None, "text").await;
    save(&stage, "e", None, "stays").await;
    assert!(forget(&stage, "d", version).await);
    assert!(forget(&stage, "d", version).await, "asked for again");
    assert_eq!(read(&stage, "d").await, None);
    assert_eq!(try_save(&stage, "d", Some(version), "after").await, Saved::Changed(None));
    let left: Vec<String> = all(&stage, 9).await.into_iter().map(|document| document.text).collect();
    assert_eq!(left, ["stays"]);
}

/// Of those who save over one version at the same moment one is told that it did, and its text stands there.
pub async fn of_writers_at_once_one_wins(stage: Stage) {
    const ROUNDS: usize = 40;
    let barrier = Arc::new(Barrier::new(WRITERS));
    let rounds = at_once(&stage, move |connection, id, writer| {
        let barrier = Arc::clone(&barrier);
        async move {
            let mut answers = Vec::new();
            for round in 0..ROUNDS {
                let before = connection.documents().read(&id).await;
                // A thread of its own waits: all have read, and none has saved. An error waits too, for the others do.
                barrier.wait();
                let text = format!("{round}.{writer}");
                let saved = match before {
                    Ok(before) => {
                        connection.documents().save(&id, before.map(|document| document.version), &text).await
                    }
                    Err(error) => Err(error),
                };
                answers.push((text, saved));
                barrier.wait();
            }
            answers
        }
    })
    .await;
    let mut latest = None;
    for round in 0..ROUNDS {
        let answer = |(text, saved): &(String, Result<Saved>)| (text.clone(), *saved.as_ref().expect("answers"));
        let answers: Vec<_> = rounds.iter().map(|answers| answer(&answers[round])).collect();
        let won = |(text, saved): &(String, Saved)| match saved {
            Saved::Applied(version) => Some((*version, text.clone())),
            Saved::Changed(_) => None,
        };
        let winners: Vec<(Version, String)> = answers.iter().filter_map(won).collect();
        assert_eq!(winners.len(), 1, "round {round}: {answers:?}");
        let told = Saved::Changed(Some(winners[0].0));
        assert_eq!(answers.iter().filter(|(_, saved)| *saved == told).count(), WRITERS - 1, "{answers:?}");
        latest = winners.into_iter().next();
    }
    let kept = read(&stage, "d").await.expect("is kept");
    assert_eq!(Some((kept.version, kept.text)), latest);
}

/// Who reads, computes and saves until it is applied loses nothing of others, in whatever order they come.
pub async fn no_increment_is_lost(stage: Stage) {
    const INCREMENTS: usize = 50;
    let made = at_once(&stage, |connection, id, _| async move {
        let mut made = Vec::new();
        while made.len() < INCREMENTS {
            let found = connection.documents().read(&id).await.expect("reads");
            let count = found.as_ref().map_or(0, |found| found.text.parse::<usize>().expect("a number"));
            let expected = found.map(|found| found.version);
            let saved = connection.documents().save(&id, expected, &(count + 1).to_string()).await;
            if let Saved::Applied(version) = saved.expect("answers") {
                made.push((version, count + 1));
            }
        }
        made
    })
    .await;
    assert_eq!(read(&stage, "d").await.expect("is kept").text, (WRITERS * INCREMENTS).to_string());
    let mut made = made.concat();
    made.sort_unstable();
    let counts: Vec<usize> = made.iter().map(|(_, count)| *count).collect();
    assert_eq!(counts, (1..=WRITERS * INCREMENTS).collect::<Vec<_>>(), "as versions grow, so do the counts");
}

/// Lets writers play on threads and connections of their own, so that they meet as they would in several processes.
async fn at_once<V, F, P>(stage: &Stage, play: P) -> Vec<V>
where
    V: Send + 'static,
    F: Future<Output = V>,
    P: Fn(Connection, DocumentId, usize) -> F + Clone + Send + 'static,
{
    let start = |writer| {
        let (connection, id, play) = (stage.connection.clone(), id(stage, "d"), play.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let another = connection.open_another().await.expect("opens");
                play(another, id, writer).await
            })
        })
    };
    let threads: Vec<_> = (0..WRITERS).map(start).collect();
    let mut played = Vec::new();
    for thread in threads {
        // Elsewhere, for the connection under test lives on this thread.
        let joined = tokio::task::spawn_blocking(move || thread.join()).await.expect("is joined");
        played.push(joined.expect("does not panic"));
    }
    played
}

/// Pages are bounded, in the order of names, and go on after the last name of the page before, kept or not.
pub async fn documents_come_in_pages(stage: Stage) {
    let names = ["B", "a", "a-b", "a.b", "a1", "a10", "a2", "z_"];
    for name in names.iter().rev() {
        save(&stage, name, None, name).await;
    }
    let mut sorted = names;
    sorted.sort_unstable();
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = page(&stage, after.as_ref(), 3).await;
        let Some(last) = page.last() else { break };
        after = Some(last.id.name.clone());
        listed.extend(page.iter().map(|document| document.text.clone()));
        if listed.len() == 3 {
            assert!(forget(&stage, last.id.name.as_str(), last.version).await);
        }
    }
    assert_eq!(listed, sorted);
    assert_eq!(documents(&stage).list(&stage.queue, None, 0).await.expect("lists"), []);
    let nowhere = stage.with_queue("nowhere");
    assert_eq!(all(&nowhere, 9).await, []);
}

/// A text may be so long and no longer, and pages of the longest ones are complete.
pub async fn a_text_that_is_too_long_is_refused(stage: Stage) {
    let longest = "x".repeat(limits::MAX_DOCUMENT_TEXT);
    let error = documents(&stage).save(&id(&stage, "d"), None, &format!("{longest}x")).await.expect_err("too long");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TooLarge, false));
    assert_eq!(read(&stage, "d").await, None);
    let names: Vec<String> = (100..250).map(|number| format!("d{number}")).collect();
    for name in &names {
        save(&stage, name, None, &longest).await;
    }
    let listed = all(&stage, 999).await;
    assert!(listed.iter().all(|document| document.text == longest));
    assert_eq!(listed.iter().map(|document| document.id.name.to_string()).collect::<Vec<_>>(), names);
}

/// A queue may have so many documents and no more; those that it has can still be replaced, and one that is forgotten
/// makes room.
pub async fn one_document_too_many_is_refused(stage: Stage) {
    let names: Vec<String> = (0..limits::MAX_DOCUMENTS).map(|number| format!("d{number:05}")).collect();
    for some in names.chunks(500) {
        futures_util::future::join_all(some.iter().map(|name| save(&stage, name, None, "text"))).await;
    }
    let new = id(&stage, "new");
    let error = documents(&stage).save(&new, None, "text").await.expect_err("one too many");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TooLarge, false));
    assert!(error.to_string().contains("has 10000 documents; forget some"), "{error}");
    assert_eq!(read(&stage, "new").await, None);
    save(&stage.with_queue("other"), "new", None, "another queue has room").await;
    let first = read(&stage, &names[0]).await.expect("is kept").version;
    let replaced = save(&stage, &names[0], Some(first), "other text").await;
    let listed = all(&stage, limits::MAX_PAGE + 1).await;
    assert!(listed.iter().map(|document| document.id.name.as_str()).eq(names.iter().map(String::as_str)));
    assert!(forget(&stage, &names[0], replaced).await);
    save(&stage, "new", None, "text").await;
}

/// One name in two queues is two documents.
pub async fn documents_of_queues_do_not_mix(stage: Stage) {
    let other = stage.with_queue("other");
    let (here, there) = (save(&stage, "d", None, "here").await, save(&other, "d", None, "there").await);
    assert_eq!(read(&stage, "d").await.expect("is kept").text, "here");
    assert_eq!(all(&other, 9).await, [read(&other, "d").await.expect("is kept")]);
    assert!(forget(&stage, "d", here).await);
    assert_eq!(read(&other, "d").await.expect("is kept").version, there);
    assert_eq!(all(&stage, 9).await, []);
}

/// Documents are no tasks: they are not counted, emptying their queue leaves them alone, and their queue can be found.
pub async fn a_purge_leaves_documents_alone(stage: Stage) {
    save(&stage, "d", None, "text").await;
    let kept = read(&stage, "d").await;
    let inspect = stage.connection.inspect();
    assert_eq!(inspect.queues().await.expect("lists"), std::slice::from_ref(&stage.queue));
    assert_eq!(inspect.counts(&stage.queue).await.expect("counts"), crate::inspect::Counts::default());
    stage.enqueue_one().await;
    for what in [Purge::Waiting, Purge::DeadLetters] {
        stage.connection.control().purge(&stage.queue, what, 9).await.expect("purges");
    }
    assert_eq!(read(&stage, "d").await, kept);
    stage.advance(limits::DEAD_LETTER_TTL * 2).await;
    stage.sweep().await;
    assert_eq!(read(&stage, "d").await, kept);
}

/// Whatever is done in whatever order, the broker answers as the reference in memory does. `TASKQ_SEED` and `TASKQ_CASES`
/// are those of the model.
pub async fn a_random_history_of_documents_agrees_with_the_reference(stage: Stage) {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let seed = number("TASKQ_SEED", 1);
    for case in 0..number("TASKQ_CASES", 60) {
        let queue = QueueName::new(format!("model-{}", WorkerId::generate())).expect("a valid name");
        let reference = memory::connect(Clock::simulated(stage.now().await).0);
        let mut players = [Player::new(&stage.connection), Player::new(&reference)];
        let mut history = Vec::new();
        for step in 0..40 {
            let [tested, expected] = &mut players;
            let dice = scramble(scramble(scramble(seed) ^ case) ^ step);
            let (got, expected) = (tested.play(&queue, dice).await, expected.play(&queue, dice).await);
            history.push(expected.clone());
            assert_eq!(got, expected, "TASKQ_SEED={seed}, case {case}, after {history:#?}");
        }
    }
}

/// Plays what dice say on one broker; versions have the numbers in which they were given, which two players share.
struct Player {
    documents: Arc<dyn Documents>,
    given: Vec<Version>,
}

impl Player {
    fn new(connection: &Connection) -> Self {
        Self { documents: Arc::clone(connection.documents()), given: Vec::new() }
    }

    /// What was done, and the answer.
    async fn play(&mut self, queue: &QueueName, dice: u64) -> String {
        let name = ["a", "b", "b.c"][(dice >> 8) as usize % 3];
        let id = DocumentId { queue: queue.clone(), name: DocumentName::new(name).expect("valid") };
        let present = self.documents.read(&id).await.expect("reads");
        let present = present.map(|document| document.version);
        // Half of the callers have seen the present version, others any of any document, or none.
        let expected = match (dice >> 16) % 8 {
            0..4 => present,
            4 => None,
            _ => self.given.get((dice >> 24) as usize % self.given.len().max(1)).copied(),
        };
        let named = self.number(expected);
        match (dice >> 32) % 8 {
            0..5 => {
                let text = format!("{}", dice >> 40);
                let saved = match self.documents.save(&id, expected, &text).await.expect("answers") {
                    Saved::Applied(version) => {
                        self.given.push(version);
                        "applied".to_owned()
                    }
                    Saved::Changed(present) => format!("at {:?}", self.number(present)),
                };
                format!("{name} at {named:?} becomes {text}: {saved}")
            }
            5..7 => {
                let version = expected.unwrap_or(Version(0));
                let is_gone = self.documents.forget(&id, version).await.expect("answers");
                format!("{name} at {named:?} is forgotten: {is_gone}")
            }
            _ => {
                let after = (dice >> 48).is_multiple_of(2).then_some(&id.name);
                let listed = self.documents.list(queue, after, 2).await.expect("lists");
                let seen =
                    listed.iter().map(|found| (found.id.to_string(), self.number(Some(found.version)), &found.text));
                format!("after {after:?}: {:?}", seen.collect::<Vec<_>>())
            }
        }
    }

    fn number(&self, version: Option<Version>) -> Option<usize> {
        let version = version?;
        Some(self.given.iter().position(|given| *given == version).expect("was given"))
    }
}

/// For brokers with namespaces, of which these are two: each has its own documents.
pub async fn documents_of_namespaces_do_not_mix(one: &Connection, other: &Connection) {
    let queue = QueueName::new("q").expect("valid");
    let id = DocumentId { queue: queue.clone(), name: DocumentName::new("d").expect("valid") };
    let Saved::Applied(version) = one.documents().save(&id, None, "one").await.expect("saves") else {
        panic!("there was none")
    };
    assert_eq!(other.documents().read(&id).await.expect("reads"), None);
    assert_eq!(other.documents().list(&queue, None, 9).await.expect("lists"), []);
    assert!(other.documents().forget(&id, version).await.expect("is not there"));
    let saved = other.documents().save(&id, None, "other").await.expect("saves");
    assert!(matches!(saved, Saved::Applied(_)), "{saved:?}");
    assert_eq!(one.documents().read(&id).await.expect("reads").expect("is kept").text, "one");
}
