//! What is known about a directive: how its values are written, and what is done with them.

/// A directive of ssh_config(5).
#[derive(Debug)]
pub(super) struct Directive {
    /// As the manual spells it.
    pub(super) name: &'static str,
    /// What else it is called, in lower case.
    pub(super) aliases: &'static [&'static str],
    pub(super) syntax: Syntax,
    /// What holds where nobody says it; nothing where there is no such value.
    pub(super) default: Option<&'static str>,
    pub(super) verdict: Verdict,
    /// The version that this verdict came with.
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the README's table reads it"))]
    pub(super) since: &'static str,
}

/// What is done with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has its effect; the text says where that differs from ssh's, and may be empty.
    Honoured(&'static str),
    /// It has none, which does no harm; the text says why.
    Ignored(&'static str),
    /// Where it applies, there is no session: without its effect something would be less safe, or another host
    /// be reached.
    Refused {
        /// The one value that is harmless.
        unless: &'static str,
        /// Why the others are refused.
        why: &'static str,
    },
}

/// How the values of a directive are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    /// Host, Match and Include: they steer the reading itself.
    Steering,
    /// One word.
    Text,
    /// `yes` or `no`.
    Flag,
    /// One of some words; the second of each is how ssh prints it.
    Choice(&'static [(&'static str, &'static str)]),
    /// From zero.
    Number,
    /// Seconds, or `1h30m`; `none` leaves it unsaid.
    Time,
    Port,
    /// Files: several words, or `none` alone.
    Files,
    /// A file for each line; every line counts.
    EachFile,
    /// A command: the line as it stands.
    Command,
    /// Hosts to jump over.
    Jump,
    /// `none`, `SSH_AUTH_SOCK`, a path, `$VARIABLE`.
    Agent,
    /// Yes, no, or what `Agent` takes.
    AgentOrFlag,
    /// Names of variables; every line counts, and one with a dash takes names away.
    Names,
    /// `NAME=value`.
    Assignments,
    Algorithms(Family),
    LocalForward,
    RemoteForward,
    DynamicForward,
    /// `host:port`, or `any` or `none` alone.
    Opens,
    /// Names of domains, or `none` alone.
    Domains,
    /// `from:to`, or `none` alone.
    Aliases,
    /// In octal.
    Mask,
    /// Bytes, and a time that may be missing.
    Rekey,
    /// yes, no, ask, confirm, or a time.
    AddKeys,
    /// yes, no, or a time.
    Persist,
    /// Words of which nothing is made.
    Words,
}

/// A kind of algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Kex,
    Cipher,
    Mac,
    /// Kinds of keys, for servers and users.
    Key,
    /// What authorities sign with.
    Signature,
}
