//! Every directive that is known, and what is done with it. The table in the README is this one.

use super::directive::{Directive, Family, Syntax, Verdict};
use Syntax::*;

const FAMILY: &[(&str, &str)] = &[("inet", "inet"), ("inet6", "inet6"), ("any", "any")];
const CANONICALIZE: &[(&str, &str)] =
    &[("true", "true"), ("yes", "true"), ("false", "false"), ("no", "false"), ("always", "always")];
const COMPRESSION: &[(&str, &str)] = &[("yes", "yes"), ("no", "no")];
const MASTER: &[(&str, &str)] = &[
    ("true", "true"),
    ("yes", "true"),
    ("false", "false"),
    ("no", "false"),
    ("auto", "auto"),
    ("ask", "ask"),
    ("autoask", "autoask"),
];
const DIGEST: &[(&str, &str)] =
    &[("md5", "MD5"), ("sha1", "SHA1"), ("sha256", "SHA256"), ("sha384", "SHA384"), ("sha512", "SHA512")];
const LOG_LEVEL: &[(&str, &str)] = &[
    ("quiet", "SILENT"),
    ("silent", "SILENT"),
    ("fatal", "FATAL"),
    ("error", "ERROR"),
    ("info", "INFO"),
    ("verbose", "VERBOSE"),
    ("debug", "DEBUG"),
    ("debug1", "DEBUG"),
    ("debug2", "DEBUG2"),
    ("debug3", "DEBUG3"),
];
const PUBKEY: &[(&str, &str)] = &[
    ("true", "true"),
    ("yes", "true"),
    ("false", "false"),
    ("no", "false"),
    ("unbound", "unbound"),
    ("host-bound", "host-bound"),
];
const TTY: &[(&str, &str)] =
    &[("true", "true"), ("yes", "true"), ("false", "false"), ("no", "false"), ("force", "force"), ("auto", "auto")];
const SESSION: &[(&str, &str)] = &[("none", "none"), ("subsystem", "subsystem"), ("default", "default")];
const CHECKING: &[(&str, &str)] = &[
    ("true", "true"),
    ("yes", "true"),
    ("false", "false"),
    ("no", "false"),
    ("off", "false"),
    ("ask", "ask"),
    ("accept-new", "accept-new"),
];
const TUNNEL: &[(&str, &str)] = &[
    ("ethernet", "ethernet"),
    ("point-to-point", "point-to-point"),
    ("true", "point-to-point"),
    ("yes", "point-to-point"),
    ("false", "false"),
    ("no", "false"),
];
const ASK: &[(&str, &str)] = &[("true", "true"), ("yes", "true"), ("false", "false"), ("no", "false"), ("ask", "ask")];

/// The directive that a line begins with, by any of its names.
pub(super) fn find(keyword: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|row| row.name.eq_ignore_ascii_case(keyword) || row.aliases.contains(&keyword))
}

const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    syntax: Syntax,
    default: Option<&'static str>,
    verdict: Verdict,
) -> Directive {
    Directive { name, aliases, syntax, default, verdict, since: "0.1.0" }
}

const fn honoured(name: &'static str, syntax: Syntax, default: Option<&'static str>, note: &'static str) -> Directive {
    row(name, &[], syntax, default, Verdict::Honoured(note))
}

const fn ignored(name: &'static str, syntax: Syntax, default: Option<&'static str>, why: &'static str) -> Directive {
    row(name, &[], syntax, default, Verdict::Ignored(why))
}

