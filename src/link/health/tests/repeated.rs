//! Data that is sent again: when that speaks against a line, and when it does not.

use super::*;

/// Groups of far ends that users speak with.
const FAR_ENDS: u64 = 8;

/// What users' data comes to in a second of a line's life.
#[derive(Clone, Copy)]
struct Second {
    data: u64,
    repeated: u64,
    /// Far ends that are heard in it.
    heard: u64,
    /// Far ends to which one more connection is stuck.
    stuck: u64,
}

const USUAL: Second = Second { data: 100, repeated: 2, heard: FAR_ENDS, stuck: 0 };
/// New connections send their first data, and then the same again.
const SILENT: Second = Second { data: 30, repeated: 20, heard: 0, stuck: 5 };
const IDLE: Second = Second { data: 0, repeated: 0, heard: 0, stuck: 0 };

/// A line whose seconds are as told; between them, the counters grow evenly. Connections to it are answered.
fn users(mut second_at: impl FnMut(u64) -> Second + 'static) -> Users {
    let mut seconds: Vec<Second> = Vec::new();
    Box::new(move |elapsed| {
        while seconds.len() as u64 * 1_000 <= elapsed {
            seconds.push(second_at(seconds.len() as u64));
        }
        let mut segments = Segments::default();
        for (at, second) in seconds.iter().enumerate() {
            let part = elapsed.saturating_sub(at as u64 * 1_000).min(1_000);
            segments.out += second.data * part / 1_000;
            segments.out_repeated += second.repeated * part / 1_000;
            let whole = u64::from(part >= 500);
            (0..second.heard as usize).for_each(|group| segments.heard[group] += whole);
            (0..second.stuck as usize).for_each(|group| segments.stuck[group] += whole);
        }
        let answered = elapsed / 300;
        Traffic { connections_tried: answered, connections_answered: answered, segments, ..Traffic::default() }
    })
}

fn world(second_at: impl FnMut(u64) -> Second + 'static) -> World {
    let mut world = World::new(far_settings(), |_, _| Some(10));
    world.users = Some(users(second_at));
    world
}

#[test]
fn line_that_answers_questions_and_carries_no_data_is_lame_within_seconds() {
    let mut worst = 0;
    for failing in [60, 61, 62, 63] {
        let mut world = world(move |second| if second < failing { USUAL } else { SILENT });
        world.run(70_000);
        let Some((at, cause @ HealthCause::DataInVain(share))) = world.last_change() else {
            panic!("{:?}", world.changes)
        };
        worst = worst.max(at - failing * 1_000);
        assert_eq!(share.usual_percent, Some(2));
        let percent = share.percent;
        assert_eq!(cause.to_string(), format!("connections send {percent} % of their data again, 2 % is usual here"));
        assert!((50..=70).contains(&percent), "{percent}");
    }
    assert!(worst <= 4_000, "{worst} ms");
}

#[test]
fn line_that_never_carried_data_is_lame_without_a_past() {
    let mut world = world(|second| if second < 2 { IDLE } else { SILENT });
    world.run(8_000);
    let cause = world.last_change().map(|(_, cause)| cause.to_string());
    assert!(cause.as_ref().is_some_and(|cause| cause.ends_with("% of their data again")), "{:?}", world.changes);
}

#[test]
fn line_that_carries_data_again_is_up_again_and_one_that_does_not_is_tried_less_and_less() {
    // While it is lame its users are on other lines.
    let fails = |second: u64| (60..64).contains(&second);
    let mut mended = world(move |second| match second {
        _ if fails(second) => SILENT,
        64..90 => IDLE,
        _ => USUAL,
    });
    mended.run(300_000);
    assert_eq!(mended.changes.len(), 3, "{:?}", mended.changes);
    assert!((70_000..80_000).contains(&mended.changes[2].0), "{:?}", mended.changes);

    let standing = std::rc::Rc::new(std::cell::Cell::new(Standing::Up));
    let seen = std::rc::Rc::clone(&standing);
    let mut broken = world(move |second| match (second, seen.get()) {
        (0..60, _) => USUAL,
        (_, Standing::Up) => SILENT,
        _ => IDLE,
    });
    for _ in 0..600 {
        broken.run(999);
        standing.set(broken.health.standing());
    }
    let lame = broken.changes.iter().filter(|(_, cause)| matches!(cause, HealthCause::DataInVain(_))).count();
    assert!((3..=6).contains(&lame), "{:?}", broken.changes);
    let usual = broken.health.status(broken.time()).repeated.usual_percent;
    assert_eq!(usual, Some(2), "what a line does when it fails is not usual");
}

#[test]
fn lossy_line_is_held_against_its_own_past() {
    // Nobody is heard for spells of four seconds. That is new on one line, and as ever on the other.
    for (repeated, expected) in [(2, Standing::Lame), (30, Standing::Up)] {
        let mut world = world(move |second| match second {
            60..64 => Second { data: 100, repeated: 40, heard: 0, stuck: 4 },
            _ => Second { data: 100, repeated, heard: FAR_ENDS, stuck: 0 },
        });
        world.run(64_000);
        assert_eq!(world.health.standing(), expected, "{repeated} % {:?}", world.changes);
        assert_eq!(world.health.status(world.time()).repeated.usual_percent, Some(repeated as u8));
    }
}

#[test]
fn line_that_loses_much_and_is_heard_is_not_silent() {
    let mut world = world(|second| match second {
        0..60 => USUAL,
        _ => Second { data: 100, repeated: 45, heard: 3, stuck: 5 },
    });
    world.run(120_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn dead_server_is_no_dead_line() {
    // All connections go there, and to one that is dead as well.
    for stuck in [1, 2] {
        let mut world = world(move |second| match second {
            0..60 => USUAL,
            _ => Second { data: 30, repeated: 30, heard: 0, stuck },
        });
        world.run(120_000);
        assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    }
    // And many dead ones among those that work: somebody shares files.
    let mut world = world(|second| match second {
        0..60 => USUAL,
        _ => Second { data: 30, repeated: 20, heard: 2, stuck: 7 },
    });
    world.run(120_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn line_full_by_our_own_traffic_is_not_silent() {
    let mut world = world(|_| USUAL);
    world.health =
        Health::new(Arc::new(far_settings()), Capacity { download: Some(8_000_000), upload: Some(1_000_000) }, [7; 32]);
    world.connect();
    // Its queue is so long that nobody is heard for seconds, and hosts lose patience.
    let mut full = users(|second| if second < 60 || second % 10 < 5 { USUAL } else { SILENT });
    let bytes_out = |elapsed: u64| elapsed.saturating_sub(55_000) * 120;
    world.users = Some(Box::new(move |elapsed| Traffic { bytes_out: bytes_out(elapsed), ..full(elapsed) }));
    world.run(600_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    let status = world.health.status(world.time()).repeated;
    assert_eq!(status.usual_percent, Some(2), "what it does when it is full is not usual");
    assert!(status.out_percent > Some(10), "{status:?}");
}

#[test]
fn last_minute_is_told_and_then_forgotten() {
    let mut world = world(|second| match second {
        0..120 => Second { data: 50, repeated: 5, ..USUAL },
        _ => IDLE,
    });
    let shares = |world: &World| {
        let status = world.health.status(world.time()).repeated;
        (status.out_percent, status.usual_percent)
    };
    world.run(3_000);
    assert_eq!(shares(&world), (Some(10), None));
    world.run(80_000);
    assert_eq!(shares(&world), (Some(10), Some(10)));
    world.run(100_000);
    assert_eq!(shares(&world), (None, Some(10)));
}
