//! The files of the pages: style, scripts and icon, inside this program. Their name has a digest in it, so a browser keeps them
//! for ever and never an old one.

use std::sync::OnceLock;

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::random::hex;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// `htmx` is 0BSD; `assets/README.md` has versions and digests.
const ASSETS: [Asset; 5] = [
    Asset { name: "console.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../../assets/console.css") },
    Asset {
        name: "console.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/console.js"),
    },
    Asset {
        name: "htmx.min.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/htmx.min.js"),
    },
    Asset {
        name: "hx-sse.min.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../assets/hx-sse.min.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../assets/icon.svg") },
];

/// What stands for these very files in their addresses.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut hasher = Sha256::new();
        ASSETS.iter().for_each(|asset| hasher.update(asset.bytes));
        hex(&hasher.finalize()[..6])
    })
}

/// Answers a file. One of another version is answered too, and not kept.
pub(super) async fn asset(Path((asked, name)): Path<(String, String)>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset.bytes.into_response();
    let kept = if asked == version() { "public, max-age=31536000, immutable" } else { "no-store" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_is_what_its_note_says() {
        let note = include_str!("../../assets/README.md");
        for name in ["htmx.min.js", "hx-sse.min.js"] {
            let asset = ASSETS.iter().find(|asset| asset.name == name).expect("there");
            let digest = hex(&Sha256::digest(asset.bytes));
            let line = note.lines().find(|line| line.contains(name)).expect("the note names it");
            assert!(line.contains(&digest), "{name} has {digest}");
        }
    }
}
