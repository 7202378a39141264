//! What users' own traffic makes of it.

use super::*;

/// Connections tried and answered, a hundred packets and a hundred kilobytes in and out, each second.
fn busy(elapsed: u64) -> Traffic {
    Traffic {
        connections_tried: elapsed / 300,
        connections_answered: elapsed / 300,
        packets_in: elapsed / 10,
        bytes_in: elapsed * 100,
        bytes_out: elapsed * 100,
        ..Traffic::default()
    }
}

/// The counters stand still from `at` on, but for connections that are tried.
fn busy_until(at: u64) -> Users {
    Box::new(move |elapsed| Traffic { connections_tried: elapsed / 300, ..busy(elapsed.min(at)) })
}

#[test]
fn silent_targets_make_no_line_lame_whose_users_are_answered() {
    let mut world = World::new(far_settings(), |world, _| (world.elapsed() < 10_000).then_some(10));
    world.users = Some(busy_until(60_000));
    world.run(59_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    assert_eq!(world.health.status(world.time()).losses[0], None, "what is not the line's is not counted");
    world.run(4_000);
    // Then it is dead, and users' own attempts say so.
    assert!(
        matches!(world.last_change(), Some((60_000..62_500, HealthCause::TargetsSilent(_)))),
        "{:?}",
        world.changes
    );
}

#[test]
fn line_that_loses_a_third_is_lame_though_its_users_get_answers() {
    let mut world = World::new(far_settings(), |_, _| Some(10));
    world.users = Some(Box::new(busy));
    world.run(20_000);
    let mut random = 7_u64;
    world.set_path(move |_, _| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 33) % 100 >= 33).then_some(10)
    });
    world.run(20_000);
    assert!(
        world
            .changes
            .iter()
            .any(|(at, cause)| (20_000..32_000).contains(at) && matches!(cause, HealthCause::Loss { .. })),
        "{:?}",
        world.changes
    );
}

#[test]
fn target_that_was_silent_for_a_while_is_no_loss_of_a_line_with_users() {
    let is_away = |elapsed| (20_000..24_000).contains(&elapsed) || (40_000..55_000).contains(&elapsed);
    let mut world = World::new(far_settings(), move |world, _| (!is_away(world.elapsed())).then_some(10));
    world.users = Some(Box::new(busy));
    world.run(90_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn seldom_users_are_enough_once_they_have_spoken_for_the_line() {
    let mut world = World::new(far_settings(), |world, _| (world.elapsed() < 10_000).then_some(10));
    // One when the targets fall silent, then one every six seconds.
    world.users = Some(Box::new(|elapsed| {
        let answered = u64::from(elapsed >= 10_700) + elapsed.saturating_sub(12_000) / 6_000;
        Traffic { connections_tried: answered, connections_answered: answered, ..Traffic::default() }
    }));
    world.run(60_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn dead_line_with_users_is_noticed_as_soon_as_an_idle_one() {
    let mut worst = 0;
    for hole_at in (10_000..11_100).step_by(53) {
        let mut world =
            World::new(far_settings(), move |world, host| (host == GATEWAY || world.elapsed() < hole_at).then_some(20));
        // The kernel's own forwarding is told of a fifth of a second late.
        world.users = Some(Box::new(move |elapsed| {
            let seen = busy(elapsed.saturating_sub(200).min(hole_at));
            Traffic { connections_tried: elapsed / 300, connections_answered: elapsed.min(hole_at) / 300, ..seen }
        }));
        world.run(15_000);
        let Some((at, HealthCause::TargetsSilent(_))) = world.last_change() else { panic!("{:?}", world.changes) };
        worst = worst.max(at - hole_at);
    }
    assert!(worst <= 1_500, "{worst} ms");
}

#[test]
fn answering_targets_keep_no_line_up_whose_users_are_not_answered_while_others_are() {
    for (peers, expected) in [(Peers::Answer, Standing::Lame), (Peers::Silent, Standing::Up)] {
        let mut world = World::new(far_settings(), |_, _| Some(10));
        world.peers = peers;
        world.users = Some(busy_until(20_000));
        world.run(30_000);
        assert_eq!(world.health.standing(), expected, "{peers:?} {:?}", world.changes);
        if expected == Standing::Lame {
            let last = world.last_change();
            assert!(matches!(last, Some((22_000..26_000, HealthCause::UsersUnanswered))), "{:?}", world.changes);
            // Once an answer comes (a connection that it still has, or one for want of a better line), it is up again.
            world.users = Some(Box::new(busy));
            world.run(3_000);
            assert_eq!(world.last_change().map(|(_, cause)| cause), Some(HealthCause::UsersAnswered));
        }
    }
}

#[test]
fn hosts_that_try_in_vain_as_ever_say_nothing() {
    // Somebody scans addresses where nobody is.
    let mut world = World::new(far_settings(), |_, _| Some(10));
    world.peers = Peers::Answer;
    world.users = Some(Box::new(|elapsed| Traffic {
        connections_tried: elapsed / 50,
        connections_answered: elapsed / 2_000 % 2,
        ..Traffic::default()
    }));
    world.run(3_000);
    let past = Box::new(|elapsed: u64| Traffic {
        connections_tried: elapsed / 50,
        connections_answered: 3,
        ..Traffic::default()
    });
    world.users = Some(past);
    world.run(60_000);
    let lame = world.changes.iter().filter(|(_, cause)| *cause == HealthCause::UsersUnanswered).count();
    assert!(lame <= 1, "{:?}", world.changes);
}

#[test]
fn line_full_by_our_own_traffic_is_not_lame() {
    let mut dice = World::new(Settings::default(), |_, _| None);
    // Questions wait in the queue, and most are lost there.
    let mut world = World::new(far_settings(), move |world, _| {
        let is_full = world.elapsed() > 10_000;
        if !is_full { Some(10) } else { (!dice.chance(70)).then_some(900) }
    });
    world.health =
        Health::new(Arc::new(far_settings()), Capacity { download: Some(2_000_000), upload: Some(500_000) }, [7; 32]);
    world.connect();
    // Uploading: few packets come, and new connections take long.
    world.users = Some(Box::new(|elapsed| {
        let full = elapsed.saturating_sub(9_000);
        Traffic { packets_in: full / 50, bytes_out: full * 62, bytes_in: full, ..Traffic::default() }
    }));
    world.run(600_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    let status = world.health.status(world.time());
    assert!(status.losses[0].is_none_or(|loss| loss == 0), "{status:?}");
    assert!(status.round_trip.is_none_or(|trip| trip.high < Duration::from_millis(100)), "{status:?}");
}

#[test]
fn line_that_sends_nothing_is_lame_soon_though_repetitions_come() {
    // What is sent is lost; far ends repeat what was not acknowledged, less and less.
    let mut world =
        World::new(far_settings(), |world, host| (host == GATEWAY || world.elapsed() < 10_000).then_some(10));
    world.users = Some(Box::new(|elapsed| {
        let after = elapsed.saturating_sub(10_000);
        let repeated = [200, 400, 800, 1_600, 3_200].iter().filter(|at| **at < after).count() as u64;
        let before = busy(elapsed.min(10_000));
        Traffic { packets_in: before.packets_in + repeated * 4, connections_tried: elapsed / 300, ..before }
    }));
    world.run(20_000);
    let Some((at, HealthCause::TargetsSilent(_))) = world.last_change() else { panic!("{:?}", world.changes) };
    assert!((10_900..=12_000).contains(&at), "{at}");
}
