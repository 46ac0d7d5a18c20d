//! The signature of a task: what it may take, return and be.
//!
//! Arguments and results travel to other processes; almost every refusal here follows from that.

use quote::ToTokens;
use syn::{
    FnArg, GenericArgument, GenericParam, Ident, Lifetime, Pat, PatIdent, PatType, PathArguments, PathSegment,
    ReturnType, Signature, Type, TypeImplTrait, TypeParamBound, TypeReference, parse_quote,
    visit::{self, Visit},
};

use super::{ContextParameter, Parameter, Refusals};

/// Refuses qualifiers and generics.
pub(super) fn check_qualifiers(signature: &Signature, refusals: &mut Refusals) {
    if let Some(constness) = &signature.constness {
        refusals.refuse(constness, "a task cannot be `const`: workers run it");
    }
    if let syn::Safety::Unsafe(unsafety) = &signature.safety {
        refusals.refuse(unsafety, "a task cannot be `unsafe`: a worker cannot know what it would have to promise");
    }
    if let Some(abi) = &signature.abi {
        refusals.refuse(abi, "a task cannot be `extern`: workers call it as a Rust function");
    }
    if let Some(variadic) = &signature.variadic {
        refusals.refuse(variadic, "a task takes a fixed number of arguments; take a `Vec`");
    }
    check_generics(signature, refusals);
}

fn check_generics(signature: &Signature, refusals: &mut Refusals) {
    let generics = &signature.generics;
    let lifetimes_only = generics.params.iter().all(|parameter| matches!(parameter, GenericParam::Lifetime(_)));
    match generics.params.is_empty() {
        true => {}
        false if lifetimes_only => {
            refusals.refuse(generics, "a task has no lifetimes: what it takes and returns travels to another process");
        }
        false => refusals.refuse(
            generics,
            "a task cannot be generic: a worker finds one function under one name; write one task for each type",
        ),
    }
    if let Some(where_clause) = &generics.where_clause {
        refusals.refuse(where_clause, "a task cannot be generic, so it has no `where` clause");
    }
}

/// Tells the context from the arguments, and refuses what cannot be either.
pub(super) fn check_parameters(
    signature: &Signature,
    refusals: &mut Refusals,
) -> (Option<ContextParameter>, Vec<Parameter>) {
    let mut context = None;
    let mut parameters = Vec::new();
    for (position, input) in signature.inputs.iter().enumerate() {
        match input {
            FnArg::Receiver(receiver) => {
                refusals.refuse(
                    receiver,
                    "a task is a free function: it cannot take `self`, only arguments travel to a worker",
                );
            }
            FnArg::Typed(input) => match mentions_context(&input.ty) {
                Some(segment) => context = check_context(position, input, segment, refusals),
                None => parameters.extend(check_parameter(input, refusals)),
            },
        }
    }
    (context, parameters)
}

/// The segment `Context` or `Context<App>`, if the type is that, or a reference to it.
fn mentions_context(written: &Type) -> Option<&PathSegment> {
    match written {
        Type::Group(group) => mentions_context(&group.elem),
        Type::Paren(paren) => mentions_context(&paren.elem),
        Type::Reference(reference) => mentions_context(&reference.elem),
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().filter(|segment| segment.ident == "Context")
        }
        _ => None,
    }
}

fn check_context(
    position: usize,
    input: &PatType,
    segment: &PathSegment,
    refusals: &mut Refusals,
) -> Option<ContextParameter> {
    if position > 0 {
        refusals.refuse(&input.ty, "the context is the first parameter of a task");
        return None;
    }
    if let Some(attribute) = input.attrs.iter().find(|attribute| attribute.path().is_ident("serde")) {
        refusals.refuse(attribute, "the context does not travel; `#[serde(..)]` goes on arguments");
    }
    match ungrouped(&input.ty) {
        Type::Reference(TypeReference { mutability: Some(mutability), .. }) => {
            refusals.refuse(mutability, "the context is only read: write `&Context<App>`");
        }
        Type::Reference(TypeReference { lifetime: Some(lifetime), .. }) if lifetime.ident != "_" => {
            refusals.refuse(lifetime, "the context lives as long as the attempt: write `&Context<App>`");
        }
        Type::Reference(_) => {}
        other => refusals.refuse(other, "a task borrows its context: write `&Context<App>`"),
    }
    Some(ContextParameter { written: (*input.ty).clone(), app: check_app(segment, refusals) })
}

