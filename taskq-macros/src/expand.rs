//! Writes what `#[task]` stands for. The documentation of the macro shows it; keep the two the same.
//!
//! Every path goes through `<facade>::__private` or `::core`, every local name is hygienic, and every type of the user is
//! resolved where the user wrote it: nothing the user has in scope can change the meaning.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, Error, Expr, Ident, Type, ext::IdentExt};

use crate::{
    check::{ContextParameter, Definition, Parameter},
    facade,
    function::Function,
};

/// The function, its type, and what makes the type a task.
pub(crate) fn expand(definition: &Definition) -> TokenStream {
    let function = &definition.function;
    let conditions: Vec<_> = function.attributes_named("cfg").collect();
    let facade = definition.options.facade.clone().unwrap_or_else(facade::path);
    let task_type = task_type(function);
    let arguments = arguments(definition);
    let with = with(definition);
    let task = task(definition);
    let body = body(definition);
    let registration = registration(definition);
    quote_spanned! {Span::mixed_site()=>
        #function

        #task_type

        #(#conditions)*
        #[allow(deprecated, non_snake_case, unused_imports)]
        const _: () = {
            use #facade::__private as __taskq;
            use __taskq::ReturnsPlain as _;

            #arguments
            #with
            #task
            #body
            #registration
        };
    }
}

/// What is written when there is no task: the refusals, and the item, so that they are not drowned in others.
pub(crate) fn expand_refused(refusals: &Error, item: TokenStream) -> TokenStream {
    let refusals = refusals.to_compile_error();
    let item = match syn::parse2::<Function>(item.clone()) {
        Ok(mut function) => {
            function.strip_serde();
            function.into_token_stream()
        }
        Err(_) => item,
    };
    quote! {
        #refusals
        #item
    }
}

/// The type of the function's name. Braces keep it out of the namespace of values, where the function is.
fn task_type(function: &Function) -> TokenStream {
    let Function { visibility, signature, .. } = function;
    let name = &signature.ident;
    let attributes = function.attributes.iter().filter_map(type_attribute);
    quote_spanned! {Span::mixed_site()=>
        #(#attributes)*
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}
    }
}

