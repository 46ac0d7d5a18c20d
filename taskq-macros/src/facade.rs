//! Finds the facade crate from the user's crate: the expansion names nothing but what it re-exports for us.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::Span;
use syn::{Ident, Path, parse_quote};

const PACKAGE: &str = "taskq-rs";
const LIBRARY: &str = "taskq";

/// The absolute path of the facade, whatever name the user's `Cargo.toml` gives it.
pub(crate) fn path() -> Path {
    let library = Ident::new(&library_name(crate_name(PACKAGE).ok()), Span::mixed_site());
    parse_quote!(::#library)
}

/// What the library is called, given what was found in `Cargo.toml`.
fn library_name(found: Option<FoundCrate>) -> String {
    match found {
        // The name found is the key of the dependency. Unless the user chose it, it is the package's, not the library's.
        Some(FoundCrate::Name(key)) if key != PACKAGE.replace('-', "_") => key,
        // Not renamed; or the facade's own tests and examples; or no dependency of its own (then `crate = ..` is the cure).
        _ => LIBRARY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_dependency_is_found_and_the_package_name_is_mapped_to_the_library() {
        let named = |key: &str| library_name(Some(FoundCrate::Name(key.to_owned())));
        assert_eq!(named("taskq_rs"), "taskq");
        assert_eq!(named("taskq"), "taskq");
        assert_eq!(named("queue"), "queue");
        assert_eq!(library_name(Some(FoundCrate::Itself)), "taskq");
        assert_eq!(library_name(None), "taskq");
    }
}
