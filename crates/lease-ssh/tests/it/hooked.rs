//! Boxes on which something happens right before a certain request, or inside a program that it uses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::fixture::Box;

/// A box whose requests pass through a script of the test. The shell text of [`hook`] runs before each of them.
pub(crate) async fn hooked() -> Box {
    hooked_with("").await
}

/// With more lines of sshd's configuration.
pub(crate) async fn hooked_with(extra: &str) -> Box {
    let it = Box::with("", &format!("ForceCommand placeholder\n{extra}")).await;
    fs::create_dir(it.at("bin")).unwrap();
    let script = format!(
        "#!/bin/sh\nPATH={bin}:/usr/local/bin:/usr/bin:/bin; export PATH\n\
         [ ! -e {hook} ] || . {hook}\neval \"$SSH_ORIGINAL_COMMAND\"\n",
        bin = it.at("bin").display(),
        hook = it.at("hook").display(),
    );
    program(&it, "force", &script);
    let config = fs::read_to_string(it.at("sshd_config")).unwrap();
    let config = config.replace("placeholder", &it.at("force").display().to_string());
    fs::write(it.at("sshd_config"), config).unwrap();
    it
}

/// Has `script` run before each request that holds `part`, once if it says `done`.
pub(crate) fn hook(it: &Box, part: &str, script: &str) {
    let path = it.at("hook").display().to_string();
    let script = script.replace("done_hook", &format!("rm -f {path}"));
    let text = format!("case $SSH_ORIGINAL_COMMAND in *'{part}'*)\n{script}\n;;\nesac\n");
    fs::write(path, text).unwrap();
}

/// Has `script` run before the request that takes a stream, when it is told what stream comes, once if it says `done`. Its
/// session is opened before that. In `$line` is what it is told; the request reads it as well.
pub(crate) fn hook_stream(it: &Box, script: &str) {
    let pipe = it.at("stream").display().to_string();
    let again = format!(
        "exec 9<&0; rm -f {pipe}; mkfifo {pipe}
{{ printf '%s\\n' \"$line\"; cat <&9; }} >{pipe} & exec <{pipe} 9<&-"
    );
    // What stands in no other request.
    hook(
        it,
        "the stream was cut off",
        &format!("IFS= read -r line || exit 222\n{script}\n{again}"),
    );
}

/// A program of the box, made of shell text.
pub(crate) fn program(it: &Box, path: &str, script: &str) {
    fs::write(it.at(path), script).unwrap();
    fs::set_permissions(it.at(path), fs::Permissions::from_mode(0o755)).unwrap();
}
