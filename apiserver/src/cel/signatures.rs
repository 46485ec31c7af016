//! Which functions there are, and for which types: one line per function.
//!
//! `(int) string` is a function, `string.(int) string` a method; `|` stands between overloads, `A`
//! and `B` for any type.

use std::{collections::BTreeMap, sync::LazyLock};

use super::{
    Type,
    library::{AUTHORIZER, DECISION, GROUP_CHECK, PATH_CHECK, RESOURCE_CHECK},
};

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) target: Option<Type>,
    pub(super) args: Vec<Type>,
    pub(super) result: Type,
}

const COMPARISON: &str = "(bool,bool) bool|(int,int) bool|(int,uint) bool|(int,double) bool|(uint,uint) bool|\
    (uint,int) bool|(uint,double) bool|(double,double) bool|(double,int) bool|(double,uint) bool|\
    (string,string) bool|(bytes,bytes) bool|(timestamp,timestamp) bool|(duration,duration) bool";
const ARITHMETIC: &str = "(int,int) int|(uint,uint) uint|(double,double) double";
const EXTREME: &str = "list<int>.() int|list<uint>.() uint|list<double>.() double|list<bool>.() bool|\
    list<duration>.() duration|list<timestamp>.() timestamp|list<string>.() string|list<bytes>.() bytes";
const INDEX: &str = "list<A>.(A) int|string.(string) int|string.(string,int) int";
const TIME: &str = "timestamp.() int|timestamp.(string) int";
const TIME_OR_DURATION: &str = "timestamp.() int|timestamp.(string) int|duration.() int";
const FORMAT: &str = "() optional<format>";
/// The named formats.
pub(super) const FORMAT_NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

