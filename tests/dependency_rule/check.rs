//! Holds every path of a pure room against the allow-list.

use crate::rules;
use crate::tree::{self, Crate, Import, ModulePath, SourceFile};
use std::collections::BTreeSet;
use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// Below `crate`.
    Crate(Vec<String>),
    /// Below `std`, `core` or `alloc`, which are views of one library.
    Std(Vec<String>),
    /// Another crate, its name first; or a name that nothing explains, which is the same to an allow-list.
    Foreign(Vec<String>),
    /// Something that the module itself defines, the prelude, or a name that came in by a checked import.
    Local,
}

/// Everything that breaks the rule in the pure rooms of a crate, one line each.
pub fn violations(found: &Crate) -> Vec<String> {
    let mut out = Vec::new();
    for file in found.files.iter().filter(|file| rules::is_pure(&file.module)) {
        let mut checker = Checker {
            found,
            module: file.module.clone(),
            decides: rules::decides(&file.module),
            out: BTreeSet::new(),
        };
        checker.visit_file(&file.ast);
        out.extend(checker.out.into_iter().map(|what| format!("{}: {what}", file.file)));
    }
    out
}

/// Every `unsafe` of a file, tests included.
pub fn count_unsafe(file: &str) -> usize {
    fn count(mut cursor: Cursor<'_>) -> usize {
        let mut found = 0;
        while !cursor.eof() {
            if let Some((inner, _, _, next)) = cursor.any_group() {
                found += count(inner);
                cursor = next;
            } else if let Some((ident, next)) = cursor.ident() {
                found += usize::from(ident == "unsafe");
                cursor = next;
            } else {
                cursor = cursor.token_tree().expect("not at the end").1;
            }
        }
        found
    }
    let tokens = syn::parse_str::<Tokens>(file).expect("Rust tokens");
    count(tokens.0.begin())
}

struct Tokens(TokenBuffer);

impl syn::parse::Parse for Tokens {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Tokens> {
        Ok(Tokens(TokenBuffer::new2(input.parse()?)))
    }
}

struct Checker<'a> {
    found: &'a Crate,
    module: ModulePath,
    decides: bool,
    out: BTreeSet<String>,
}

