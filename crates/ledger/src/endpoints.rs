//! Addresses of PD as people write them.

/// Each of them as `scheme://host:port`: separated by commas, `http://` left out or not.
pub fn parse(pd: &str) -> Vec<String> {
    pd.split(',')
        .map(|e| e.trim().trim_end_matches('/'))
        .filter(|e| !e.is_empty())
        .map(|e| {
            if e.contains("://") {
                e.to_owned()
            } else {
                format!("http://{e}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_however_it_is_written() {
        assert_eq!(
            parse(" pd0:2379, https://pd1:2379/ ,,"),
            ["http://pd0:2379", "https://pd1:2379"]
        );
        assert!(parse(" , ").is_empty());
    }
}
