//! What `echo` and `printf` make of their arguments.

/// Widths beyond this are cut: output is bounded where it arises.
const WIDEST: usize = 4096;

/// `echo <args>`.
pub(crate) fn echo(args: &[String]) -> String {
    let (mut end, mut escapes, mut from) = ("\n", false, 0);
    for arg in args {
        let flags = arg.strip_prefix('-').filter(|f| !f.is_empty() && f.chars().all(|c| "neE".contains(c)));
        let Some(flags) = flags else { break };
        for flag in flags.chars() {
            match flag {
                'n' => end = "",
                'e' => escapes = true,
                _ => escapes = false,
            }
        }
        from += 1;
    }
    let text = args[from..].join(" ");
    let text = if escapes { unescape(&text) } else { text };
    text + end
}

/// `printf <format> <args>`; the format is used again until all arguments are.
///
/// # Errors
/// printf's words.
pub(crate) fn printf(args: &[String]) -> Result<String, String> {
    let Some((format, mut rest)) = args.split_first() else {
        return Err("printf: usage: printf FORMAT [ARG]...".into());
    };
    let (format, mut out) = (unescape(format), String::new());
    loop {
        let before = rest.len();
        round(&format, &mut rest, &mut out)?;
        if rest.is_empty() || rest.len() == before {
            return Ok(out);
        }
    }
}

fn round(format: &str, rest: &mut &[String], out: &mut String) -> Result<(), String> {
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = String::new();
        while let Some(c) = chars.next_if(|c| "-+ #0123456789.".contains(*c)) {
            spec.push(c);
        }
        let Some(kind) = chars.next() else { return Err("printf: %: invalid format".into()) };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let arg = rest.split_first().map_or("", |(first, others)| {
            *rest = others;
            first.as_str()
        });
        let number = || -> Result<i64, String> {
            let text = arg.trim();
            if text.is_empty() {
                Ok(0)
            } else {
                text.parse().map_err(|_| format!("printf: invalid number '{arg}'"))
            }
        };
        let (flags, size) = spec.split_at(spec.find(|c: char| !"-+ #0".contains(c)).unwrap_or(spec.len()));
        let (width, precision) = match size.split_once('.') {
            Some((width, precision)) => (width, Some(precision.parse::<usize>().unwrap_or(0))),
            None => (size, None),
        };
        let text = match kind {
            's' => arg.chars().take(precision.unwrap_or(usize::MAX)).collect(),
            'b' => unescape(arg),
            'c' => arg.chars().take(1).collect(),
            'd' | 'i' | 'u' if flags.contains('+') => format!("{:+}", number()?),
            'd' | 'i' | 'u' => number()?.to_string(),
            'x' => format!("{:x}", number()?),
            'X' => format!("{:X}", number()?),
            'o' => format!("{:o}", number()?),
            other => return Err(format!("printf: %{other}: invalid format")),
        };
        let width = width.parse::<usize>().unwrap_or(0).min(WIDEST);
        let missing = width.saturating_sub(text.chars().count());
        if flags.contains('-') {
            out.push_str(&text);
            out.push_str(&" ".repeat(missing));
        } else if flags.contains('0') && !"sbc".contains(kind) {
            let digits = text.trim_start_matches(['-', '+']);
            out.push_str(&text[..text.len() - digits.len()]);
            out.push_str(&"0".repeat(missing));
            out.push_str(digits);
        } else {
            out.push_str(&" ".repeat(missing));
            out.push_str(&text);
        }
    }
    Ok(())
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a') => out.push('\u{7}'),
            Some('\\') => out.push('\\'),
            Some('0') => out.push('\0'),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
