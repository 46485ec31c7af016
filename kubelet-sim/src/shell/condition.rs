//! `test` and `[`.

use super::files::{Files, Node, absolute};

/// Whether `test <args>` holds.
///
/// # Errors
/// test's words; its exit code is 2 then.
pub(crate) fn test(files: &Files, cwd: &str, args: &[String]) -> Result<bool, String> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    any(files, cwd, &args)
}

/// `-o` binds weakest, then `-a`, then `!`; an operator at an end is a word.
fn any(files: &Files, cwd: &str, args: &[&str]) -> Result<bool, String> {
    for (operator, stop) in [("-o", true), ("-a", false)] {
        let inner = args.iter().enumerate().skip(1).rev().skip(1).rev();
        let found = (args.len() > 3).then(|| inner.clone().find(|(_, a)| **a == operator)).flatten();
        if let Some((i, _)) = found {
            let left = any(files, cwd, &args[..i])?;
            return if left == stop { Ok(stop) } else { any(files, cwd, &args[i + 1..]) };
        }
    }
    match args {
        ["!", rest @ ..] if !rest.is_empty() => any(files, cwd, rest).map(|holds| !holds),
        [] => Ok(false),
        [word] => Ok(!word.is_empty()),
        [operator, word] => one(files, cwd, operator, word),
        [left, operator, right] => two(left, operator, right),
        [_, _, _, word, ..] => Err(format!("{word}: unknown operand")),
    }
}

fn one(files: &Files, cwd: &str, operator: &str, word: &str) -> Result<bool, String> {
    let node = || files.node(&absolute(cwd, word));
    Ok(match operator {
        "-n" => !word.is_empty(),
        "-z" => word.is_empty(),
        "-e" | "-r" | "-w" | "-x" => node().is_some(),
        "-f" => matches!(node(), Some(Node::File(_))),
        "-d" => node() == Some(Node::Dir),
        "-s" => !matches!(node(), None | Some(Node::File(0))),
        "-L" | "-h" | "-p" | "-S" | "-b" | "-c" | "-t" => false,
        _ => return Err(format!("{word}: unknown operand")),
    })
}

fn two(left: &str, operator: &str, right: &str) -> Result<bool, String> {
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| format!("{text}: bad number"));
    let compare = || Ok::<_, String>(number(left)?.cmp(&number(right)?));
    Ok(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => compare()?.is_eq(),
        "-ne" => compare()?.is_ne(),
        "-lt" => compare()?.is_lt(),
        "-le" => compare()?.is_le(),
        "-gt" => compare()?.is_gt(),
        "-ge" => compare()?.is_ge(),
        _ => return Err(format!("{operator}: unknown operand")),
    })
}
