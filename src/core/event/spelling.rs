//! Values that have many spellings and, in a column, one: uuids, addresses, trace ids, words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A uuid: `8-4-4-4-12` or 32 hex digits of either case, in braces or not, after `urn:uuid:` or not.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = match text.get(..9) {
        Some(urn) if urn.eq_ignore_ascii_case("urn:uuid:") => text.get(9..)?,
        _ => text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text),
    };
    let digits = match text.len() {
        32 => text.to_owned(),
        36 if text.match_indices('-').map(|(at, _)| at).eq([8, 13, 18, 23]) => text.replace('-', ""),
        _ => return None,
    };
    // A sign is a digit to `from_str_radix`, but not to this.
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(&digits, 16).ok().filter(|_| hex).map(u128::to_be_bytes)
}

/// An address of IPv4 or IPv6 as `inet` takes it, and whether it is all that the text said: false if there was a port,
/// or a list of which it is the first.
pub(super) fn ip(text: &str) -> Option<(String, bool)> {
    let (first, alone) = text.split_once(',').map_or((text, true), |(first, _)| (first, false));
    let first = first.trim();
    if let Some(address) = network(first) {
        return Some((address, alone));
    }
    if let Some(bare) = first.strip_prefix('[').and_then(|first| first.strip_suffix(']')) {
        return Some((bare.parse::<Ipv6Addr>().ok()?.to_string(), alone));
    }
    first.parse::<SocketAddr>().ok().map(|socket| (socket.ip().to_string(), false))
}

/// `address` or `address/prefix`.
fn network(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let Some(prefix) = prefix else {
        return Some(address.to_string());
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = crate::text::decimal(prefix).filter(|&length| length <= bits)?;
    Some(format!("{address}/{length}"))
}

/// The trace id in a `traceparent` of the W3C: `00-<32 hex>-<16 hex>-<2 hex>`.
pub(super) fn traceparent(text: &str) -> Option<&str> {
    let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    match parts[..] {
        ["00", trace, parent, flags] if hex(trace, 32) && hex(parent, 16) && hex(flags, 2) => Some(trace),
        _ => None,
    }
}

/// Who acts.
pub(super) fn actor_type(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "user" | "human" => "user",
        "service" | "bot" | "machine" => "service",
        "ai_agent" | "ai-agent" | "agent" => "ai_agent",
        "system" => "system",
        _ => return None,
    })
}

/// How it went.
pub(super) fn result(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "success" | "ok" | "succeeded" | "successful" => "success",
        "failure" | "fail" | "failed" => "failure",
        "denied" | "forbidden" | "unauthorized" | "rejected" | "blocked" => "denied",
        "error" | "exception" => "error",
        _ => return None,
    })
}

/// A boolean in quotes.
pub(super) fn boolean(word: &str) -> Option<bool> {
    word.to_ascii_lowercase().parse().ok()
}
