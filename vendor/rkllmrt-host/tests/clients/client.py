"""A client in Python: the structs of the C API by hand, one run of token ids, printed; then what must fail."""

import ctypes as c
import sys


class ExtendParam(c.Structure):
    _fields_ = [
        ("base_domain_id", c.c_int32),
        ("embed_flash", c.c_int8),
        ("enabled_cpus_num", c.c_int8),
        ("enabled_cpus_mask", c.c_uint32),
        ("n_batch", c.c_uint8),
        ("use_cross_attn", c.c_int8),
        ("reserved", c.c_uint8 * 104),
    ]


class Param(c.Structure):
    _fields_ = [
        ("model_path", c.c_char_p),
        ("max_context_len", c.c_int32),
        ("max_new_tokens", c.c_int32),
        ("top_k", c.c_int32),
        ("n_keep", c.c_int32),
        ("top_p", c.c_float),
        ("temperature", c.c_float),
        ("repeat_penalty", c.c_float),
        ("frequency_penalty", c.c_float),
        ("presence_penalty", c.c_float),
        ("mirostat", c.c_int32),
        ("mirostat_tau", c.c_float),
        ("mirostat_eta", c.c_float),
        ("skip_special_token", c.c_bool),
        ("ignore_eos_token", c.c_bool),
        ("is_async", c.c_bool),
        ("extend_param", ExtendParam),
    ]


class TokenInput(c.Structure):
    _fields_ = [("input_ids", c.POINTER(c.c_int32)), ("n_tokens", c.c_size_t)]


class InputUnion(c.Union):
    # The largest member is the multimodal input, 144 bytes.
    _fields_ = [("prompt_input", c.c_char_p), ("token_input", TokenInput), ("multimodal_input", c.c_uint64 * 18)]


class Input(c.Structure):
    _fields_ = [
        ("role", c.c_char_p),
        ("enable_thinking", c.c_bool),
        ("input_type", c.c_int),
        ("input", InputUnion),
    ]


class InferParam(c.Structure):
    _fields_ = [
        ("mode", c.c_int),
        ("lora_params", c.c_void_p),
        ("prompt_cache_params", c.c_void_p),
        ("sampling_params", c.c_void_p),
        ("keep_history", c.c_int),
        ("max_new_tokens", c.c_int32),
    ]


class Matrix(c.Structure):
    _fields_ = [("values", c.c_void_p), ("width", c.c_int), ("num_tokens", c.c_int)]


class PerfStat(c.Structure):
    _fields_ = [
        ("prefill_time_ms", c.c_float),
        ("prefill_tokens", c.c_int),
        ("generate_time_ms", c.c_float),
        ("generate_tokens", c.c_int),
        ("memory_usage_mb", c.c_float),
    ]


class Result(c.Structure):
    _fields_ = [
        ("text", c.c_char_p),
        ("token_id", c.c_int32),
        ("last_hidden_layer", Matrix),
        ("logits", Matrix),
        ("perf", PerfStat),
    ]


ResultCallback = c.CFUNCTYPE(c.c_int, c.POINTER(Result), c.c_void_p, c.c_int)


class Callback(c.Structure):
    _fields_ = [
        ("result_callback", ResultCallback),
        ("result_userdata", c.c_void_p),
        ("tokenizer_callback", c.c_void_p),
        ("tokenizer_userdata", c.c_void_p),
        ("embed_callback", c.c_void_p),
        ("embed_userdata", c.c_void_p),
    ]


FINISH = 2
TOKEN_INPUT = 1
SIZES = {ExtendParam: 120, Param: 184, Input: 160, InferParam: 40, PerfStat: 20, Result: 72, Callback: 48}


def main(library, model):
    for struct, size in SIZES.items():
        assert c.sizeof(struct) == size, (struct, c.sizeof(struct))
    rkllm = c.CDLL(library)
    rkllm.rkllm_createDefaultParam.restype = Param
    rkllm.rkllm_run.argtypes = [c.c_void_p, c.POINTER(Input), c.POINTER(InferParam), c.c_void_p]
    rkllm.rkllm_get_kv_cache_size.argtypes = [c.c_void_p, c.POINTER(c.c_int)]
    rkllm.rkllm_destroy.argtypes = [c.c_void_p]

    ids, pieces, finish = [], [], []

    @ResultCallback
    def on_result(result, _userdata, state):
        result = result.contents
        if state == FINISH:
            finish.append((result.perf.prefill_tokens, result.perf.generate_tokens))
        else:
            ids.append(result.token_id)
            pieces.append(result.text or b"")
        return 0

    param = rkllm.rkllm_createDefaultParam()
    assert (param.top_k, param.n_keep, param.extend_param.n_batch) == (40, -1, 1)
    param.model_path = model.encode()
    param.max_context_len = 512
    param.max_new_tokens = 16
    param.top_k = 1
    param.repeat_penalty = 1.0
    param.ignore_eos_token = True
    param.extend_param.enabled_cpus_num = 1
    handle, callback = c.c_void_p(), Callback(result_callback=on_result)
    assert rkllm.rkllm_init(c.byref(handle), c.byref(param), c.byref(callback)) == 0

    prompt = (c.c_int32 * 6)(1, 300, 301, 302, 303, 304)
    run = Input(role=b"user", input_type=TOKEN_INPUT)
    run.input.token_input = TokenInput(prompt, len(prompt))
    assert rkllm.rkllm_run(handle, c.byref(run), c.byref(InferParam()), None) == 0
    print("ids", *ids)
    print("text", b"".join(pieces).hex())
    print("finish", *finish[0])

    cached = c.c_int(-1)
    assert rkllm.rkllm_get_kv_cache_size(handle, c.byref(cached)) == 0 and cached.value == len(prompt)
    assert rkllm.rkllm_destroy(handle) == 0
    assert rkllm.rkllm_destroy(handle) != 0
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
