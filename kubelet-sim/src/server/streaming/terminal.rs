//! What a terminal's driver does between a keyboard and a program: echo, editing of a line, ends of
//! lines. `kubectl exec -it` sends single keys.

/// A longer line is delivered in pieces.
const LONGEST: usize = 4096;

/// A terminal's input side.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    line: Vec<u8>,
}

/// What became of some keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// What the typist sees, before [`shown`].
    pub echo: Vec<u8>,
    /// What the program gets.
    pub input: Vec<u8>,
    /// Ctrl-D on an empty line.
    pub end: bool,
}

impl Terminal {
    /// Takes keys.
    pub(super) fn typed(&mut self, keys: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for key in keys {
            match key {
                b'\r' | b'\n' => {
                    typed.echo.push(b'\n');
                    typed.input.append(&mut self.line);
                    typed.input.push(b'\n');
                }
                0x7f | 0x08 => {
                    if self.line.pop().is_some() {
                        typed.echo.extend(b"\x08 \x08");
                    }
                }
                // Ctrl-C: the line is gone; a shell prompts again.
                0x03 => {
                    typed.echo.extend(b"^C\n");
                    self.line.clear();
                    typed.input.push(b'\n');
                }
                0x04 if self.line.is_empty() => typed.end = true,
                0x04 => typed.input.append(&mut self.line),
                key => {
                    typed.echo.push(*key);
                    self.line.push(*key);
                    if self.line.len() >= LONGEST {
                        typed.input.append(&mut self.line);
                    }
                }
            }
        }
        typed
    }
}

/// Ends of lines as a terminal wants them.
pub(super) fn shown(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for byte in bytes {
        if *byte == b'\n' {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_lines() {
        let check = |keys: &str, echo: &str, input: &str, end: bool| {
            let typed = Terminal::default().typed(keys.as_bytes());
            let expected = Typed { echo: echo.into(), input: input.into(), end };
            assert_eq!(typed, expected, "{keys:?}");
        };
        check("ls\r", "ls\n", "ls\n", false);
        check("lx\x7fs\r", "lx\x08 \x08s\n", "ls\n", false);
        check("rm\x03", "rm^C\n", "\n", false);
        check("\x04", "", "", true);
        check("a\x04", "a", "a", false);
        assert_eq!(shown(b"a\nb"), b"a\r\nb");
    }
}
