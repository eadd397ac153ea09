// A client in C++: one run of token ids, printed; then what must fail, and an abort from another thread.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "rkllm.h"

namespace {

struct Reply {
    std::vector<int32_t> ids;
    std::string text;
    RKLLMPerfStat perf{};
    bool finished = false;
    std::atomic<bool> begun{false};
};

int on_result(RKLLMResult *result, void *userdata, LLMCallState state) {
    auto *reply = static_cast<Reply *>(userdata);
    if (state == RKLLM_RUN_FINISH) {
        reply->finished = true;
        reply->perf = result->perf;
        return 0;
    }
    reply->begun = true;
    reply->ids.push_back(result->token_id);
    if (result->text != nullptr) {
        reply->text += result->text;
    }
    return 0;
}

void require(bool holds, const char *what) {
    if (!holds) {
        std::fprintf(stderr, "not so: %s\n", what);
        std::exit(1);
    }
}

LLMHandle load(const char *path, int max_new_tokens) {
    RKLLMParam param = rkllm_createDefaultParam();
    require(param.top_k == 40 && param.extend_param.n_batch == 1, "the defaults are those of the documents");
    param.model_path = path;
    param.max_context_len = 512;
    param.max_new_tokens = max_new_tokens;
    param.top_k = 1;
    param.repeat_penalty = 1.0f;
    param.ignore_eos_token = true;
    param.extend_param.enabled_cpus_num = 1;
    RKLLMCallback callback{};
    callback.result_callback = on_result;
    LLMHandle handle = nullptr;
    require(rkllm_init(&handle, &param, &callback) == 0 && handle != nullptr, "the model loads");
    return handle;
}

void print(const Reply &reply) {
    std::printf("ids");
    for (int32_t id : reply.ids) {
        std::printf(" %d", id);
    }
    std::printf("\ntext ");
    for (unsigned char byte : reply.text) {
        std::printf("%02x", byte);
    }
    std::printf("\nfinish %d %d\n", reply.perf.prefill_tokens, reply.perf.generate_tokens);
}

} // namespace

int main(int argc, char **argv) {
    require(argc == 2, "one argument, the model");
    int32_t prompt[] = {1, 300, 301, 302, 303, 304};
    RKLLMInput input;
    std::memset(&input, 0, sizeof input);
    input.role = "user";
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input = {prompt, sizeof prompt / sizeof *prompt};
    RKLLMInferParam infer;
    std::memset(&infer, 0, sizeof infer);

    LLMHandle handle = load(argv[1], 16);
    Reply reply;
    require(rkllm_run(handle, &input, &infer, &reply) == 0 && reply.finished, "a run ends by FINISH");
    std::fflush(stdout);
    print(reply);
    std::fflush(stdout);
    int cached = 0;
    require(rkllm_get_kv_cache_size(handle, &cached) == 0 && cached == 6, "the prompt is in the cache");
    require(rkllm_clear_kv_cache(handle, 0, nullptr, nullptr) == 0, "the cache is cleared");
    require(rkllm_load_lora(handle, nullptr) != 0, "adapters are refused");

    Reply aborted;
    std::thread aborter([&] {
        while (!aborted.begun) {
            std::this_thread::yield();
        }
        require(rkllm_abort(handle) == 0, "a run can be aborted");
    });
    infer.max_new_tokens = 400;
    require(rkllm_run_async(handle, &input, &infer, &aborted) == 0, "an asynchronous run starts");
    aborter.join();
    while (rkllm_is_running(handle) == 1) {
        std::this_thread::yield();
    }
    require(rkllm_destroy(handle) == 0, "the model is freed");
    require(rkllm_destroy(handle) != 0, "once only");
    std::puts("done");
}
