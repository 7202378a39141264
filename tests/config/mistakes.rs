//! Mistakes, and what is said of them.

use super::*;

#[test]
fn unknown_keys_get_the_nearest_known_one() {
    assert_refused(&format!("{LEAST}wieght = 3\n"), 10, &["`wieght`", "[[uplink]]", "did you mean `weight`?"]);
    assert_refused(
        &with("interface = \"lan0\"", "interfaces = \"lan0\""),
        2,
        &["`interfaces`", "did you mean `interface`?"],
    );
    assert_refused(&format!("{LEAST}[router]\nworker = 2\n"), 11, &["`worker`", "[router]", "did you mean `workers`?"]);
    assert_refused(&format!("{LEAST}[uplinks]\n"), 10, &["`uplinks`", "unknown section", "did you mean `uplink`?"]);
    assert_refused(&format!("colour = 3\n{LEAST}"), 1, &["`colour`", "`router`, `lan`, `uplink`"]);
}

#[test]
fn syntax_errors_are_shown() {
    assert_refused(&with("\"lan0\"", "\"lan0"), 2, &["TOML"]);
    assert_refused(&with("interface = \"wan1\"", "interface \"wan1\""), 6, &["TOML"]);
    assert_refused(&with("kind = \"static\"", "kind = \"static\"\nkind = \"static\""), 8, &["duplicate"]);
    assert_refused(&with("[lan]", "[lan"), 1, &["TOML"]);
    assert_refused(&with("[[uplink]]", "[uplink]"), 4, &["`uplink`", "[[uplink]], with two brackets"]);
}

#[test]
fn missing_keys_are_asked_for() {
    assert_refused("", 1, &["no [lan] section", "interface = "]);
    assert_refused(&with("[lan]\ninterface = \"lan0\"\n", ""), 1, &["no [lan] section"]);
    assert_refused(&with("interface = \"lan0\"\n", ""), 1, &["[lan] has no `interface`", "interface = \"lan0\""]);
    for (key, line) in [("name", 5), ("interface", 6), ("kind", 7), ("address", 8), ("gateway", 9)] {
        let without: Vec<_> =
            LEAST.lines().enumerate().filter(|(at, _)| at + 1 != line).map(|(_, line)| line).collect();
        assert_refused(&without.join("\n"), 4, &[&format!("[[uplink]] has no `{key}`"), &format!("{key} = ")]);
    }
    assert_refused("[lan]\ninterface = \"lan0\"\n", 1, &["there is no uplink", "[[uplink]]"]);
}

#[test]
fn wrong_types_are_named() {
    assert_refused(&with("\"dsl1\"", "1"), 5, &["`name`", "a whole number", "text in double quotes"]);
    assert_refused(&with("\"lan0\"", "true"), 2, &["`interface`", "true or false"]);
    assert_refused(&with("\"lan0\"", "[\"lan0\", 3]"), 2, &["`interface`", "a whole number"]);
    assert_refused(&with("\"lan0\"", "[]"), 2, &["`interface`", "empty"]);
    assert_refused(&format!("{LEAST}weight = \"3\"\n"), 10, &["`weight`", "text", "from 1 to 1000000"]);
    assert_refused(&format!("{LEAST}weight = 1.5\n"), 10, &["`weight`", "fraction"]);
    assert_refused(&format!("{LEAST}download = 20\n"), 10, &["`download`", "a whole number"]);
    assert_refused(&format!("lan = 3\n{}", LEAST.replace("[lan]\ninterface = \"lan0\"\n", "")), 1, &["[lan]"]);
}

#[test]
fn numbers_out_of_range_are_refused() {
    assert_refused(&format!("{LEAST}weight = 0\n"), 10, &["`weight`", "0 is out of range", "from 1 to 1000000"]);
    assert_refused(&format!("{LEAST}weight = -1\n"), 10, &["`weight`", "-1"]);
    assert_refused(&format!("{LEAST}weight = 99999999999999999999\n"), 10, &["`weight`"]);
    for workers in ["0", "65", "\"many\"", "1.5"] {
        let text = format!("{LEAST}[router]\nworkers = {workers}\n");
        assert_refused(&text, 11, &["`workers`", "\"auto\" or a whole number from 1 to 64"]);
    }
    assert_refused(&format!("{LEAST}[router]\nflows = 10\n"), 11, &["`flows`", "from 1024"]);
}

