//! Which file of a crate imports from which, computed from the sources as they are built without tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Names from the crate's root: of a module, or of an item behind its module.
type Names = Vec<String>;

/// One file names an item that another file defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    /// The importing file, from `src`.
    pub(crate) from: String,
    /// The file that defines the item.
    pub(crate) to: String,
    /// The item's full path.
    pub(crate) path: String,
}

/// The modules of a crate.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    modules: BTreeMap<Names, Module>,
}

#[derive(Debug, Default)]
struct Module {
    file: String,
    /// Names that a `use` brings in, and what they stand for.
    aliases: BTreeMap<String, Names>,
    /// Those of them that other modules may take from here.
    reexports: BTreeSet<String>,
    /// Paths in the code, and those of each `use` that is no re-export.
    paths: BTreeSet<Names>,
}

impl Sources {
    /// Reads the crate whose root is `lib.rs` in the folder `src`.
    pub(crate) fn read(src: &Path) -> Self {
        let mut sources = Self::default();
        sources.read_file(src, "lib.rs", vec![]);
        sources
    }

    fn read_file(&mut self, src: &Path, file: &str, module: Names) {
        let text = std::fs::read_to_string(src.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.read_items(src, file, module, &parsed.items);
    }

    fn read_items(&mut self, src: &Path, file: &str, module: Names, items: &[Item]) {
        let mut reader = Reader::default();
        for item in items {
            match item {
                Item::Mod(inner) if is_for_tests(&inner.attrs) => {}
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let path = joined(&module, &name);
                    match &inner.content {
                        Some((_, items)) => self.read_items(src, file, path, items),
                        None => self.read_file(src, &file_of(src, file, &name), path),
                    }
                }
                item => reader.visit_item(item),
            }
        }
        reader.module.file = file.into();
        self.modules.insert(module, reader.module);
    }

    /// Every import of one file from another.
    pub(crate) fn imports(&self) -> BTreeSet<Import> {
        let mut found = BTreeSet::new();
        for (module, content) in &self.modules {
            for path in &content.paths {
                let full = self.resolved(module, path);
                let Some((owner, item)) = full.and_then(|full| self.definition(&full)) else {
                    continue;
                };
                let to = &self.modules[&owner].file;
                if *to != content.file {
                    found.insert(Import {
                        from: content.file.clone(),
                        to: to.clone(),
                        path: joined(&owner, &item).join("::"),
                    });
                }
            }
        }
        found
    }

    /// What `path` means in `module`, from the root; absent for another crate's.
    fn resolved(&self, module: &Names, path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        let mut full = match first.as_str() {
            "crate" => vec![],
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            name => {
                let child = joined(module, name);
                if self.modules.contains_key(&child) {
                    child
                } else {
                    let alias = self.modules[module].aliases.get(name)?;
                    // `use regex::Regex` names another crate.
                    if alias.first() == Some(first) {
                        return None;
                    }
                    self.resolved(module, alias)?
                }
            }
        };
        for name in rest {
            if name == "super" {
                full.pop()?;
            } else {
                full.push(name.clone());
            }
        }
        Some(full)
    }

    /// The module that defines what `path` names, and the item's name. Re-exports are followed. Absent for a module alone, which is
    /// no item.
    fn definition(&self, path: &[String]) -> Option<(Names, String)> {
        let mut module = Names::new();
        for (index, name) in path.iter().enumerate() {
            let child = joined(&module, name);
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            let here = &self.modules[&module];
            if !here.reexports.contains(name) {
                return Some((module, name.clone()));
            }
            let mut full = self.resolved(&module, &here.aliases[name])?;
            full.extend_from_slice(&path[index + 1..]);
            return self.definition(&full);
        }
        None
    }
}

fn joined(module: &[String], name: &str) -> Names {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        let list = attribute.meta.require_list();
        list.is_ok_and(|list| list.path.is_ident("cfg") && list.tokens.to_string().contains("test"))
    };
    attributes.iter().any(is_test)
}

/// The file of the module `name` that `file` declares.
fn file_of(src: &Path, file: &str, name: &str) -> String {
    let folder = match file.strip_suffix("mod.rs") {
        Some(folder) => folder.to_owned(),
        None if file == "lib.rs" => String::new(),
        None => format!("{}/", file.trim_end_matches(".rs")),
    };
    [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")]
        .into_iter()
        .find(|file| src.join(file).is_file())
        .unwrap_or_else(|| panic!("{file} declares mod {name}, which has no file"))
}

/// Collects what one module names.
#[derive(Default)]
struct Reader {
    module: Module,
}

impl Reader {
    fn bring_in(&mut self, tree: &UseTree, before: &[String], is_reexport: bool) {
        match tree {
            UseTree::Path(path) => {
                self.bring_in(&path.tree, &joined(before, &path.ident.to_string()), is_reexport);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring_in(tree, before, is_reexport);
                }
            }
            UseTree::Name(name) => self.alias(&name.ident.to_string(), None, before, is_reexport),
            UseTree::Rename(rename) => {
                self.alias(
                    &rename.ident.to_string(),
                    Some(rename.rename.to_string()),
                    before,
                    is_reexport,
                );
            }
            UseTree::Glob(_) => {}
        }
    }

    fn alias(&mut self, name: &str, known_as: Option<String>, before: &[String], is_reexport: bool) {
        let full = if name == "self" {
            before.to_vec()
        } else {
            joined(before, name)
        };
        let known_as = known_as.or_else(|| full.last().cloned()).unwrap_or_default();
        if is_reexport {
            self.module.reexports.insert(known_as.clone());
        } else {
            self.module.paths.insert(full.clone());
        }
        self.module.aliases.insert(known_as, full);
    }

    /// Paths in the arguments of a macro, which are no syntax yet.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Names::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.path(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.path(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.path(path);
    }

    fn path(&mut self, path: Names) {
        // A single name is of this module, or was brought in.
        if path.len() > 1 {
            self.module.paths.insert(path);
        }
    }
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.bring_in(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter();
            self.path(names.map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        self.tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &Attribute) {}
}

/// All nodes that `start` reaches; itself only by way of another.
fn reached_from<'a>(start: &'a str, next: &BTreeMap<&str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        let more = next.get(node).into_iter().flatten().copied();
        open.extend(more.filter(|node| seen.insert(*node)));
    }
    seen
}

/// The groups of nodes that reach one another.
pub(crate) fn cycles(edges: &BTreeSet<(String, String)>) -> BTreeSet<Vec<&str>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = next
        .keys()
        .map(|node| (*node, reached_from(node, &next)))
        .collect();
    let group_of = |node: &str| -> Vec<&str> {
        let seen = reached[node].iter().copied();
        seen.filter(|other| reached.get(other).is_some_and(|back| back.contains(node)))
            .collect()
    };
    let in_circles = reached.iter().filter(|(node, seen)| seen.contains(*node));
    in_circles.map(|(node, _)| group_of(node)).collect()
}
