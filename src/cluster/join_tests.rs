use super::*;
use std::slice;

fn store(id: u64, address: &str, status: &str) -> Store {
    Store {
        id,
        name: format!("store {id}"),
        address: address.into(),
        status_address: Some(status.to_owned()).filter(|s| !s.is_empty()),
        state: StoreState::Up,
        ..Store::default()
    }
}

fn target(labels: &[(&str, &str)]) -> Target {
    let labels = labels.iter().map(|(name, value)| (*name, *value));
    Target {
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        at: 0.0,
        counted: true,
    }
}

fn instance(instance: &str) -> Target {
    target(&[("job", "tikv"), ("instance", instance)])
}

#[test]
fn a_store_is_known_by_what_instance_says_of_it() {
    let pod = "db-tikv-1.db-tikv-peer.prod.svc";
    let kubernetes = store(1, &format!("{pod}:20160"), &format!("{pod}:20180"));
    let number = store(1, "10.0.0.7:20160", "10.0.0.7:20180");
    let six = store(1, "[fd00::7]:20160", "[fd00::7]:20180");
    let with_scheme = store(1, "10.0.0.7:20160", "http://10.0.0.7:20180");
    for (store, target, is) in [
        (&number, instance("10.0.0.7:20180"), true),
        (&with_scheme, instance("10.0.0.7:20180"), true),
        (&number, instance("http://10.0.0.7:20180/metrics"), true),
        (&number, instance("10.0.0.7:20160"), true),
        (&number, instance("10.0.0.7"), true),
        // Another port is another process.
        (&number, instance("10.0.0.7:20181"), false),
        (&number, instance("10.0.0.70:20180"), false),
        (&number, instance("10"), false),
        (&six, instance("[fd00:0::7]:20180"), true),
        (&six, instance("fd00::7"), true),
        (&kubernetes, instance(&format!("{pod}:20180")), true),
        (
            &kubernetes,
            instance("DB-TIKV-1.db-tikv-peer.prod.svc.:20180"),
            true,
        ),
        (&kubernetes, instance("db-tikv-1"), true),
        (&kubernetes, instance("db-tikv-10"), false),
        (&kubernetes, instance("db-tikv"), false),
        (
            &kubernetes,
            target(&[("instance", "10.244.1.7:20180"), ("pod", "db-tikv-1")]),
            true,
        ),
        (
            &kubernetes,
            target(&[
                ("instance", "10.244.1.7:20180"),
                ("kubernetes_pod_name", "db-tikv-2"),
            ]),
            false,
        ),
        (
            &kubernetes,
            target(&[("instance", "db-tikv-1"), ("kubernetes_namespace", "prod")]),
            true,
        ),
        (
            &kubernetes,
            target(&[("instance", "db-tikv-1"), ("namespace", "test")]),
            false,
        ),
    ] {
        let joined = join(slice::from_ref(store), slice::from_ref(&target), None);
        assert_eq!(joined[0].is_ok(), is, "{target:?}: {joined:?}");
    }
}

#[test]
fn the_status_address_goes_before_all_else() {
    let stores = [
        store(1, "10.0.0.7:20160", "10.0.0.7:20180"),
        store(2, "10.0.0.7:20161", "10.0.0.7:20181"),
    ];
    // The first store's other address, and those of both.
    let targets = [
        instance("10.0.0.7:20160"),
        instance("10.0.0.7:20181"),
        instance("10.0.0.7:20180"),
    ];
    assert_eq!(join(&stores, &targets, None), [Ok(2), Ok(1)]);
    // A host alone is neither.
    let why = join(&stores, &[instance("10.0.0.7")], None);
    let why = why[0].clone().unwrap_err();
    assert!(why.contains("store 1 or store 2"), "{why}");
}

#[test]
fn two_clusters_are_not_added_up_and_the_way_out_is_said() {
    let stores = [
        store(1, "10.0.1.1:20160", "10.0.1.1:20180"),
        store(7, "10.0.1.3:20160", "10.0.1.3:20180"),
    ];
    for label in ["cluster", "tidb_cluster", "k8s_cluster", "namespace"] {
        let of = |cluster, instance| target(&[(label, cluster), ("instance", instance)]);
        let both = [of("a", "10.0.1.1:20180"), of("b", "10.0.1.1:20180")];
        for joined in join(&stores[..1], &both, None) {
            let why = joined.unwrap_err();
            assert!(
                why.contains(&format!("{label} is \"a\" or \"b\""))
                    && why.contains(&format!("--prometheus-match '{{{label}=\"a\"}}'")),
                "{why}"
            );
        }
        // One store's target is away, and the other cluster has one of its name.
        let one_each = [of("a", "10.0.1.1:20180"), of("b", "10.0.1.3:20180")];
        assert!(join(&stores, &one_each, None).iter().all(Result::is_err));
        // Who chose is believed, but what is twice is twice.
        let chosen = join(&stores, &one_each, Some("{x=\"y\"}"));
        assert_eq!(chosen, [Ok(0), Ok(1)]);
        let twice = join(&stores[..1], &both, Some("{x=\"y\"}"));
        assert!(twice[0].is_err());
    }
}

#[test]
fn what_is_scraped_twice_is_not_added_up() {
    let stores = [store(1, "a:20160", "a:20180")];
    let of = |job, replica| {
        target(&[
            ("instance", "a:20180"),
            ("job", job),
            ("prometheus_replica", replica),
        ])
    };
    let why = join(&stores, &[of("tikv", "0"), of("tikv-old", "1")], None)[0].clone();
    let why = why.unwrap_err();
    assert!(why.contains("job is \"tikv\" or \"tikv-old\""), "{why}");
    let why = join(&stores, &[of("tikv", "0"), of("tikv", "1")], None)[0].clone();
    let why = why.unwrap_err();
    assert!(why.contains("prometheus_replica is"), "{why}");
    // Jobs may differ between stores.
    let two = [stores[0].clone(), store(2, "b:20160", "b:20180")];
    let targets = [
        target(&[("instance", "a:20180"), ("job", "x")]),
        target(&[("instance", "b:20180"), ("job", "y")]),
    ];
    assert_eq!(join(&two, &targets, None), [Ok(0), Ok(1)]);
    // So is one of another namespace whose pod has the same name.
    let pod = "db-tikv-0.peer.prod.svc";
    let mine = [store(1, &format!("{pod}:1"), &format!("{pod}:2"))];
    let of = |namespace| target(&[("instance", "db-tikv-0"), ("namespace", namespace)]);
    let why = join(&mine, &[of("prod"), of("test")], None)[0].clone();
    assert!(why.unwrap_err().contains("\"prod\" or \"test\""));
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let stores = [store(1, "a:20160", "a:20180")];
    let why = join(&stores, &[instance("b:20180")], None)[0].clone();
    assert_eq!(
        why.unwrap_err(),
        "no instance there is a:20180; there are b:20180"
    );
    let why = join(&stores, &[], Some("{cluster=\"x\"}"))[0].clone();
    assert_eq!(
        why.unwrap_err(),
        "there are no metrics of any store there that matches {cluster=\"x\"}"
    );
}
