//! Texts of others as they are kept and shown: short, and never more than they may be.

/// What stands at the end of a text that was cut.
const CUT: &str = "…";

/// A text as it may appear in an error: escaped and short.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(64).collect();
    let rest = if shown.len() < text.len() { "..." } else { "" };
    format!("\"{}{rest}\"", shown.escape_debug())
}

/// Cuts a text between characters, to at most `most` bytes with the mark that stands at its end then.
pub(crate) fn cut(text: &mut String, most: usize) {
    if text.len() <= most {
        return;
    }
    let end = (0..=most.saturating_sub(CUT.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text.push_str(CUT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let cut = |text: &str, most| {
            let mut text = text.to_owned();
            cut(&mut text, most);
            text
        };
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lo…");
        assert_eq!(cut("ééé", 5), "é…");
    }

    #[test]
    fn a_quoted_text_is_short_and_escaped() {
        assert_eq!(quoted("a\n\"b"), r#""a\n\"b""#);
        assert!(quoted(&"x".repeat(1_000)).len() < 80);
    }
}
