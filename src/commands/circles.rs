//! What surely leads on from a file to which other one, and what so leads back to itself. The owners of domains write what
//! leads where, so all circles are found at once, in a time that grows only with the number of forwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file, and whether it is its catch-all that takes the mail.
pub type Node = (PathBuf, bool);

/// A line that leads on.
#[derive(Debug)]
struct Lead {
    to: usize,
    line: usize,
    target: Vec<u8>,
}

/// What leads where.
#[derive(Debug, Default)]
pub struct Leads {
    numbers: BTreeMap<Arc<Node>, usize>,
    nodes: Vec<(Arc<Node>, Vec<Lead>)>,
}

/// Files that lead to each other, as one of their directories sees them.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle<'a> {
    /// The first file of the directory that is one of them.
    pub file: &'a Path,
    /// The line in it that leads back.
    pub line: usize,
    /// Where that forwards to, as it is written.
    pub target: &'a [u8],
    /// The first few of the other files.
    pub others: Vec<&'a Path>,
    /// How many other files there are.
    pub number: usize,
}

impl Leads {
    /// A line of the file `from` leads to the file `to`.
    pub fn add(&mut self, from: Node, to: Node, line: usize, target: Vec<u8>) {
        let (from, to) = (self.number(from), self.number(to));
        let leads = &mut self.nodes[from].1;
        // The first of several lines tells it.
        if !leads.iter().any(|lead| lead.to == to) {
            leads.push(Lead { to, line, target });
        }
    }

    fn number(&mut self, node: Node) -> usize {
        if let Some(number) = self.numbers.get(&node) {
            return *number;
        }
        let node = Arc::new(node);
        self.numbers.insert(node.clone(), self.nodes.len());
        self.nodes.push((node, Vec::new()));
        self.nodes.len() - 1
    }

    /// Every circle, once for each directory that has a file in it; of the other files at most `most` are named.
    pub fn circles(&self, most: usize) -> Vec<Circle<'_>> {
        let components = self.components();
        let mut of = vec![0; self.nodes.len()];
        for (number, component) in components.iter().enumerate() {
            component.iter().for_each(|node| of[*node] = number);
        }
        let mut found = Vec::new();
        for component in &components {
            let mut files: Vec<&Path> = component.iter().map(|node| &*self.nodes[*node].0.0).collect();
            files.sort_unstable();
            files.dedup();
            // The first line of the first file of each directory.
            let mut firsts: BTreeMap<Option<&Path>, (&Path, &Lead)> = BTreeMap::new();
            for node in component {
                let (from, leads) = &self.nodes[*node];
                let Some(lead) = leads.iter().find(|lead| of[lead.to] == of[*node]) else { continue };
                let new = (&*from.0, lead);
                let first = firsts.entry(from.0.parent()).or_insert(new);
                if (new.0, new.1.line) < (first.0, first.1.line) {
                    *first = new;
                }
            }
            found.extend(firsts.into_values().map(|(file, Lead { line, target, .. })| {
                let others = files.iter().copied().filter(|other| *other != file).take(most).collect();
                Circle { file, line: *line, target, others, number: files.len() - 1 }
            }));
        }
        found.sort_by_key(|circle| circle.file);
        found
    }

    /// The nodes, those together that each lead to each other (R. Tarjan, 1972), without recursion.
    fn components(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let mut order = vec![UNSEEN; self.nodes.len()];
        // The earliest open node that each is known to lead to.
        let mut low = order.clone();
        let mut is_open = vec![false; self.nodes.len()];
        let (mut seen, mut open, mut found) = (0, Vec::new(), Vec::new());
        for start in 0..self.nodes.len() {
            let mut way = if order[start] == UNSEEN { vec![(start, 0)] } else { Vec::new() };
            while let Some((node, next)) = way.pop() {
                if next == 0 {
                    (order[node], low[node], is_open[node]) = (seen, seen, true);
                    seen += 1;
                    open.push(node);
                }
                let Some(lead) = self.nodes[node].1.get(next) else {
                    if low[node] == order[node] {
                        let from = open.iter().rposition(|other| *other == node).unwrap_or_default();
                        let component = open.split_off(from);
                        component.iter().for_each(|node| is_open[*node] = false);
                        found.push(component);
                    }
                    if let Some((before, _)) = way.last() {
                        low[*before] = low[*before].min(low[node]);
                    }
                    continue;
                };
                way.push((node, next + 1));
                if order[lead.to] == UNSEEN {
                    way.push((lead.to, 0));
                } else if is_open[lead.to] {
                    low[node] = low[node].min(order[lead.to]);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(pairs: &[(&str, &str)]) -> Leads {
        let mut leads = Leads::default();
        for (line, (from, to)) in pairs.iter().enumerate() {
            let node = |name: &str| (PathBuf::from(name), false);
            leads.add(node(from), node(to), line + 1, to.as_bytes().to_vec());
        }
        leads
    }

    fn files(leads: &Leads) -> Vec<(String, usize, usize)> {
        let shown = |circle: Circle<'_>| (circle.file.to_string_lossy().into_owned(), circle.line, circle.number);
        leads.circles(3).into_iter().map(shown).collect()
    }

    #[test]
    fn each_circle_is_told_once_for_each_directory() {
        let of = |file: &str, line, number| (file.to_owned(), line, number);
        assert_eq!(files(&leads(&[("/a/x", "/a/y"), ("/a/y", "/a/z"), ("/a/x", "/a/z")])), []);
        assert_eq!(files(&leads(&[("/a/x", "/a/x"), ("/a/y", "/a/x")])), [of("/a/x", 1, 0)]);
        let both = leads(&[("/a/y", "/b/x"), ("/a/q", "/a/y"), ("/b/x", "/c/x"), ("/b/x", "/a/q"), ("/d/x", "/a/q")]);
        assert_eq!(files(&both), [of("/a/q", 2, 2), of("/b/x", 4, 2)]);
        assert_eq!(both.circles(3)[0].others, [Path::new("/a/y"), Path::new("/b/x")]);
        assert_eq!(both.circles(1)[0].others, [Path::new("/a/y")]);
    }

    #[test]
    fn a_chain_of_any_length_hides_nothing() {
        const LONG: usize = 200_000;
        let name = |number: usize| format!("/long/{number}");
        let chain: Vec<(String, String)> = (0..LONG).map(|number| (name(number), name(number + 1))).collect();
        let mut pairs: Vec<(&str, &str)> = chain.iter().map(|(from, to)| (&from[..], &to[..])).collect();
        pairs.extend([("/short/a", "/short/b"), ("/short/b", "/short/a")]);
        assert_eq!(files(&leads(&pairs)), [("/short/a".to_owned(), LONG + 1, 1)]);
        let last = name(LONG);
        pairs.push((&last, "/long/0"));
        assert_eq!(files(&leads(&pairs)).len(), 2);
    }
}
