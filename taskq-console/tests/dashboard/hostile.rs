//! Two hundred texts that nobody meant, in every place of every page.
//!
//! A page with such a text in it has to be made of the very same elements and attributes as one with a harmless text, and no
//! link may lead anywhere but into the dashboard.

use axum::http::StatusCode;
use taskq_console::dashboard::Options;

use crate::stage::{Stage, pages};

fn corpus() -> Vec<String> {
    serde_json::from_str(include_str!("../corpus/hostile.json")).expect("valid")
}

/// An element, or the end of one, with its attributes.
#[derive(Debug, PartialEq, Eq)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// The tags of a page, read as a browser reads them: quotes hide angle brackets, and only those after a `<` and a letter or
/// slash begin a tag.
fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!' || c == '?') {
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '>').expect("a tag ends");
        let mut tag = Tag { name: rest[..end].to_ascii_lowercase(), attributes: Vec::new() };
        rest = rest[end..].trim_start();
        while !rest.starts_with('>') && !rest.starts_with("/>") {
            let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '=').expect("an attribute ends");
            let name = rest[..end].to_owned();
            rest = rest[end..].trim_start();
            let mut value = String::new();
            if let Some(after) = rest.strip_prefix('=') {
                let quote = after.chars().next().expect("a value");
                assert!(matches!(quote, '"' | '\''), "{name} has a value without quotes");
                let (inside, after) = after[1..].split_once(quote).expect("a value ends");
                (value, rest) = (inside.to_owned(), after.trim_start());
            }
            tag.attributes.push((name, value));
        }
        tags.push(tag);
    }
    tags
}

/// What a page is made of, without what may differ: how often a bar is drawn, and values.
fn shape(page: &str) -> Vec<(String, Vec<String>)> {
    let names = |tag: Tag| (tag.name, tag.attributes.into_iter().map(|(name, _)| name).collect());
    tags(page).into_iter().map(names).collect()
}

async fn rendered(text: &str) -> Vec<(String, String)> {
    let options = Options::new().allow_actions().trace_link("https://traces.example/{trace_id}").expect("valid");
    let stage = Stage::with(options.title(text), text);
    let tasks = stage.fill(text).await;
    let mut all = Vec::new();
    for (number, path) in pages(&stage, &tasks).into_iter().enumerate() {
        let answer = stage.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} with {text:?}: {}", answer.body);
        // Ids differ from stage to stage, so pages are compared by their place.
        all.push((format!("page {number}, {}", path.split('?').next().unwrap_or_default()), answer.body));
    }
    stage.dashboard.close().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_gets_out_of_its_place_on_any_page() {
    let corpus = corpus();
    assert!(corpus.len() >= 200, "{} texts", corpus.len());
    let harmless: Vec<_> = rendered("harmless").await.into_iter().map(|(path, body)| (path, shape(&body))).collect();
    for text in &corpus {
        for ((path, body), (_, expected)) in rendered(text).await.into_iter().zip(&harmless) {
            let shape = shape(&body);
            if shape != *expected {
                let at = shape.iter().zip(expected).position(|(one, other)| one != other);
                let near = at.map(|at| (&shape[at], &expected[at]));
                panic!("{path} is made of other elements with {text:?}: {near:?}");
            }
            for tag in tags(&body) {
                for (name, value) in &tag.attributes {
                    let is_address =
                        matches!(name.as_str(), "href" | "src" | "action" | "formaction" | "hx-sse:connect");
                    let stays = value.starts_with('#') || (value.starts_with('/') && !value.starts_with("//"));
                    assert!(!is_address || stays, "{path} leads to {value:?} with {text:?}");
                    assert!(!name.starts_with("on") && name != "style", "{path} has {name} with {text:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn no_text_in_an_address_gets_out_of_its_place() {
    let stage = Stage::operator();
    stage.fill("harmless").await;
    let paths = |text: &str| {
        let text = crate::stage::encoded(&text.chars().take(250).collect::<String>());
        [
            format!("/tasks?queue=mail&name={text}&tag={text}&text={text}"),
            format!("/dead?queue=mail&name={text}&tag={text}&text={text}"),
            format!("/tasks?queue={text}"),
            format!("/tasks?state={text}"),
            format!("/tasks?queue=mail&after={text}"),
            format!("/queue?name={text}"),
            format!("/task?id={text}"),
            format!("/task?id=mail/{text}"),
            format!("/worker?id={text}"),
            format!("/schedule?queue=mail&name={text}"),
            format!("/events?text={text}"),
            format!("/events?kind={text}&queue={text}"),
            format!("/events?upto={text}"),
            format!("/find?q={text}"),
            format!("/?note={text}&{text}={text}"),
            format!("/{text}"),
        ]
    };
    for text in corpus() {
        for path in paths(&text) {
            let answer = stage.get(&path).await;
            assert!(!answer.status.is_server_error(), "{path}: {}", answer.body);
            for tag in tags(&answer.body) {
                for (name, value) in &tag.attributes {
                    assert!(!name.starts_with("on") && name != "style", "{path} has {name}");
                    let is_address = matches!(name.as_str(), "href" | "src" | "action" | "hx-sse:connect");
                    let stays = value.starts_with('#') || (value.starts_with('/') && !value.starts_with("//"));
                    assert!(!is_address || stays, "{path} leads to {value:?}");
                }
            }
            let scripts = answer.body.matches("<script").count();
            assert!(scripts == 3 || scripts == 0, "{path} has {scripts} scripts");
        }
    }
}
