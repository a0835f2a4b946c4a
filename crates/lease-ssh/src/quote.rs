//! Quoting for a POSIX shell, the one place where text becomes shell.

/// Quotes one word so that a POSIX shell reads exactly these bytes. The caller has refused NUL bytes.
///
/// Inside single quotes nothing is special but the single quote itself.
pub(crate) fn quote(word: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(word.len() + 2);
    quoted.push(b'\'');
    for &byte in word {
        if byte == b'\'' {
            quoted.extend_from_slice(br"'\''");
        } else {
            quoted.push(byte);
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Quotes words and puts spaces between them.
pub(crate) fn quote_all<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    words.into_iter().map(quote).collect::<Vec<_>>().join(&b' ')
}

/// How long a word is once it is quoted.
pub(crate) fn quoted_bytes(word: &[u8]) -> usize {
    word.iter().map(|&it| if it == b'\'' { 4 } else { 1 }).sum::<usize>() + 2
}

#[cfg(test)]
mod tests {
    use lease_process::{Limits, Program, output};
    use proptest::prelude::*;

    use super::*;

    fn through_a_shell(words: &[Vec<u8>]) -> Vec<u8> {
        let mut script = b"printf '%s\\0' ".to_vec();
        script.extend(quote_all(words.iter().map(Vec::as_slice)));
        let script = <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(script);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let program = Program::new("sh").arg("-c").arg(script);
        runtime.block_on(output(&program, Limits::default())).unwrap().stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_what_was_meant(words in prop::collection::vec(prop::collection::vec(1_u8..=255, 0..40), 1..8)) {
            let expect: Vec<u8> = words.iter().flat_map(|it| it.iter().copied().chain([0])).collect();
            prop_assert_eq!(through_a_shell(&words), expect);
        }
    }
}