/// In the order of their names; those that ssh itself has given up come last.
pub(super) const DIRECTIVES: &[Directive] = &[
    ignored("AddKeysToAgent", AddKeys, Some("false"), "no key is put into an agent"),
    honoured("AddressFamily", Choice(FAMILY), Some("any"), ""),
    ignored("BatchMode", Flag, Some("no"), "a session asks only whoever answers with alknetctl"),
    honoured("BindAddress", Text, None, ""),
    honoured("BindInterface", Text, None, "on Linux; refused elsewhere"),
    honoured("CanonicalDomains", Domains, Some("none"), ""),
    honoured("CanonicalizeFallbackLocal", Flag, Some("yes"), ""),
    honoured("CanonicalizeHostname", Choice(CANONICALIZE), Some("false"), ""),
    honoured("CanonicalizeMaxDots", Number, Some("1"), ""),
    row(
        "CanonicalizePermittedCNAMEs",
        &[],
        Aliases,
        Some("none"),
        Verdict::Refused { unless: "none", why: "the system tells no CNAMEs here, so another Host block might apply" },
    ),
    honoured("CASignatureAlgorithms", Algorithms(Family::Signature), None, ""),
    honoured("CertificateFile", EachFile, None, ""),
    ignored("ChannelTimeout", Words, Some("none"), "a connection stays as long as its programs keep it"),
    ignored("CheckHostIP", Flag, Some("no"), "the host key is always checked, under the server's name"),
    honoured("Ciphers", Algorithms(Family::Cipher), None, "without CBC"),
    ignored(
        "ClearAllForwardings",
        Flag,
        Some("no"),
        "the forwards of alknet are no lines of this file; alknetctl import heeds it",
    ),
    ignored("Compression", Choice(COMPRESSION), Some("no"), "nothing is compressed: it is never offered"),
    honoured(
        "ConnectionAttempts",
        Number,
        Some("1"),
        "besides that, a session is tried again for as long as its forwards are wanted",
    ),
    honoured("ConnectTimeout", Time, Some("10"), "for the lookup and the connection together"),
    ignored("ControlMaster", Choice(MASTER), Some("false"), "rules to one destination share a session anyway"),
    ignored("ControlPath", Text, None, "rules to one destination share a session anyway"),
    ignored("ControlPersist", Persist, Some("no"), "a session stays for as long as its forwards are wanted"),
    ignored("DynamicForward", DynamicForward, None, "alknetctl import makes a rule of it"),
    ignored("EnableEscapeCommandline", Flag, Some("no"), "a forward has no terminal"),
    ignored("EnableSSHKeysign", Flag, Some("no"), "the key of this host is never offered"),
    ignored("EscapeChar", Words, Some("~"), "a forward has no terminal"),
    ignored("ExitOnForwardFailure", Flag, Some("no"), "a forward that fails says so and is tried again"),
    ignored("FingerprintHash", Choice(DIGEST), Some("sha256"), "fingerprints are shown as SHA256"),
    ignored("ForkAfterAuthentication", Flag, Some("no"), "the daemon runs in the background anyway"),
    ignored("ForwardAgent", AgentOrFlag, Some("no"), "the agent is never forwarded"),
    ignored("ForwardX11", Flag, Some("no"), "X11 is never forwarded"),
    ignored("ForwardX11Timeout", Time, Some("1200"), "X11 is never forwarded"),
    ignored("ForwardX11Trusted", Flag, Some("no"), "X11 is never forwarded"),
    ignored(
        "GatewayPorts",
        Flag,
        Some("no"),
        "each forward says its own bind address, without one it is 127.0.0.1; alknetctl import heeds it",
    ),
    honoured("GlobalKnownHostsFile", Files, None, ""),
    ignored("GSSAPIAuthentication", Flag, Some("no"), "GSSAPI is never offered"),
    ignored("GSSAPIClientIdentity", Words, None, "GSSAPI is never offered"),
    ignored("GSSAPIDelegateCredentials", Flag, Some("no"), "GSSAPI is never offered"),
    ignored("GSSAPIKexAlgorithms", Words, None, "GSSAPI is never offered"),
    ignored("GSSAPIKeyExchange", Flag, Some("no"), "GSSAPI is never offered"),
    ignored("GSSAPIRenewalForcesRekey", Flag, Some("no"), "GSSAPI is never offered"),
    ignored("GSSAPIServerIdentity", Words, None, "GSSAPI is never offered"),
    ignored("GSSAPITrustDNS", Flag, Some("no"), "GSSAPI is never offered"),
    honoured("HashKnownHosts", Flag, Some("no"), ""),
    honoured("Host", Steering, None, ""),
    row(
        "HostbasedAcceptedAlgorithms",
        &["hostbasedkeytypes"],
        Algorithms(Family::Key),
        None,
        Verdict::Ignored("the key of this host is never offered"),
    ),
    ignored("HostbasedAuthentication", Flag, Some("no"), "the key of this host is never offered"),
    honoured("HostKeyAlgorithms", Algorithms(Family::Key), None, "without SHA-1"),
    honoured("HostKeyAlias", Text, None, ""),
    honoured("HostName", Text, None, ""),
    honoured("IdentitiesOnly", Flag, Some("no"), ""),
    honoured("IdentityAgent", Agent, None, ""),
    row("IdentityFile", &["identityfile2"], EachFile, None, Verdict::Honoured("")),
    honoured("IgnoreUnknown", Text, None, ""),
    honoured("Include", Steering, None, ""),
    ignored("IPQoS", Words, Some("af21 cs1"), "packets are marked as the system does by default"),
    row(
        "KbdInteractiveAuthentication",
        &["challengeresponseauthentication", "skeyauthentication", "tisauthentication"],
        Flag,
        Some("yes"),
        Verdict::Honoured(""),
    ),
    ignored("KbdInteractiveDevices", Text, None, "the server chooses what it asks"),
    honoured("KexAlgorithms", Algorithms(Family::Kex), None, "without SHA-1"),
    row(
        "KnownHostsCommand",
        &[],
        Command,
        Some("none"),
        Verdict::Refused {
            unless: "none",
            why: "no command is run for host keys, and without its answer a revoked key might be believed",
        },
    ),
    ignored("LocalCommand", Command, None, "no command is run on this machine"),
    ignored("LocalForward", LocalForward, None, "alknetctl import makes a rule of it"),
    ignored("LogLevel", Choice(LOG_LEVEL), Some("INFO"), "the daemon has a log level of its own"),
    ignored("LogVerbose", Words, Some("none"), "the daemon has a log level of its own"),
    honoured("MACs", Algorithms(Family::Mac), None, "without SHA-1, MD5 and UMAC"),
    honoured("Match", Steering, None, "exec only where alknet's configuration has match_exec = true"),
    ignored("NoHostAuthenticationForLocalhost", Flag, Some("no"), "the host key is always checked"),
    ignored("NumberOfPasswordPrompts", Number, Some("3"), "a login that failed is not asked for again by itself"),
    ignored("ObscureKeystrokeTiming", Words, None, "nothing is typed in a forward"),
    honoured("PasswordAuthentication", Flag, Some("yes"), ""),
    ignored("PermitLocalCommand", Flag, Some("no"), "no command is run on this machine"),
    honoured("PermitRemoteOpen", Opens, Some("any"), ""),
    row(
        "PKCS11Provider",
        &["smartcarddevice"],
        Text,
        None,
        Verdict::Ignored("ssh-add -s gives the keys of a token to an agent"),
    ),
    honoured("Port", Port, Some("22"), ""),
    honoured("PreferredAuthentications", Text, None, ""),
    honoured("ProxyCommand", Command, Some("none"), ""),
    honoured("ProxyJump", Jump, Some("none"), ""),
    row(
        "ProxyUseFdpass",
        &[],
        Flag,
        Some("no"),
        Verdict::Refused { unless: "no", why: "no socket is taken over from another program" },
    ),
    row(
        "PubkeyAcceptedAlgorithms",
        &["pubkeyacceptedkeytypes"],
        Algorithms(Family::Key),
        None,
        Verdict::Honoured("without SHA-1"),
    ),
    row("PubkeyAuthentication", &["dsaauthentication"], Choice(PUBKEY), Some("true"), Verdict::Honoured("")),
    row(
        "RefuseConnection",
        &[],
        Command,
        None,
        Verdict::Refused { unless: "none", why: "the configuration says not to connect" },
    ),
    ignored("RekeyLimit", Rekey, Some("0 0"), "the server decides when keys are changed"),
    ignored("RemoteCommand", Command, None, "a forward runs no command"),
    ignored("RemoteForward", RemoteForward, None, "alknetctl import makes a rule of it"),
    ignored("RequestTTY", Choice(TTY), Some("auto"), "a forward has no terminal"),
    honoured("RequiredRSASize", Number, Some("1024"), ""),
    honoured("RevokedHostKeys", Text, Some("none"), ""),
    ignored("SecurityKeyProvider", Text, None, "ssh-add gives the keys of a token to an agent"),
    ignored("SendEnv", Names, None, "a forward has no environment"),
    honoured("ServerAliveCountMax", Number, Some("3"), ""),
    honoured("ServerAliveInterval", Time, Some("15"), "0 switches it off"),
    ignored("SessionType", Choice(SESSION), Some("none"), "a session carries forwards and nothing else"),
    ignored("SetEnv", Assignments, None, "a forward has no environment"),
    ignored("StdinNull", Flag, Some("no"), "a forward reads no input"),
    ignored("StreamLocalBindMask", Mask, Some("0177"), "a socket on this machine is always for its user alone"),
    ignored("StreamLocalBindUnlink", Flag, Some("no"), "a socket that nobody listens at is replaced"),
    honoured(
        "StrictHostKeyChecking",
        Choice(CHECKING),
        Some("ask"),
        "no means accept-new: a key that changed is never believed",
    ),
    ignored("SyslogFacility", Words, Some("USER"), "the daemon has a log of its own"),
    honoured("Tag", Text, None, ""),
    row("TCPKeepAlive", &["keepalive"], Flag, Some("yes"), Verdict::Honoured("")),
    ignored("Tunnel", Choice(TUNNEL), Some("false"), "no network device is made"),
    ignored("TunnelDevice", Words, Some("any:any"), "no network device is made"),
    ignored("UpdateHostKeys", Choice(ASK), Some("false"), "known_hosts learns the first key of a server and no other"),
    honoured("User", Text, None, ""),
    honoured("UserKnownHostsFile", Files, None, ""),
    ignored("VerifyHostKeyDNS", Choice(ASK), Some("false"), "a fingerprint in the DNS is never enough"),
    ignored("VersionAddendum", Command, None, "the version that a server sees is alknet's"),
    ignored("VisualHostKey", Flag, Some("no"), "fingerprints are shown as SHA256"),
    ignored("WarnWeakCrypto", Words, None, "weak algorithms are always named"),
    ignored("XAuthLocation", Text, None, "X11 is never forwarded"),
    ignored("AFSTokenPassing", Words, None, "ssh does not know it any more"),
    ignored("Cipher", Words, None, "ssh does not know it any more"),
    ignored("CompressionLevel", Words, None, "ssh does not know it any more"),
    ignored("FallBackToRsh", Words, None, "ssh does not know it any more"),
    ignored("GlobalKnownHostsFile2", Words, None, "ssh does not know it any more"),
    ignored("KerberosAuthentication", Words, None, "ssh does not know it any more"),
    ignored("KerberosTGTPassing", Words, None, "ssh does not know it any more"),
    ignored("Protocol", Words, None, "ssh does not know it any more"),
    ignored("RhostsAuthentication", Words, None, "ssh does not know it any more"),
    ignored("RhostsRSAAuthentication", Words, None, "ssh does not know it any more"),
    ignored("RSAAuthentication", Words, None, "ssh does not know it any more"),
    ignored("UseKeychain", Words, None, "Apple's: ssh-add --apple-load-keychain gives the keys to an agent"),
    ignored("UsePrivilegedPort", Words, None, "ssh does not know it any more"),
    ignored("UserKnownHostsFile2", Words, None, "ssh does not know it any more"),
    ignored("UseRoaming", Words, None, "ssh does not know it any more"),
    ignored("UseRsh", Words, None, "ssh does not know it any more"),
];