const FUNCTIONS: &[(&str, &str)] = &[
    ("!_", "(bool) bool"),
    ("-_", "(int) int|(double) double"),
    ("_&&_", "(bool,bool) bool"),
    ("_||_", "(bool,bool) bool"),
    ("_?_:_", "(bool,A,A) A"),
    ("_==_", "(A,A) bool"),
    ("_!=_", "(A,A) bool"),
    ("_<_", COMPARISON),
    ("_<=_", COMPARISON),
    ("_>_", COMPARISON),
    ("_>=_", COMPARISON),
    (
        "_+_",
        "(int,int) int|(uint,uint) uint|(double,double) double|(string,string) string|(bytes,bytes) bytes|\
         (list<A>,list<A>) list<A>|(timestamp,duration) timestamp|(duration,timestamp) timestamp|(duration,duration) duration",
    ),
    (
        "_-_",
        "(int,int) int|(uint,uint) uint|(double,double) double|(timestamp,timestamp) duration|\
         (timestamp,duration) timestamp|(duration,duration) duration",
    ),
    ("_*_", ARITHMETIC),
    ("_/_", ARITHMETIC),
    ("_%_", "(int,int) int|(uint,uint) uint"),
    ("@in", "(A,list<A>) bool|(A,map<A,B>) bool"),
    (
        "_[_]",
        "(list<A>,int) A|(map<A,B>,A) B|(optional<list<A>>,int) optional<A>|(optional<map<A,B>>,A) optional<B>",
    ),
    (
        "_[?_]",
        "(list<A>,int) optional<A>|(map<A,B>,A) optional<B>|(optional<list<A>>,int) optional<A>|(optional<map<A,B>>,A) optional<B>",
    ),
    ("bool", "(bool) bool|(string) bool"),
    ("int", "(int) int|(uint) int|(double) int|(string) int|(timestamp) int|(duration) int|(quantity) int"),
    ("uint", "(uint) uint|(int) uint|(double) uint|(string) uint"),
    ("double", "(double) double|(int) double|(uint) double|(string) double"),
    (
        "string",
        "(string) string|(bool) string|(int) string|(uint) string|(double) string|(bytes) string|(timestamp) string|\
         (duration) string|(ip) string|(cidr) string",
    ),
    ("bytes", "(bytes) bytes|(string) bytes"),
    ("timestamp", "(timestamp) timestamp|(string) timestamp|(int) timestamp"),
    ("duration", "(duration) duration|(string) duration|(int) duration"),
    ("dyn", "(A) dyn"),
    ("type", "(A) type"),
    (
        "size",
        "(string) int|(bytes) int|(list<A>) int|(map<A,B>) int|string.() int|bytes.() int|list<A>.() int|map<A,B>.() int",
    ),
    ("contains", "string.(string) bool"),
    ("startsWith", "string.(string) bool"),
    ("endsWith", "string.(string) bool"),
    ("matches", "string.(string) bool|(string,string) bool"),
    ("getFullYear", TIME),
    ("getMonth", TIME),
    ("getDayOfYear", TIME),
    ("getDayOfMonth", TIME),
    ("getDate", TIME),
    ("getDayOfWeek", TIME),
    ("getHours", TIME_OR_DURATION),
    ("getMinutes", TIME_OR_DURATION),
    ("getSeconds", TIME_OR_DURATION),
    ("getMilliseconds", TIME_OR_DURATION),
    ("charAt", "string.(int) string"),
    ("indexOf", INDEX),
    ("lastIndexOf", INDEX),
    ("lowerAscii", "string.() string"),
    ("upperAscii", "string.() string"),
    ("trim", "string.() string"),
    ("replace", "string.(string,string) string|string.(string,string,int) string"),
    ("split", "string.(string) list<string>|string.(string,int) list<string>"),
    ("substring", "string.(int) string|string.(int,int) string"),
    ("join", "list<string>.() string|list<string>.(string) string"),
    ("format", "string.(list<dyn>) string"),
    ("reverse", "string.() string|list<A>.() list<A>"),
    ("strings.quote", "(string) string"),
    (
        "isSorted",
        "list<int>.() bool|list<uint>.() bool|list<double>.() bool|list<bool>.() bool|list<duration>.() bool|list<timestamp>.() bool|list<string>.() bool|list<bytes>.() bool",
    ),
    ("sum", "list<int>.() int|list<uint>.() uint|list<double>.() double|list<duration>.() duration"),
    ("min", EXTREME),
    ("max", EXTREME),
    ("lists.range", "(int) list<int>"),
    ("flatten", "list<list<A>>.() list<A>|list<dyn>.(int) list<dyn>"),
    ("slice", "list<A>.(int,int) list<A>"),
    ("sort", "list<A>.() list<A>"),
    ("distinct", "list<A>.() list<A>"),
    ("first", "list<A>.() optional<A>"),
    ("last", "list<A>.() optional<A>"),
    ("sets.contains", "(list<A>,list<A>) bool"),
    ("sets.equivalent", "(list<A>,list<A>) bool"),
    ("sets.intersects", "(list<A>,list<A>) bool"),
    ("find", "string.(string) string"),
    ("findAll", "string.(string) list<string>|string.(string,int) list<string>"),
    ("url", "(string) url"),
    ("isURL", "(string) bool"),
    ("getScheme", "url.() string"),
    ("getHost", "url.() string"),
    ("getHostname", "url.() string"),
    ("getPort", "url.() string"),
    ("getEscapedPath", "url.() string"),
    ("getQuery", "url.() map<string,list<string>>"),
    ("quantity", "(string) quantity"),
    ("isQuantity", "(string) bool"),
    ("sign", "quantity.() int"),
    ("isInteger", "quantity.() bool"),
    ("asInteger", "quantity.() int"),
    ("asApproximateFloat", "quantity.() double"),
    ("add", "quantity.(quantity) quantity|quantity.(int) quantity"),
    ("sub", "quantity.(quantity) quantity|quantity.(int) quantity"),
    ("isLessThan", "quantity.(quantity) bool|semver.(semver) bool"),
    ("isGreaterThan", "quantity.(quantity) bool|semver.(semver) bool"),
    ("compareTo", "quantity.(quantity) int|semver.(semver) int"),
    ("semver", "(string) semver|(string,bool) semver"),
    ("isSemver", "(string) bool|(string,bool) bool"),
    ("major", "semver.() int"),
    ("minor", "semver.() int"),
    ("patch", "semver.() int"),
    ("ip", "(string) ip|cidr.() ip"),
    ("isIP", "(string) bool"),
    ("ip.isCanonical", "(string) bool"),
    ("family", "ip.() int"),
    ("isUnspecified", "ip.() bool"),
    ("isLoopback", "ip.() bool"),
    ("isLinkLocalMulticast", "ip.() bool"),
    ("isLinkLocalUnicast", "ip.() bool"),
    ("isGlobalUnicast", "ip.() bool"),
    ("cidr", "(string) cidr"),
    ("isCIDR", "(string) bool"),
    ("containsIP", "cidr.(string) bool|cidr.(ip) bool"),
    ("containsCIDR", "cidr.(string) bool|cidr.(cidr) bool"),
    ("prefixLength", "cidr.() int"),
    ("masked", "cidr.() cidr"),
    ("format.named", "(string) optional<format>"),
    ("validate", "format.(string) optional<list<string>>"),
    ("jsonpatch.escapeKey", "(string) string"),
    ("path", "authorizer.(string) pathcheck"),
    ("group", "authorizer.(string) groupcheck"),
    ("serviceAccount", "authorizer.(string,string) authorizer"),
    ("resource", "groupcheck.(string) resourcecheck"),
    ("subresource", "resourcecheck.(string) resourcecheck"),
    ("namespace", "resourcecheck.(string) resourcecheck"),
    ("name", "resourcecheck.(string) resourcecheck"),
    ("fieldSelector", "resourcecheck.(string) resourcecheck"),
    ("labelSelector", "resourcecheck.(string) resourcecheck"),
    ("check", "pathcheck.(string) decision|resourcecheck.(string) decision"),
    ("errored", "decision.() bool"),
    ("error", "decision.() string"),
    ("allowed", "decision.() bool"),
    ("reason", "decision.() string"),
    ("optional.of", "(A) optional<A>"),
    ("optional.none", "() optional<A>"),
    ("optional.ofNonZeroValue", "(A) optional<A>"),
    ("hasValue", "optional<A>.() bool"),
    ("value", "optional<A>.() A"),
    ("or", "optional<A>.(optional<A>) optional<A>"),
    ("orValue", "optional<A>.(A) A"),
];

