//! The name that somebody may have meant.

/// `; the nearest one is "mail"`, for the end of a refusal; nothing if there are no names.
pub(crate) fn nearest<S: AsRef<str>>(wanted: &str, names: impl IntoIterator<Item = S>) -> String {
    let nearest = names.into_iter().min_by_key(|name| strsim::levenshtein(name.as_ref(), wanted));
    nearest.map(|name| format!("; the nearest one is \"{}\"", name.as_ref())).unwrap_or_default()
}
