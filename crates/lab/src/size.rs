//! Sizes as PD and TiKV write them: 1024-based, four significant digits, no space.

const UNITS: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// `99.95GiB`, `256MiB`, `0B`.
pub(crate) fn format(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = match value {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", UNITS[unit])
}

/// Reads `256MiB`, `1.5GB`, `4096`. As in TiKV, MB means MiB.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let power = match unit
        .trim()
        .to_ascii_uppercase()
        .trim_end_matches("IB")
        .trim_end_matches('B')
    {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => return None,
    };
    Some((number * 1024f64.powi(power)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_four_significant_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (268_435_456, "256MiB"),
            (107_320_495_472, "99.95GiB"),
            (65_820_436_889, "61.3GiB"),
            (2_269_890_242, "2.114GiB"),
        ] {
            assert_eq!(format(bytes), text);
        }
    }

    #[test]
    fn sizes_are_read_back() {
        assert_eq!(parse("256MiB"), Some(256 << 20));
        assert_eq!(parse("1.5GB"), Some(3 << 29));
        assert_eq!(parse("4096"), Some(4096));
        assert_eq!(parse("64 KiB"), Some(64 << 10));
        assert_eq!(parse("many"), None);
        assert_eq!(parse("5 apples"), None);
    }
}
