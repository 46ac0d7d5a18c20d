//! What `#[task]` makes of a function: a type that knows its name, arguments, result and body, and registers itself.

use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    marker::PhantomData,
};

use futures_util::future::BoxFuture;
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    codec::Payload,
    context::{Context, ErasedContext},
    error::BoxError,
    invocation::TaskOptions,
    limits,
    task_error::{TaskError, TaskErrorKind, TaskResult},
};

/// A function that can be enqueued. `#[task]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    note = "annotate the function with `#[task]`; its type has the function's name"
)]
pub trait Task: Sized + Send + Sync + 'static {
    /// The task name: the identity of the definition in every broker.
    const NAME: &'static str;
    /// The parameters, as an object keyed by their names.
    type Args: Serialize + DeserializeOwned + Send + 'static;
    /// What the body returns when it succeeds.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// What the worker must lend to the body; `()` if nothing.
    type App: Send + Sync + 'static;

    /// What `#[task(..)]` declares.
    fn options() -> TaskOptions;
}

/// A task whose body is `async`.
pub trait AsyncTask: Task {
    /// Runs the body.
    fn run(context: Context<Self::App>, args: Self::Args) -> impl Future<Output = TaskResult<Self::Output>> + Send;
}

/// A task whose body is a plain function; it runs on a thread of its own.
pub trait PlainTask: Task {
    /// Runs the body.
    fn run(context: Context<Self::App>, args: Self::Args) -> TaskResult<Self::Output>;
}

/// A task as a worker finds it: its type erased.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The task name.
    pub name: &'static str,
    /// Where the function is defined, `module::path (file:line)`.
    pub location: &'static str,
    /// What `#[task(..)]` declares.
    pub options: fn() -> TaskOptions,
    /// The type that the worker must lend.
    pub app: fn() -> AppType,
    /// Whether these arguments fit its parameters; the error says which do not.
    pub check_args: fn(&Payload) -> std::result::Result<(), BoxError>,
    /// The body.
    pub body: Body,
}

inventory::collect!(Registration);

/// A task whose registration can be named; `#[task]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    note = "annotate the function with `#[task]`; its type has the function's name"
)]
pub trait Registered: Task {
    /// The registration.
    const REGISTRATION: Registration;
}

/// The type of what a worker lends to bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppType {
    /// The type itself.
    pub id: TypeId,
    /// Its name, for messages.
    pub name: &'static str,
}

impl AppType {
    /// The type `A`.
    pub fn of<A: 'static>() -> Self {
        Self { id: TypeId::of::<A>(), name: std::any::type_name::<A>() }
    }

    /// Whether a task that needs this can run where `lent` is lent.
    pub fn is_met_by(&self, lent: Self) -> bool {
        self.id == TypeId::of::<()>() || self.id == lent.id
    }
}

/// A body with its types erased: the payload is the context's, the result comes out.
#[derive(Clone, Copy)]
pub enum Body {
    /// Runs on the async runtime.
    Async(fn(ErasedContext) -> BoxFuture<'static, TaskResult<Payload>>),
    /// Runs on a thread of its own.
    Plain(fn(ErasedContext) -> TaskResult<Payload>),
}

impl Registration {
    /// Registers an async task.
    pub const fn of_async<T: AsyncTask>(location: &'static str) -> Self {
        Self {
            name: T::NAME,
            location,
            options: T::options,
            app: AppType::of::<T::App>,
            check_args: check_args::<T>,
            body: Body::Async(run_async::<T>),
        }
    }

    /// Registers a plain task.
    pub const fn of_plain<T: PlainTask>(location: &'static str) -> Self {
        Self {
            name: T::NAME,
            location,
            options: T::options,
            app: AppType::of::<T::App>,
            check_args: check_args::<T>,
            body: Body::Plain(run_plain::<T>),
        }
    }

    /// Every task linked into this program.
    pub fn linked() -> Vec<Self> {
        inventory::iter::<Self>.into_iter().copied().collect()
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

fn run_async<T: AsyncTask>(context: ErasedContext) -> BoxFuture<'static, TaskResult<Payload>> {
    Box::pin(async move {
        let args = decode_args::<T>(context.attempt().payload())?;
        let output = T::run(context.lend()?, args).await?;
        encode_output::<T>(&output)
    })
}

fn run_plain<T: PlainTask>(context: ErasedContext) -> TaskResult<Payload> {
    let args = decode_args::<T>(context.attempt().payload())?;
    let output = T::run(context.lend()?, args)?;
    encode_output::<T>(&output)
}

/// Arguments that no worker has seen yet: besides what a body would refuse, no parameter may be misspelt.
fn check_args<T: Task>(payload: &Payload) -> std::result::Result<(), BoxError> {
    let args: T::Args = payload.decode()?;
    let all = Payload::encode("encode arguments of", &args, limits::MAX_PAYLOAD)?;
    let (given, known) = (names(payload)?, names(&all)?);
    match given.iter().find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(stranger) => {
            let known: Vec<_> = known.iter().map(|name| format!("\"{name}\"")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(format!("there is no parameter \"{stranger}\"; its parameters: {known}").into())
        }
    }
}

fn names(payload: &Payload) -> std::result::Result<BTreeSet<String>, BoxError> {
    let object: BTreeMap<String, IgnoredAny> = payload.decode()?;
    Ok(object.into_keys().collect())
}

fn decode_args<T: Task>(payload: &Payload) -> TaskResult<T::Args> {
    payload.decode().map_err(|error| {
        TaskError::new(TaskErrorKind::Undecodable, format!("arguments of {} do not decode: {error}", T::NAME))
    })
}

fn encode_output<T: Task>(output: &T::Output) -> TaskResult<Payload> {
    Payload::encode("encode result of", output, limits::MAX_RESULT)
        .map_err(|error| TaskError::new(TaskErrorKind::BadResult, format!("result of {}: {error}", T::NAME)))
}

/// Tells, by type and therefore through aliases too, whether a body returns a `Result`.
///
/// `<Returns<R>>::IS_RESULT` finds the inherent constant for a `Result` and the one of [`ReturnsPlain`] otherwise.
#[doc(hidden)]
#[derive(Debug)]
pub struct Returns<R>(PhantomData<R>);

impl<T, E> Returns<std::result::Result<T, E>> {
    #[doc(hidden)]
    pub const IS_RESULT: bool = true;
}

#[doc(hidden)]
pub trait ReturnsPlain {
    #[doc(hidden)]
    const IS_RESULT: bool = false;
}

impl<R> ReturnsPlain for Returns<R> {}

/// What a body's return value means: a value is a success, a `Result` says itself.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a task cannot return `{Self}`",
    note = "return a value, or a `Result` whose error is `TaskError` or converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait Returned<const IS_RESULT: bool> {
    #[doc(hidden)]
    type Output;

    #[doc(hidden)]
    fn into_task_result(self) -> TaskResult<Self::Output>;
}

impl<T> Returned<false> for T {
    type Output = T;

    fn into_task_result(self) -> TaskResult<T> {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T, E: Into<TaskError>> Returned<true> for std::result::Result<T, E> {
    type Output = T;

    fn into_task_result(self) -> TaskResult<T> {
        self.map_err(Into::into)
    }
}
