//! DSCP, the mark by which a host says how a packet wants to be treated (RFC 2474): 0 to 63, and names for the usual ones.

/// Names and numbers: RFC 2474 section 4.2.2, RFC 2597 section 6, RFC 3246, RFC 5865, RFC 8622.
pub const NAMES: [(&str, u8); 23] = [
    ("cs0", 0),
    ("cs1", 8),
    ("cs2", 16),
    ("cs3", 24),
    ("cs4", 32),
    ("cs5", 40),
    ("cs6", 48),
    ("cs7", 56),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("ef", 46),
    ("va", 44),
    ("le", 1),
];
/// The highest: it has six bits.
pub const HIGHEST: u8 = 63;

/// The number of a name, however its letters are written.
#[must_use]
pub fn named(name: &str) -> Option<u8> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// Reads a name, or a number from 0 to 63.
#[must_use]
pub fn parse(text: &str) -> Option<u8> {
    named(text).or_else(|| text.parse().ok().filter(|number| *number <= HIGHEST))
}

/// Its name, or the number itself.
#[must_use]
pub fn name(number: u8) -> String {
    let known = NAMES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assured_forwarding_follows_its_formula() {
        // RFC 2597 section 6: class times eight, drop precedence times two.
        for (class, precedence) in (1..=4).flat_map(|class| (1..=3).map(move |precedence| (class, precedence))) {
            assert_eq!(named(&format!("AF{class}{precedence}")), Some(class * 8 + precedence * 2));
        }
    }

    #[test]
    fn names_and_numbers_are_read_and_others_are_not() {
        assert_eq!([parse("EF"), parse("46"), parse("63"), parse("0")], [Some(46), Some(46), Some(63), Some(0)]);
        assert_eq!([parse("64"), parse("-1"), parse("af44"), parse("")], [None; 4]);
        assert_eq!((name(46), name(7)), ("ef".to_owned(), "7".to_owned()));
    }
}
