//! What a script says: the tree that the parser makes and the evaluator walks.

/// Commands one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List(pub Vec<AndOr>);

/// `a && b || c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AndOr {
    pub first: Pipeline,
    /// Each with whether it runs after success (`&&`) or after failure (`||`).
    pub rest: Vec<(bool, Pipeline)>,
}

/// `! a | b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Command>,
}

/// A command with where its streams go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub kind: Kind,
    pub redirects: Vec<Redirect>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    If {
        arms: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    While {
        until: bool,
        condition: List,
        body: List,
    },
    /// Without words it goes over the script's own arguments.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    Group(List),
    Subshell(List),
}

/// `2>> file`, `2>&1`, `< file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub stream: u8,
    pub to: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Write(Word),
    Append(Word),
    Read(Word),
    Same(u8),
}

/// A word before expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word(pub Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text as it stands; quoted or not, it is never split.
    Text(String),
    Variable {
        name: String,
        /// `${name:-word}` and its kin: the operator, and whether an empty value counts as none.
        otherwise: Option<(char, bool, Word)>,
        /// `${#name}`.
        length: bool,
        quoted: bool,
    },
    Command {
        list: List,
        quoted: bool,
    },
    Arithmetic {
        expression: Word,
        quoted: bool,
    },
}
