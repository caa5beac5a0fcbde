//! Lists of algorithms: which names there are, which of them are offered, and what `+`, `-` and `^` make of a list.

use super::directive::Family;
use crate::ssh::pattern;

/// Key exchanges that are offered, the best first: post-quantum, then the curves; no SHA-1, no group below 2048 bits.
const KEXES: &[&str] = &[
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group17-sha512",
    "diffie-hellman-group15-sha512",
    "diffie-hellman-group14-sha256",
];
/// Those that ssh has besides.
const OTHER_KEXES: &[&str] = &[
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group-exchange-sha1",
];

/// The fastest first where the processor has instructions for AES.
const CIPHERS: &[&str] = &[
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];
/// The fastest first where it has none.
const CIPHERS_WITHOUT_AES: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];
const OTHER_CIPHERS: &[&str] =
    &["3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "rijndael-cbc@lysator.liu.se", "none"];

const MACS: &[&str] =
    &["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"];
const OTHER_MACS: &[&str] = &[
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-md5",
    "hmac-md5-96",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1-96-etm@openssh.com",
    "hmac-md5-etm@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
];

/// Kinds of keys, certificates first as in ssh.
const KEYS: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
const OTHER_KEYS: &[&str] = &[
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
];

const SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// What is offered where nobody says anything, the best first.
pub(super) fn ours(family: Family) -> &'static [&'static str] {
    match family {
        Family::Kex => KEXES,
        Family::Cipher if crate::ssh::algorithms::has_aes() => CIPHERS,
        Family::Cipher => CIPHERS_WITHOUT_AES,
        Family::Mac => MACS,
        Family::Key => KEYS,
        Family::Signature => SIGNATURES,
    }
}

fn others(family: Family) -> &'static [&'static str] {
    match family {
        Family::Kex => OTHER_KEXES,
        Family::Cipher => OTHER_CIPHERS,
        Family::Mac => OTHER_MACS,
        Family::Key | Family::Signature => OTHER_KEYS,
    }
}

fn is_known(family: Family, name: &str) -> bool {
    let mut names = ours(family).iter().chain(others(family));
    let has_patterns = matches!(family, Family::Key | Family::Signature);
    names.any(|known| if has_patterns { pattern::matches(name, known) } else { *known == name })
        || (family == Family::Signature && KEYS.iter().any(|known| pattern::matches(name, known)))
}

/// Whether ssh would take the list.
///
/// # Errors
/// The name that there is not, as a fragment.
pub(super) fn check(family: Family, list: &str) -> Result<(), String> {
    if list.starts_with('-') {
        // What is taken away need not exist.
        return Ok(());
    }
    let names = list.strip_prefix(['+', '^']).unwrap_or(list);
    match names.split(',').find(|name| !is_known(family, name)) {
        Some(name) => Err(format!("names `{name}`, which ssh does not know")),
        None => Ok(()),
    }
}

/// What is offered, the best first. Names that are not had here are left out.
///
/// # Errors
/// When nothing is left, as a fragment.
pub(super) fn chosen(family: Family, list: &str) -> Result<Vec<&'static str>, String> {
    let ours = ours(family);
    let chosen = assembled(list, ours, ours);
    let chosen: Vec<&str> = ours_in_order(&chosen, ours);
    if chosen.is_empty() {
        return Err(format!("`{list}` leaves nothing that is offered; here there are {}", ours.join(",")));
    }
    Ok(chosen)
}

fn ours_in_order(chosen: &[String], ours: &[&'static str]) -> Vec<&'static str> {
    chosen.iter().filter_map(|name| ours.iter().copied().find(|known| known == name)).collect()
}

/// What `list` makes of the names that hold by default, where there are `all`.
pub(super) fn assembled(list: &str, default: &[&str], all: &[&str]) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    if let Some(taken) = list.strip_prefix('-') {
        let is_taken = |name: &&&str| pattern::list_matches(taken.split(','), name);
        return default.iter().filter(|name| !is_taken(name)).map(|name| (*name).to_owned()).collect();
    }
    let split = |names: &str| names.split(',').map(str::to_owned).collect::<Vec<String>>();
    let wanted = match (list.strip_prefix('+'), list.strip_prefix('^')) {
        (Some(more), _) => [owned(default), split(more)].concat(),
        (None, Some(first)) => [split(first), owned(default)].concat(),
        (None, None) => split(list),
    };
    let mut names: Vec<String> = Vec::new();
    for wanted in &wanted {
        for name in all.iter().filter(|name| pattern::matches(wanted, name)) {
            if !names.iter().any(|known| known == name) {
                names.push((*name).to_owned());
            }
        }
    }
    names
}
