//! The fifteen functions of the C API. Each returns 0, or -1 with one `E rkllm:` line on stderr; no panic leaves them.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::callbacks::Callbacks;
use crate::client_call::Uncancelled;
use crate::header::{
    self, LLMHandle, RKLLMCallback, RKLLMCrossAttnParam, RKLLMInferParam, RKLLMInput, RKLLMLoraAdapter,
    RKLLMParam,
};
use crate::input::Request;
use crate::instance::Instance;
use crate::llama;
use crate::params::{self, Settings, check_model_file, copied, path_of};
use crate::template::Template;
use crate::tools::Tools;
use crate::{abi, cpu, log, registry};

/// The release of the C API that is implemented here.
const API_VERSION: &str = "1.3.0";

const FAILED: c_int = -1;

/// Turns what an entry did into its status.
fn entry(name: &str, body: impl FnOnce() -> Result<(), String>) -> c_int {
    let _uncancelled = Uncancelled::here();
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => 0,
        Ok(Err(message)) => {
            log::error(message);
            FAILED
        }
        Err(_) => {
            log::error(format_args!("{name}: internal error"));
            FAILED
        }
    }
}

fn unsupported(name: &str) -> c_int {
    log::error(format_args!("{name} is not supported by the host runtime"));
    FAILED
}

/// The parameters to start from.
///
/// # Safety
///
/// No condition; declared as the header has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_createDefaultParam() -> RKLLMParam {
    params::defaults()
}

/// Loads a model and writes its handle, NULL if that failed.
///
/// # Safety
///
/// The pointers are NULL or valid, with strings that end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_init(
    handle: *mut LLMHandle,
    param: *mut RKLLMParam,
    callback: *mut RKLLMCallback,
) -> c_int {
    entry("rkllm_init", || {
        log::info(format_args!(
            "rkllm-runtime version: {API_VERSION}, rknpu driver version: none, platform: HOST (llama.cpp {})",
            llama::version()
        ));
        if handle.is_null() {
            return Err("rkllm_init: the handle's address is NULL".to_owned());
        }
        // SAFETY: not NULL, and the caller upholds the rest.
        unsafe { handle.write(ptr::null_mut()) };
        abi::check(param, callback)?;
        // SAFETY: the caller upholds it; `as_ref` looks at NULL itself.
        let param = unsafe { param.as_ref() }.ok_or("rkllm_init: the parameters are NULL")?;
        // SAFETY: as above.
        let callback = unsafe { callback.as_ref() }.ok_or("rkllm_init: the callbacks are NULL")?;
        let loaded = registry::add(open(param, callback)?);
        // SAFETY: as for the first write.
        unsafe { handle.write(loaded) };
        Ok(())
    })
}

fn open(param: &RKLLMParam, callback: &RKLLMCallback) -> Result<Instance, String> {
    let function = callback
        .result_callback
        .ok_or("rkllm_init: result_callback is NULL")?;
    // SAFETY: the client passed this struct to rkllm_init, whose conditions hold for the strings in it.
    let path = unsafe { copied(param.model_path) }.ok_or("rkllm_init: model_path is NULL")?;
    let settings = Settings::new(param, path)?;
    check_model_file(&settings.model_path)?;
    cpu::check()?;
    llama::start();
    let threads = settings.threads;
    let callbacks = Callbacks::new(callback);
    let instance = Instance::open(settings, function, callback.result_userdata, callbacks)?;
    match threads.mask {
        Some(mask) => log::info(format_args!(
            "threads: {}, each on a CPU of its own out of {mask:#x}",
            threads.count
        )),
        None => log::info(format_args!("threads: {}, on any CPU", threads.count)),
    }
    log::info(format_args!("CPU features: {}", llama::system_info()));
    Ok(instance)
}

/// Loads a `LoRA` adapter for the runs that name it.
///
/// # Safety
///
/// The pointer is NULL or valid, with strings that are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_load_lora(handle: LLMHandle, lora_adapter: *mut RKLLMLoraAdapter) -> c_int {
    entry("rkllm_load_lora", || {
        let instance = registry::find(handle)?;
        // SAFETY: the caller upholds it; `as_ref` looks at NULL itself.
        let adapter = unsafe { lora_adapter.as_ref() }.ok_or("rkllm_load_lora: the adapter is NULL")?;
        // SAFETY: the caller upholds it.
        let path = unsafe { copied(adapter.lora_adapter_path) }
            .ok_or("rkllm_load_lora: lora_adapter_path is NULL")?;
        // SAFETY: the caller upholds it.
        let name = unsafe { copied(adapter.lora_adapter_name) }
            .ok_or("rkllm_load_lora: lora_adapter_name is NULL")?;
        instance.between_runs(|session| session.load_adapter(name, &path, adapter.scale))
    })
}