#[test]
fn bad_addresses_are_refused() {
    for (address, says) in [
        ("10.77.1.2", "no prefix length"),
        ("10.77.1.2/33", "not an address with a prefix length"),
        ("10.77.1.2/", "not an address with a prefix length"),
        ("10.77.1/24", "not an address with a prefix length"),
        ("10.77.1.2/32", "no room for a gateway"),
        ("10.77.1.2/0", "no room for a gateway"),
        ("10.77.1.0/24", "10.77.1.0 is the network address of 10.77.1.0/24"),
        ("10.77.1.255/24", "broadcast address of 10.77.1.0/24"),
        ("127.0.0.1/8", "not the address of one host"),
        ("224.0.0.5/24", "not the address of one host"),
        ("0.0.0.1/24", "not the address of one host"),
        ("2001:db8::2/64", "IPv6"),
        ("", "not an address"),
    ] {
        assert_refused(&with("10.77.1.2/24", address), 8, &["`address`", says]);
    }
}

#[test]
fn bad_gateways_are_refused() {
    for (gateway, says) in [
        ("10.77.2.1", "outside 10.77.1.0/24"),
        ("10.77.1.2", "this uplink's own address"),
        ("10.77.1.0", "network address"),
        ("10.77.1.255", "broadcast address"),
        ("10.77.1.1/24", "not an address"),
        ("router", "not an address"),
        ("fe80::1", "IPv6"),
    ] {
        assert_refused(&with("\"10.77.1.1\"", &format!("\"{gateway}\"")), 9, &["`gateway`", says]);
    }
    let far = parse(&with("10.77.1.2/24", "10.77.1.2/1").replace("10.77.1.1", "192.0.2.1")).unwrap_err();
    assert!(far.contains("from 0.0.0.1 to 127.255.255.254"), "{far}");
}

#[test]
fn uplinks_do_not_share_what_must_be_their_own() {
    let rest = "kind = \"static\"\naddress = \"10.77.2.2/24\"\ngateway = \"10.77.2.1\"\n";
    assert_refused(
        &with_second(&format!("name = \"dsl1\"\ninterface = \"wan2\"\n{rest}")),
        12,
        &["`name`", "\"dsl1\""],
    );
    assert_refused(
        &with_second(&format!("name = \"b\"\ninterface = \"wan1\"\n{rest}")),
        13,
        &["`interface`", "uplink \"dsl1\""],
    );
    assert_refused(&with_second(&format!("name = \"b\"\ninterface = \"lan0\"\n{rest}")), 13, &["`interface`", "LAN's"]);
    assert_refused(
        &with_second(&format!("name = \"b\"\ninterface = \"potato0\"\n{rest}")),
        13,
        &["`interface`", "TUN"],
    );
    let same =
        "name = \"b\"\ninterface = \"wan2\"\nkind = \"static\"\naddress = \"10.77.1.2/24\"\ngateway = \"10.77.1.1\"\n";
    assert_refused(&with_second(same), 15, &["`address`", "uplink \"dsl1\""]);
    assert_refused(&with("\"lan0\"", "[\"lan0\", \"lan0\"]"), 2, &["`interface`", "twice"]);
    assert_refused(&with("\"lan0\"", "\"lan0\"\ntun = \"lan0\""), 3, &["`tun`", "LAN's"]);
}

#[test]
fn bad_names_are_refused() {
    for name in ["sixteen-letters-", "wan 1", "wan/1", "", ".", "..", "a:1", "wan\\u0007"] {
        assert_refused(&with("\"wan1\"", &format!("\"{name}\"")), 6, &["`interface`", "1 to 15 characters"]);
    }
    for name in ["DSL", "dsl 1", "dsl.1", "", "any", "dsl\\u0007", "a-name-that-is-longer-than-a-name-may-be"] {
        assert_refused(&with("\"dsl1\"", &format!("\"{name}\"")), 5, &["`name`", "a-z, 0-9"]);
    }
}

