//! Precedence, trust and every kind of wrong file, through the same door that the commands use.

use std::fs;

use super::*;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home/.config/lease", "repo/.git", "repo/deep/er"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn user(&self, text: &str) -> &Self {
        fs::write(self.dir.path().join("home/.config/lease/config.yaml"), text).unwrap();
        self
    }

    fn repository(&self, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.dir.path().join("repo/lease.yaml"), text).unwrap();
        self
    }

    fn trust(&self) -> TrustStore {
        TrustStore::new(&self.dir.path().join("state"))
    }

    fn load(&self, variables: &[(&str, &str)], flags: &[FlagValue]) -> Result<Settings, Failure> {
        let home = self.dir.path().join("home");
        let mut all = vec![("HOME", home.to_str().unwrap())];
        all.extend_from_slice(variables);
        let environment = Environment::of(&all, &self.dir.path().join("repo/deep/er"));
        Settings::load(&environment, flags, &self.trust())
    }
}

fn flag(key: &'static str, flag: &'static str, text: &str) -> FlagValue {
    FlagValue { key, flag, text: text.to_owned() }
}

#[track_caller]
fn origin_of(settings: &Settings, key: &str, value: &str, origin: &str) {
    let sourced = &settings.values[key];
    assert_eq!(sourced.value.to_json(), value);
    assert!(sourced.origin.to_string().ends_with(origin), "{key} comes from {}", sourced.origin);
}

/// The whole ladder, one step at a time: each layer overrides the ones below and leaves the other settings alone.
#[test]
fn each_layer_overrides_the_weaker_ones() {
    let place = Place::new();
    let variables = [("LEASE_CLASS", "from-env")];
    let flags = [flag("class", "--class", "from-flag")];
    origin_of(&place.load(&[], &[]).unwrap(), "max_age", "12h", "default");
    place.user("max_age: 1h\nclass: from-user\nidle_timeout: 5m\n");
    origin_of(&place.load(&[], &[]).unwrap(), "class", "from-user", "config.yaml:2");
    place.repository("\nclass: from-repo\nmax_age: 2h\n");
    origin_of(&place.load(&[], &[]).unwrap(), "class", "from-repo", "repo/lease.yaml:2");
    origin_of(&place.load(&variables, &[]).unwrap(), "class", "from-env", "LEASE_CLASS");
    let settings = place.load(&variables, &flags).unwrap();
    origin_of(&settings, "class", "from-flag", "--class");
    origin_of(&settings, "max_age", "2h", "lease.yaml:3");
    origin_of(&settings, "idle_timeout", "5m", "config.yaml:3");
    origin_of(&settings, "keep", "never", "default");
}

#[test]
fn a_null_and_an_empty_variable_leave_the_weaker_layer() {
    let place = Place::new();
    place.user("class: from-user\n").repository("class:\nsync:\nproviders: ~\n");
    origin_of(
        &place.load(&[("LEASE_CLASS", "")], &[]).unwrap(),
        "class",
        "from-user",
        "config.yaml:1",
    );
}

#[test]
fn a_limit_can_be_taken_away_by_a_stronger_layer() {
    let place = Place::new();
    place.user("max_age: 1h\n");
    assert_eq!(place.load(&[], &[flag("max_age", "--max-age", "none")]).unwrap().max_age(), None);
}

#[test]
fn the_stronger_of_class_and_type_counts() {
    let place = Place::new();
    place.repository("class: big\ntype: m5\n");
    let both = place.load(&[], &[]).unwrap();
    assert_eq!((both.class(), both.machine_type()), (None, Some("m5")));
    let class = place.load(&[], &[flag("class", "--class", "tiny")]).unwrap();
    assert_eq!((class.class(), class.machine_type()), (Some("tiny"), None));
    let kind = place.load(&[("LEASE_TYPE", "t2")], &[]).unwrap();
    assert_eq!((kind.class(), kind.machine_type()), (None, Some("t2")));
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, expected: &str) {
    let place = Place::new();
    place.repository(text);
    let failure = place.load(&[], &[]).unwrap_err();
    let line = failure.to_string();
    assert!(line.contains(expected), "{line}");
    assert!(line.contains("lease.yaml:"), "{line}");
    assert!(!line.contains('\n'), "{line}");
}

#[test]
fn wrong_files_are_refused_with_their_place() {
    refused(
        "provder: local\n",
        "lease.yaml:1:1: unknown key \"provder\"; did you mean \"provider\"?",
    );
    refused(
        "sync:\n  ignroe: [a]\n",
        ":2:3: unknown key \"sync.ignroe\"; did you mean \"ignore\"?",
    );
    refused(
        "provider: local\nprovider: local\n",
        ":2:1: the key \"provider\" stands here twice, first in line 1",
    );
    refused("sync:\n\tignore: [a]\n", ":2:1: a tab is used as indentation");
    refused("max_age: 5\n", ":1:10: max_age: \"5\" is not a span");
    refused(
        "max_age: [5m]\n",
        ":1:10: max_age: a span such as 15m is expected here, and this is a list",
    );
    refused("provider: 5\n", ":1:11: provider: 5 is not a text; put it in quotes");
    refused("provider: {a: b}\n", "provider: a text is expected here, and this is a mapping");
    refused(
        "keep: allways\n",
        "\"allways\" is not one of never, on-failure, always; did you mean \"always\"?",
    );
    refused("sync: [a]\n", "sync must be a mapping of settings, and this is a list");
    refused("sync: {ignore: a}\n", "a list of texts is expected here, and this is a single value");
    refused("- provider\n", "must hold a mapping of settings, and this is a list");
    refused("provider: local\nclass: \"unclosed\n", "lease.yaml:");
    refused(b"class: \xff\n", ":1:8: this is not UTF-8");
    refused("providers:\n  hetzner:\n    token: x\n", "hetzner");
}

