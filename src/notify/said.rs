//! What others' machines say, made fit to be shown to people: on a terminal, in a log, on the page.

/// Most of it that is shown, in characters.
const LONGEST: usize = 200;

/// The text in one line, without what would steer a terminal, and not all of it if it is long.
pub(crate) fn fit_to_show(text: &str) -> String {
    let visible: String = text.chars().take(2 * LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    visible.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_not_shown() {
        assert_eq!(fit_to_show("\u{1b}[2Jno\r\nmail\u{9b}"), "[2Jno  mail");
        assert_eq!(fit_to_show(&"ä".repeat(10_000)), "ä".repeat(200));
    }
}