#[test]
fn too_many_are_refused() {
    let mut text = "[lan]\ninterface = \"lan0\"\n".to_owned();
    for n in 0..33 {
        text += &format!(
            "[[uplink]]\nname = \"u{n}\"\ninterface = \"w{n}\"\nkind = \"static\"\naddress = \"10.0.{n}.2/24\"\ngateway = \"10.0.{n}.1\"\n"
        );
    }
    assert_refused(&text, 3 + 32 * 6, &["33 uplinks are too many", "at most 32"]);
    let lans: Vec<_> = (0..8).map(|n| format!("\"l{n}\"")).collect();
    assert_refused(&with("\"lan0\"", &format!("[{}]", lans.join(", "))), 2, &["`interface`", "too many", "at most 7"]);
}

#[test]
fn bad_words_and_what_this_version_cannot_do_are_refused() {
    assert_refused(
        &with("\"lan0\"", "\"lan0\"\ncapture = \"pakcet\""),
        3,
        &["`capture`", "`auto`, `tun`", "`packet`?"],
    );
    assert_refused(
        &with("\"lan0\"", "\"lan0\"\ncapture = \"xdp\""),
        3,
        &["`capture`", "this version cannot", "`packet`"],
    );
    assert_refused(&with("\"static\"", "\"statik\""), 7, &["`kind`", "`static`, `dhcp`, `pppoe` or `adopted`"]);
    assert_refused(&format!("{LEAST}role = \"spare\"\n"), 10, &["`role`", "`balanced`, `isolated` or `standby`"]);
    assert_refused(&format!("{LEAST}username = \"me\"\n"), 10, &["`username`", "pppoe"]);
    let dhcp = with("\"static\"", "\"dhcp\"");
    assert_refused(&dhcp, 8, &["`address`", "this is for kind = \"static\"", "take the line out"]);
    let without_address = dhcp.replace("address = \"10.77.1.2/24\"\n", "");
    assert_refused(&without_address, 8, &["`gateway`", "this is for kind = \"static\""]);
    let dhcp = without_address.replace("gateway = \"10.77.1.1\"\n", "");
    assert_refused(&format!("{dhcp}password_file = \"/etc/p\"\n"), 8, &["`password_file`", "pppoe"]);
    assert_refused(&format!("{LEAST}[router]\nrun_dir = \"run\"\n"), 11, &["`run_dir`", "absolute"]);
    let long = format!("{LEAST}[router]\nrun_dir = \"/{}\"\n", "x".repeat(100));
    assert_refused(&long, 11, &["`run_dir`", "too long"]);
}

#[test]
fn bad_rates_and_spans_are_refused() {
    for rate in ["20", "20 mbit", "mbit", "20mb", "-1mbit", "0mbit", "1.5mbit", "99999999999gbit", "20mbit/s"] {
        assert_refused(
            &format!("{LEAST}download = \"{rate}\"\n"),
            10,
            &["`download`", "\"512kbit\", \"20mbit\" or \"1gbit\""],
        );
    }
    for span in ["500", "500 ms", "ms", "0s", "1.5s", "99h", "2d"] {
        assert_refused(&format!("{LEAST}[health]\ninterval = \"{span}\"\n"), 11, &["`interval`", "\"500ms\""]);
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.toml");
    let error = config::load(&missing).unwrap_err().to_string();
    assert!(error.contains("none.toml: cannot be read: No such file"), "{error}");
    let error = config::load(directory.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read: Is a directory"), "{error}");
    let latin1 = directory.path().join("latin1.toml");
    std::fs::write(&latin1, b"[lan]\ninterface = \"caf\xe9\"\n").unwrap();
    let error = config::load(&latin1).unwrap_err().to_string();
    assert!(error.contains("latin1.toml:2:17: not UTF-8"), "{error}");
    assert!(error.contains("save the file as UTF-8"), "{error}");
}

#[test]
fn every_cut_of_a_right_file_is_right_or_refused() {
    for end in (0..FULL.len()).filter(|at| FULL.is_char_boundary(*at)) {
        if let Err(error) = parse(&FULL[..end]) {
            assert!(error.starts_with("potato.toml:"), "{error}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_change_of_a_right_file_is_right_or_refused_with_its_place(at in 0..FULL.len(), cut in 0..40_usize, put in "[\\PC\n]{0,12}") {
        let end = FULL.len().min(at + cut);
        if let Err(error) = parse(&format!("{}{put}{}", &FULL[..at], &FULL[end..])) {
            assert!(error.starts_with("potato.toml:"), "{error}");
        }
    }
}
