//! Functions that a model may call.
//!
//! llama.cpp's C API has chat templates without tools, so they become text of the system prompt, in the form that the
//! models of the Hermes and Qwen families were trained on: the functions between `<tools>` marks, calls between
//! `<tool_call>` marks, results between marks of the client's choice.

use std::ffi::{CStr, CString};

use serde_json::value::RawValue;

/// Refuses what is no JSON as the result of a function, as Rockchip's runtime does.
pub(crate) fn check_result(text: &str) -> Result<(), String> {
    let is_json: Result<&RawValue, _> = serde_json::from_str(text);
    is_json
        .map(drop)
        .map_err(|error| format!("a prompt of the role tool must be JSON: {error}"))
}

/// What `rkllm_set_function_tools` gave.
#[derive(Debug)]
pub(crate) struct Tools {
    system: CString,
    /// Of the marks around a result, without their brackets.
    tag: String,
}

const HOW_TO_CALL: &str = "To call a function, reply with its name and its arguments:\n\
                           <tool_call>\n{\"name\": \"<name>\", \"arguments\": {<arguments>}}\n</tool_call>";

impl Tools {
    /// `tools` is a JSON list of objects. The tag may come with its brackets or without.
    pub(crate) fn new(system_prompt: &str, tools: &str, tag: &str) -> Result<Self, String> {
        let whole: &RawValue =
            serde_json::from_str(tools).map_err(|error| format!("tools is no JSON: {error}"))?;
        // Each as the client wrote it: the order of its fields may mean something to the model.
        let functions: Vec<&RawValue> = serde_json::from_str(whole.get()).unwrap_or_default();
        let is_list = whole.get().starts_with('[');
        if !is_list || functions.iter().any(|function| !function.get().starts_with('{')) {
            return Err("tools must be a JSON list of objects, one for each function".to_owned());
        }
        let tag = tag.trim_start_matches('<').trim_end_matches('>');
        if tag.is_empty() {
            return Err("tool_response_str is empty".to_owned());
        }
        let mut system = system_prompt.to_owned();
        if !functions.is_empty() {
            if !system.is_empty() {
                system.push_str("\n\n");
            }
            system.push_str("Functions that you may call:\n<tools>\n");
            for function in functions {
                system.push_str(function.get());
                system.push('\n');
            }
            system.push_str("</tools>\n");
            system.push_str(HOW_TO_CALL);
        }
        Ok(Self {
            system: CString::new(system).map_err(|error| error.to_string())?,
            tag: tag.to_owned(),
        })
    }

    /// The system prompt with the functions.
    pub(crate) fn system(&self) -> &CStr {
        &self.system
    }

    /// What a function returned, between its marks.
    pub(crate) fn result(&self, text: &str) -> String {
        format!("<{tag}>\n{text}\n</{tag}>", tag = self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::{HOW_TO_CALL, Tools};

    fn system(prompt: &str, tools: &str) -> String {
        let tools = Tools::new(prompt, tools, "result").expect("valid");
        tools.system().to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn functions_come_one_a_line_behind_the_system_prompt() {
        assert_eq!(
            system("Be brief.", r#"[ {"z": 1, "name": "b"}, {"name": "a"} ]"#),
            format!(
                "Be brief.\n\nFunctions that you may call:\n<tools>\n{{\"z\": 1, \"name\": \"b\"}}\n{{\"name\": \"a\"}}\n\
                 </tools>\n{HOW_TO_CALL}"
            )
        );
        assert_eq!(system("Be brief.", "[]"), "Be brief.");
        assert!(system("", "[{}]").starts_with("Functions"));
    }

    #[test]
    fn a_result_stands_between_marks_however_the_tag_is_given() {
        for tag in ["tool_response", "<tool_response>"] {
            let tools = Tools::new("", "[]", tag).expect("valid");
            assert_eq!(tools.result("{}"), "<tool_response>\n{}\n</tool_response>");
        }
    }

    #[test]
    fn what_is_no_list_of_functions_is_refused() {
        for (tools, tag, word) in [
            ("[{]", "t", "no JSON"),
            ("", "t", "no JSON"),
            ("{}", "t", "list of objects"),
            ("[1]", "t", "list of objects"),
            ("[]", "<>", "tool_response_str"),
        ] {
            let error = Tools::new("", tools, tag).expect_err("refused");
            assert!(error.contains(word), "{error}");
        }
    }
}
