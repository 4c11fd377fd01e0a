//! Environment markers of PEP 508: `python_version < "3.12" and extra == "http2"`.
//!
//! What a root folder cannot tell, such as the kernel's release or the patch level of an
//! interpreter without headers, makes a comparison [`Truth::Unknown`] instead of guessed.
//! Comparisons follow `packaging`: four variables compare as versions, the others as text, where
//! only equality and `in` mean something.

use std::fmt;

use super::name::normalize;
use super::scan::{Scan, SyntaxError};
use super::version::{Operator, Specifier};

/// Parentheses may nest this deep; real markers need two.
const DEEPEST: usize = 32;

/// What a marker comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It hangs on something that files do not tell.
    Unknown,
}

impl Truth {
    fn of(value: bool) -> Truth {
        if value { Truth::True } else { Truth::False }
    }

    fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::True, Truth::True) => Truth::True,
            _ => Truth::Unknown,
        }
    }

    fn or(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::True, _) | (_, Truth::True) => Truth::True,
            (Truth::False, Truth::False) => Truth::False,
            _ => Truth::Unknown,
        }
    }
}

/// A variable of PEP 508.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// Two numbers, as `3.11`.
    PythonVersion,
    /// Three numbers and more, as `3.11.7` or `3.14.0rc1`.
    PythonFullVersion,
    /// `posix` on Linux.
    OsName,
    /// `linux` on Linux.
    SysPlatform,
    /// The kernel's release.
    PlatformRelease,
    /// `Linux` on Linux.
    PlatformSystem,
    /// The kernel's build text.
    PlatformVersion,
    /// uname's machine.
    PlatformMachine,
    /// `CPython` or `PyPy`.
    PlatformPythonImplementation,
    /// `cpython` or `pypy`.
    ImplementationName,
    /// CPython's own version, PyPy's own version.
    ImplementationVersion,
    /// The extra that is asked for.
    Extra,
}

/// Names with dots are PEP 345's.
const VARIABLES: [(&str, Variable); 18] = [
    ("extra", Variable::Extra),
    ("python_version", Variable::PythonVersion),
    ("python_full_version", Variable::PythonFullVersion),
    ("os_name", Variable::OsName),
    ("os.name", Variable::OsName),
    ("sys_platform", Variable::SysPlatform),
    ("sys.platform", Variable::SysPlatform),
    ("platform_release", Variable::PlatformRelease),
    ("platform_system", Variable::PlatformSystem),
    ("platform_version", Variable::PlatformVersion),
    ("platform.version", Variable::PlatformVersion),
    ("platform_machine", Variable::PlatformMachine),
    ("platform.machine", Variable::PlatformMachine),
    ("platform_python_implementation", Variable::PlatformPythonImplementation),
    ("platform.python_implementation", Variable::PlatformPythonImplementation),
    ("python_implementation", Variable::PlatformPythonImplementation),
    ("implementation_name", Variable::ImplementationName),
    ("implementation_version", Variable::ImplementationVersion),
];

impl Variable {
    fn take(scan: &mut Scan<'_>) -> Option<Variable> {
        let word = scan.word();
        let known = VARIABLES.iter().find(|(text, _)| *text == word)?;
        scan.take(word);
        Some(known.1)
    }

    fn text(self) -> &'static str {
        VARIABLES.iter().find(|&&(_, variable)| variable == self).map_or("", |(text, _)| text)
    }

    fn is_version(self) -> bool {
        matches!(
            self,
            Variable::PythonVersion
                | Variable::PythonFullVersion
                | Variable::PlatformRelease
                | Variable::ImplementationVersion
        )
    }
}

/// What the variables are worth. A list holds every value that is possible: one where it is
/// known, none where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// As `3.11`.
    pub python_version: Vec<String>,
    /// As `3.11.7`.
    pub python_full_version: Vec<String>,
    /// As `posix`.
    pub os_name: Vec<String>,
    /// As `linux`.
    pub sys_platform: Vec<String>,
    /// As `6.1.0-13-amd64`.
    pub platform_release: Vec<String>,
    /// As `Linux`.
    pub platform_system: Vec<String>,
    /// As `#1 SMP`.
    pub platform_version: Vec<String>,
    /// As `x86_64`.
    pub platform_machine: Vec<String>,
    /// As `CPython`.
    pub platform_python_implementation: Vec<String>,
    /// As `cpython`.
    pub implementation_name: Vec<String>,
    /// As `3.11.7`.
    pub implementation_version: Vec<String>,
}

