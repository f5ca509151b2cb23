//! Which of Prometheus' targets is which of PD's stores: one table of rules, and what makes an
//! answer impossible. Figures of two clusters are never added up.
//!
//! Pure. What Prometheus has is read in `prometheus`.

use super::{
    address::Address,
    prometheus::Labels,
    snapshot::{Store, StoreState},
};
use std::collections::{BTreeMap, BTreeSet};

/// Somebody who scrapes says so much of what is scraped.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub labels: Labels,
    /// When it was scraped last, seconds since 1970.
    pub at: f64,
    /// Whether requests are counted there: not before the first one.
    pub counted: bool,
}

impl Target {
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    pub(super) fn instance(&self) -> &str {
        self.label("instance")
    }
}

/// Where Kubernetes' name of a store stands, if not in `instance`.
const POD: [&str; 4] = ["pod", "pod_name", "kubernetes_pod_name", "exported_pod"];
const NAMESPACE: [&str; 3] = ["namespace", "kubernetes_namespace", "exported_namespace"];

/// The rules, the best first: what `instance` may say of a store.
const RULES: [fn(&Store, &Target) -> bool; 4] = [
    |store, target| {
        let status = store.status_address.as_deref().map(Address::read);
        status.is_some_and(|status| status.is(&Address::read(target.instance())))
    },
    |store, target| Address::read(&store.address).is(&Address::read(target.instance())),
    |store, target| {
        let instance = Address::read(target.instance());
        instance.port.is_none()
            && hosts(store).iter().any(|host| host.is_host(&instance))
            && !is_elsewhere(store, target)
    },
    |store, target| {
        let named = |pod: &str| {
            let said = POD.iter().map(|label| target.label(label));
            let mut said = said.chain([target.instance()]);
            said.any(|said| said.eq_ignore_ascii_case(pod))
        };
        let is_here = |host: &Address| {
            let pod = host.name().and_then(|name| name.split('.').next());
            pod.is_some_and(named)
        };
        hosts(store).iter().any(is_here) && !is_elsewhere(store, target)
    },
];

fn hosts(store: &Store) -> Vec<Address> {
    let status = store.status_address.as_deref().map(Address::read);
    status
        .into_iter()
        .chain([Address::read(&store.address)])
        .collect()
}

/// Whether a target says that it is of another namespace than `pod.peer.namespace.svc` is.
fn is_elsewhere(store: &Store, target: &Target) -> bool {
    let said = NAMESPACE.iter().map(|label| target.label(label));
    let Some(said) = said.into_iter().find(|said| !said.is_empty()) else {
        return false;
    };
    let hosts = hosts(store);
    let mut names = hosts.iter().filter_map(Address::name).filter_map(|name| {
        let mut parts = name.split('.').skip(2);
        let namespace = parts.next()?;
        (parts.next()? == "svc").then_some(namespace)
    });
    names.any(|namespace| namespace != said)
}

/// Of each store its target, by its place in `targets`, or why there is none to be had.
///
/// `filter`: what was chosen among all there is, in words; None where nobody chose.
pub(super) fn join(
    stores: &[Store],
    targets: &[Target],
    filter: Option<&str>,
) -> Vec<Result<usize, String>> {
    let found: Vec<Vec<usize>> = stores.iter().map(|s| candidates(s, targets)).collect();
    let mixed = match filter {
        Some(_) => None,
        None => clusters(found.iter().flatten().map(|n| &targets[*n])),
    };
    let joined = stores.iter().zip(&found).map(|(store, mine)| {
        if let Some(mixed) = &mixed {
            return Err(mixed.clone());
        }
        let Some(first) = mine.first() else {
            return Err(nothing(store, targets, filter));
        };
        let instance = targets[*first].instance();
        // Figures come by instance: whatever else has this one would be added to them.
        let same = |n: &usize| mine.contains(n) || targets[*n].instance() == instance;
        let all: Vec<usize> = (0..targets.len()).filter(same).collect();
        if all.len() > 1 {
            return Err(collision(instance, all.iter().map(|n| &targets[*n])));
        }
        let mut others = stores.iter().zip(&found);
        match others.find(|(other, theirs)| other.id != store.id && theirs.contains(first)) {
            Some((other, _)) => Err(format!(
                "instance {instance} there may be {} or {}: label each store's own address as its instance",
                store.name, other.name
            )),
            None => Ok(*first),
        }
    });
    joined.collect()
}

