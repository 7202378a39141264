//! What name servers and web servers are asked, and what of theirs is an answer.

// RFC 1035.
/// Section 4.1.1.
const HEADER_LENGTH: usize = 12;
const FLAG_RESPONSE: u8 = 0x80;
const FLAG_RECURSION_DESIRED: u8 = 0x01;
/// Section 3.2.2 and 3.2.4.
const TYPE_NS: u16 = 2;
const CLASS_IN: u16 = 1;

/// Longest beginning of an HTTP answer that is looked at.
pub(super) const STATUS_LENGTH: usize = 16;

/// A query for the name servers of the root: every resolver knows them, so that nobody else is bothered.
#[must_use]
pub(super) fn dns_query(id: u16) -> [u8; HEADER_LENGTH + 5] {
    let mut query = [0; HEADER_LENGTH + 5];
    query[..2].copy_from_slice(&id.to_be_bytes());
    query[2] = FLAG_RECURSION_DESIRED;
    query[5] = 1;
    // The root's name is one empty label.
    query[HEADER_LENGTH + 1..HEADER_LENGTH + 3].copy_from_slice(&TYPE_NS.to_be_bytes());
    query[HEADER_LENGTH + 3..].copy_from_slice(&CLASS_IN.to_be_bytes());
    query
}

/// The number of the query that a message answers; a refusal is an answer. `None` for anything else.
#[must_use]
pub fn dns_answer(message: &[u8]) -> Option<u16> {
    let header = message.first_chunk::<HEADER_LENGTH>()?;
    (header[2] & FLAG_RESPONSE != 0).then(|| u16::from_be_bytes([header[0], header[1]]))
}

/// A request for a server's first page (RFC 9112 section 3). The connection is closed after the status.
#[must_use]
pub(super) fn http_request(host: std::net::SocketAddrV4) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: potato\r\n\r\n")
}

/// Whether an answer begins as one of HTTP does (RFC 9112 section 4): `HTTP/1.1 200`.
#[must_use]
pub fn is_http_status(answer: &[u8]) -> bool {
    let Some(rest) = answer.strip_prefix(b"HTTP/1.") else { return false };
    let [minor, b' ', status @ ..] = rest else { return false };
    let Some(status) = status.first_chunk::<3>() else { return false };
    minor.is_ascii_digit() && status.iter().all(u8::is_ascii_digit) && matches!(status[0], b'1'..=b'5')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn query_asks_for_the_root_and_its_answer_is_known() {
        let mut message = dns_query(0x1234);
        assert_eq!(message, [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1]);
        assert_eq!(dns_answer(&message), None, "a question is no answer");
        message[2] |= FLAG_RESPONSE;
        // REFUSED.
        message[3] = 5;
        assert_eq!(dns_answer(&message), Some(0x1234));
        assert_eq!(dns_answer(&message[..11]), None);
    }

    #[test]
    fn any_status_is_an_answer_and_nothing_else() {
        for answer in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 404", "HTTP/1.1 503 "] {
            assert!(is_http_status(answer.as_bytes()), "{answer}");
        }
        for other in ["", "HTTP/1.1", "HTTP/1.1 2", "HTTP/1.1 x00", "HTTP/1.1 999", "SSH-2.0-OpenSSH", "http/1.1 200"] {
            assert!(!is_http_status(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = dns_answer(&bytes);
            let _ = is_http_status(&bytes);
        }
    }
}
