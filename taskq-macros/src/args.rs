//! Reads what stands between the parentheses of `#[task(..)]`: a list of `option = expression` and bare flags.
//!
//! Only the shape is judged here, so that [`check`](crate::check) can tell everything that is wrong at once.

use syn::{
    Expr, Ident, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream, Result},
    punctuated::Punctuated,
};

/// The settings in the order in which they are written.
pub(crate) struct Args {
    pub(crate) settings: Vec<Setting>,
}

/// One `option = value`, or an option alone.
pub(crate) struct Setting {
    pub(crate) option: Ident,
    pub(crate) value: Option<Expr>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let settings = Punctuated::<Setting, Token![,]>::parse_terminated(input)?;
        Ok(Self { settings: settings.into_iter().collect() })
    }
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error("name the option: `#[task(queue = \"mail\", priority = 9)]`"));
        }
        // Any identifier, since `crate` is a keyword.
        let option = input.call(Ident::parse_any)?;
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(Self { option, value: None });
        }
        if !input.peek(Token![=]) {
            return Err(input.error(format!("write `{option} = ..`: the value of an option is a Rust expression")));
        }
        input.parse::<Token![=]>()?;
        Ok(Self { option, value: Some(input.parse()?) })
    }
}
