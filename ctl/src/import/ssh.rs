//! Reads the options of an ssh command line: who, where to, which forwards, and what cannot be carried over.

use alknet_proto::{Bind, Destination, ForwardKind, Forwarding, Target};

use super::options::{Part, Program, parts};
use super::quoting;
use super::said::{Fate, fate};
use super::{Remark, Source};

/// Reads what stands behind the name of the program into `source`.
pub(super) fn read(program: Program, arguments: &[String], source: &mut Source) {
    let mut line = Line::default();
    match parts(program, arguments) {
        Ok(parts) => parts.into_iter().for_each(|part| line.take(program, part)),
        Err(why) => line.obstacles.push(Remark::new(arguments.join(" "), why)),
    }
    line.finish(source);
}

/// What was said so far. As in ssh, the first to say something is right.
#[derive(Default)]
struct Line {
    host: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    /// Kind and spec, as they stand there.
    specs: Vec<(ForwardKind, String)>,
    listens_widely: Option<bool>,
    accepts_new: Option<bool>,
    is_cleared: bool,
    command: Option<String>,
    left_out: Vec<Remark>,
    obstacles: Vec<Remark>,
    /// What has a place in the ssh configuration, and whether the rules need it there.
    configured: Vec<(String, String, bool)>,
}

impl Line {
    fn take(&mut self, program: Program, part: Part) {
        match part {
            Part::Flag(letter) => self.flag(letter),
            Part::Value('M', ports) if program == Program::Autossh => {
                let why = "alknetd asks the server itself whether it is there, without ports of its own";
                self.leave_out(format!("-M {ports}"), why);
            }
            Part::Value(letter, value) => self.value(letter, value),
            Part::Host(text) => self.name_host(&text),
            Part::Command(words) => {
                self.command.get_or_insert(words.join(" "));
            }
        }
    }

    fn flag(&mut self, letter: char) {
        let what = format!("-{letter}");
        match letter {
            'g' => self.listens_widely = self.listens_widely.or(Some(true)),
            // These say how ssh itself goes on, and mean nothing to a rule.
            'N' | 'T' | 'n' | 'q' | 'v' | 'x' | 'a' | 'k' | '2' | 'y' => {}
            '4' => self.configure(&what, "AddressFamily inet", false),
            '6' => self.configure(&what, "AddressFamily inet6", false),
            'f' => self.leave_out(what, "alknetd runs in the background by itself"),
            't' => self.leave_out(what, "a forward has no terminal"),
            'A' => self.leave_out(what, "the agent is never forwarded"),
            'X' | 'Y' => self.leave_out(what, "X11 is never forwarded"),
            'C' => self.leave_out(what, "nothing is compressed"),
            'K' => self.leave_out(what, "GSSAPI is never offered"),
            'M' => self.leave_out(what, "all rules to one destination share a session anyway"),
            's' => self.obstruct(what, "a subsystem is asked for, and no forward"),
            '1' => self.obstruct(what, "version 1 of the protocol is not safe, and ssh does not speak it either"),
            'G' | 'V' => self.obstruct(what, "ssh prints something and ends: nothing is forwarded"),
            other => self.obstruct(format!("-{other}"), "it is not known what this means for a forward"),
        }
    }

    fn value(&mut self, letter: char, value: String) {
        let what = format!("-{letter} {value}");
        match letter {
            'L' => self.specs.push((ForwardKind::Local, value)),
            'R' => self.specs.push((ForwardKind::Remote, value)),
            'D' => self.specs.push((ForwardKind::Dynamic, value)),
            'l' => {
                self.user.get_or_insert(value);
            }
            'p' => self.name_port(&what, &value),
            'o' => self.directive(&value),
            'i' => self.configure(&what, &format!("IdentityFile {}", quoted(&value)), false),
            'c' => self.configure(&what, &format!("Ciphers {value}"), false),
            'm' => self.configure(&what, &format!("MACs {value}"), false),
            'b' => self.configure(&what, &format!("BindAddress {value}"), false),
            'B' => self.configure(&what, &format!("BindInterface {value}"), false),
            'I' => self.leave_out(what, "ssh-add -s gives the keys of a token to an agent"),
            'J' => self.configure(&what, &format!("ProxyJump {value}"), !value.eq_ignore_ascii_case("none")),
            'P' => self.configure(&what, &format!("Tag {value}"), true),
            'S' => self.leave_out(what, "all rules to one destination share a session anyway"),
            'E' => self.leave_out(what, "alknetd has a log of its own"),
            'e' => self.leave_out(what, "a forward has no terminal"),
            'w' => self.leave_out(what, "no network device is made"),
            'F' => self.obstacles.push(
                Remark::new(what, "alknetd reads ~/.ssh/config, and the host may mean something else in another file")
                    .with_hint("put what that file says about the host into ~/.ssh/config, and leave -F out"),
            ),
            'W' => self.obstruct(what, "standard input and output are forwarded, which no daemon has"),
            'O' => self.obstruct(what, "a running ssh is told to do something"),
            'Q' => self.obstruct(what, "ssh prints something and ends: nothing is forwarded"),
            _ => self.obstruct(what, "it is not known what this means for a forward"),
        }
    }

