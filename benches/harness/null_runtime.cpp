// A librkllmrt.so that does nothing but call back, and a bare C client of it to compare with: what a run takes is what
// its caller takes.
//
// Each token's id is the low 31 bits of a CLOCK_MONOTONIC stamp in nanoseconds, taken right before its callback, so that
// the receiver can tell how much later its own stamp is.
#include <stddef.h>
#include <stdint.h>

#include "rkllm.h"

#include <ctime>

namespace {

// What a program that reads the file instead of loading it looks for.
__attribute__((used)) const char sdk_version[] = "RKLLM SDK (version: 1.3.0)";

// Four bytes of text, about what a token of English has.
const char text[] = "tok ";

struct Model {
    LLMResultCallback callback;
    void *userdata;
    int32_t max_new_tokens;
};

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

float ms(uint64_t from_ns, uint64_t to_ns) { return static_cast<float>(to_ns - from_ns) / 1e6f; }

} // namespace

extern "C" {

RKLLMParam rkllm_createDefaultParam(void) {
    RKLLMParam param{};
    param.max_context_len = 4096;
    param.max_new_tokens = 64;
    param.top_k = 1;
    param.top_p = 1;
    param.temperature = 1;
    param.repeat_penalty = 1;
    return param;
}

int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback) {
    *handle = new Model{callback->result_callback, callback->result_userdata, param->max_new_tokens};
    return 0;
}

int rkllm_destroy(LLMHandle handle) {
    delete static_cast<Model *>(handle);
    return 0;
}

int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer, void *userdata) {
    const uint64_t start_ns = now_ns();
    const Model &model = *static_cast<const Model *>(handle);
    void *context = userdata != nullptr ? userdata : model.userdata;
    const int32_t tokens = infer->max_new_tokens > 0 ? infer->max_new_tokens : model.max_new_tokens;
    RKLLMResult result{};
    result.text = text;
    for (int32_t token = 0; token < tokens; ++token) {
        result.token_id = static_cast<int32_t>(now_ns() & INT32_MAX);
        model.callback(&result, context, RKLLM_RUN_NORMAL);
    }
    RKLLMResult end{};
    end.perf.prefill_tokens = static_cast<int>(input->token_input.n_tokens);
    end.perf.prefill_time_ms = ms(0, 1); // one nanosecond: a prefill of no time at all would be none
    end.perf.generate_tokens = tokens;
    end.perf.generate_time_ms = ms(start_ns, now_ns());
    model.callback(&end, context, RKLLM_RUN_FINISH);
    return 0;
}

int rkllm_abort(LLMHandle) { return 0; }

int rkllm_clear_kv_cache(LLMHandle, int, int *, int *) { return 0; }

int rkllm_get_kv_cache_size(LLMHandle, int *sizes) {
    sizes[0] = 0;
    return 0;
}

int rkllm_set_chat_template(LLMHandle, const char *, const char *, const char *) { return 0; }

// Nanoseconds of a run of `tokens` tokens whose callback returns at once: the least that a client can do.
uint64_t null_bare_run_ns(int32_t tokens) {
    static LLMHandle handle = [] {
        RKLLMParam param = rkllm_createDefaultParam();
        RKLLMCallback callback{};
        callback.result_callback = [](RKLLMResult *, void *, LLMCallState) { return 0; };
        LLMHandle made = nullptr;
        rkllm_init(&made, &param, &callback);
        return made;
    }();
    int32_t prompt = 1;
    RKLLMInput input{};
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input = {&prompt, 1};
    RKLLMInferParam infer{};
    infer.max_new_tokens = tokens;
    const uint64_t start_ns = now_ns();
    rkllm_run(handle, &input, &infer, nullptr);
    return now_ns() - start_ns;
}

} // extern "C"