static TABLE: LazyLock<BTreeMap<String, Vec<Overload>>> = LazyLock::new(|| {
    let mut table: BTreeMap<String, Vec<Overload>> = BTreeMap::new();
    for (name, signatures) in FUNCTIONS {
        table.insert(
            (*name).to_owned(),
            signatures.split('|').map(|text| Reader(text.trim()).overload()).collect(),
        );
    }
    for name in FORMAT_NAMES {
        table.insert(format!("format.{name}"), vec![Reader(FORMAT.trim()).overload()]);
    }
    table
});

/// The overloads of a function or method; `None`: there is none of that name.
pub(super) fn overloads(name: &str) -> Option<&'static [Overload]> {
    TABLE.get(name).map(Vec::as_slice)
}

/// Reads a line of the table, which is well-formed: a test calls everything in it.
struct Reader<'t>(&'t str);

impl Reader<'_> {
    fn overload(&mut self) -> Overload {
        let target = if self.0.starts_with('(') { None } else { Some(self.ty()) };
        self.skip('.');
        self.skip('(');
        let mut args = Vec::new();
        while !self.0.starts_with(')') && !self.0.is_empty() {
            args.push(self.ty());
            self.skip(',');
        }
        self.skip(')');
        self.0 = self.0.trim_start();
        Overload { target, args, result: self.ty() }
    }

    fn skip(&mut self, c: char) {
        self.0 = self.0.strip_prefix(c).unwrap_or(self.0);
    }

    fn ty(&mut self) -> Type {
        let end = self.0.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        match name {
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "duration" => Type::Duration,
            "timestamp" => Type::Timestamp,
            "type" => Type::Meta,
            "A" => Type::Param(0),
            "B" => Type::Param(1),
            "url" => Type::Opaque("kubernetes.URL"),
            "quantity" => Type::Opaque("kubernetes.Quantity"),
            "semver" => Type::Opaque("kubernetes.Semver"),
            "format" => Type::Opaque("kubernetes.NamedFormat"),
            "ip" => Type::Opaque("net.IP"),
            "cidr" => Type::Opaque("net.CIDR"),
            "authorizer" => Type::Opaque(AUTHORIZER),
            "pathcheck" => Type::Opaque(PATH_CHECK),
            "groupcheck" => Type::Opaque(GROUP_CHECK),
            "resourcecheck" => Type::Opaque(RESOURCE_CHECK),
            "decision" => Type::Opaque(DECISION),
            "list" | "optional" | "map" => {
                self.skip('<');
                let first = self.ty();
                let made = if name == "map" {
                    self.skip(',');
                    Type::map(first, self.ty())
                } else if name == "list" {
                    Type::list(first)
                } else {
                    Type::optional(first)
                };
                self.skip('>');
                made
            }
            _ => Type::Dyn,
        }
    }
}
