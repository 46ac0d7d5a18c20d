//! Reads the function under `#[task]`, and writes it again exactly as it was.
//!
//! The body is kept as tokens: it is not ours to understand, and new syntax in it must not break the macro.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, FnArg, LitStr, PatType, Receiver, Signature, Token, Visibility,
    parse::{Parse, ParseStream, Result},
    token::Brace,
};

/// A function as written.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    body: TokenStream,
}

impl Function {
    /// Takes `#[serde(..)]` off the parameters: it moves to the arguments, and the compiler would not know it here.
    pub(crate) fn strip_serde(&mut self) {
        for input in &mut self.signature.inputs {
            let (FnArg::Typed(PatType { attrs, .. }) | FnArg::Receiver(Receiver { attrs, .. })) = input;
            attrs.retain(|attribute| !(attribute.path().is_ident("serde") || attribute.path().is_ident("cfg_attr")));
        }
    }

    /// The attributes of this name.
    pub(crate) fn attributes_named(&self, name: &'static str) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(move |attribute| attribute.path().is_ident(name))
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !begins_a_function(input)? {
            return Err(input.error("`#[task]` goes on a function"));
        }
        let signature = input.parse()?;
        if !input.peek(Brace) {
            return Err(input.error("a task needs a body: it goes on a free function, not on a method of a trait"));
        }
        Ok(Self { attributes, visibility, signature, body: input.parse()? })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        for attribute in &self.attributes {
            attribute.to_tokens(tokens);
        }
        self.visibility.to_tokens(tokens);
        self.signature.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

/// Whether `fn` comes next, after whatever may stand before it.
fn begins_a_function(input: ParseStream<'_>) -> Result<bool> {
    let ahead = input.fork();
    ahead.parse::<Option<Token![const]>>()?;
    ahead.parse::<Option<Token![async]>>()?;
    ahead.parse::<Option<Token![unsafe]>>()?;
    if ahead.parse::<Option<Token![extern]>>()?.is_some() {
        ahead.parse::<Option<LitStr>>()?;
    }
    Ok(ahead.peek(Token![fn]))
}
