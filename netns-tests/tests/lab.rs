//! The lab itself, without a router: what the other tests stand on.
//!
//! ```text
//!  h1 .21 --+
//!  h2 .22 --+-- lan -- lan0 .1 [router] wan1 ---- 10.77.1.1 [internet] 203.0.113.1..9, 192.0.2.53
//!                                       wan2 -- 10.77.2.1 [modem2] --- [internet]
//! ```

use std::path::Path;

use potato::demo::lab::{FarEnd, Lab, LabOptions, Offloads};

#[test]
fn hosts_reach_the_router_and_each_other_and_nothing_is_left() {
    let mut options = LabOptions::new(2, 2);
    options.host_offloads = Offloads::Off;
    options.uplinks[0].upload_mbit = Some(10);
    options.uplinks[0].mtu = Some(1400);
    options.uplinks[1].far_end = FarEnd::Modem;
    let lab = Lab::build(options).unwrap_or_else(|error| panic!("{error}"));
    for address in ["192.168.10.1", "192.168.10.22"] {
        lab.host(1).exec("ping", &["-c", "1", "-W", "2", address]).unwrap_or_else(|error| panic!("{error}"));
    }
    lab.far_end(2).exec("ping", &["-c", "1", "-W", "2", "203.0.113.9"]).unwrap_or_else(|error| panic!("{error}"));
    let route = lab.internet().exec("ip", &["route", "get", "192.168.10.21"]).map_err(|error| error.to_string());
    assert!(route.unwrap_err().contains("No route to host"));
    lab.delete_uplink(1).unwrap_or_else(|error| panic!("{error}"));
    lab.remake_uplink(1).unwrap_or_else(|error| panic!("{error}"));

    let (name, directory) = (lab.router().name().to_owned(), lab.directory().to_owned());
    drop(lab);
    assert!(!Path::new("/run/netns").join(name).exists());
    assert!(!directory.exists());
}

#[test]
fn a_refused_command_is_named() {
    let lab = Lab::build(LabOptions::new(0, 0)).unwrap_or_else(|error| panic!("{error}"));
    let error = lab.router().ip(&["link set lo up".to_owned(), "link set none up".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("link set none up") && error.contains("Cannot find device"), "{error}");
}