impl Environment {
    fn values(&self, variable: Variable) -> &[String] {
        match variable {
            Variable::PythonVersion => &self.python_version,
            Variable::PythonFullVersion => &self.python_full_version,
            Variable::OsName => &self.os_name,
            Variable::SysPlatform => &self.sys_platform,
            Variable::PlatformRelease => &self.platform_release,
            Variable::PlatformSystem => &self.platform_system,
            Variable::PlatformVersion => &self.platform_version,
            Variable::PlatformMachine => &self.platform_machine,
            Variable::PlatformPythonImplementation => &self.platform_python_implementation,
            Variable::ImplementationName => &self.implementation_name,
            Variable::ImplementationVersion => &self.implementation_version,
            Variable::Extra => &[],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Order(Operator),
    In,
    NotIn,
}

impl Relation {
    fn take(scan: &mut Scan<'_>) -> Option<Relation> {
        if scan.take_word("in") {
            return Some(Relation::In);
        }
        if scan.take_word("not") {
            scan.skip_space();
            return scan.take_word("in").then_some(Relation::NotIn);
        }
        Operator::take(scan).map(Relation::Order)
    }

    fn text(self) -> &'static str {
        match self {
            Relation::Order(operator) => operator.text(),
            Relation::In => "in",
            Relation::NotIn => "not in",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Variable(Variable),
    Literal(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Compare(Operand, Relation, Operand),
    All(Vec<Node>),
    Any(Vec<Node>),
}

/// A parsed marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(Node);

impl Marker {
    /// A marker and nothing after it.
    pub fn parse(text: &str) -> Result<Marker, SyntaxError> {
        let mut scan = Scan::new(text);
        let marker = Marker::scan(&mut scan)?;
        if scan.at_end() { Ok(marker) } else { Err(scan.error("\"and\" or \"or\" was expected")) }
    }

    pub(crate) fn scan(scan: &mut Scan<'_>) -> Result<Marker, SyntaxError> {
        Ok(Marker(alternatives(scan, 0)?))
    }

    /// What the marker comes to when `extra` is asked for; "" for none.
    pub fn evaluate(&self, environment: &Environment, extra: &str) -> Truth {
        evaluate(&self.0, environment, &normalize(extra))
    }
}

fn alternatives(scan: &mut Scan<'_>, depth: usize) -> Result<Node, SyntaxError> {
    let mut nodes = vec![conjunction(scan, depth)?];
    while scan.take_word("or") {
        nodes.push(conjunction(scan, depth)?);
    }
    Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Any(nodes) })
}

fn conjunction(scan: &mut Scan<'_>, depth: usize) -> Result<Node, SyntaxError> {
    let mut nodes = vec![atom(scan, depth)?];
    while scan.take_word("and") {
        nodes.push(atom(scan, depth)?);
    }
    Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::All(nodes) })
}

fn atom(scan: &mut Scan<'_>, depth: usize) -> Result<Node, SyntaxError> {
    scan.skip_space();
    let node = if scan.take("(") {
        if depth == DEEPEST {
            return Err(scan.error("parentheses are nested too deep"));
        }
        let node = alternatives(scan, depth + 1)?;
        if !scan.take(")") {
            return Err(scan.error("\")\" was expected"));
        }
        node
    } else {
        comparison(scan)?
    };
    scan.skip_space();
    Ok(node)
}

fn comparison(scan: &mut Scan<'_>) -> Result<Node, SyntaxError> {
    let left = operand(scan)?;
    scan.skip_space();
    let Some(relation) = Relation::take(scan) else {
        return Err(scan.error("a comparison such as == or \"in\" was expected"));
    };
    scan.skip_space();
    let right = operand(scan)?;
    Ok(Node::Compare(left, relation, right))
}

fn operand(scan: &mut Scan<'_>) -> Result<Operand, SyntaxError> {
    if let Some(variable) = Variable::take(scan) {
        return Ok(Operand::Variable(variable));
    }
    for (quote, end) in [("\"", '"'), ("'", '\'')] {
        let open = scan.place();
        if !scan.take(quote) {
            continue;
        }
        let text = scan.take_while(|letter| letter != end);
        if text.contains('\\') {
            return Err(scan.error_at(open, "quoted text has no backslash"));
        }
        return match scan.take(quote) {
            true => Ok(Operand::Literal(text.to_owned())),
            false => Err(scan.error_at(open, "this quoted text does not end")),
        };
    }
    Err(scan.error("a marker variable or quoted text was expected"))
}

