// A librkllmrt.so for tests: the 1.3.0 API without a model behind it.
//
// It stands in for an SDK's library where the question is which library runs and what a faulty one does; it measures
// nothing. STUB_VERSION names its release at compile time. STUB_FAULT=<kind>:<n> in the environment makes every n-th
// run of a process go wrong: segv, exit, hang (an abort does not end it), slow (an abort ends it), throw, refuse,
// no-finish, stale, warm, nan, late. STUB_INIT_FAILS, STUB_INIT_LIES, STUB_PRINTED_VERSION and STUB_NPU_CORES are about
// its init.
#include "rkllm.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

// What a program that reads the file instead of loading it looks for.
__attribute__((used)) const char sdk_version[] = "RKLLM SDK (version: " STUB_VERSION ")";

struct Model {
    RKLLMCallback callback{};
    int32_t max_new_tokens = 0;
    long runs = 0;
    std::atomic<bool> aborted{false};
    RKLLMPerfStat last{};
};

using Clock = std::chrono::steady_clock;

float ms_since(Clock::time_point start) {
    return std::chrono::duration<float, std::milli>(Clock::now() - start).count();
}

void wait_us(long us) { std::this_thread::sleep_for(std::chrono::microseconds(us)); }

// The fault of this run, empty when it is to go well.
std::string fault_of(long run) {
    const char *script = std::getenv("STUB_FAULT");
    if (script == nullptr) {
        return "";
    }
    const std::string text(script);
    const auto colon = text.find(':');
    const long every = std::atol(text.c_str() + colon + 1);
    return run % every == 0 ? text.substr(0, colon) : "";
}

int prompt_length(const RKLLMInput &input) {
    return input.input_type == RKLLM_INPUT_TOKEN ? static_cast<int>(input.token_input.n_tokens)
                                                 : static_cast<int>(std::strlen(input.prompt_input));
}

void die(const std::string &fault) {
    if (fault == "segv") {
        std::puts("E rkllm: about to touch memory that is not there");
        std::fflush(stdout);
        *static_cast<volatile int *>(nullptr) = 0;
    } else if (fault == "exit") {
        std::_Exit(7);
    } else if (fault == "throw") {
        throw std::runtime_error("thrown by the stub");
    } else if (fault == "hang") {
        for (;;) {
            wait_us(1000000);
        }
    }
}

int run(Model &model, RKLLMInput &input, const RKLLMInferParam &infer, void *userdata) {
    const std::string fault = fault_of(++model.runs);
    model.aborted = false;
    void *context = userdata != nullptr ? userdata : model.callback.result_userdata;
    const auto deliver = [&](RKLLMResult &result, LLMCallState state) {
        model.callback.result_callback(&result, context, state);
    };
    if (fault == "refuse") {
        return -1;
    }
    const int tokens = infer.max_new_tokens > 0 ? infer.max_new_tokens : model.max_new_tokens;
    const auto start = Clock::now();
    wait_us(3000);
    while (fault == "slow" && !model.aborted) {
        wait_us(500);
    }
    RKLLMPerfStat perf{};
    perf.prefill_tokens = fault == "warm" ? 1 : prompt_length(input);
    perf.prefill_time_ms = ms_since(start);
    const auto first = Clock::now();
    for (int token = 0; token < tokens && !model.aborted; ++token) {
        if (token > 0) {
            wait_us(100);
        }
        if (token == tokens / 2) {
            die(fault);
        }
        RKLLMResult result{};
        result.text = "stub ";
        result.token_id = token;
        deliver(result, RKLLM_RUN_NORMAL);
    }
    perf.generate_tokens = tokens - 1;
    perf.generate_time_ms = fault == "nan" ? __builtin_nanf("") : ms_since(first);
    RKLLMResult end{};
    end.perf = fault == "stale" ? model.last : perf;
    model.last = perf;
    if (fault != "no-finish" && !model.aborted) {
        deliver(end, RKLLM_RUN_FINISH);
    }
    if (fault == "late") {
        std::thread([callback = model.callback.result_callback, context] {
            wait_us(2000);
            RKLLMResult result{};
            callback(&result, context, RKLLM_RUN_NORMAL);
        }).detach();
    }
    return 0;
}

} // namespace

extern "C" {

RKLLMParam rkllm_createDefaultParam(void) {
    RKLLMParam param{};
    param.max_context_len = 1234; // told from the host runtime's default
    param.max_new_tokens = 16;
    param.top_k = 40;
    param.temperature = 0.8f;
    param.extend_param.enabled_cpus_num = 4;
    return param;
}

int rkllm_init(LLMHandle *handle, RKLLMParam *param, RKLLMCallback *callback) {
    const char *version = std::getenv("STUB_PRINTED_VERSION");
    std::printf("I rkllm: rkllm-runtime version: %s, rknpu driver version: 0.9.8, platform: STUB\n",
                version != nullptr ? version : STUB_VERSION);
    if (const char *cores = std::getenv("STUB_NPU_CORES"); cores != nullptr) {
        std::printf("I rkllm: max_context_limit: 4096, npu_core_num: %s, target_platform: STUB\n", cores);
    }
    if (std::getenv("STUB_INIT_LIES") != nullptr) {
        return 0; // as 1.1.x did without having loaded
    }
    if (std::getenv("STUB_INIT_FAILS") != nullptr) {
        std::puts("E rkllm: invalid rkllm model!");
        return -1;
    }
    auto *model = new Model;
    model->callback = *callback;
    model->max_new_tokens = param->max_new_tokens;
    *handle = model;
    return 0;
}

int rkllm_destroy(LLMHandle handle) {
    delete static_cast<Model *>(handle);
    return 0;
}

int rkllm_run(LLMHandle handle, RKLLMInput *input, RKLLMInferParam *infer, void *userdata) {
    return run(*static_cast<Model *>(handle), *input, *infer, userdata);
}

int rkllm_abort(LLMHandle handle) {
    static_cast<Model *>(handle)->aborted = true;
    return 0;
}

int rkllm_clear_kv_cache(LLMHandle, int, int *, int *) { return 0; }

int rkllm_get_kv_cache_size(LLMHandle, int *sizes) {
    sizes[0] = 0;
    return 0;
}

int rkllm_set_chat_template(LLMHandle, const char *, const char *, const char *) { return 0; }

} // extern "C"
