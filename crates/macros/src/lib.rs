//! `#[chronoplane::test]`: an async test inside a simulated world of its own.
//!
//! ```ignore
//! #[chronoplane::test(seed = 7, nodes = 3, version = "1.32")]
//! async fn a_year_passes(cluster: chronoplane::Cluster) {
//!     cluster.elapse(std::time::Duration::from_secs(365 * 86_400)).await;
//! }
//! ```
//!
//! The type of the one argument decides what is made: a `Sim` (hosts only), a `ControlPlane` (an
//! apiserver with its memory store) or a `Cluster` (kubeadm init and joins).

use proc_macro::TokenStream;
use quote::quote;
use syn::{FnArg, ItemFn, LitInt, LitStr, parse_macro_input, spanned::Spanned};

/// Runs an `async fn` with one argument as a test in a new simulated world.
///
/// Options, all optional: `seed = 7` (environment `CHRONOPLANE_SEED` wins), `nodes = 3`,
/// `version = "1.32"`, `sparse` (recurring work stretched; needed to cross months cheaply).
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut setters = Vec::new();
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("seed") {
            let value: LitInt = meta.value()?.parse()?;
            setters.push(quote!(.seed(#value)));
        } else if meta.path.is_ident("nodes") {
            let value: LitInt = meta.value()?.parse()?;
            setters.push(quote!(.nodes(#value)));
        } else if meta.path.is_ident("version") {
            let value: LitStr = meta.value()?.parse()?;
            setters.push(quote!(.version(#value)));
        } else if meta.path.is_ident("sparse") {
            setters.push(quote!(.sparse()));
        } else {
            return Err(meta.error("known options: seed, nodes, version, sparse"));
        }
        Ok(())
    });
    parse_macro_input!(options with parser);
    let ItemFn { attrs, vis, sig, block } = parse_macro_input!(item as ItemFn);
    let argument = match (&sig.asyncness, sig.inputs.len(), sig.inputs.first()) {
        (Some(_), 1, Some(FnArg::Typed(argument))) => argument,
        _ => {
            let message = "#[chronoplane::test] takes an async fn with one argument: a Sim, a ControlPlane or a Cluster";
            return syn::Error::new(sig.span(), message).to_compile_error().into();
        }
    };
    let (name, output, pattern, ty) = (&sig.ident, &sig.output, &argument.pat, &argument.ty);
    quote! {
        #(#attrs)*
        #[test]
        #vis fn #name() #output {
            let options = ::chronoplane::testing::Options::new(concat!(module_path!(), "::", stringify!(#name)))#(#setters)*;
            ::chronoplane::testing::run(options, |fixture: #ty| async move {
                let #pattern = fixture;
                #block
            })
        }
    }
    .into()
}