impl Checker<'_> {
    fn report(&mut self, what: impl Into<String>) {
        self.out.insert(what.into());
    }

    fn path(&mut self, segments: &[String], rooted: bool, import: bool) {
        // A single name is a variable, a local item, the prelude's, or was checked where it was imported.
        if segments.len() == 1 && !import {
            return;
        }
        let module = self.module.clone();
        let mut targets = BTreeSet::new();
        resolve(self.found, &module, segments, rooted, 0, &mut targets);
        for target in targets {
            if let Some(reason) = refusal(&target, import) {
                self.report(format!("{}: {reason}", segments.join("::")));
            }
        }
        if !import
            && let Some(last) = segments.last()
            && rules::METHODS.contains(&last.as_str())
        {
            self.report(format!("{}: this function reaches outside", segments.join("::")));
        }
    }

    fn name(&mut self, name: &str) {
        if rules::NAMES.contains(&name) {
            self.report(format!("{name}: never in a pure room"));
        }
        let float = matches!(name, "f32" | "f64") || name.ends_with("_f32") || name.ends_with("_f64");
        if self.decides && (float || name == "ParseFloatError") {
            self.report(format!("{name}: no floating point in a decision"));
        }
    }

    fn macro_name(&mut self, segments: &[String], rooted: bool) {
        let [name] = segments else {
            self.path(segments, rooted, false);
            return;
        };
        let local =
            |module: &[String]| self.found.items.get(module).is_some_and(|items| items.contains(name));
        // A macro_rules macro is in scope in its own module and in the modules below it.
        let mine = (0..=self.module.len()).any(|len| self.module.get(..len).is_some_and(local));
        let imported = self.found.imports.get(&self.module).is_some_and(|imports| imports.contains_key(name));
        if !mine && !imported && !rules::MACROS.contains(&name.as_str()) {
            self.report(format!("{name}!: not on the list of macros"));
        }
    }

    /// Paths inside a macro's tokens: `a::b::c`, and trees of them as in `use`.
    fn tokens(&mut self, mut cursor: Cursor<'_>) {
        while !cursor.eof() {
            if let Some((inner, _, _, next)) = cursor.any_group() {
                self.tokens(inner);
                cursor = next;
            } else if let Some((ident, next)) = cursor.ident() {
                cursor = self.token_path(vec![ident.to_string()], false, next);
            } else if let Some((literal, next)) = cursor.literal() {
                if let Ok(literal) = syn::parse_str::<syn::Lit>(&literal.to_string()) {
                    self.visit_lit(&literal);
                }
                cursor = next;
            } else if let Some((punct, next)) = cursor.punct() {
                cursor = match punct.as_char() {
                    // A macro's variable stands for tokens that are checked where they are written.
                    '$' => match next.ident() {
                        Some((ident, next)) if ident == "crate" => {
                            self.token_path(vec!["crate".into()], false, next)
                        }
                        Some((_, next)) => self.skip_path(next),
                        None => next,
                    },
                    '*' => match next.ident() {
                        Some((ident, next)) if ident == "const" || ident == "mut" => {
                            self.report("raw pointer in a macro");
                            next
                        }
                        _ => next,
                    },
                    ':' => match colons(cursor).and_then(Cursor::ident) {
                        Some((ident, next)) => self.token_path(vec![ident.to_string()], true, next),
                        None => next,
                    },
                    _ => next,
                };
            } else {
                cursor = cursor.token_tree().expect("not at the end").1;
            }
        }
    }

    /// Goes on after the first segment; gives the place after the path.
    fn token_path<'c>(
        &mut self,
        mut segments: Vec<String>,
        rooted: bool,
        mut cursor: Cursor<'c>,
    ) -> Cursor<'c> {
        if let [only] = segments.as_slice() {
            self.name(only);
            if only == "unsafe" {
                self.report("unsafe in a macro");
            }
        }
        while let Some(next) = colons(cursor) {
            if let Some((ident, next)) = next.ident() {
                self.name(&ident.to_string());
                segments.push(ident.to_string());
                cursor = next;
            } else if let Some((star, next)) = next.punct().filter(|(punct, _)| punct.as_char() == '*') {
                segments.push(star.as_char().to_string());
                cursor = next;
            } else if let Some((mut inner, _, _, next)) = next.any_group() {
                // The branches of a tree, each with the prefix so far.
                while !inner.eof() {
                    inner = match (inner.ident(), inner.punct()) {
                        (Some((ident, next)), _) => {
                            let mut branch = segments.clone();
                            branch.push(ident.to_string());
                            self.name(&ident.to_string());
                            self.token_path(branch, rooted, next)
                        }
                        (None, Some((punct, next))) => {
                            if punct.as_char() == '*' {
                                let mut branch = segments.clone();
                                branch.push("*".into());
                                self.path(&branch, rooted, true);
                            }
                            next
                        }
                        (None, None) => inner.token_tree().expect("not at the end").1,
                    };
                }
                return next;
            } else {
                // A turbofish, or a macro's variable: the rest is read as what follows.
                cursor = next;
                break;
            }
        }
        let call = cursor.punct().filter(|(punct, _)| punct.as_char() == '!');
        match call.filter(|(_, next)| next.any_group().is_some()) {
            Some(_) => self.macro_name(&segments, rooted),
            None => self.path(&segments, rooted, false),
        }
        if segments.len() == 1 && rules::METHODS.contains(&segments[0].as_str()) {
            self.report(format!("{}: this method reaches outside", segments[0]));
        }
        cursor
    }

    fn skip_path<'c>(&mut self, mut cursor: Cursor<'c>) -> Cursor<'c> {
        while let Some((_, next)) = colons(cursor).and_then(Cursor::ident) {
            cursor = next;
        }
        cursor
    }

    fn unsafety(&mut self, token: Option<&syn::Token![unsafe]>) {
        if token.is_some() {
            self.report("unsafe");
        }
    }
}

/// The place after `::`.
fn colons(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    let (first, next) = cursor.punct()?;
    let (second, next) = next.punct()?;
    (first.as_char() == ':' && second.as_char() == ':').then_some(next)
}

