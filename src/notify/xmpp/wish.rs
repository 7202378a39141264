//! What people say to the bot. Pure.

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To know how the lines are.
    Status,
    /// Something done.
    Done(Order),
    /// Something else.
    Unclear,
}

/// What somebody wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// This line put back.
    Up(String),
    /// This line taken down.
    Down(String),
    /// This line redialled.
    Redial(String),
}

/// Longest name of a line, in characters, that is repeated to whoever wants it.
const LONGEST_NAME: usize = 40;

/// What it says to whom it does not understand.
pub(super) const HELP: &str = "I understand: status, up LINE, down LINE, redial LINE (as in \"up dsl3\")";
/// What it says to whom may not order.
pub(super) const NOT_FOR_YOU: &str = "that is not for you to order; operators in the router's configuration may";
/// What it says in a room.
pub(super) const NOT_IN_A_ROOM: &str = "I take orders in a chat with me alone";

/// What a message asks for. In a room it may begin with the bot's name.
pub(super) fn wish(text: &str, nick: &str) -> Wish {
    let text = text.trim().to_lowercase();
    let text =
        text.strip_prefix(&nick.to_lowercase()).map_or(text.as_str(), |rest| rest.trim_start_matches([':', ',']));
    let words: Vec<_> = text.split_whitespace().take(3).collect();
    let line = |line: &str| line.chars().take(LONGEST_NAME).collect::<String>();
    match words.as_slice() {
        ["status" | "status?"] => Wish::Status,
        ["up", name] => Wish::Done(Order::Up(line(name))),
        ["down", name] => Wish::Done(Order::Down(line(name))),
        ["redial", name] => Wish::Done(Order::Redial(line(name))),
        _ => Wish::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_understood_as_people_write_them() {
        for (text, expected) in [
            ("status", Wish::Status),
            ("  Status?\n", Wish::Status),
            ("potato: status", Wish::Status),
            ("Up dsl3", Wish::Done(Order::Up("dsl3".to_owned()))),
            ("potato, down dsl3", Wish::Done(Order::Down("dsl3".to_owned()))),
            ("redial dsl3", Wish::Done(Order::Redial("dsl3".to_owned()))),
            ("up", Wish::Unclear),
            ("redial", Wish::Unclear),
            ("up dsl3 dsl4", Wish::Unclear),
            ("", Wish::Unclear),
        ] {
            assert_eq!(wish(text, "Potato"), expected, "{text}");
        }
    }
}