/// Has later runs begin with the prompt cache in a file, where their prompts do, until it is released.
///
/// # Safety
///
/// The path is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_load_prompt_cache(
    handle: LLMHandle,
    prompt_cache_path: *const c_char,
) -> c_int {
    entry("rkllm_load_prompt_cache", || {
        let instance = registry::find(handle)?;
        // SAFETY: the caller upholds it.
        let path = unsafe { copied(prompt_cache_path) }
            .ok_or("rkllm_load_prompt_cache: prompt_cache_path is NULL")?;
        instance.between_runs(|session| session.load_cache(path_of(&path)))
    })
}

/// Lets go of the loaded prompt cache and empties the KV cache. Does nothing, and succeeds, when none is loaded.
///
/// # Safety
///
/// No condition: a handle is looked up, not followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_release_prompt_cache(handle: LLMHandle) -> c_int {
    entry("rkllm_release_prompt_cache", || {
        registry::find(handle)?.between_runs(|session| {
            session.release_cache();
            Ok(())
        })
    })
}

/// Aborts a run under way, waits for it, and frees the model.
///
/// # Safety
///
/// No condition: a handle is looked up, not followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_destroy(handle: LLMHandle) -> c_int {
    entry("rkllm_destroy", || {
        registry::find(handle)?.close()?;
        registry::remove(handle);
        Ok(())
    })
}

/// Runs to the end; the result callback comes from the calling thread. Also after an abort or a pause this returns 0.
///
/// # Safety
///
/// The pointers are NULL or point at what the header says they do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_run(
    handle: LLMHandle,
    rkllm_input: *mut RKLLMInput,
    rkllm_infer_params: *mut RKLLMInferParam,
    userdata: *mut c_void,
) -> c_int {
    entry("rkllm_run", || {
        // SAFETY: the caller upholds it.
        let read = |width| unsafe { Request::read(rkllm_input, rkllm_infer_params, width) };
        registry::find(handle)?.run(read, userdata)
    })
}

/// The same on a thread of the runtime, from which the callback comes. The input is copied first.
///
/// # Safety
///
/// As for [`rkllm_run`]; the callback and its user data must be fit for another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_run_async(
    handle: LLMHandle,
    rkllm_input: *mut RKLLMInput,
    rkllm_infer_params: *mut RKLLMInferParam,
    userdata: *mut c_void,
) -> c_int {
    entry("rkllm_run_async", || {
        // SAFETY: the caller upholds it.
        let read = |width| unsafe { Request::read(rkllm_input, rkllm_infer_params, width) };
        registry::find(handle)?.run_async(read, userdata)
    })
}

/// Stops the run under way, in prefill as in decode, or ends a pause. Does nothing, and succeeds, without either.
///
/// # Safety
///
/// No condition: a handle is looked up, not followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_abort(handle: LLMHandle) -> c_int {
    entry("rkllm_abort", || registry::find(handle)?.abort())
}

/// 1 while a run is under way, else 0; -1 for a handle of no loaded model.
///
/// # Safety
///
/// No condition: a handle is looked up, not followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_is_running(handle: LLMHandle) -> c_int {
    let mut running = false;
    let status = entry("rkllm_is_running", || {
        running = registry::find(handle)?.is_running();
        Ok(())
    });
    if status == 0 { c_int::from(running) } else { status }
}

/// Empties the KV cache and ends a pause. With `keep_system_prompt` 1 the system prompt stays that was set by
/// [`rkllm_set_chat_template`]. Ranges are not supported.
///
/// # Safety
///
/// No condition: the positions are only compared with NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_clear_kv_cache(
    handle: LLMHandle,
    keep_system_prompt: c_int,
    start_pos: *mut c_int,
    end_pos: *mut c_int,
) -> c_int {
    entry("rkllm_clear_kv_cache", || {
        let instance = registry::find(handle)?;
        if !start_pos.is_null() || !end_pos.is_null() {
            return Err(
                "rkllm_clear_kv_cache with positions is not supported by the host runtime".to_owned(),
            );
        }
        instance.between_runs(|session| session.clear(keep_system_prompt == 1))
    })
}

