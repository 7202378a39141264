//! A line that a person has redialled.

use super::*;

/// All that the line wants sent, as Ethernet frames.
fn sent(line: &mut Line) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| line.poll_transmit()).collect()
}

/// The kind of a DHCP message (RFC 2132 section 9.6), if the frame is one.
fn kind_of(frame: &[u8]) -> Option<u8> {
    let options = frame.get(282..).filter(|_| frame[12..14] == [8, 0] && frame[23] == 17)?;
    options.windows(3).find(|window| window[..2] == [53, 1]).map(|window| window[2])
}

/// What has happened, but for what only its client tells.
fn happened(line: &mut Line) -> Vec<LineEvent> {
    std::iter::from_fn(|| line.poll_event()).filter(|event| !matches!(event, LineEvent::Dhcp(_))).collect()
}

#[test]
fn redialled_lease_is_given_back_and_asked_for_and_flows_wait_for_their_address() {
    let mut line = leased();
    happened(&mut line);
    sent(&mut line);
    assert_eq!(line.handle_redial(at(1_000)), Ok(Redial::Lease));
    let kinds: Vec<_> = sent(&mut line).iter().filter_map(|frame| kind_of(frame)).collect();
    assert_eq!(kinds, [7, 1], "DHCPRELEASE, then DHCPDISCOVER");
    let expected = changed(Availability::Usable, Availability::Unresolved, Cause::Redialled);
    assert_eq!(happened(&mut line), Vec::from_iter(expected));
    assert_eq!((line.ends(), line.next_hop()), (None, None));
    assert!(line.holds_flows() && line.is_redialled(), "until it is known whether the address comes back");
}

#[test]
fn flows_of_a_redialled_line_do_not_wait_for_ever() {
    let mut line = leased();
    line.handle_redial(at(1_000)).unwrap();
    pass(&mut line, 15_999);
    assert!(line.holds_flows());
    pass(&mut line, 16_000);
    assert!(!line.holds_flows() && !line.is_redialled(), "nobody answers");
    // Nor when the cable is pulled meanwhile.
    line.handle_redial(at(17_000)).unwrap();
    line.handle_interface(at(17_001), UNPLUGGED);
    assert!(!line.holds_flows());
    assert_eq!(line.handle_redial(at(17_002)), Err(CannotRedial::NoCarrier));
    line.handle_interface(at(17_003), None);
    assert_eq!(line.handle_redial(at(17_004)), Err(CannotRedial::Missing));
}

#[test]
fn redialled_line_that_has_its_address_again_is_redialled_no_more() {
    let mut line = leased();
    line.handle_redial(at(1_000)).unwrap();
    hear(&mut line, 1_000, 2, GATEWAY);
    hear(&mut line, 1_000, 5, GATEWAY);
    pass(&mut line, 1_400);
    line.handle_packet(at(1_410), &arp(THEIRS, GATEWAY));
    assert_eq!((line.availability(), line.ends().map(|ends| ends.address)), (Availability::Usable, Some(ADDRESS)));
    assert!(line.is_redialled(), "whoever looks at its address now can tell why it is new");
    pass(&mut line, 5_000);
    assert!(!line.is_redialled() && line.holds_flows());
}

#[test]
fn redialled_static_line_asks_for_its_gateway_and_is_tested_without_losing_its_way() {
    let mut line = watched(Line::new(ADDRESS, GATEWAY));
    line.handle_interface(at(0), RUNNING);
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    live(&mut line, 3_000, |_| true);
    changes(&mut line);
    assert_eq!(line.handle_redial(at(3_001)), Ok(Redial::Gateway));
    let expected = [(Availability::Usable, Availability::Testing, "redialled by hand".to_owned())];
    assert_eq!((changes(&mut line), line.next_hop()), (expected.to_vec(), hop(THEIRS, OURS)));
    let asked = sent(&mut line).iter().filter(|frame| frame[12..14] == [8, 6]).count();
    assert!(asked > 0, "its gateway is asked");
    live(&mut line, 6_000, |_| true);
    let expected = [(Availability::Testing, Availability::Usable, "targets answer".to_owned())];
    assert_eq!(changes(&mut line), expected);
}

#[test]
fn line_that_is_down_by_hand_is_redialled_beneath() {
    let mut line = leased();
    line.handle_admin(AdminStatus::Down);
    happened(&mut line);
    assert_eq!(line.handle_redial(at(1_000)), Ok(Redial::Lease));
    assert_eq!((happened(&mut line), line.availability()), (vec![], Availability::Down));
    assert!(line.holds_flows());
}

#[test]
fn line_of_the_kernels_is_redialled_where_somebody_can_be_asked() {
    let ends = Some(Ends { address: ADDRESS, gateway: GATEWAY });
    let mut line = Line::adopted();
    line.handle_interface(at(0), RUNNING);
    assert_eq!(line.handle_redial(at(1)), Err(CannotRedial::Kernels), "it has no address");
    line.handle_kernel_address(at(2), ends, Attachment::Ethernet);
    line.handle_packet(at(3), &arp(THEIRS, GATEWAY));
    sent(&mut line);
    assert_eq!((line.handle_redial(at(4)), sent(&mut line).len()), (Ok(Redial::Gateway), 1));
    line.handle_kernel_address(at(5), ends, Attachment::Bare);
    assert_eq!(line.handle_redial(at(6)), Err(CannotRedial::Kernels), "nobody can be asked");
}
