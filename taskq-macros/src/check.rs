//! Refuses what cannot be a task, and hands on the rest as a [`Definition`] that needs no further doubt.
//!
//! Every refusal is a sentence at the token that is wrong, and one compilation tells all of them.

mod options;
mod signature;

use std::fmt::Display;

use quote::ToTokens;
use syn::{Attribute, Error, Ident, Result, Type};

pub(crate) use self::options::Options;
use crate::{args::Args, function::Function};

/// A function that can be a task, and what is declared about it.
pub(crate) struct Definition {
    /// As written, without `#[serde(..)]` on its parameters.
    pub(crate) function: Function,
    pub(crate) context: Option<ContextParameter>,
    pub(crate) parameters: Vec<Parameter>,
    /// `()` where nothing is written.
    pub(crate) returns: Type,
    pub(crate) options: Options,
}

/// The first parameter, if it is `&Context<App>`.
pub(crate) struct ContextParameter {
    /// The whole type as written.
    pub(crate) written: Type,
    /// What stands between the angle brackets; `()` if nothing.
    pub(crate) app: Type,
}

/// A parameter that travels.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    pub(crate) written: Type,
    /// The `#[serde(..)]` before it.
    pub(crate) serde: Vec<Attribute>,
}

/// Everything that is wrong, in the order of the source.
#[derive(Default)]
struct Refusals(Option<Error>);

/// Judges the settings and the function together.
pub(crate) fn check(args: Args, mut function: Function) -> Result<Definition> {
    let mut refusals = Refusals::default();
    let options = options::check(args, &mut refusals);
    if options.name.is_none() {
        options::check_default_name(&function.signature.ident, &mut refusals);
    }
    signature::check_qualifiers(&function.signature, &mut refusals);
    let (context, parameters) = signature::check_parameters(&function.signature, &mut refusals);
    let returns = signature::check_return(&function.signature.output, &mut refusals);
    refusals.none()?;
    function.strip_serde();
    Ok(Definition { function, context, parameters, returns, options })
}

impl Refusals {
    fn refuse(&mut self, at: &impl ToTokens, sentence: impl Display) {
        let error = Error::new_spanned(at, sentence);
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn none(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn refusals(item: proc_macro2::TokenStream) -> Vec<String> {
        let args = syn::parse2(quote!()).expect("no settings");
        let function = syn::parse2(item).expect("a function");
        match check(args, function) {
            Ok(_) => Vec::new(),
            Err(refused) => refused.into_iter().map(|refusal| refusal.to_string()).collect(),
        }
    }

    #[test]
    fn a_variadic_function_is_refused_before_the_compiler_says_so_less_well() {
        let told = refusals(quote!(
            unsafe extern "C" fn sum(count: u8, rest: ...) {}
        ));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().any(|sentence| sentence.contains("a fixed number of arguments")));
    }

    #[test]
    fn what_borrows_nothing_is_no_reference() {
        assert!(
            refusals(quote!(
                fn run(_: &taskq::Context<&'static str>, text: Cow<'static, str>, f: Option<fn(&str)>) {}
            ))
            .is_empty()
        );
        assert!(
            refusals(quote!(
                fn run() -> Result<Box<dyn Fn(&str) -> u8>, &'static str> {}
            ))
            .is_empty()
        );
        assert_eq!(
            refusals(quote!(
                fn run(a: (u8, [&str; 2])) -> Option<Vec<&u8>> {}
            ))
            .len(),
            2
        );
    }
}
