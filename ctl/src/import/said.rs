//! What becomes of a directive that a command line says with `-o`, or by an option that is short for one.

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It says who, where or what to forward, and is carried over.
    Carried,
    /// Nothing of it is needed here; why.
    Needless(&'static str),
    /// It has a place in the ssh configuration, and the rules are fine without it.
    Configured,
    /// It has a place in the ssh configuration, and without it a rule could reach another server or trust more.
    Needed,
    /// There is no such directive.
    Unknown,
}

const KEEPALIVE: &str = "alknetd asks every server whether it is there; keepalive_interval_seconds says how often";
const BACKGROUND: &str = "alknetd runs in the background by itself";
const SHARED: &str = "all rules to one destination share a session anyway";
const TERMINAL: &str = "a forward has no terminal";
const ENVIRONMENT: &str = "a forward has no environment";
const X11: &str = "X11 is never forwarded";

/// The name as ssh_config(5) writes it, and what becomes of it. `keyword` in any case.
pub(super) fn fate(keyword: &str) -> (String, Fate) {
    let found = TABLE.iter().find(|(name, _)| name.eq_ignore_ascii_case(keyword));
    found.map_or_else(|| (keyword.to_owned(), Fate::Unknown), |(name, fate)| ((*name).to_owned(), *fate))
}

