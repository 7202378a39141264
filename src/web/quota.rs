//! So many in a minute are told of; of the others, how many there were.

use std::time::Duration;

/// So many in a minute.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// What has been told in this minute. Pure: time is an argument.
#[derive(Debug, Default)]
pub(super) struct Quota {
    since: Duration,
    told: u32,
    untold: u64,
}

impl Quota {
    /// Whether this one, at `now`, is told of; and how many before it were not.
    pub(super) fn take(&mut self, now: Duration) -> Option<u64> {
        if now.saturating_sub(self.since) >= MINUTE {
            (self.since, self.told) = (now, 0);
        }
        if self.told >= MOST {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_counted() {
        let mut quota = Quota::default();
        let told = (0..25).filter(|_| quota.take(Duration::from_secs(1)).is_some());
        assert_eq!(told.count(), 10);
        assert_eq!(quota.take(Duration::from_secs(61)), Some(15));
        assert_eq!(quota.take(Duration::from_secs(61)), Some(0));
    }
}
