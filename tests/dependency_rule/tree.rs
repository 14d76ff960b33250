//! The crate's modules as the compiler finds them, with what each of them imports and defines.

use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// A module's place: `[]` for the crate's root, `["engine", "time"]` for `crate::engine::time`.
pub type ModulePath = Vec<String>;

/// One name that a `use` brings in.
#[derive(Clone, Debug)]
pub struct Import {
    /// The path as written, `*` at its end for a glob.
    pub path: Vec<String>,
    /// Whether it begins with `::`.
    pub rooted: bool,
}

/// A file of the crate.
pub struct SourceFile {
    /// From `src/` on.
    pub file: String,
    pub module: ModulePath,
    pub ast: syn::File,
}

/// All files that are not tests.
#[derive(Default)]
pub struct Crate {
    pub files: Vec<SourceFile>,
    /// Files behind `#[cfg(test)] mod …;`, and folders of theirs (ending in `/`).
    pub tests: Vec<String>,
    /// By module: name in scope, and the imports behind it (more than one in different scopes of the same module).
    pub imports: BTreeMap<ModulePath, BTreeMap<String, Vec<Import>>>,
    /// By module: items, macros and generics defined there.
    pub items: BTreeMap<ModulePath, BTreeSet<String>>,
}

impl Crate {
    /// Follows `mod …;` from `root` on. `read` gives the text of a file, `None` if there is none.
    pub fn load(root: &str, read: &dyn Fn(&str) -> Option<String>) -> Crate {
        let mut found = Crate::default();
        found.add_file(root, Vec::new(), "", read);
        found
    }

    fn add_file(
        &mut self,
        file: &str,
        module: ModulePath,
        children: &str,
        read: &dyn Fn(&str) -> Option<String>,
    ) {
        let text = read(file).unwrap_or_else(|| panic!("no file {file}"));
        let ast = syn::parse_file(&text).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.add_modules(&ast.items, &module, children, read);
        let mut scope = Scope { found: self, module: module.clone() };
        scope.visit_file(&ast);
        self.files.push(SourceFile { file: file.to_owned(), module, ast });
    }

    fn add_modules(
        &mut self,
        items: &[syn::Item],
        module: &ModulePath,
        children: &str,
        read: &dyn Fn(&str) -> Option<String>,
    ) {
        for item in items {
            let syn::Item::Mod(item) = item else { continue };
            let name = item.ident.to_string();
            assert!(
                !item.attrs.iter().any(|a| a.path().is_ident("path")),
                "mod {name}: #[path] hides which file a module is; use the usual place"
            );
            let mut inner = module.clone();
            inner.push(name.clone());
            let folder = format!("{children}{name}/");
            match &item.content {
                Some((_, items)) if !is_test(&item.attrs) => self.add_modules(items, &inner, &folder, read),
                Some(_) => {}
                None if is_test(&item.attrs) => {
                    self.tests.push(format!("{children}{name}.rs"));
                    self.tests.push(folder);
                }
                None => {
                    let flat = format!("{children}{name}.rs");
                    let nested = format!("{folder}mod.rs");
                    let file = if read(&flat).is_some() { flat } else { nested };
                    self.add_file(&file, inner, &folder, read);
                }
            }
        }
    }
}

/// Whether the item exists in tests alone.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
    })
}

/// Attributes of an item of any kind.
pub fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item::*;
    match item {
        Const(i) => &i.attrs,
        Enum(i) => &i.attrs,
        ExternCrate(i) => &i.attrs,
        Fn(i) => &i.attrs,
        ForeignMod(i) => &i.attrs,
        Impl(i) => &i.attrs,
        Macro(i) => &i.attrs,
        Mod(i) => &i.attrs,
        Static(i) => &i.attrs,
        Struct(i) => &i.attrs,
        Trait(i) => &i.attrs,
        TraitAlias(i) => &i.attrs,
        Type(i) => &i.attrs,
        Union(i) => &i.attrs,
        Use(i) => &i.attrs,
        _ => &[],
    }
}

/// The leaves of a `use`: the name that comes into scope and its path.
pub fn leaves(item: &syn::ItemUse) -> Vec<(String, Import)> {
    let mut out = Vec::new();
    walk(&item.tree, &mut Vec::new(), item.leading_colon.is_some(), &mut out);
    out
}

fn walk(tree: &syn::UseTree, prefix: &mut Vec<String>, rooted: bool, out: &mut Vec<(String, Import)>) {
    let mut leaf = |name: String, last: Option<String>| {
        let mut path = prefix.clone();
        // `a::{self}` names `a`.
        path.extend(last.filter(|last| last != "self" || prefix.is_empty()));
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
        out.push((name, Import { path, rooted }));
    };
    match tree {
        syn::UseTree::Name(name) => leaf(name.ident.to_string(), Some(name.ident.to_string())),
        syn::UseTree::Rename(rename) => leaf(rename.rename.to_string(), Some(rename.ident.to_string())),
        syn::UseTree::Glob(_) => leaf("*".into(), Some("*".into())),
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            walk(&path.tree, prefix, rooted, out);
            prefix.pop();
        }
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, prefix, rooted, out)),
    }
}

/// Collects what a module brings into scope.
struct Scope<'a> {
    found: &'a mut Crate,
    module: ModulePath,
}

impl Scope<'_> {
    fn define(&mut self, name: String) {
        self.found.items.entry(self.module.clone()).or_default().insert(name);
    }
}

impl<'ast> Visit<'ast> for Scope<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_test(attributes(item)) {
            return;
        }
        use syn::Item::*;
        match item {
            Const(i) => self.define(i.ident.to_string()),
            Enum(i) => self.define(i.ident.to_string()),
            Fn(i) => self.define(i.sig.ident.to_string()),
            Mod(i) => self.define(i.ident.to_string()),
            Static(i) => self.define(i.ident.to_string()),
            Struct(i) => self.define(i.ident.to_string()),
            Trait(i) => self.define(i.ident.to_string()),
            Type(i) => self.define(i.ident.to_string()),
            Macro(i) => i.ident.iter().for_each(|ident| self.define(ident.to_string())),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let imports = self.found.imports.entry(self.module.clone()).or_default();
        for (name, import) in leaves(item) {
            imports.entry(name).or_default().push(import);
        }
    }
}