/// Follows imports and re-exports to what the path means in the end.
fn resolve(
    found: &Crate,
    module: &[String],
    segments: &[String],
    rooted: bool,
    depth: usize,
    out: &mut BTreeSet<Target>,
) {
    let Some((first, rest)) = segments.split_first() else { return };
    let foreign = || match first.as_str() {
        "std" | "core" | "alloc" => Target::Std(rest.to_vec()),
        _ => Target::Foreign(segments.to_vec()),
    };
    if rooted || depth > 16 {
        out.insert(foreign());
        return;
    }
    match first.as_str() {
        "Self" => {
            out.insert(Target::Local);
            return;
        }
        "crate" => return resolve_inside(found, rest.to_vec(), depth, out),
        "self" | "super" => {
            let mut base = module.to_vec();
            let mut rest = segments;
            while let Some((step, next)) =
                rest.split_first().filter(|(s, _)| matches!(s.as_str(), "self" | "super"))
            {
                if step == "super" {
                    base.pop();
                }
                rest = next;
            }
            base.extend_from_slice(rest);
            return resolve_inside(found, base, depth, out);
        }
        _ => {}
    }
    // `use toml;` and `use toml::{self}` bring in the name that they begin with.
    let imports = found.imports.get(module).and_then(|imports| imports.get(first));
    let mut explained = false;
    for import in
        imports.into_iter().flatten().filter(|import| import.path.first() != Some(first) || import.rooted)
    {
        let mut path = import.path.clone();
        path.extend_from_slice(rest);
        resolve(found, module, &path, import.rooted, depth + 1, out);
        explained = true;
    }
    if explained {
        return;
    }
    let defined = found.items.get(module).is_some_and(|items| items.contains(first));
    // Crates' names are lower case here; so a capital is a type, which is local, the prelude's or a checked import's.
    if defined {
        let mut path = module.to_vec();
        path.extend_from_slice(segments);
        resolve_inside(found, path, depth + 1, out);
    } else if first.starts_with(char::is_uppercase) || rules::PRIMITIVES.contains(&first.as_str()) {
        out.insert(Target::Local);
    } else {
        out.insert(foreign());
    }
}

/// A path from the crate's root: replaces the first name on it that a module only imported.
fn resolve_inside(found: &Crate, path: Vec<String>, depth: usize, out: &mut BTreeSet<Target>) {
    for len in 0..path.len() {
        let (module, rest) = path.split_at(len);
        let Some((name, rest)) = rest.split_first() else { break };
        let imports = found.imports.get(module).and_then(|imports| imports.get(name));
        // `pub(crate) use words;` only lifts the module's own macro, `use step::step;` a function out of a module of
        // the same name: what such an import begins with is the item here.
        let own = found.items.get(module).is_some_and(|items| items.contains(name));
        let lifts = |import: &Import| own && !import.rooted && import.path.first() == Some(name);
        let imports = imports.filter(|imports| depth <= 16 && !imports.iter().all(lifts));
        let Some(imports) = imports else { continue };
        for import in imports {
            let mut target = import.path.clone();
            target.extend_from_slice(rest);
            resolve(found, module, &target, import.rooted, depth + 1, out);
        }
        return;
    }
    out.insert(Target::Crate(path));
}

/// Why a pure room may not name the target; `None` if it may.
fn refusal(target: &Target, import: bool) -> Option<String> {
    match target {
        Target::Local => None,
        Target::Crate(path) => match path.first() {
            None => None,
            Some(room) if rules::ROOMS.contains(&room.as_str()) || room == "error" => None,
            // An item of the root itself, such as a macro, would be in no room.
            Some(room) => Some(format!("crate::{room} is no pure room")),
        },
        Target::Foreign(path) => {
            let name = path.first()?;
            (!rules::CRATES.contains(&name.as_str())).then(|| format!("{name} is not on the list of crates"))
        }
        Target::Std(path) => {
            let allowed = rules::STD.iter().any(|entry| {
                let entry: Vec<&str> = entry.split("::").collect();
                // Below an entry all is allowed; a `use` may also bring in a module above one, whose uses are then
                // checked themselves.
                starts_with(path, &entry) || (import && starts_with(&entry, path))
            });
            (!allowed).then(|| format!("std::{} is not on the list", path.join("::")))
        }
    }
}