/// Writes how many positions the KV cache holds.
///
/// # Safety
///
/// `cache_sizes` is NULL or has room for one value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_get_kv_cache_size(handle: LLMHandle, cache_sizes: *mut c_int) -> c_int {
    entry("rkllm_get_kv_cache_size", || {
        let instance = registry::find(handle)?;
        if cache_sizes.is_null() {
            return Err("rkllm_get_kv_cache_size: cache_sizes is NULL".to_owned());
        }
        let cached = instance.between_runs(|session| Ok(session.cached()))?;
        // SAFETY: not NULL, and the caller upholds the rest.
        unsafe { cache_sizes.write(c_int::try_from(cached).unwrap_or(c_int::MAX)) };
        Ok(())
    })
}

/// Replaces the model's chat template; three empty strings switch wrapping off. Empties the KV cache.
///
/// # Safety
///
/// The strings are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_set_chat_template(
    handle: LLMHandle,
    system_prompt: *const c_char,
    prompt_prefix: *const c_char,
    prompt_postfix: *const c_char,
) -> c_int {
    entry("rkllm_set_chat_template", || {
        let instance = registry::find(handle)?;
        // SAFETY: the caller upholds it.
        let text = |name, text| unsafe { text_argument("rkllm_set_chat_template", name, text) };
        let template = Template::custom(
            text("system_prompt", system_prompt)?,
            text("prompt_prefix", prompt_prefix)?,
            text("prompt_postfix", prompt_postfix)?,
        );
        instance.between_runs(|session| session.set_template(template))
    })
}

/// Puts functions that the model may call into the system prompt, and says between what marks their results will come.
/// Empties the KV cache.
///
/// # Safety
///
/// The strings are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_set_function_tools(
    handle: LLMHandle,
    system_prompt: *const c_char,
    tools: *const c_char,
    tool_response_str: *const c_char,
) -> c_int {
    entry("rkllm_set_function_tools", || {
        let instance = registry::find(handle)?;
        // SAFETY: the caller upholds it.
        let text = |name, text| unsafe { text_argument("rkllm_set_function_tools", name, text) };
        let tools = Tools::new(
            &text("system_prompt", system_prompt)?,
            &text("tools", tools)?,
            &text("tool_response_str", tool_response_str)?,
        )
        .map_err(|error| format!("rkllm_set_function_tools: {error}"))?;
        instance.between_runs(|session| session.set_tools(tools))
    })
}

/// Not supported.
///
/// # Safety
///
/// No condition; declared as the header has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_set_cross_attn_params(
    _handle: LLMHandle,
    _cross_attn_params: *mut RKLLMCrossAttnParam,
) -> c_int {
    unsupported("rkllm_set_cross_attn_params")
}

/// A client's text.
///
/// # Safety
///
/// `text` is NULL or a NUL-terminated string that nobody changes meanwhile.
unsafe fn text_argument(function: &str, name: &str, text: *const c_char) -> Result<String, String> {
    // SAFETY: the caller upholds it.
    let text = unsafe { copied(text) }.ok_or_else(|| format!("{function}: {name} is NULL"))?;
    text.into_string()
        .map_err(|error| format!("{function}: {name}: {error}"))
}

/// The compiler compares each function with the header's declaration: two functions share an array only if their
/// types agree.
const _: () = {
    let _ = [header::rkllm_createDefaultParam, rkllm_createDefaultParam];
    let _ = [header::rkllm_init, rkllm_init];
    let _ = [header::rkllm_load_lora, rkllm_load_lora];
    let _ = [header::rkllm_load_prompt_cache, rkllm_load_prompt_cache];
    let _ = [header::rkllm_release_prompt_cache, rkllm_release_prompt_cache];
    let _ = [header::rkllm_destroy, rkllm_destroy];
    let _ = [header::rkllm_run, rkllm_run];
    let _ = [header::rkllm_run_async, rkllm_run_async];
    let _ = [header::rkllm_abort, rkllm_abort];
    let _ = [header::rkllm_is_running, rkllm_is_running];
    let _ = [header::rkllm_clear_kv_cache, rkllm_clear_kv_cache];
    let _ = [header::rkllm_get_kv_cache_size, rkllm_get_kv_cache_size];
    let _ = [header::rkllm_set_chat_template, rkllm_set_chat_template];
    let _ = [header::rkllm_set_function_tools, rkllm_set_function_tools];
    let _ = [header::rkllm_set_cross_attn_params, rkllm_set_cross_attn_params];
};
