//! What this machine is good at, and which agreed algorithms are worth a word.

/// Whether the processor has instructions for AES; without them it is slow and its timing tells of the key.
pub(super) fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// What of the agreed algorithms is weaker than it could be, each as one line; `mac` is empty where the cipher brings
/// its own.
pub(super) fn weaknesses(kex: &str, mac: &str) -> Vec<String> {
    let is_post_quantum = kex.starts_with("mlkem") || kex.starts_with("sntrup");
    let kex = (!is_post_quantum).then(|| format!("{kex} is not post-quantum"));
    let mac = (!mac.is_empty() && !mac.contains("-etm@")).then(|| format!("{mac} does not cover what is encrypted"));
    kex.into_iter().chain(mac).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_than_it_could_be_is_named() {
        assert!(weaknesses("mlkem768x25519-sha256", "").is_empty());
        assert!(weaknesses("mlkem768x25519-sha256", "hmac-sha2-256-etm@openssh.com").is_empty());
        assert_eq!(weaknesses("curve25519-sha256", ""), ["curve25519-sha256 is not post-quantum"]);
        assert_eq!(
            weaknesses("mlkem768x25519-sha256", "hmac-sha2-512"),
            ["hmac-sha2-512 does not cover what is encrypted"]
        );
    }
}