fn evaluate(node: &Node, environment: &Environment, extra: &str) -> Truth {
    match node {
        Node::Any(nodes) => {
            nodes.iter().fold(Truth::False, |sum, node| sum.or(evaluate(node, environment, extra)))
        }
        Node::All(nodes) => {
            nodes.iter().fold(Truth::True, |sum, node| sum.and(evaluate(node, environment, extra)))
        }
        Node::Compare(Operand::Variable(variable), relation, Operand::Literal(text)) => {
            compare(*variable, *relation, text, Side::Left, environment, extra)
        }
        Node::Compare(Operand::Literal(text), relation, Operand::Variable(variable)) => {
            compare(*variable, *relation, text, Side::Right, environment, extra)
        }
        Node::Compare(Operand::Variable(left), relation, Operand::Variable(right)) => {
            compare_variables(*left, *relation, *right, environment, extra)
        }
        // Two texts: the standard gives that no meaning.
        Node::Compare(..) => Truth::Unknown,
    }
}

/// Where the variable stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// One comparison over every value that the variable may have: known only if all agree.
fn compare(
    variable: Variable,
    relation: Relation,
    text: &str,
    side: Side,
    environment: &Environment,
    extra: &str,
) -> Truth {
    let judge = |value: &str, text: &str| match side {
        Side::Left => relate(value, relation, text, variable.is_version()),
        Side::Right => relate(text, relation, value, variable.is_version()),
    };
    if variable == Variable::Extra {
        return judge(extra, &normalize(text));
    }
    let mut truth = None;
    for value in environment.values(variable) {
        let here = judge(value, text);
        if truth.is_some_and(|before| before != here) {
            return Truth::Unknown;
        }
        truth = Some(here);
    }
    truth.unwrap_or(Truth::Unknown)
}

/// Two variables, as packaging has it: the left one decides how they are compared.
fn compare_variables(
    left: Variable,
    relation: Relation,
    right: Variable,
    environment: &Environment,
    extra: &str,
) -> Truth {
    let extra = [extra.to_owned()];
    let values = |variable| match variable {
        Variable::Extra => extra.as_slice(),
        variable => environment.values(variable),
    };
    let mut truth = None;
    for right in values(right) {
        for left_value in values(left) {
            let here = relate(left_value, relation, right, left.is_version());
            if truth.is_some_and(|before| before != here) {
                return Truth::Unknown;
            }
            truth = Some(here);
        }
    }
    truth.unwrap_or(Truth::Unknown)
}

fn relate(left: &str, relation: Relation, right: &str, versions: bool) -> Truth {
    let operator = match relation {
        Relation::In => return Truth::of(right.contains(left)),
        Relation::NotIn => return Truth::of(!right.contains(left)),
        Relation::Order(operator) => operator,
    };
    if versions && let Ok(clause) = Specifier::parse(&format!("{}{right}", operator.text())) {
        return Truth::of(clause.contains(left));
    }
    match operator {
        Operator::Equal | Operator::AtMost | Operator::AtLeast => Truth::of(left == right),
        Operator::NotEqual => Truth::of(left != right),
        Operator::Less | Operator::Greater => Truth::False,
        Operator::Identical if versions => Truth::of(left == right),
        // packaging refuses these two on text.
        Operator::Identical | Operator::Compatible => Truth::Unknown,
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_node(out, &self.0)
    }
}

fn write_node(out: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    let (nodes, word) = match node {
        Node::Any(nodes) => (nodes, " or "),
        Node::All(nodes) => (nodes, " and "),
        Node::Compare(left, relation, right) => {
            write_operand(out, left)?;
            write!(out, " {} ", relation.text())?;
            return write_operand(out, right);
        }
    };
    for (index, inner) in nodes.iter().enumerate() {
        out.write_str(if index == 0 { "" } else { word })?;
        // "and" binds stronger, so only a group of that kind inside "or" stands bare.
        let bare = match inner {
            Node::Compare(..) => true,
            Node::All(_) => matches!(node, Node::Any(_)),
            Node::Any(_) => false,
        };
        if bare {
            write_node(out, inner)?;
        } else {
            out.write_str("(")?;
            write_node(out, inner)?;
            out.write_str(")")?;
        }
    }
    Ok(())
}

