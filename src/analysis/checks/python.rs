//! The check `python_function`: code that parses and has a function of this name.

use ruff_python_ast::{Expr, Stmt, StmtFunctionDef};
use ruff_python_parser::parse_module;

use super::answer::{Answer, quoted};
use super::outcome::{Finding, Judge, counted};

/// Languages of code blocks that may hold Python. Many blocks name none.
const LANGUAGES: [&str; 4] = ["python", "python3", "py", ""];
/// Longest code that is parsed: 16,000 tokens of four bytes each, more than the context of the models that run here.
const MOST_BYTES: usize = 64 * 1024;
/// Stack for parsing and freeing each byte of code. Each level of the tree takes a few hundred bytes, and each byte of
/// code can be a level, such as each bracket of `((((`. Unused stack takes no memory.
const STACK_BYTES_A_BYTE: usize = 4 << 10;
/// Stack for code without nesting.
const STACK_BYTES: usize = 128 << 10;
/// Characters of code that are quoted.
const QUOTED: usize = 60;

pub(super) fn name(function: &str) -> String {
    format!("Python function {}", shown(function))
}

pub(super) fn judge<'a>(name: &'a str, parameters: Option<&'a [String]>, docstring: bool) -> Judge<'a> {
    let asked = Asked {
        name,
        parameters,
        docstring,
    };
    Box::new(move |answer| asked.judge(answer))
}

/// The requested function.
struct Asked<'a> {
    name: &'a str,
    parameters: Option<&'a [String]>,
    docstring: bool,
}

/// The result of one piece of code.
enum Seen {
    Function(Finding),
    Others(usize),
    Unparsed(String),
}

impl Asked<'_> {
    fn judge(&self, answer: &Answer) -> Finding {
        let mut blocks = answer.blocks();
        let has_blocks = !blocks.is_empty();
        blocks.retain(|block| LANGUAGES.contains(&block.language.as_str()));
        let pieces: Vec<&str> = if has_blocks {
            blocks.iter().map(|block| block.code.as_str()).collect()
        } else {
            vec![&answer.said]
        };
        let mut others = 0;
        let mut unparsed = None;
        for code in &pieces {
            match self.look(code) {
                Seen::Function(finding) => return finding,
                Seen::Others(count) => others += count,
                Seen::Unparsed(why) => {
                    unparsed.get_or_insert(why);
                }
            }
        }
        Err(match unparsed {
            Some(why) => why,
            None if pieces.is_empty() => "no code block of Python".into(),
            None => format!(
                "no function {}, {} of other names",
                shown(self.name),
                counted(others, "function")
            ),
        })
    }

    fn look(&self, code: &str) -> Seen {
        if code.len() > MOST_BYTES {
            return Seen::Unparsed(format!(
                "{} bytes of code, at most {MOST_BYTES} are parsed",
                code.len()
            ));
        }
        // An answer can have thousands of blocks, so only long code gets its own stack.
        let stack = STACK_BYTES + code.len() * STACK_BYTES_A_BYTE;
        stacker::maybe_grow(stack, stack, || match parse_module(code) {
            Ok(module) => self.among(module.suite()),
            Err(error) => {
                let place = usize::from(error.location.start()).min(code.len());
                let line = code.as_bytes()[..place].split(|byte| *byte == b'\n').count();
                let why = error.error.to_string();
                Seen::Unparsed(format!(
                    "invalid Python at line {line} of the code: {}",
                    quoted(&why, QUOTED)
                ))
            }
        })
    }

    /// The function among a module's statements. A later one of the same name replaces it, as in Python.
    fn among(&self, statements: &[Stmt]) -> Seen {
        let functions: Vec<&StmtFunctionDef> =
            statements.iter().filter_map(Stmt::as_function_def_stmt).collect();
        match functions
            .iter()
            .rfind(|function| function.name.as_str() == self.name)
        {
            Some(function) => Seen::Function(self.fits(function)),
            None => Seen::Others(functions.len()),
        }
    }

    fn fits(&self, function: &StmtFunctionDef) -> Finding {
        let parameters = parameters_of(function);
        if self.parameters.is_some_and(|asked| asked != parameters) {
            return Err(format!(
                "its parameters are ({}), asked are ({})",
                shown(&parameters.join(", ")),
                shown(&self.parameters.unwrap_or_default().join(", "))
            ));
        }
        if self.docstring && !has_docstring(function) {
            return Err("the function has no docstring".into());
        }
        Ok("the code parses and has the function".into())
    }
}

