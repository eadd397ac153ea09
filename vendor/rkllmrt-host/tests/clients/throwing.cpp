// A client whose callbacks do not return. The arguments: a model, and what its callbacks do.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>

#include "rkllm.h"

namespace {

std::string what;
int tokens = 0;
bool finished = false;
bool failed = false;

int on_result(RKLLMResult *, void *, LLMCallState state) {
    if (state == RKLLM_RUN_FINISH) {
        finished = true;
        if (what == "finish") {
            throw std::runtime_error("at the end");
        }
        return 0;
    }
    if (state == RKLLM_RUN_ERROR) {
        failed = true;
        return 0;
    }
    if (++tokens != 2) {
        return 0;
    }
    if (what == "exception" || what == "async") {
        throw std::runtime_error("at the second token");
    }
    if (what == "number") {
        throw 42;
    }
    if (what == "cancel") {
        pthread_cancel(pthread_self());
        pthread_testcancel();
    }
    if (what == "exit") {
        pthread_exit(nullptr);
    }
    return 0;
}

int on_text(void *, const char *, int32_t, int32_t *, int32_t) { throw std::runtime_error("no tokenizer"); }

int on_tokens(void *, int32_t *, uint64_t, void *, uint64_t) { throw std::runtime_error("no embeddings"); }

int run(LLMHandle handle) {
    tokens = 0;
    finished = failed = false;
    int32_t ids[] = {1, 300, 301, 302};
    RKLLMInput input;
    std::memset(&input, 0, sizeof input);
    input.role = "user";
    input.input_type = RKLLM_INPUT_TOKEN;
    input.token_input = {ids, sizeof ids / sizeof *ids};
    if (what == "tokenizer") {
        input.input_type = RKLLM_INPUT_PROMPT;
        input.prompt_input = "Hello";
    }
    RKLLMInferParam infer;
    std::memset(&infer, 0, sizeof infer);
    if (what != "async") {
        return rkllm_run(handle, &input, &infer, nullptr);
    }
    int status = rkllm_run_async(handle, &input, &infer, nullptr);
    while (rkllm_is_running(handle) == 1) {
        std::this_thread::yield();
    }
    return status;
}

void *run_on_a_thread(void *handle) {
    std::printf("status %d\n", run(handle));
    std::fflush(stdout);
    pthread_testcancel();
    std::puts("not cancelled");
    return nullptr;
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        return 64;
    }
    what = argv[2];
    RKLLMParam param = rkllm_createDefaultParam();
    param.model_path = argv[1];
    param.max_context_len = 256;
    param.max_new_tokens = 4;
    param.ignore_eos_token = true;
    param.extend_param.enabled_cpus_num = 1;
    RKLLMCallback callback{};
    callback.result_callback = on_result;
    callback.tokenizer_callback = what == "tokenizer" ? on_text : nullptr;
    callback.embed_callback = what == "embed" ? on_tokens : nullptr;
    LLMHandle handle = nullptr;
    if (rkllm_init(&handle, &param, &callback) != 0) {
        return 1;
    }
    if (what == "cancel") {
        pthread_t thread;
        void *result = nullptr;
        pthread_create(&thread, nullptr, run_on_a_thread, handle);
        pthread_join(thread, &result);
        std::puts(result == PTHREAD_CANCELED ? "cancelled" : "ended");
    } else {
        std::printf("status %d\n", run(handle));
    }
    std::printf("tokens %d%s%s\n", tokens, finished ? ", finished" : "", failed ? ", failed" : "");
    // The handle is as good as before.
    if (what != "tokenizer" && what != "embed") {
        what = "nothing";
        int status = run(handle);
        std::printf("again %d, tokens %d%s\n", status, tokens, finished ? ", finished" : "");
    }
    return rkllm_destroy(handle);
}