#[test]
fn ten_megabytes_are_refused_by_their_size() {
    let place = Place::new();
    place.repository(vec![b'#'; 10 * 1024 * 1024]);
    let line = place.load(&[], &[]).unwrap_err().to_string();
    assert!(line.contains("longer than 1048576 bytes"), "{line}");
}

#[test]
fn what_is_no_file_is_refused() {
    let place = Place::new();
    let path = place.dir.path().join("repo/lease.yaml");
    fs::create_dir(&path).unwrap();
    let line = place.load(&[], &[]).unwrap_err().to_string();
    assert!(line.contains("it is a directory"), "{line}");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert!(place.load(&[], &[]).unwrap_err().to_string().contains("lease.yaml"));
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let line = place.load(&[], &[]).unwrap_err().to_string();
    assert!(line.contains("not a regular file"), "{line}");
}

#[test]
fn wrong_variables_and_flags_are_named() {
    let place = Place::new();
    let line = place.load(&[("LEASE_MAX_AGE", "soon")], &[]).unwrap_err().to_string();
    assert!(
        line.contains("LEASE_MAX_AGE: \"soon\" is not a span")
            && line.contains("unset LEASE_MAX_AGE"),
        "{line}"
    );
    let line = place.load(&[], &[flag("max_age", "--max-age", "0s")]).unwrap_err().to_string();
    assert!(line.contains("--max-age: \"0s\" would end the lease at once"), "{line}");
}

#[test]
fn what_a_repository_could_abuse_waits_for_trust_and_asks_again_after_a_change() {
    let Some(key) = keys::all()
        .find(|it| it.repository == Repository::NeedsTrust && it.kind == keys::Kind::Path)
    else {
        return;
    };
    let place = Place::new();
    let (section, name) = key.path.rsplit_once('.').unwrap();
    let provider = section.strip_prefix("providers.").unwrap();
    let text = |value: &str| format!("providers:\n  {provider}:\n    {name}: {value}\n");
    place.repository(text("bin/evil"));
    let line = place.load(&[], &[]).unwrap_err().to_string();
    assert!(line.contains(&format!("sets {} in line 3", key.path)), "{line}");
    assert!(line.contains("nothing was created; run: lease trust /"), "{line}");
    let path = place.dir.path().join("repo/lease.yaml");
    place
        .trust()
        .give(&path, text("bin/evil").as_bytes(), lease_core::Timestamp::from_millis(1))
        .unwrap();
    let settings = place.load(&[], &[]).unwrap();
    assert_eq!(settings.text(key.path), place.dir.path().join("repo/bin/evil").to_str());
    place.repository(text("bin/worse"));
    let line = place.load(&[], &[]).unwrap_err().to_string();
    assert!(line.contains("has changed since it was trusted"), "{line}");
    // The same setting in the user's own file needs nobody's permission.
    place.repository("").user(&text("/bin/mine"));
    assert_eq!(place.load(&[], &[]).unwrap().text(key.path), Some("/bin/mine"));
}

/// Whoever releases a machine may stand in another repository, so where machines are is nobody's business but the user's.
#[test]
fn where_machines_are_is_not_for_a_repository_to_say() {
    let Some(key) = keys::all().find(|it| it.repository == Repository::Forbidden) else { return };
    let place = Place::new();
    let (section, name) = key.path.rsplit_once('.').unwrap();
    let text =
        format!("providers:\n  {}:\n    {name}: /x\n", section.strip_prefix("providers.").unwrap());
    place.repository(&text);
    let line = place.load(&[], &[]).unwrap_err().to_string();
    assert!(line.contains("can only be set in your own config.yaml"), "{line}");
    place.repository("").user(&text);
    assert_eq!(place.load(&[], &[]).unwrap().text(key.path), Some("/x"));
}

#[test]
fn the_search_for_lease_yaml_ends_at_the_git_root() {
    let place = Place::new();
    let outside = place.dir.path().join("lease.yaml");
    fs::write(&outside, "").unwrap();
    assert_eq!(repository_file(&place.dir.path().join("repo/deep/er")), None);
    place.repository("");
    assert_eq!(
        repository_file(&place.dir.path().join("repo/deep/er")),
        Some(place.dir.path().join("repo/lease.yaml"))
    );
    // Without a git tree a parent decides nothing.
    fs::create_dir(place.dir.path().join("plain")).unwrap();
    assert_eq!(repository_file(&place.dir.path().join("plain")), None);
    assert_eq!(repository_file(place.dir.path()), Some(outside));
}

#[test]
fn the_schema_knows_every_setting() {
    let schema = schema::schema();
    for key in keys::all() {
        let pointer = format!("/properties/{}", key.path.replace('.', "/properties/"));
        assert!(schema.pointer(&pointer).is_some(), "{}", key.path);
    }
}