/// The targets that the best rule that finds any finds.
fn candidates(store: &Store, targets: &[Target]) -> Vec<usize> {
    if store.state == StoreState::Tombstone {
        return Vec::new();
    }
    let by = |rule: &fn(&Store, &Target) -> bool| -> Vec<usize> {
        let mine = |n: &usize| rule(store, &targets[*n]);
        (0..targets.len()).filter(mine).collect()
    };
    let found = RULES.iter().map(by);
    found
        .into_iter()
        .find(|f| !f.is_empty())
        .unwrap_or_default()
}

/// Whether a label tells clusters, or those who share a Prometheus, apart.
fn tells_clusters_apart(label: &str) -> bool {
    const WORDS: [&str; 3] = ["cluster", "namespace", "tenant"];
    const WHOLE: [&str; 3] = ["env", "environment", "k8s"];
    WORDS.iter().any(|word| label.contains(word)) || WHOLE.contains(&label)
}

/// Why the stores of one cluster cannot be these: they are labelled as of several.
fn clusters<'a>(targets: impl Iterator<Item = &'a Target>) -> Option<String> {
    let differing = differing(targets)
        .into_iter()
        .find(|(label, _)| tells_clusters_apart(label))?;
    Some(format!(
        "the stores of this cluster are labelled there as of several: {}",
        choose(&differing)
    ))
}

fn collision<'a>(instance: &str, targets: impl Iterator<Item = &'a Target>) -> String {
    let mut differing = differing(targets);
    // What tells clusters apart is more of a reason than what follows from it.
    differing.sort_by_key(|(label, _)| (!tells_clusters_apart(label), label != "job"));
    let how = differing.first().map(choose).unwrap_or_default();
    format!("instance {instance} is there more than once: {how}")
}

/// Labels whose values differ, with the values.
fn differing<'a>(targets: impl Iterator<Item = &'a Target>) -> Vec<(String, BTreeSet<String>)> {
    let targets: BTreeSet<&Labels> = targets.map(|t| &t.labels).collect();
    let names: BTreeSet<&String> = targets.iter().flat_map(|labels| labels.keys()).collect();
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in names {
        let values = targets
            .iter()
            .map(|labels| labels.get(name).cloned().unwrap_or_default());
        all.insert(name.clone(), values.collect());
    }
    all.retain(|_, values| values.len() > 1);
    all.into_iter().collect()
}

/// What differs, and how one is chosen.
fn choose((label, values): &(String, BTreeSet<String>)) -> String {
    const SHOWN: usize = 4;
    let mut said: Vec<String> = values
        .iter()
        .take(SHOWN)
        .map(|v| match v.as_str() {
            "" => "none".to_owned(),
            value => format!("{value:?}"),
        })
        .collect();
    if values.len() > SHOWN {
        said.push(format!("{} more", values.len() - SHOWN));
    }
    let example = values.iter().find(|v| !v.is_empty());
    let example = example.map_or("…", String::as_str);
    format!(
        "{label} is {}; say which is meant, as in --prometheus-match '{{{label}={example:?}}}' or match in [prometheus] of config.toml",
        said.join(" or ")
    )
}

fn nothing(store: &Store, targets: &[Target], filter: Option<&str>) -> String {
    let among = filter.map_or_else(String::new, |filter| format!(" that matches {filter}"));
    if targets.is_empty() {
        return format!("there are no metrics of any store there{among}");
    }
    let asked = store.status_address.as_deref().unwrap_or(&store.address);
    let mut there: Vec<&str> = targets.iter().map(Target::instance).take(3).collect();
    if targets.len() > there.len() {
        there.push("…");
    }
    format!(
        "no instance there is {asked}{among}; there are {}",
        there.join(", ")
    )
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