fn starts_with<A: AsRef<str>, B: AsRef<str>>(path: &[A], prefix: &[B]) -> bool {
    path.len() >= prefix.len() && path.iter().zip(prefix).all(|(a, b)| a.as_ref() == b.as_ref())
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !tree::is_test(tree::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !tree::is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (_, import) in tree::leaves(item) {
            for name in &import.path {
                self.name(name);
            }
            self.path(&import.path, import.rooted, true);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.report(format!("extern crate {}", item.ident));
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.qualified(path.qself.as_ref(), &path.path);
    }

    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        self.qualified(path.qself.as_ref(), &path.path);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(&segments(path), path.leading_colon.is_some(), false);
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        // `derive` and the like name paths; a documentation's text and the names of lints are none.
        let lint = ["allow", "expect", "warn", "deny", "forbid"]
            .iter()
            .any(|level| attribute.path().is_ident(level));
        if let syn::Meta::List(list) = &attribute.meta
            && !lint
        {
            self.tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if !call.path.is_ident("macro_rules") {
            self.macro_name(&segments(&call.path), call.path.leading_colon.is_some());
        }
        self.tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.name(&ident.to_string());
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if rules::METHODS.contains(&call.method.to_string().as_str()) {
            self.report(format!("{}: this method reaches outside", call.method));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_lit(&mut self, literal: &'ast syn::Lit) {
        let float = match literal {
            syn::Lit::Float(_) => true,
            syn::Lit::Int(number) => number.suffix().starts_with('f'),
            _ => false,
        };
        if self.decides && float {
            self.report("a floating point number in a decision");
        }
    }

    fn visit_type_ptr(&mut self, _: &'ast syn::TypePtr) {
        self.report("raw pointer type");
    }

    fn visit_expr_raw_addr(&mut self, _: &'ast syn::ExprRawAddr) {
        self.report("raw pointer");
    }

    fn visit_expr_unsafe(&mut self, _: &'ast syn::ExprUnsafe) {
        self.report("unsafe");
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.unsafety(signature.unsafety.as_ref());
        if signature.abi.is_some() {
            self.report("extern function");
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.unsafety(item.unsafety.as_ref());
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.unsafety(item.unsafety.as_ref());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, _: &'ast syn::ItemForeignMod) {
        self.report("extern block");
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) {
            self.report("static mut");
        }
        visit::visit_item_static(self, item);
    }
}

impl Checker<'_> {
    /// `<T as Trait>::name`: the trait is a path, and `<T>::name` is none.
    fn qualified(&mut self, qself: Option<&syn::QSelf>, path: &syn::Path) {
        match qself {
            Some(qself) => {
                self.visit_qself(qself);
                let of_trait: Vec<String> = segments(path).into_iter().take(qself.position).collect();
                if !of_trait.is_empty() {
                    self.path(&of_trait, path.leading_colon.is_some(), false);
                }
                if let Some(last) =
                    path.segments.last().filter(|s| rules::METHODS.contains(&s.ident.to_string().as_str()))
                {
                    self.report(format!("{}: this method reaches outside", last.ident));
                }
                visit::visit_path(self, path);
            }
            None => self.visit_path(path),
        }
    }
}

/// Files of pure rooms that no `mod` leads to.
pub fn strays<'a>(found: &Crate, files: impl Iterator<Item = &'a String>) -> Vec<String> {
    let known: BTreeSet<&str> = found.files.iter().map(|SourceFile { file, .. }| file.as_str()).collect();
    files
        .filter(|file| {
            let room = file.split('/').next().unwrap_or_default();
            let test = found
                .tests
                .iter()
                .any(|test| *file == test || (test.ends_with('/') && file.starts_with(test.as_str())));
            rules::ROOMS.contains(&room) && !known.contains(file.as_str()) && !test
        })
        .cloned()
        .collect()
}
