//! GET of a collection: from the cache when it can be, from the store when a revision or a page is
//! asked for.

use std::sync::Arc;

use api::status::Status;
use http::Response;
use store::{Range, StoreError};
use wire::Body;
use world::mutant;

use super::{page_token::PageToken, wanted};
use crate::{
    catalog::{Nature, Served},
    context::Ctx,
    crd::convert,
    pipeline::{ListOptions, Match, Permitted, Refusal},
    respond::ListMeta,
    watch_cache::{Filter, Item, store_status},
};

/// One page, with what a list's metadata says.
pub(super) struct Page {
    pub items: Vec<Arc<Item>>,
    pub meta: ListMeta,
}

pub(super) async fn list(
    ctx: &Ctx,
    permitted: Permitted,
    served: Arc<Served>,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(&permitted)?;
    let options = ListOptions::parse(&permitted.request().query, false)?;
    let page = page(ctx, &served, &permitted.info().namespace, &options).await?;
    Ok(wanted.list(&served, &page.meta, &page.items, permitted.request().received_at)?)
}

/// The filter that namespace and selectors make.
///
/// # Errors
/// 400 for a field that the kind does not offer to selectors.
pub(super) fn filter(served: &Served, namespace: &str, options: &ListOptions) -> Result<Filter, Status> {
    match &served.nature {
        Nature::BuiltIn(kind) => options.fields.check(kind)?,
        Nature::Custom(custom) => options.fields.check_custom(&custom.selectable(), served.namespaced)?,
    }
    let mut namespace = if served.namespaced { namespace.to_owned() } else { String::new() };
    if namespace.is_empty()
        && served.namespaced
        && let Some(selected) = options.fields.requirement("metadata.namespace")
    {
        namespace = selected.to_owned();
    }
    Ok(Filter { namespace, labels: options.labels.clone(), fields: options.fields.clone() })
}

/// Finds one page of a collection.
///
/// # Errors
/// 400 and 410 about the options, what the store says otherwise.
pub(super) async fn page(
    ctx: &Ctx,
    served: &Arc<Served>,
    namespace: &str,
    options: &ListOptions,
) -> Result<Page, Status> {
    let filter = filter(served, namespace, options)?;
    if !options.continue_token.is_empty() {
        if options.resource_version.is_some_and(|v| v > 0) {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = PageToken::decode(&options.continue_token)?;
        return stored_page(ctx, served, &filter, options.limit, Some(token), None).await;
    }
    let exact = match (options.version_match, options.resource_version) {
        (Some(Match::Exact), Some(version)) => Some(version),
        // A limit with a version means that very version, by old custom.
        (None, Some(version)) if version > 0 && options.limit > 0 => Some(version),
        _ => None,
    };
    if let Some(version) = exact {
        return stored_page(ctx, served, &filter, options.limit, None, Some(version)).await;
    }
    let any = options.resource_version == Some(0);
    let fresh = match options.resource_version {
        Some(version) => ctx.caches.wait_for(version).await,
        None if mutant("serve-stale-lists") => Ok(()),
        None => ctx.caches.catch_up().await.map(drop),
    };
    match fresh {
        Ok(()) => {}
        // A cache that lags is no reason to refuse a read of what is newest.
        Err(_) if options.resource_version.is_none() && ctx.caches.is_ready() => {
            return stored_page(ctx, served, &filter, options.limit, None, None).await;
        }
        Err(status) => return Err(status),
    }
    let (mut items, revision) = if served.webhook().is_some() {
        // Selectors look at objects as they are shown.
        let open = Filter { namespace: filter.namespace.clone(), ..Filter::default() };
        let (mut items, revision) = ctx.caches.select(served, &open)?;
        convert::ready(ctx, served, &items).await?;
        items.retain(|item| filter.matches(item));
        (items, revision)
    } else {
        ctx.caches.select(served, &filter)?
    };
    let mut meta = ListMeta { resource_version: revision.to_string(), ..ListMeta::default() };
    if options.limit > 0 && !any && items.len() > options.limit {
        let rest = items.split_off(options.limit);
        if let Some(last) = items.last() {
            meta.continue_token = PageToken::after(last.key(), revision).encode();
        }
        meta.remaining = filter.is_open().then_some(rest.len());
    }
    Ok(Page { items, meta })
}

/// How many keys are read at once when a selector may throw most of them away.
const CHUNK: usize = 500;

async fn stored_page(
    ctx: &Ctx,
    served: &Arc<Served>,
    filter: &Filter,
    limit: usize,
    token: Option<PageToken>,
    version: Option<i64>,
) -> Result<Page, Status> {
    let prefix = served.prefix("");
    let mut at = match &token {
        Some(token) => (token.revision > 0).then_some(token.revision),
        None => version,
    };
    let mut range = Range::prefix(served.prefix(&filter.namespace));
    if let Some(token) = &token {
        range = range.starting_at(format!("{prefix}{}", token.start));
    }
    let mut items: Vec<Arc<Item>> = Vec::new();
    let failed = |error: StoreError| match (&error, &token) {
        (StoreError::Compacted { .. }, Some(token)) => token.expired(),
        _ => store_status(&error),
    };
    loop {
        // One more than wanted tells whether there is a next page.
        let ask = if limit == 0 {
            0
        } else if filter.is_open() {
            limit + 1 - items.len()
        } else {
            CHUNK
        };
        let options = store::ListOptions { at, limit: ask, ..store::ListOptions::default() };
        let listing = ctx.store.list(range.clone(), options).await.map_err(failed)?;
        at = Some(listing.revision);
        let last = listing.kvs.last().map(|kv| kv.key.clone());
        let (more, count) = (listing.more, listing.count);
        let mut found: Vec<Arc<Item>> = Vec::with_capacity(listing.kvs.len());
        for kv in listing.kvs {
            let Ok(key) = std::str::from_utf8(&kv.key) else { continue };
            let short = key.strip_prefix(&prefix).unwrap_or_default().to_owned();
            found.push(Arc::new(Item::stored(short, kv.mod_revision, kv.value, served.clone())));
        }
        convert::ready(ctx, served, &found).await?;
        items.extend(found.into_iter().filter(|item| filter.matches(item)));
        let enough = limit > 0 && items.len() > limit;
        match last {
            Some(last) if more && !enough => {
                let mut next = last.to_vec();
                next.push(0);
                range = range.starting_at(next);
            }
            _ => {
                let revision = version.or(token.as_ref().map(|t| t.revision)).filter(|r| *r > 0);
                let revision = revision.or(at).unwrap_or_default();
                let mut meta = ListMeta { resource_version: revision.to_string(), ..ListMeta::default() };
                if enough {
                    items.truncate(limit);
                    if let Some(last) = items.last() {
                        meta.continue_token = PageToken::after(last.key(), revision).encode();
                    }
                    meta.remaining = filter.is_open().then(|| count.saturating_sub(limit));
                }
                return Ok(Page { items, meta });
            }
        }
    }
}