/// What the worker has to lend. That a context has one type, the compiler says itself.
fn check_app(segment: &PathSegment, refusals: &mut Refusals) -> Type {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return parse_quote!(());
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(app)) => {
            Travels { refusals, role: Role::App }.visit_type(app);
            app.clone()
        }
        _ => parse_quote!(()),
    }
}

fn check_parameter(input: &PatType, refusals: &mut Refusals) -> Option<Parameter> {
    for attribute in &input.attrs {
        if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            refusals.refuse(attribute, "a task takes the same arguments in every program; take an `Option`");
        }
    }
    Travels { refusals, role: Role::Argument }.visit_type(&input.ty);
    match &*input.pat {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => Some(Parameter {
            name: ident.clone(),
            written: (*input.ty).clone(),
            serde: input.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")).cloned().collect(),
        }),
        pattern => {
            refusals.refuse(pattern, "give the parameter a name, arguments travel under it; take it apart in the body");
            None
        }
    }
}

/// The type that is returned, `()` where nothing is written.
pub(super) fn check_return(output: &ReturnType, refusals: &mut Refusals) -> Type {
    let ReturnType::Type(_, written) = output else {
        return parse_quote!(());
    };
    match ungrouped(written) {
        Type::Never(never) => refusals.refuse(never, "a task has to return, else its attempt ends by its timeout"),
        // Elsewhere in the type a `&'static str` can be right: as the error of a `Result`.
        Type::Reference(reference) => refuse_reference(reference, Role::Result, refusals),
        other => Travels { refusals, role: Role::Result }.visit_type(other),
    }
    (**written).clone()
}

/// What a type is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Argument,
    App,
    Result,
}

/// Looks into a type for what can neither be owned nor named in another process.
struct Travels<'a> {
    refusals: &'a mut Refusals,
    role: Role,
}

impl<'ast> Visit<'ast> for Travels<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let is_static = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
        if self.role == Role::Argument || !is_static {
            refuse_reference(reference, self.role, self.refusals);
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.refusals.refuse(lifetime, format!("{} `'static`", owned(self.role)));
        }
    }

    fn visit_type_impl_trait(&mut self, written: &'ast TypeImplTrait) {
        let sentence = match self.role {
            Role::Argument => "name the type: a task cannot take `impl Trait`, since a worker decodes one type",
            Role::App => "name the type: a worker lends a value of one type",
            Role::Result if is_future(written) => "write `async fn` and return what the future gives",
            Role::Result => "name the type: a task cannot return `impl Trait`, since the caller decodes one type",
        };
        self.refusals.refuse(written, sentence);
    }

    // What a function pointer or a closure trait takes is not part of the value.
    fn visit_type_fn_ptr(&mut self, _: &'ast syn::TypeFnPtr) {}

    fn visit_path_arguments(&mut self, arguments: &'ast PathArguments) {
        if !matches!(arguments, PathArguments::Parenthesized(_)) {
            visit::visit_path_arguments(self, arguments);
        }
    }
}

fn refuse_reference(reference: &TypeReference, role: Role, refusals: &mut Refusals) {
    refusals.refuse(reference, format!("{} `{}`", owned(role), owned_type(&reference.elem)));
}

fn owned(role: Role) -> &'static str {
    match role {
        Role::Argument => "a task owns its arguments, they come from another process: write",
        Role::App => "a task borrows what the worker owns: write",
        Role::Result => "a task gives its result away, to another process: write",
    }
}

/// The type to take or return in place of a reference to this one.
fn owned_type(borrowed: &Type) -> String {
    match borrowed {
        Type::Slice(slice) => format!("Vec<{}>", text(&slice.elem)),
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if last.ident == "str" => "String".to_owned(),
            Some(last) if last.ident == "Path" => "PathBuf".to_owned(),
            Some(_) | None => text(borrowed),
        },
        other => text(other),
    }
}

/// A type as people write it.
fn text(written: &Type) -> String {
    let tokens = written.to_token_stream().to_string();
    tokens.replace(" :: ", "::").replace(" < ", "<").replace(" >", ">").replace(" ,", ",").replace("& ", "&")
}

fn is_future(written: &TypeImplTrait) -> bool {
    let last = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().map(|segment| segment.ident.clone()),
        _ => None,
    };
    written.bounds.iter().filter_map(last).any(|name: Ident| name == "Future")
}

/// The type inside the invisible group that `macro_rules!` puts around a `$type:ty`.
fn ungrouped(written: &Type) -> &Type {
    match written {
        Type::Group(group) => ungrouped(&group.elem),
        Type::Paren(paren) => ungrouped(&paren.elem),
        other => other,
    }
}
