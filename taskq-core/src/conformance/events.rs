//! Events: the newest of a namespace, in the order in which they came, and how many a reader has missed.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::memory,
    clock::{Clock, Timestamp},
    conformance::Stage,
    error::ErrorKind,
    events::{Cursor, Event, EventPage, What},
    limits,
    retry::scramble,
};

const MINUTE: Duration = Duration::from_secs(60);

fn event(number: u64) -> Event {
    Event::new(Timestamp::from_millis(1_764_000_000_123), What::LeftOut { count: number })
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<Event> {
    numbers.map(event).collect()
}

async fn publish(stage: &Stage, events: &[Event]) {
    for batch in events.chunks(limits::EVENT_BATCH) {
        stage.connection.events().publish(batch).await.expect("publishes");
    }
}

async fn read(stage: &Stage, after: Option<Cursor>) -> EventPage {
    stage.connection.events().read(after, limits::MAX_PAGE).await.expect("reads")
}

async fn last(stage: &Stage) -> Option<Cursor> {
    stage.connection.events().last().await.expect("tells")
}

fn events(page: &EventPage) -> Vec<Event> {
    page.events.iter().map(|(_, event)| event.clone()).collect()
}

/// In their order, with any text, and with places that grow.
pub async fn events_are_kept_as_they_were_published(stage: Stage) {
    assert_eq!((read(&stage, None).await, last(&stage).await), (EventPage::default(), None));
    publish(&stage, &[]).await;
    let (check, odd) = ("é\n\u{1F319}\0 %s ' \\ |".to_owned(), String::new());
    let first = [
        event(1),
        Event::new(Timestamp::default(), What::HealthChanged { check, from: odd.clone(), to: odd, reason: None }),
    ];
    publish(&stage, &first).await;
    let later = [Event::decode(r#"{"v":9,"at":7,"kind":"from_a_later_version","what":[1,{"x":"\u0000"}]}"#), event(2)];
    publish(&stage, &later).await;
    let page = read(&stage, None).await;
    assert_eq!((events(&page), page.missed), ([first, later.clone()].concat(), 0));
    assert!(page.events.is_sorted_by(|(one, _), (other, _)| one < other));
    assert_eq!(last(&stage).await, Some(page.events[3].0));
    let behind = read(&stage, Some(page.events[1].0)).await;
    assert_eq!((events(&behind), behind.missed), (later.to_vec(), 0));
    assert_eq!(read(&stage, last(&stage).await).await, EventPage::default());
    let before_all = read(&stage, Some(Cursor::default())).await;
    assert_eq!((before_all.events, before_all.missed), (page.events, 0));
}

/// A page begins behind the one before.
pub async fn events_come_in_pages(stage: Stage) {
    publish(&stage, &numbered(0..450)).await;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = stage.connection.events().read(after, usize::MAX).await.expect("reads");
        assert!(page.events.len() <= limits::MAX_PAGE && page.missed == 0);
        let Some((place, _)) = page.events.last() else { break };
        after = Some(*place);
        all.extend(events(&page));
    }
    assert_eq!(all, numbered(0..450));
    let two = stage.connection.events().read(None, 2).await.expect("reads");
    assert_eq!(events(&two), numbered(0..2));
}

/// At most so many; who was overtaken hears of it, exactly.
pub async fn of_too_many_events_the_newest_are_kept_and_readers_hear_what_they_missed(stage: Stage) {
    publish(&stage, &numbered(0..3)).await;
    let place = read(&stage, None).await.events[0].0;
    let most = limits::MAX_EVENTS as u64;
    publish(&stage, &numbered(3..most)).await;
    assert_eq!(read(&stage, Some(place)).await.missed, 0);
    publish(&stage, &numbered(most..most + 7)).await;
    let page = read(&stage, Some(place)).await;
    assert_eq!((page.missed, &page.events[0].1), (6, &event(7)));
    let oldest = read(&stage, None).await;
    assert_eq!((oldest.missed, &oldest.events[0].1), (0, &event(7)), "who asks for what is kept misses nothing");
    assert_eq!(read(&stage, Some(Cursor::default())).await.missed, 7);
}

/// More than a call may bring is refused whole.
pub async fn too_many_events_at_once_are_refused(stage: Stage) {
    let many = numbered(0..limits::EVENT_BATCH as u64 + 1);
    let error = stage.connection.events().publish(&many).await.expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(read(&stage, None).await, EventPage::default());
}

/// The oldest go when others come; all go an hour after the last.
pub async fn events_are_forgotten_after_an_hour(stage: Stage) {
    publish(&stage, &numbered(0..2)).await;
    let first = read(&stage, None).await.events[0].0;
    stage.advance(limits::EVENT_TTL - MINUTE).await;
    publish(&stage, &numbered(2..3)).await;
    assert_eq!(events(&read(&stage, None).await), numbered(0..3));
    stage.advance(2 * MINUTE).await;
    publish(&stage, &numbered(3..4)).await;
    let page = read(&stage, Some(first)).await;
    assert_eq!((events(&page), page.missed), (numbered(2..4), 1));
    let place = page.events[1].0;
    stage.advance(limits::EVENT_TTL).await;
    assert_eq!((read(&stage, None).await, last(&stage).await), (EventPage::default(), None));
    assert_eq!(read(&stage, Some(place)).await, EventPage::default());
    publish(&stage, &numbered(4..6)).await;
    let page = read(&stage, Some(place)).await;
    assert_eq!((events(&page), page.missed), (numbered(4..6), 0), "who knew the last of before goes on");
    assert!(page.events[0].0 > place);
}

/// After a loss of data the places of before are ahead of the stream.
pub async fn a_place_that_the_stream_has_not_reached_is_before_its_oldest(stage: Stage) {
    publish(&stage, &numbered(0..3)).await;
    let last = last(&stage).await.expect("is kept");
    let ahead = [
        Cursor { number: last.number + 1, ..last },
        Cursor { begun_at: last.begun_at + MINUTE, number: 1 },
        Cursor { begun_at: last.begun_at + MINUTE, number: 1 << 40 },
    ];
    for place in ahead {
        assert_eq!(events(&read(&stage, Some(place)).await), numbered(0..3), "{place}");
    }
}

/// Each call stays together, and nothing is lost between them.
pub async fn events_of_many_publishers_stay_whole(stage: Stage) {
    let stage = Arc::new(stage);
    let publisher = |publisher: u64| {
        let stage = Arc::clone(&stage);
        async move {
            for number in 0..20 {
                publish(&stage, &[event(publisher * 1_000 + number), event(publisher * 1_000 + number)]).await;
            }
        }
    };
    futures_util::join!(publisher(1), publisher(2), publisher(3));
    let all = events(&read(&stage, None).await);
    assert_eq!(all.len(), 120);
    assert!(all.chunks(2).all(|pair| pair[0] == pair[1]));
    for publisher in 1..=3u64 {
        let is_of = |event: &&Event| matches!(event.what, What::LeftOut { count } if count / 1_000 == publisher);
        let of_one: Vec<_> = all.iter().filter(is_of).step_by(2).cloned().collect();
        assert_eq!(of_one, numbered(publisher * 1_000..publisher * 1_000 + 20));
    }
}

/// Publishing and reading of all sizes, and time that passes.
pub async fn a_random_history_of_events_agrees_with_the_reference(stage: Stage) {
    let (clock, simulation) = Clock::simulated(stage.now().await);
    let reference = Stage { connection: memory::connect(clock), ..stage.clone() };
    let (mut seed, mut next) = (0xE7_E7, 0);
    let mut below = |bound: u64| {
        seed = scramble(seed);
        seed % bound
    };
    let (mut ours, mut theirs) = (None, None);
    for _ in 0..80 {
        let count = [0, 1, 2, 9, 200, 3_000][below(6) as usize];
        publish(&stage, &numbered(next..next + count)).await;
        publish(&reference, &numbered(next..next + count)).await;
        next += count;
        let how_many = [1, 7, 200][below(3) as usize];
        let page = stage.connection.events().read(ours, how_many).await.expect("reads");
        let expected = reference.connection.events().read(theirs, how_many).await.expect("reads");
        assert_eq!((events(&page), page.missed), (events(&expected), expected.missed));
        assert_eq!(last(&stage).await.map(|last| last.number), last(&reference).await.map(|last| last.number));
        (ours, theirs) = match below(5) {
            0 => (None, None),
            1 => (Some(Cursor::default()), Some(Cursor::default())),
            2 => (last(&stage).await, last(&reference).await),
            _ => {
                let behind = |page: &EventPage| page.events.last().map(|(place, _)| *place);
                (behind(&page).or(ours), behind(&expected).or(theirs))
            }
        };
        let pause = [Duration::ZERO, MINUTE, 7 * MINUTE, 90 * MINUTE][below(4) as usize];
        stage.advance(pause).await;
        simulation.advance(pause).await;
    }
}