/// What of the function's attributes goes for its type too.
fn type_attribute(attribute: &Attribute) -> Option<TokenStream> {
    let meta = &attribute.meta;
    match attribute.path().get_ident()?.to_string().as_str() {
        // An example in the documentation is shown in both places and tested once.
        "doc" if matches!(meta, syn::Meta::NameValue(_)) => Some(quote!(#[cfg_attr(not(doctest), #meta)])),
        "doc" | "cfg" | "deprecated" => Some(quote!(#attribute)),
        _ => None,
    }
}

/// The parameters as an object keyed by their names.
fn arguments(definition: &Definition) -> TokenStream {
    let expecting = format!("an object with the arguments of `{}`", definition.function.signature.ident.unraw());
    let derive = quote_spanned! {at(&definition.function.signature.ident)=>
        #[derive(__taskq::serde::Serialize, __taskq::serde::Deserialize)]
    };
    let fields =
        definition.parameters.iter().map(|Parameter { name, written, serde }| quote!(#(#serde)* #name: #written));
    quote_spanned! {Span::mixed_site()=>
        #derive
        #[serde(crate = "__taskq::serde", expecting = #expecting)]
        #[doc(hidden)]
        pub struct __Args {
            #(#fields,)*
        }
    }
}

/// `send_email::with(..)`: the same parameters without the context.
fn with(definition: &Definition) -> TokenStream {
    let task = &definition.function.signature.ident;
    let names: Vec<_> = definition.parameters.iter().map(|parameter| &parameter.name).collect();
    let types = definition.parameters.iter().map(|parameter| &parameter.written);
    let doc = format!(" Describes a run of `{task}` with these arguments, to be enqueued.");
    quote_spanned! {Span::mixed_site()=>
        impl #task {
            #[doc = #doc]
            #[allow(dead_code, clippy::too_many_arguments)]
            pub fn with(#(#names: #types),*) -> __taskq::Invocation<#task> {
                __taskq::Invocation::new(&__Args { #(#names),* })
            }
        }
    }
}

/// The name, the types and the options.
fn task(definition: &Definition) -> TokenStream {
    let task = &definition.function.signature.ident;
    let returns = &definition.returns;
    let name = match &definition.options.name {
        Some(name) => quote!(#name),
        None => {
            let name = task.unraw().to_string();
            quote!(#name)
        }
    };
    let returned = returned(returns);
    let output = quote_spanned!(at_end(returns)=> type Output = #returned::Output;);
    let app = app(definition);
    let app = quote_spanned!(at(&app)=> type App = #app;);
    let options = options(definition);
    quote_spanned! {Span::mixed_site()=>
        const __IS_RESULT: ::core::primitive::bool = <__taskq::Returns<#returns>>::IS_RESULT;

        impl __taskq::Task for #task {
            const NAME: &'static ::core::primitive::str = #name;
            type Args = __Args;
            #output
            #app

            #options
        }
    }
}

fn app(definition: &Definition) -> TokenStream {
    match &definition.context {
        Some(ContextParameter { app, .. }) => quote!(#app),
        None => quote!(()),
    }
}

fn options(definition: &Definition) -> TokenStream {
    let fields = &definition.options.fields;
    if fields.is_empty() {
        return quote! {
            fn options() -> __taskq::TaskOptions {
                ::core::default::Default::default()
            }
        };
    }
    let assignments = fields.iter().map(|(field, value)| match value {
        None => quote_spanned!(Span::mixed_site()=> options.#field = true;),
        Some(value) => {
            let value = option_value(field, value);
            quote_spanned!(Span::mixed_site()=> options.#field = #value;)
        }
    });
    quote_spanned! {Span::mixed_site()=>
        fn options() -> __taskq::TaskOptions {
            let mut options: __taskq::TaskOptions = ::core::default::Default::default();
            #(#assignments)*
            options
        }
    }
}

fn option_value(field: &Ident, value: &Expr) -> TokenStream {
    match field == "queue" {
        true => quote_spanned!(at(value)=> ::core::option::Option::Some(::core::convert::Into::into(#value))),
        false => quote_spanned!(at(value)=> ::core::option::Option::Some(#value)),
    }
}

/// The body: the function is called with the context and the arguments, and what it returns becomes a `TaskResult`.
fn body(definition: &Definition) -> TokenStream {
    let signature = &definition.function.signature;
    let task = &signature.ident;
    let returned = returned(&definition.returns);
    let app = app(definition);
    let call = call(definition);
    let result = quote!(__taskq::TaskResult<Self::Output>);
    // A future that is not `Send` is shown at the name of the function; `async fn` would show a line of taskq instead.
    match signature.asyncness {
        Some(_) => quote_spanned! {at(task)=>
            impl __taskq::AsyncTask for #task {
                fn run(
                    context: __taskq::Context<#app>,
                    args: __Args,
                ) -> impl ::core::future::Future<Output = #result> + ::core::marker::Send {
                    async move { #returned::into_task_result(#call.await) }
                }
            }
        },
        None => quote_spanned! {at(task)=>
            impl __taskq::PlainTask for #task {
                fn run(context: __taskq::Context<#app>, args: __Args) -> #result {
                    #returned::into_task_result(#call)
                }
            }
        },
    }
}

/// What the body returns, seen as a success or failure.
fn returned(returns: &Type) -> TokenStream {
    quote_spanned!(at(returns)=> <#returns as __taskq::Returned<__IS_RESULT>>)
}

fn call(definition: &Definition) -> TokenStream {
    let task = &definition.function.signature.ident;
    let names = definition.parameters.iter().map(|parameter| &parameter.name);
    let context = definition.context.as_ref().map(|ContextParameter { written, .. }| {
        let context = quote_spanned!(at_end(written)=> context);
        quote_spanned!(at(written)=> &#context,)
    });
    quote_spanned!(Span::mixed_site()=> #task(#context #(args.#names),*))
}

/// What workers find the task by: its name in `tasks![..]`, or that it is linked.
fn registration(definition: &Definition) -> TokenStream {
    let signature = &definition.function.signature;
    let task = &signature.ident;
    let register = match signature.asyncness {
        Some(_) => format_ident!("of_async"),
        None => format_ident!("of_plain"),
    };
    quote_spanned! {Span::mixed_site()=>
        impl __taskq::Registered for #task {
            const REGISTRATION: __taskq::Registration = __taskq::Registration::#register::<#task>(
                ::core::concat!(::core::module_path!(), " (", ::core::file!(), ":", ::core::line!(), ")")
            );
        }

        __taskq::inventory::submit! {
            <#task as __taskq::Registered>::REGISTRATION
        }
    }
}

/// Hygienic like everything here, but what the compiler has to say about it is shown where the user wrote `place`.
fn at(place: &impl ToTokens) -> Span {
    at_token(place.to_token_stream().into_iter().next())
}

/// The same at the end of `place`: an expression that begins [`at`] it and ends here is shown as the whole of it.
fn at_end(place: &impl ToTokens) -> Span {
    at_token(place.to_token_stream().into_iter().last())
}

fn at_token(token: Option<TokenTree>) -> Span {
    let here = Span::mixed_site();
    token.map_or(here, |token| here.located_at(token.span()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::check, function::Function};

    /// What the documentation shows of a task and its expansion, without the lines that only make them compile.
    fn blocks() -> Vec<String> {
        let parts = include_str!("task.md").split("```rust,no_run\n").skip(1);
        let shown = |block: &str| block.lines().filter(|line| !line.starts_with("# ")).collect::<Vec<_>>().join("\n");
        parts.map(|part| shown(part.split("```").next().expect("closed"))).collect()
    }

    fn without_spaces(tokens: &TokenStream) -> String {
        tokens.to_string().split_whitespace().collect()
    }

    #[test]
    fn the_documentation_shows_the_expansion() {
        let blocks = blocks();
        let (written, shown) = (&blocks[0], blocks[1].parse::<TokenStream>().expect("tokens"));
        let written = written.replace("#[task(queue = \"mail\")]\n", "");
        let args = syn::parse_str(r#"queue = "mail""#).expect("settings");
        let definition = check(args, syn::parse_str::<Function>(&written).expect("a function")).expect("a task");
        assert_eq!(without_spaces(&expand(&definition)), without_spaces(&shown));
    }
}