/// Names of the parameters in order, with their stars.
fn parameters_of(function: &StmtFunctionDef) -> Vec<String> {
    let parameters = &*function.parameters;
    let of_list = |list: &[ruff_python_ast::ParameterWithDefault]| {
        list.iter()
            .map(|parameter| parameter.name().to_string())
            .collect::<Vec<_>>()
    };
    let mut names = of_list(&parameters.posonlyargs);
    names.extend(of_list(&parameters.args));
    names.extend(
        parameters
            .vararg
            .iter()
            .map(|parameter| format!("*{}", parameter.name)),
    );
    names.extend(of_list(&parameters.kwonlyargs));
    names.extend(
        parameters
            .kwarg
            .iter()
            .map(|parameter| format!("**{}", parameter.name)),
    );
    names
}

/// Whether the function's first statement is a string.
fn has_docstring(function: &StmtFunctionDef) -> bool {
    matches!(
        function.body.first(),
        Some(Stmt::Expr(statement)) if matches!(&*statement.value, Expr::StringLiteral(_))
    )
}

/// A name for people: Python's letters are harmless, but a name can be long.
fn shown(name: &str) -> String {
    match name.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Verdict::{Fail, Pass};
    use super::super::fixtures::{assert_judged, judged};

    const PASSED: &str = "the code parses and has the function";

    #[test]
    fn the_function_is_found_in_the_code() {
        assert_judged(
            &json!({"check": "python_function", "name": "f"}),
            &[
                ("def f(): pass", Pass, PASSED),
                (
                    "Here:\r\n```python\r\ndef f(a):\r\n    return a\r\n```\r\nDone.",
                    Pass,
                    PASSED,
                ),
                (
                    "```\nprint('x'\n```\n\n```py\nasync def f():\n  pass\n```",
                    Pass,
                    PASSED,
                ),
                ("```python\ndef f():\n    return 1", Pass, PASSED),
                ("```bash\ndef f(): pass\n```", Fail, "no code block of Python"),
                (
                    "```python\ndef g(): pass\n```",
                    Fail,
                    "no function f, 1 function of other names",
                ),
                (
                    "class A:\n    def f(self): pass",
                    Fail,
                    "no function f, 0 functions of other names",
                ),
                ("", Fail, "no function f, 0 functions of other names"),
            ],
        );
    }

    #[test]
    fn code_that_does_not_parse_is_placed() {
        let check = json!({"check": "python_function", "name": "f"});
        for (text, line) in [
            ("```python\ndef f():\n    return (1\n```", 3),
            ("Sure! def f(): pass", 1),
            ("def f():\n\treturn 1\n  return 2", 3),
            ("def f():\n    '''open", 2),
            ("\0", 1),
        ] {
            let (verdict, reason) = judged(&check, text);
            let start = format!("invalid Python at line {line} of the code: \"");
            assert!(
                verdict == Fail && reason.starts_with(&start),
                "{text:?}: {reason}"
            );
        }
    }

    #[test]
    fn parameters_and_docstring_are_those_that_were_asked() {
        assert_judged(
            &json!({"check": "python_function", "name": "f", "parameters": ["a", "b", "*c", "d", "**e"], "docstring": true}),
            &[
                (
                    "def f(a, /, b: int = 1, *c, d, **e) -> int:\n    \"\"\"Say.\"\"\"\n    return 1",
                    Pass,
                    PASSED,
                ),
                ("def f(a, /, b, *c, d, **e):\n    'Say.'", Pass, PASSED),
                (
                    "def f(a, b, *c, d, **e):\n    return 'Say.'",
                    Fail,
                    "the function has no docstring",
                ),
                (
                    "def f(a, b, *c, d, **e):\n    f'Say.'",
                    Fail,
                    "the function has no docstring",
                ),
                (
                    "def f(b, a): 'Say.'",
                    Fail,
                    "its parameters are (b, a), asked are (a, b, *c, d, **e)",
                ),
            ],
        );
        assert_judged(
            &json!({"check": "python_function", "name": "f", "parameters": []}),
            &[
                ("def f(): pass", Pass, PASSED),
                ("def f(a): pass", Fail, "its parameters are (a), asked are ()"),
                ("def f(a): pass\ndef f(): pass", Pass, PASSED),
            ],
        );
    }

    #[test]
    fn code_of_the_greatest_size_and_depth_is_parsed_and_freed() {
        let check = json!({"check": "python_function", "name": "f"});
        let code = |middle: String| format!("x = {middle}\ndef f(): pass");
        let around = |depth: usize| code(format!("{}1{}", "(".repeat(depth), ")".repeat(depth)));
        assert_eq!(judged(&check, &around(32_000)), (Pass, PASSED.to_owned()));
        assert_eq!(
            judged(&check, &code(format!("a{}", ".a".repeat(32_000)))),
            (Pass, PASSED.to_owned())
        );
        assert_eq!(
            judged(&check, &code(format!("{}1", "-".repeat(65_000)))),
            (Pass, PASSED.to_owned())
        );
        assert_eq!(
            judged(&check, &around(40_000)),
            (Fail, "80019 bytes of code, at most 65536 are parsed".to_owned())
        );
    }
}
