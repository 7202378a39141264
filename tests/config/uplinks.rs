//! Kinds of lines.

use super::*;

/// An uplink by PPPoE in place of the static one, with more lines from line 10 on.
fn pppoe(lines: &str) -> String {
    let addresses = "kind = \"static\"\naddress = \"10.77.1.2/24\"\ngateway = \"10.77.1.1\"\n";
    let login = "kind = \"pppoe\"\nusername = \"me@provider\"\npassword_file = \"/etc/potato/dsl1.password\"\n";
    with(addresses, login) + lines
}

#[test]
fn line_by_pppoe_is_read_whole() {
    let config = parse(&pppoe("service = \"internet\"\nconcentrator = \"lab\"\n")).unwrap();
    let UplinkKind::Pppoe(login) = &config.uplinks[0].kind else { panic!("not pppoe") };
    assert_eq!(login.password_file, Path::new("/etc/potato/dsl1.password"));
    let account = &login.account;
    assert_eq!((account.username.as_str(), account.service.as_str()), ("me@provider", "internet"));
    assert_eq!(account.concentrator.as_deref(), Some("lab"));
    let config = parse(&pppoe("")).unwrap();
    let UplinkKind::Pppoe(login) = &config.uplinks[0].kind else { panic!("not pppoe") };
    assert_eq!((login.account.service.as_str(), &login.account.concentrator), ("", &None));
}

#[test]
fn mistakes_of_a_line_by_pppoe_are_refused() {
    let without = |key: &str| pppoe("").lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
    assert_refused(&without("username"), 4, &["no `username`", "username = \"me@provider\""]);
    assert_refused(&without("password_file"), 4, &["no `password_file`"]);
    assert_refused(&pppoe("address = \"10.77.1.2/24\"\n"), 10, &["`address`", "static", "take the line out"]);
    assert_refused(&pppoe("service = \"\"\n"), 10, &["`service`", "empty"]);
    assert_refused(&pppoe("concentrator = \"a\\nb\"\n"), 10, &["`concentrator`", "control character"]);
    let relative = pppoe("").replace("/etc/potato/", "");
    assert_refused(&relative, 9, &["`password_file`", "absolute"]);
    let long = pppoe("").replace("me@provider", &"x".repeat(256));
    assert_refused(&long, 8, &["`username`", "longer than 255"]);
}

#[test]
fn password_file_is_read_with_the_file_and_its_mistakes_are_told_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, password) = (folder.path().join("potato.toml"), folder.path().join("dsl1.password"));
    let text = pppoe("").replace("/etc/potato/dsl1.password", &password.to_string_lossy());
    std::fs::write(&path, text).unwrap();
    let refused = |parts: &[&str]| {
        let error = config::load(&path).unwrap_err().to_string();
        assert!(error.contains(":9:"), "should name line 9: {error}");
        parts.iter().for_each(|part| assert!(error.contains(part), "should say {part}: {error}"));
        assert!(!error.contains("hunter2"), "{error}");
    };
    refused(&["`password_file`", "dsl1.password", "cannot be read"]);
    let write = |content: &str, mode| {
        std::fs::write(&password, content).unwrap();
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    write("hunter2\n", 0o640);
    refused(&["others than its owner", "640", "chmod 600"]);
    write("hunter2\nmore\n", 0o600);
    refused(&["more than one line"]);
    write("hunter2\n", 0o600);
    let config = config::load(&path).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && shown.contains("not shown"), "{shown}");
    let UplinkKind::Pppoe(login) = &config.uplinks[0].kind else { panic!("not pppoe") };
    assert_eq!(login.account.password, potato::link::pppoe::Secret::new(b"hunter2".to_vec()));
}

#[test]
fn dhcp_uplinks_stand_beside_static_ones_without_addresses() {
    let dhcp = |n| format!("[[uplink]]\nname = \"cable{n}\"\ninterface = \"eth{n}\"\nkind = \"dhcp\"\nweight = {n}\n");
    let config = parse(&format!("{LEAST}\n{}\n{}", dhcp(1), dhcp(2))).unwrap();
    let kinds: Vec<_> = config.uplinks.iter().map(|uplink| uplink.kind.name()).collect();
    assert_eq!(kinds, ["static", "dhcp", "dhcp"]);
    assert_eq!(config.uplinks[2].kind.static_address(), None);
    assert_eq!(config.uplinks[2].weight.get(), 2);
}

#[test]
fn uplink_names_its_interface_in_one_of_three_ways() {
    let config = parse(&with("interface = \"wan1\"", "mac = \"02:00:5E:10:00:01\"")).unwrap();
    assert_eq!(config.uplinks[0].interface.to_string(), "mac 02:00:5e:10:00:01");
    let config = parse(&with("interface = \"wan1\"", "path = \"pci-0000:00:14.0-usb-0:2:1.0\"")).unwrap();
    assert_eq!(config.uplinks[0].interface.to_string(), "path pci-0000:00:14.0-usb-0:2:1.0");
    assert_eq!(config.uplinks[0].interface.name(), None);
    let one = "one of `interface`, `mac` and `path`";
    let both = with("interface = \"wan1\"", "interface = \"wan1\"\nmac = \"02:00:5e:10:00:01\"");
    assert_refused(&both, 7, &["`mac`: the interface is given by `interface` already", one]);
    let both = with("interface = \"wan1\"", "mac = \"02:00:5e:10:00:01\"\npath = \"pci-0000:00:14.0\"");
    assert_refused(&both, 7, &["`path`: the interface is given by `mac` already", one]);
    assert_refused(&with("interface = \"wan1\"\n", ""), 4, &["no `interface`", "`mac` or `path`"]);
    for wrong in ["02:00:5e:10:00", "01:00:5e:10:00:01", "00:00:00:00:00:00", "wan1"] {
        assert_refused(&with("interface = \"wan1\"", &format!("mac = \"{wrong}\"")), 6, &["`mac`", "six hexadecimal"]);
    }
    for wrong in ["", "/sys/devices/pci0000:00", "usb2", "pci-0000:00:14.0 "] {
        assert_refused(&with("interface = \"wan1\"", &format!("path = \"{wrong}\"")), 6, &["`path`", "ID_PATH"]);
    }
    let second = |key: &str| format!("name = \"dsl2\"\n{key}\nkind = \"dhcp\"\n");
    let first = with("interface = \"wan1\"", "mac = \"02:00:5e:10:00:01\"");
    let same = format!("{first}\n[[uplink]]\n{}", second("mac = \"02:00:5e:10:00:01\""));
    assert_refused(&same, 13, &["`mac`", "the interface of uplink \"dsl1\""]);
    parse(&format!("{first}\n[[uplink]]\n{}", second("mac = \"02:00:5e:10:00:02\""))).unwrap();
}

#[test]
fn uplink_whose_address_is_the_kernels_has_at_most_a_gateway() {
    let least = LEAST.replace("\"static\"", "\"adopted\"");
    assert_refused(&least, 8, &["`address`", "kind = \"static\"", "the kernel has the address"]);
    let config = parse(&least.replace("address = \"10.77.1.2/24\"\n", "")).unwrap();
    assert_eq!(config.uplinks[0].kind, UplinkKind::Adopted { gateway: Some("10.77.1.1".parse().unwrap()) });
    let bare = least.lines().filter(|line| !line.starts_with("address") && !line.starts_with("gateway"));
    let config = parse(&bare.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(config.uplinks[0].kind, UplinkKind::Adopted { gateway: None });
}
