//! A crate that hands taskq on names the way to it.

mod company {
    pub mod prelude {
        pub use ::taskq as queue;
    }

    #[macro_export]
    macro_rules! company_task {
        ($name:ident, $argument:ident: $type:ty) => {
            #[$crate::company::prelude::queue::task(crate = $crate::company::prelude::queue)]
            pub fn $name($argument: $type) -> $type {
                $argument
            }
        };
    }
}

use company::prelude::queue;

#[queue::task(crate = queue)]
pub fn relative(number: u8) -> u8 {
    number
}

#[queue::task(crate = crate::company::prelude::queue, queue = "mail")]
pub async fn absolute(_ctx: &queue::Context, number: u8) -> Result<u8, String> {
    Ok(number)
}

company_task!(from_a_macro, words: Vec<String>);

fn main() {
    let _ = relative::with(relative(1));
    let _ = absolute::with(1);
    let _ = from_a_macro::with(from_a_macro(Vec::new()));
}