#[rustfmt::skip]
const TABLE: &[(&str, Fate)] = &[
    ("User", Fate::Carried),
    ("Port", Fate::Carried),
    ("LocalForward", Fate::Carried),
    ("RemoteForward", Fate::Carried),
    ("DynamicForward", Fate::Carried),
    ("GatewayPorts", Fate::Carried),
    ("ClearAllForwardings", Fate::Carried),
    ("StrictHostKeyChecking", Fate::Carried),
    ("RemoteCommand", Fate::Carried),
    ("HostName", Fate::Needed),
    ("HostKeyAlias", Fate::Needed),
    ("ProxyCommand", Fate::Needed),
    ("ProxyJump", Fate::Needed),
    ("ProxyUseFdpass", Fate::Needed),
    ("KnownHostsCommand", Fate::Needed),
    ("RevokedHostKeys", Fate::Needed),
    ("PermitRemoteOpen", Fate::Needed),
    ("Include", Fate::Needed),
    ("Tag", Fate::Needed),
    ("CanonicalizeHostname", Fate::Needed),
    ("CanonicalDomains", Fate::Needed),
    ("AddressFamily", Fate::Configured),
    ("AddKeysToAgent", Fate::Configured),
    ("BindAddress", Fate::Configured),
    ("BindInterface", Fate::Configured),
    ("CASignatureAlgorithms", Fate::Configured),
    ("CanonicalizeFallbackLocal", Fate::Configured),
    ("CanonicalizeMaxDots", Fate::Configured),
    ("CanonicalizePermittedCNAMEs", Fate::Configured),
    ("CertificateFile", Fate::Configured),
    ("ChannelTimeout", Fate::Configured),
    ("CheckHostIP", Fate::Needless("the key of a host is looked up by its name")),
    ("Ciphers", Fate::Configured),
    ("ConnectTimeout", Fate::Configured),
    ("GlobalKnownHostsFile", Fate::Configured),
    ("HashKnownHosts", Fate::Configured),
    ("HostKeyAlgorithms", Fate::Configured),
    ("HostbasedAcceptedAlgorithms", Fate::Configured),
    ("IdentitiesOnly", Fate::Configured),
    ("IdentityAgent", Fate::Configured),
    ("IdentityFile", Fate::Configured),
    ("KbdInteractiveAuthentication", Fate::Configured),
    ("ChallengeResponseAuthentication", Fate::Configured),
    ("KexAlgorithms", Fate::Configured),
    ("MACs", Fate::Configured),
    ("NumberOfPasswordPrompts", Fate::Configured),
    ("PKCS11Provider", Fate::Configured),
    ("PasswordAuthentication", Fate::Configured),
    ("PreferredAuthentications", Fate::Configured),
    ("PubkeyAcceptedAlgorithms", Fate::Configured),
    ("PubkeyAcceptedKeyTypes", Fate::Configured),
    ("PubkeyAuthentication", Fate::Configured),
    ("RekeyLimit", Fate::Configured),
    ("RequiredRSASize", Fate::Configured),
    ("SecurityKeyProvider", Fate::Configured),
    ("StreamLocalBindMask", Fate::Configured),
    ("StreamLocalBindUnlink", Fate::Configured),
    ("UpdateHostKeys", Fate::Configured),
    ("UserKnownHostsFile", Fate::Configured),
    ("VerifyHostKeyDNS", Fate::Configured),
    ("BatchMode", Fate::Needless("alknetd never waits for a person at a terminal")),
    ("Compression", Fate::Needless("nothing is compressed")),
    ("ConnectionAttempts", Fate::Needless("alknetd tries again for ever")),
    ("ControlMaster", Fate::Needless(SHARED)),
    ("ControlPath", Fate::Needless(SHARED)),
    ("ControlPersist", Fate::Needless(SHARED)),
    ("EnableEscapeCommandline", Fate::Needless(TERMINAL)),
    ("EnableSSHKeysign", Fate::Needless("the key of this host is never offered")),
    ("EscapeChar", Fate::Needless(TERMINAL)),
    ("ExitOnForwardFailure", Fate::Needless("a forward that fails says so and is tried again")),
    ("FingerprintHash", Fate::Needless("fingerprints are shown as SHA256")),
    ("ForkAfterAuthentication", Fate::Needless(BACKGROUND)),
    ("ForwardAgent", Fate::Needless("the agent is never forwarded")),
    ("ForwardX11", Fate::Needless(X11)),
    ("ForwardX11Timeout", Fate::Needless(X11)),
    ("ForwardX11Trusted", Fate::Needless(X11)),
    ("GSSAPIAuthentication", Fate::Needless("GSSAPI is never offered")),
    ("GSSAPIDelegateCredentials", Fate::Needless("GSSAPI is never offered")),
    ("GSSAPIKeyExchange", Fate::Needless("GSSAPI is never offered")),
    ("HostbasedAuthentication", Fate::Needless("the key of this host is never offered")),
    ("IPQoS", Fate::Needless("packets are marked as the system does by default")),
    ("IgnoreUnknown", Fate::Needless("nothing is read beside it")),
    ("LocalCommand", Fate::Needless("no command is run on this machine")),
    ("LogLevel", Fate::Needless("alknetd has a log level of its own")),
    ("LogVerbose", Fate::Needless("alknetd has a log level of its own")),
    ("NoHostAuthenticationForLocalhost", Fate::Needless("the host key is always checked")),
    ("ObscureKeystrokeTiming", Fate::Needless(TERMINAL)),
    ("PermitLocalCommand", Fate::Needless("no command is run on this machine")),
    ("Protocol", Fate::Needless("there is only version 2")),
    ("RequestTTY", Fate::Needless(TERMINAL)),
    ("SendEnv", Fate::Needless(ENVIRONMENT)),
    ("ServerAliveCountMax", Fate::Needless(KEEPALIVE)),
    ("ServerAliveInterval", Fate::Needless(KEEPALIVE)),
    ("SessionType", Fate::Needless("a session carries forwards and nothing else")),
    ("SetEnv", Fate::Needless(ENVIRONMENT)),
    ("StdinNull", Fate::Needless("a forward reads no input")),
    ("SyslogFacility", Fate::Needless("alknetd has a log of its own")),
    ("TCPKeepAlive", Fate::Needless(KEEPALIVE)),
    ("Tunnel", Fate::Needless("no network device is made")),
    ("TunnelDevice", Fate::Needless("no network device is made")),
    ("VisualHostKey", Fate::Needless("fingerprints are shown as SHA256")),
    ("XAuthLocation", Fate::Needless(X11)),
];
