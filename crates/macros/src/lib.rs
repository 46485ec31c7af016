//! `#[chronoplane::test]`: an async test inside a simulated world of its own.
//!
//! ```ignore
//! #[chronoplane::test(seed = 7, nodes = 3, version = "1.32")]
//! async fn a_year_passes(cluster: chronoplane::Cluster) {
//!     cluster.elapse(std::time::Duration::from_secs(365 * 86_400)).await;
//! }
//! ```
//!
//! The type of the argument decides what is made: a `Sim` (hosts only), a `ControlPlane` (an
//! apiserver with its memory store) or a `Cluster` (kubeadm init and joins); with two arguments, both
//! in one world.

use proc_macro::TokenStream;
use quote::{ToTokens, quote};
use syn::{FnArg, ItemFn, LitInt, LitStr, parse_macro_input, spanned::Spanned};

/// Runs an `async fn` with one or two arguments as a test in a new simulated world.
///
/// Options, all optional: `seed = 7` (environment `CHRONOPLANE_SEED` wins), `nodes = 3` (of a `Cluster`),
/// `version = "1.32"`, `controllers` (a `ControlPlane` with kube-controller-manager and kube-scheduler),
/// `sparse` (recurring work stretched; needed to cross months cheaply).
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
        } else if meta.path.is_ident("controllers") {
            setters.push(quote!(.controllers()));
        } else if meta.path.is_ident("sparse") {
            setters.push(quote!(.sparse()));
        } else {
            return Err(meta.error("known options: seed, nodes, version, controllers, sparse"));
        }
        Ok(())
    });
    parse_macro_input!(options with parser);
    let ItemFn { attrs, vis, sig, block } = parse_macro_input!(item as ItemFn);
    let arguments: Vec<_> = sig.inputs.iter().collect();
    let (pattern, ty) = match (&sig.asyncness, arguments.as_slice()) {
        (Some(_), [FnArg::Typed(one)]) => (one.pat.to_token_stream(), one.ty.to_token_stream()),
        (Some(_), [FnArg::Typed(one), FnArg::Typed(other)]) => {
            let (first, second) = (&one.pat, &other.pat);
            let (first_ty, second_ty) = (&one.ty, &other.ty);
            (quote!((#first, #second)), quote!((#first_ty, #second_ty)))
        }
        _ => {
            let message = "#[chronoplane::test] takes an async fn with one or two arguments: a Sim, a ControlPlane or a Cluster";
            return syn::Error::new(sig.span(), message).to_compile_error().into();
        }
    };
    let (name, output) = (&sig.ident, &sig.output);
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
