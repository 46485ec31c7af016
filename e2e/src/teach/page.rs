//! A lesson as one page for a browser: no network, no script, readable in light, in dark and on paper.

use pulldown_cmark::{Options, Parser, html};

use super::{Told, markdown};

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn of(told: &Told) -> String {
    let markdown = markdown::of(told);
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(&markdown, Options::empty()));
    let mut title = String::new();
    // A title has no marks; what would be markup is escaped as everywhere.
    html::push_html(&mut title, std::iter::once(pulldown_cmark::Event::Text(told.title.as_str().into())));
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title} · chronoplane</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        told.lang.tag()
    )
}