fn write_operand(out: &mut fmt::Formatter<'_>, operand: &Operand) -> fmt::Result {
    match operand {
        Operand::Variable(variable) => out.write_str(variable.text()),
        // A text cannot hold the quote it was written in.
        Operand::Literal(text) if text.contains('"') => write!(out, "'{text}'"),
        Operand::Literal(text) => write!(out, "\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment() -> Environment {
        let one = |text: &str| vec![text.to_owned()];
        Environment {
            python_version: one("3.11"),
            python_full_version: (0..=40).map(|micro| format!("3.11.{micro}")).collect(),
            os_name: one("posix"),
            sys_platform: one("linux"),
            platform_system: one("Linux"),
            platform_machine: one("x86_64"),
            platform_python_implementation: one("CPython"),
            implementation_name: one("cpython"),
            ..Environment::default()
        }
    }

    #[test]
    fn markers_are_judged_as_packaging_judges_them() {
        use Truth::{False, True, Unknown};
        // packaging 26.3, but for the last group: there it would ask the machine it runs on.
        let table = [
            ("python_version >= '3.8'", "", True),
            ("python_version < '3.9'", "", False),
            ("'3.9' <= python_version", "", True),
            ("python_version == '3.11.*'", "", True),
            ("python_version in '3.10 3.11'", "", True),
            ("python_version not in '3.10 3.11'", "", False),
            ("os_name == 'nt' or os.name == 'posix'", "", True),
            ("os_name == 'nt' and sys_platform == 'linux' or os_name == 'posix'", "", True),
            ("os_name == 'nt' and (sys_platform == 'linux' or os_name == 'posix')", "", False),
            ("platform_machine < 'zzz'", "", False),
            ("platform_machine >= 'x86_64'", "", True),
            ("python_implementation == 'CPython'", "", True),
            ("extra == 'http2'", "", False),
            ("extra == 'HTTP_2'", "http-2", True),
            ("'http2' == extra", "http2", True),
            ("extra != 'http2'", "", True),
            ("python_version < '3' or python_version=='3.11'and extra=='a'", "a", True),
            // The patch level is not known, and mostly does not matter.
            ("python_full_version < '3.12'", "", True),
            ("python_full_version <= '3.11.2'", "", Unknown),
            ("python_full_version <= '3.11.2' and os_name == 'nt'", "", False),
            ("python_full_version <= '3.11.2' or os_name == 'posix'", "", True),
            ("platform_release >= '5'", "", Unknown),
            ("'a' == 'a'", "", Unknown),
        ];
        for (text, extra, expected) in table {
            let marker = Marker::parse(text).unwrap();
            assert_eq!(marker.evaluate(&environment(), extra), expected, "{text}");
            assert_eq!(Marker::parse(&marker.to_string()).unwrap(), marker, "{text}");
        }
    }

    #[test]
    fn errors_point_at_the_column() {
        for (text, column) in [
            ("", 1),
            ("os_name", 8),
            ("os_name = 'posix'", 9),
            ("os_name == 'posix", 12),
            ("os_name == posix", 12),
            ("(os_name == 'posix'", 20),
            ("os_name == 'posix' extra", 20),
            ("os_names == 'x'", 1),
        ] {
            assert_eq!(Marker::parse(text).unwrap_err().column, column, "{text}");
        }
    }

    #[test]
    fn endless_parentheses_are_an_error_and_not_an_overflow() {
        let deep = "(".repeat(100_000);
        assert!(Marker::parse(&deep).unwrap_err().problem.contains("too deep"));
        let fine = format!("{}os_name == 'posix'{}", "(".repeat(30), ")".repeat(30));
        assert!(Marker::parse(&fine).is_ok());
    }

    fn marker_text() -> impl Strategy<Value = String> {
        let leaf = proptest::string::string_regex(
            "(python_version|extra|os_name|'3') (<|>=|==|!=|in|not in|~=) (\"3[.][0-9]\"|'a\"b')",
        )
        .unwrap();
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|text| format!("({text})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("{a} or {b}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            if let Ok(marker) = Marker::parse(&text) {
                marker.evaluate(&environment(), "a");
            }
        }

        #[test]
        fn a_printed_marker_is_the_same_marker(text in marker_text()) {
            let marker = Marker::parse(&text).unwrap();
            marker.evaluate(&environment(), "a");
            prop_assert_eq!(Marker::parse(&marker.to_string()).unwrap(), marker);
        }
    }
}