    fn name_host(&mut self, text: &str) {
        let Some(rest) = text.strip_prefix("ssh://") else {
            let (user, host) = match text.rsplit_once('@') {
                Some((user, host)) => (Some(user.to_owned()), host),
                None => (None, text),
            };
            self.user = self.user.take().or(user);
            self.host = Some(host.to_owned());
            return;
        };
        match format!("ssh://{rest}").parse::<Destination>() {
            Ok(named) => {
                self.user = self.user.take().or(named.user);
                self.port = self.port.or(named.port);
                self.host = Some(named.host);
            }
            Err(why) => self.obstruct(text, why),
        }
    }

    fn name_port(&mut self, what: &str, value: &str) {
        match value.parse::<u16>() {
            Ok(port) if port != 0 && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.port.get_or_insert(port);
            }
            Ok(_) | Err(_) => self.obstruct(what, format!("`{value}` is no port: 1 to 65535 are")),
        }
    }

    /// `-o Key=value`, `-o "Key value"`
    fn directive(&mut self, text: &str) {
        let what = format!("-o {text}");
        let trimmed = text.trim_start();
        let end = trimmed.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(trimmed.len());
        let (keyword, rest) = trimmed.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix('=').unwrap_or(rest).trim();
        let (name, fate) = fate(keyword);
        if value.is_empty() {
            return self.obstruct(what, format!("{name} has no value"));
        }
        let values = match quoting::of_ssh(value) {
            Ok(values) => values,
            Err(why) => return self.obstruct(what, why),
        };
        match fate {
            Fate::Carried => self.carry(&what, &name, value, &values),
            Fate::Needless(why) => self.leave_out(what, why),
            Fate::Configured => self.configure(&what, &format!("{name} {value}"), false),
            Fate::Needed => {
                let is_nothing = value.eq_ignore_ascii_case("none") || value.eq_ignore_ascii_case("no");
                self.configure(&what, &format!("{name} {value}"), !is_nothing);
            }
            Fate::Unknown => self.obstruct(what, "ssh knows no such directive"),
        }
    }

    fn carry(&mut self, what: &str, name: &str, value: &str, values: &[String]) {
        let spec = values.join(":");
        let is_yes = value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true");
        match name {
            "User" => {
                self.user.get_or_insert(spec);
            }
            "Port" => self.name_port(what, &spec),
            "LocalForward" => self.specs.push((ForwardKind::Local, spec)),
            "RemoteForward" => self.specs.push((ForwardKind::Remote, spec)),
            "DynamicForward" => self.specs.push((ForwardKind::Dynamic, spec)),
            "GatewayPorts" => self.listens_widely = self.listens_widely.or(Some(is_yes)),
            "ClearAllForwardings" => self.is_cleared |= is_yes,
            "RemoteCommand" if value.eq_ignore_ascii_case("none") => {}
            "RemoteCommand" => {
                self.command.get_or_insert(value.to_owned());
            }
            "StrictHostKeyChecking" => match value.to_ascii_lowercase().as_str() {
                "accept-new" => self.accepts_new = self.accepts_new.or(Some(true)),
                "no" | "off" | "false" => {
                    self.accepts_new = self.accepts_new.or(Some(true));
                    self.leave_out(what, "it becomes --accept-new: a key that changed is refused all the same");
                }
                "yes" | "true" | "ask" => self.accepts_new = self.accepts_new.or(Some(false)),
                _ => self.obstruct(what, "it is none of yes, ask, accept-new and no"),
            },
            _ => self.obstruct(what, "it is not known how to carry this over"),
        }
    }

    fn leave_out(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.left_out.push(Remark::new(what, why));
    }

    fn obstruct(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.obstacles.push(Remark::new(what, why));
    }

    /// It has a place in the ssh configuration; whose, is known at the end of the line.
    fn configure(&mut self, what: &str, directive: &str, is_needed: bool) {
        self.configured.push((what.to_owned(), directive.to_owned(), is_needed));
    }

    fn finish(mut self, source: &mut Source) {
        source.destination = self.destination();
        let host = self.host.clone().unwrap_or_else(|| "HOST".to_owned());
        for (what, directive, is_needed) in std::mem::take(&mut self.configured) {
            let hint = format!("put `{directive}` under `Host {host}` in ~/.ssh/config");
            if is_needed {
                let why = "without it the session could reach another server or trust more; a rule has no place for it";
                self.obstacles.push(Remark::new(what, why).with_hint(format!("{hint}, and leave it out here")));
            } else {
                let why = "a rule has no place for it, the ssh configuration has";
                self.left_out.push(Remark::new(what, why).with_hint(hint));
            }
        }
        if let Some(command) = self.command.take() {
            self.leave_out(command, "no command is run on the server");
        }
        if self.is_cleared && !self.specs.is_empty() {
            self.obstruct("ClearAllForwardings", "it clears the forwards of the command line too");
        }
        for (kind, spec) in std::mem::take(&mut self.specs) {
            match self.forwarding(kind, &spec) {
                Ok(forwarding) => source.forwards.push(forwarding),
                Err(why) => self.obstruct(format!("{} {spec}", kind.option()), why),
            }
        }
        if source.forwards.is_empty() && self.obstacles.is_empty() {
            let hint = match &source.destination {
                Some(destination) => format!("`alknetctl import {destination}` takes over what ~/.ssh/config says"),
                None => "-L, -R and -D are forwards".to_owned(),
            };
            let why = "it asks for no forward itself";
            self.obstacles.push(Remark::new(source.name.clone(), why).with_hint(hint));
        }
        source.accept_new = self.accepts_new.unwrap_or(false);
        source.left_out.append(&mut self.left_out);
        source.obstacles.append(&mut self.obstacles);
    }

    fn destination(&mut self) -> Option<Destination> {
        let Some(host) = self.host.clone() else {
            if self.obstacles.is_empty() {
                self.obstruct("the command", "it names no host");
            }
            return None;
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        if bare.contains(':') && bare.parse::<std::net::Ipv6Addr>().is_err() {
            self.obstacles.push(
                Remark::new(host, "ssh takes this for the name of a host, colon and all").with_hint("say -p PORT"),
            );
            return None;
        }
        let named = Destination { user: self.user.clone(), host: bare.to_owned(), port: self.port };
        // The same words as everywhere else decide what a user and a host may be.
        match named.to_string().parse::<Destination>() {
            Ok(parsed) if parsed == named => Some(parsed),
            Ok(_) => {
                self.obstruct(host, "this is no host and user that a rule can name");
                None
            }
            Err(why) => {
                self.obstruct(host, why);
                None
            }
        }
    }

    fn forwarding(&self, kind: ForwardKind, spec: &str) -> Result<Forwarding, String> {
        let parse = match kind {
            ForwardKind::Local => Forwarding::parse_local,
            ForwardKind::Remote | ForwardKind::RemoteDynamic => Forwarding::parse_remote,
            ForwardKind::Dynamic => Forwarding::parse_dynamic,
        };
        let listens_here = !kind.listens_remotely();
        let narrow = parse(spec)?;
        // Where an address is named already, one more is too much.
        let wide =
            if listens_here && self.listens_widely == Some(true) { parse(&format!("*:{spec}")).ok() } else { None };
        let forwarding = wide.unwrap_or(narrow);
        if has_tokens(&forwarding) {
            return Err("ssh fills in `%` and `${NAME}` in paths, a rule does not: write the path out".to_owned());
        }
        Ok(forwarding)
    }
}

fn has_tokens(forwarding: &Forwarding) -> bool {
    let is_filled_in = |path: &str| path.contains('%') || path.contains("${");
    let in_bind = matches!(forwarding.bind(), Bind::Unix(path) if is_filled_in(path));
    let in_target = matches!(forwarding.target(), Some(Target::Unix(path)) if is_filled_in(path));
    in_bind || in_target
}

/// As the ssh configuration takes a path.
fn quoted(path: &str) -> String {
    if path.contains(char::is_whitespace) { format!("\"{path}\"") } else { path.to_owned() }
}
